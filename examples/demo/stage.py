"""Where the demonstration plays: a temporary place, people with homes of their own, and what they type."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

BINARIES = Path(sys.executable).parent  # not resolved: a virtual environment's programs are beside its link
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIMIT_S = 60.0
WIDTH = 118


class UntrueError(Exception):
    """A step did not come out as the demonstration says."""


class Stage:
    """A place of its own below /tmp, a stack of what must be ended, and the voice. Leaving it leaves nothing."""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
        self.held = ExitStack()
        self._homes: list[Path] = []
        self._step = 0
        for name in ("run", "logs"):
            (self.place / name).mkdir(mode=0o700)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.held.close()
        finally:
            for home in [*self._homes, *(self.place / "run").glob("strongroom-*")]:
                self._end_agent(home)
            shutil.rmtree(self.place, ignore_errors=True)

    def person(self, name: str) -> Person:
        """Somebody with a home of his own."""
        made = Person(self, name)
        self._homes.append(made.gnupg)
        return made

    def step(self, title: str) -> None:
        """Begin a numbered step."""
        self._step += 1
        print(f"\n{self._step:2}. {title}", flush=True)

    def say(self, text: str) -> None:
        """A line of talk."""
        print(f"    {text}", flush=True)

    def check(self, truth: object, text: str) -> None:
        """Say that something is so; UntrueError if it is not."""
        if not truth:
            print(f"    NOT SO: {text}", flush=True)
            raise UntrueError(f"step {self._step}: it is not so that {text}")
        print(f"    ok: {text}", flush=True)

    @staticmethod
    def _end_agent(home: Path) -> None:
        if home.is_dir():
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                ending = ["gpgconf", "--homedir", str(home), "--kill", "all"]
                subprocess.run(ending, check=False, capture_output=True, timeout=10, env={"PATH": SYSTEM})


class Person:
    """A person or a role account: a home, an environment built from nothing, and a directory to type in."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self.name = name
        self.home = stage.place / name
        self.gnupg = self.home / ".gnupg"
        self.gnupg.mkdir(parents=True, mode=0o700)
        self.home.chmod(0o700)
        self.directory = self.home
        self.environ: dict[str, str] = {
            "PATH": f"{BINARIES}:{SYSTEM}",
            "HOME": str(self.home),
            "GNUPGHOME": str(self.gnupg),
            "XDG_RUNTIME_DIR": str(stage.place / "run"),
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_NAME": name.capitalize() for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": f"{name}@example.org" for who in ("AUTHOR", "COMMITTER")},
        }

    def types(
        self, line: str, *, stdin: bytes = b"", exits: int = 0, lines: int = 8, environ: Mapping[str, str] | None = None
    ) -> str:
        """Type one command, show it and what comes of it, and return what it printed, both streams together."""
        print(f"    {self.name} $ {line}", flush=True)
        done = self.runs(shlex.split(line), stdin=stdin, environ=environ)
        printed = done.stdout.decode(errors="replace")
        shown = printed.splitlines()
        for text in shown[:lines]:
            print(f"      | {self._without_place(text)[:WIDTH]}")
        if len(shown) > lines:
            print(f"      | … {len(shown) - lines} more lines")
        if done.returncode != exits:
            raise UntrueError(f"{line!r} was to exit {exits}, and exited {done.returncode}: {printed[-2000:]}")
        return printed

    def quietly(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run a command that needs no showing; what it printed on stdout alone."""
        done = self.runs(arguments, stdin=stdin, streams=subprocess.PIPE)
        if done.returncode:
            raise UntrueError(f"{shlex.join(arguments)} exited {done.returncode}: {done.stderr.decode()[-2000:]}")
        return done.stdout

    def runs(
        self,
        arguments: Sequence[str],
        *,
        stdin: bytes = b"",
        environ: Mapping[str, str] | None = None,
        streams: int = subprocess.STDOUT,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command as this person, where he stands."""
        environment = {**self.environ, **(environ or {})}
        program = shutil.which(arguments[0], path=environment["PATH"])
        if program is None:
            raise UntrueError(f"there is no program {arguments[0]!r} on {environment['PATH']}")
        try:
            return subprocess.run(
                [program, *arguments[1:]],
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=streams,
                cwd=self.directory,
                env=environment,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UntrueError(f"{shlex.join(arguments)} took more than {LIMIT_S:g} s") from None

    def makes_a_key(self) -> str:
        """An Ed25519 key with a Curve25519 subkey, no passphrase; its fingerprint."""
        uid = f"{self.name.capitalize()} <{self.name}@example.org>"
        print(f"    {self.name} $ gpg --quick-generate-key '{uid}' ed25519", flush=True)
        batch = ("--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", "", "--status-fd", "1")
        made = self.quietly("gpg", *batch, "--quick-generate-key", uid, "ed25519", "cert,sign", "never").decode()
        fingerprint = next(line.split()[-1] for line in made.splitlines() if " KEY_CREATED " in line)
        self.quietly("gpg", *batch, "--quick-add-key", fingerprint, "cv25519", "encr", "never")
        return fingerprint

    def _without_place(self, text: str) -> str:
        return text.replace(f"{self.directory}/", "").replace(str(self._stage.place), "…")
