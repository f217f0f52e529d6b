"""Real GnuPG homes for tests: private, short paths, no network, and their agents ended at the end."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

KeyKind = Literal["ed25519", "rsa3072", "sign-only"]
SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class GpgHome:
    """One user of gpg: a home of 0700 below /tmp. `fingerprint` is the first key that was made or named here."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.fingerprint = ""

    @classmethod
    def make(cls) -> Self:
        """An empty home; the path is short, because the agent's socket lives in it."""
        return cls(Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp")))

    @classmethod
    def user(cls, uid: str, *, kind: KeyKind = "ed25519", passphrase: str = "", expires: str = "never") -> Self:
        """A home with one key pair."""
        made = cls.make()
        made.fingerprint = made.generate(uid, kind=kind, passphrase=passphrase, expires=expires)
        return made

    @classmethod
    def of_key(cls, secret_key: bytes | Path) -> Self:
        """A home into which a secret (test) key is imported."""
        made = cls.make()
        made.fingerprint = made.import_keys(secret_key if isinstance(secret_key, bytes) else secret_key.read_bytes())
        return made

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of a program that runs as this user."""
        return {"PATH": SAFE_PATH, "LC_ALL": "C", "HOME": str(self.home), "GNUPGHOME": str(self.home)}

    def run(
        self,
        *args: str,
        stdin: bytes = b"",
        check: bool = True,
        faked_time: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """`gpg ARGS` as this user; `faked_time` like 20200101T000000 is gpg's clock for this run only."""
        clock = () if faked_time is None else (f"--faked-system-time={faked_time}!",)
        done = subprocess.run(
            ["gpg", "--no-options", "--homedir", str(self.home), "--batch", "--no-tty", "--yes", *clock, *args],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=60,
            env={**self.env, **(env or {})},
        )
        if check and done.returncode:
            raise AssertionError(f"gpg {args} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done

    def generate(
        self,
        uid: str,
        *,
        kind: KeyKind = "ed25519",
        passphrase: str = "",
        expires: str = "never",
        faked_time: str | None = None,
    ) -> str:
        """Make a key pair and return its full fingerprint. `expires` as gpg reads it: never, 1d, seconds=60."""
        primary, subkey = {
            "ed25519": ("ed25519", "cv25519"),
            "rsa3072": ("rsa3072", "rsa3072"),
            "sign-only": ("ed25519", ""),
        }[kind]
        quiet = ("--pinentry-mode", "loopback", "--passphrase", passphrase, "--trust-model", "always")
        made = self.run(
            *quiet, "--status-fd", "1",
            "--quick-generate-key", uid, primary, "cert,sign", expires, faked_time=faked_time,
        )  # fmt: skip
        fingerprint = next(line.split()[-1] for line in made.stdout.splitlines() if b" KEY_CREATED " in line).decode()
        if subkey:
            self.run(*quiet, "--quick-add-key", fingerprint, subkey, "encr", expires, faked_time=faked_time)
        self.fingerprint = self.fingerprint or fingerprint
        return fingerprint

    def import_keys(self, keys: bytes) -> str:
        """Import public or secret keys; the fingerprint of the first."""
        done = self.run("--status-fd", "1", "--import", stdin=keys)
        return next(line.split()[3] for line in done.stdout.splitlines() if b" IMPORT_OK " in line).decode()

    def export(self, *selectors: str) -> bytes:
        """The public keys, binary; without selectors all of them."""
        return self.run("--export", *selectors).stdout

    def export_secret(self, *selectors: str, passphrase: str = "") -> bytes:
        """The secret keys, binary, protected as they are here."""
        loopback = ("--pinentry-mode", "loopback", "--passphrase", passphrase)
        return self.run(*loopback, "--export-secret-keys", *selectors).stdout

    def encrypt(self, plaintext: bytes, *recipients: str, options: Sequence[str] = ()) -> bytes:
        """As BlackBox's scripts encrypt: binary, to each recipient (or to nobody, where options say how)."""
        chosen = [word for recipient in recipients for word in ("--recipient", recipient)]
        return self.run("--trust-model", "always", *options, *chosen, "--encrypt", stdin=plaintext).stdout

    def decrypt(self, ciphertext: bytes) -> bytes:
        """The plaintext; fails where gpg does."""
        return self.run("--pinentry-mode", "error", "--decrypt", stdin=ciphertext).stdout

    def encryption_subkeys(self, selector: str = "") -> tuple[str, ...]:
        """Full fingerprints of the subkeys that can encrypt, in gpg's order."""
        wanted = [selector] if selector else []
        listing = self.run("--with-colons", "--with-subkey-fingerprint", "--list-keys", *wanted).stdout.decode()
        rows = [line.split(":") for line in listing.splitlines()]
        return tuple(after[9] for row, after in itertools.pairwise(rows) if row[0] == "sub" and "e" in row[11])

    def revoke(self, fingerprint: str) -> None:
        """Import the revocation certificate that gpg made with the key."""
        certificate = (self.home / "openpgp-revocs.d" / f"{fingerprint}.rev").read_bytes()
        self.run("--import", stdin=certificate.replace(b":-----BEGIN", b"-----BEGIN"))

    def revoke_subkey(self, fingerprint: str) -> None:
        """Revoke the first subkey, for no stated reason."""
        self.edit(fingerprint, "key 1", "revkey", "y", "0", "", "y", "save")

    def edit(self, fingerprint: str, *answers: str) -> None:
        """Answer the questions of `gpg --edit-key`."""
        quiet = ("--pinentry-mode", "loopback", "--passphrase-file", "/dev/null", "--command-fd", "0")
        self.run(*quiet, "--edit-key", fingerprint, stdin="".join(f"{answer}\n" for answer in answers).encode())

    def agent_pid(self) -> int:
        """The process id of this home's agent, which is started where there is none."""
        done = subprocess.run(
            ["gpg-connect-agent", "--homedir", str(self.home), "getinfo pid", "/bye"],
            capture_output=True,
            check=True,
            timeout=60,
            env=self.env,
        )
        return int(done.stdout.split()[1])

    @contextlib.contextmanager
    def hung_agent(self) -> Iterator[int]:
        """With an agent that takes connections and answers none, which is seen before the block begins.

        Stopping one process proves little: an agent that was just ending leaves its socket to a new one.
        """
        stopped: list[int] = []
        try:
            for _ in range(5):
                stopped.append(self.agent_pid())
                os.kill(stopped[-1], signal.SIGSTOP)
                if not self._agent_greets():
                    break
            else:
                raise AssertionError(f"{self.home}: an agent answers although {stopped} are stopped")
            yield stopped[-1]
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _agent_greets(self) -> bool:
        named = subprocess.run(
            ["gpgconf", "--homedir", str(self.home), "--list-dirs", "agent-socket"],
            capture_output=True,
            check=True,
            timeout=60,
            env=self.env,
        )
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(0.5)
            try:
                asked.connect(named.stdout.decode().strip())
                return bool(asked.recv(1))
            except TimeoutError:
                return False
            except OSError:
                return True  # its socket went with it: the next gpg starts another

    def end_agent(self) -> None:
        """End the agent, which forgets every passphrase."""
        subprocess.run(
            ["gpgconf", "--homedir", str(self.home), "--kill", "gpg-agent"],
            check=True,
            capture_output=True,
            timeout=60,
            env=self.env,
        )

    def close(self) -> None:
        """End the agent, found through its own home, and remove the home."""
        subprocess.run(
            ["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False, capture_output=True, env=self.env
        )
        shutil.rmtree(self.home, ignore_errors=True)


class GpgHomes:
    """Makes users, and closes them all together."""

    def __init__(self) -> None:
        self._made: list[GpgHome] = []

    def __call__(
        self, uid: str | None = None, *, kind: KeyKind = "ed25519", passphrase: str = "", expires: str = "never"
    ) -> GpgHome:
        """A user with one key pair; with no uid an empty home."""
        made = GpgHome.make()
        self._made.append(made)
        if uid is not None:
            made.generate(uid, kind=kind, passphrase=passphrase, expires=expires)
        return made

    def of_key(self, secret_key: bytes | Path) -> GpgHome:
        """A user who has this secret key."""
        made = GpgHome.of_key(secret_key)
        self._made.append(made)
        return made

    def close(self) -> None:
        while self._made:
            self._made.pop().close()
