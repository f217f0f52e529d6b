"""Where the demonstration plays: a temporary place, people with homes of their own, and what they type."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
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
        self._bold, self._plain = (
            ("\033[1m", "\033[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
        )
        for name in ("run", "logs"):
            (self.place / name).mkdir(mode=0o700)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # whoever is impatient now would be left with the servers
        try:
            self.held.close()
        finally:
            for home in [*self._homes, *(self.place / "run").glob("strongroom-*")]:
                _end_agent(home)
            shutil.rmtree(self.place, ignore_errors=True)

    def person(self, name: str) -> Person:
        """Somebody with a home of his own."""
        made = Person(self, name)
        self._homes.append(made.gnupg)
        return made

    def step(self, title: str) -> None:
        """Begin a numbered step."""
        self._step += 1
        print(f"\n{self._bold}{self._step:2}. {title}{self._plain}", flush=True)

    def say(self, text: str) -> None:
        """Talk."""
        print(textwrap.fill(text, WIDTH, initial_indent="    ", subsequent_indent="      "), flush=True)

    def typed(self, who: str, line: str) -> None:
        """A line that somebody typed, as he typed it."""
        print(f"    {self._bold}{who} $ {line}{self._plain}", flush=True)

    def printed(self, text: str, *, lines: int) -> None:
        """What a command printed, or the beginning of it."""
        shown = text.replace(str(self.place), "…").splitlines()
        rows = [line.split("\t") for line in shown[:lines]]
        columns = max((len(row) for row in rows), default=0)
        widths = [max(len(row[n]) for row in rows if n < len(row) > 1) for n in range(columns) if columns > 1]
        for row in rows:
            cells = row if len(row) == 1 else [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            print(f"      {'  '.join(cells).rstrip()[:WIDTH]}")
        if 0 < lines < len(shown):
            print(f"      … and {len(shown) - lines} more")

    def check(self, truth: object, text: str) -> None:
        """Say that something is so; UntrueError if it is not."""
        if not truth:
            print(f"    NOT SO: {text}", flush=True)
            raise UntrueError(f"step {self._step}: it is not so that {text}")
        print(f"    ok: {text}", flush=True)


def _end_agent(home: Path) -> None:
    if home.is_dir():
        ending = ["gpgconf", "--homedir", str(home), "--kill", "all"]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
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

    def types(self, line: str, *, exits: int = 0, lines: int = 8) -> str:
        """Type one line into a shell, show it and what comes of it; all that it printed, both streams together."""
        self._stage.typed(self.name, line.replace(str(self._stage.place), "…"))
        done = self.runs(["bash", "--noprofile", "--norc", "-c", line])
        printed = done.stdout.decode(errors="replace")
        self._stage.printed(printed, lines=lines)
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
        self, arguments: Sequence[str], *, stdin: bytes = b"", streams: int = subprocess.STDOUT
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command as this person, where he stands."""
        program = shutil.which(arguments[0], path=self.environ["PATH"])
        if program is None:
            raise UntrueError(f"there is no program {arguments[0]!r} on {self.environ['PATH']}")
        try:
            return subprocess.run(
                [program, *arguments[1:]],
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=streams,
                cwd=self.directory,
                env=self.environ,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UntrueError(f"{shlex.join(arguments)} took more than {LIMIT_S:g} s") from None

    def makes_a_key(self) -> str:
        """An Ed25519 key with a Curve25519 subkey, no passphrase; its fingerprint."""
        uid = f"{self.name.capitalize()} <{self.name}@example.org>"
        self._stage.typed(self.name, f"gpg --quick-generate-key '{uid}' ed25519")
        batch = ("--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", "", "--status-fd", "1")
        made = self.quietly("gpg", *batch, "--quick-generate-key", uid, "ed25519", "cert,sign", "never").decode()
        fingerprint = next(line.split()[-1] for line in made.splitlines() if " KEY_CREATED " in line)
        self.quietly("gpg", *batch, "--quick-add-key", fingerprint, "cv25519", "encr", "never")
        return fingerprint
