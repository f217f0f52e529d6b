"""A stand-in for BlackBox's own scripts (the last release): the programs that each starts, in order, faults too.

Written from a description of what the scripts do; it holds none of their code. Plaintext goes where theirs goes, the
admins' keys go into the caller's own keyring, a failing step leaves what it left. `gpg` and `git` are real.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.blackbox_fixtures import names_as_the_original_reads_them
from tests.support.gpg import GpgHome

_GPG_FAILED = 2


class OriginalError(Exception):
    """A command ended with another status than 0; `status` is that of the script."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"{status}: {words}")
        self.status = status


class Original:
    """One person's scripts in one repository. Names are relative to the root, where the commands are run."""

    def __init__(self, root: Path, user: GpgHome, *, path: str = "", data: str = "") -> None:
        self.root = root
        kept = {name: value for name, value in os.environ.items() if name.startswith("GIT_")}
        self.environ = {**kept, "LC_ALL": "C", "HOME": str(user.home), "GNUPGHOME": str(user.home)}
        self.environ["PATH"] = path or os.environ["PATH"]
        places = (".blackbox", "keyrings/live")
        self.data = data or next((name for name in places if (root / name).is_dir()), places[0])

    def close(self) -> None:
        """End the agent that `gpg --homedir=.blackbox` started there; the scripts leave it, and its litter."""
        kill = ["gpgconf", "--homedir", str(self.root / self.data), "--kill", "all"]
        subprocess.run(kill, capture_output=True, check=False, env=self.environ)

    def initialize(self) -> None:
        """blackbox_initialize yes, and the commit that it suggests."""
        directory = self.root / self.data
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("blackbox-admins.txt", "blackbox-files.txt"):
            (directory / name).touch()
        (directory / ".gitattributes").write_text("blackbox-admins.txt text eol=lf\nblackbox-files.txt text eol=lf\n")
        for name in ("pubring.gpg~", "pubring.kbx~", "secring.gpg"):
            self._ignore(f"{self.data}/{name}")
        self._run("git", "add", *(f"{self.data}/{path.name}" for path in directory.iterdir()))
        self._run("git", "commit", "--quiet", "-mINITIALIZE BLACKBOX", self.data, ".gitignore")

    def addadmin(self, key: str) -> None:
        """blackbox_addadmin KEY, and the commit that it suggests. The name is listed before the key is looked for."""
        admins = self.root / self.data / "blackbox-admins.txt"
        with admins.open("a") as listed:
            listed.write(f"{key}\n")
        self._run("sort", "-fdu", "-o", str(admins), str(admins))
        exported = self._run("gpg", "--export", "-a", key)
        self._run("gpg", f"--homedir={self.data}", "--import", stdin=exported)
        names = [f"{self.data}/{name}" for name in (self._ring(), "trustdb.gpg", "blackbox-admins.txt")]
        self._run("git", "add", *names)
        self._run("git", "commit", "--quiet", f"-mNEW ADMIN: {key}", *names)

    def removeadmin(self, key: str) -> None:
        """blackbox_removeadmin KEY, and the commit that it suggests."""
        admins = self.root / self.data / "blackbox-admins.txt"
        lines = admins.read_bytes().split(b"\n")[:-1]
        admins.write_bytes(b"".join(line + b"\n" for line in lines if line != key.encode()))
        self._run("gpg", f"--homedir={self.data}", "--batch", "--yes", "--delete-key", key, fine=(0, 2))
        names = [f"{self.data}/{name}" for name in (self._ring(), "trustdb.gpg", "blackbox-admins.txt")]
        self._run("git", "add", *names)
        self._run("git", "commit", "--quiet", f"-mREMOVED ADMIN: {key}", *names)

    def list_files(self) -> list[str]:
        """The names that the loops of the scripts see."""
        return list(names_as_the_original_reads_them(self.root, self.data))

    def register_new_file(self, *names: str) -> None:
        """blackbox_register_new_file F…: the keyring is imported, and a commit made, for each file."""
        for name in names:
            if not (self.root / name).is_file() or (self.root / f"{name}.gpg").exists():
                raise OriginalError(1, f"{name}: no file, or encrypted already")
            self._prepare_keychain()
            self._encrypt(name)
            listed = f"{self.data}/blackbox-files.txt"
            with (self.root / listed).open("ab") as files:
                files.write(os.fsencode(name) + b"\n")
            self._run("sort", "-u", "-o", listed, listed)
            self._ignore(name)
            tracked = self._run("git", "ls-files", "--", name)
            self._shred(name)
            if tracked:
                self._run("git", "rm", "--quiet", "--ignore-unmatch", "-f", "--", name)
            self._run("git", "add", listed, f"{name}.gpg")
            message = f"-mregistered in blackbox: {name}"
            self._run("git", "commit", "--quiet", message, listed, f"{name}.gpg", ".gitignore")

    def deregister_file(self, name: str) -> None:
        """blackbox_deregister_file F.gpg."""
        plain = name.removesuffix(".gpg")
        self._prepare_keychain()
        listed = self.root / self.data / "blackbox-files.txt"
        for path, line in ((listed, os.fsencode(plain)), (self.root / ".gitignore", self._escaped(plain))):
            lines = path.read_bytes().split(b"\n")[:-1]
            path.write_bytes(b"".join(each + b"\n" for each in lines if each != line))
        self._run("git", "rm", "--quiet", "-f", name)
        self._run("git", "add", str(listed), ".gitignore")
        self._run("git", "commit", "--quiet", f"-mRemoving from blackbox: {plain}", str(listed), name, ".gitignore")

    def edit_start(self, *names: str) -> None:
        """blackbox_edit_start F…: what is there already is skipped."""
        for name in names:
            self._check_listed(name)
            plain = self.root / name
            if plain.exists() and plain.stat().st_size:
                continue
            plain.unlink(missing_ok=True)
            self._prepare_keychain()
            self._run("gpg", "--use-agent", "-q", "--decrypt", "-o", name, f"{name}.gpg")

    def edit_end(self, *names: str) -> None:
        """blackbox_edit_end F…"""
        for name in names:
            self._check_listed(name)
            self._encrypt(name)
            self._shred(name)

    def cat(self, name: str) -> bytes:
        """blackbox_cat F: the file on the disk where there is one."""
        there = (self.root / name).exists()
        if not there:
            self.edit_start(name)
        said = self._run("cat", name)
        if not there:
            self._shred(name)
        return said

    def postdeploy(self) -> None:
        """blackbox_postdeploy: every file is decrypted each time, and gets the mode of its ciphertext."""
        self._prepare_keychain()
        for name in self.list_files():
            if (self.root / name).exists():
                self._run("md5sum", name)
            self._decrypt_overwrite(name)
            self._run("md5sum", name)
            self._run("chmod", "--reference", f"{name}.gpg", name)

    def shred_all_files(self) -> None:
        """blackbox_shred_all_files."""
        for name in self.list_files():
            if (self.root / name).exists():
                self._shred(name)

    def update_all_files(self) -> None:
        """blackbox_update_all_files: through plaintexts in the work tree, and a commit of all that is staged."""
        self._prepare_keychain()
        names = self.list_files()
        if any((self.root / name).exists() for name in names):
            raise OriginalError(1, "files in the way, and nobody presses ENTER")
        for name in names:
            self._decrypt_overwrite(name)
            self._encrypt(name)
            self._shred(name)
        self._run("git", "add", *(f"{name}.gpg" for name in names))
        self._run("git", "commit", "--quiet", "-mRe-encrypted keys")

    def _prepare_keychain(self) -> None:
        ring = str(self.root / self.data / self._ring())
        exported = self._run("gpg", "--export", "--no-default-keyring", "--keyring", ring)
        self._run("gpg", "--import", stdin=exported, fine=(0, 2))

    def _encrypt(self, name: str) -> None:
        lines = (self.root / self.data / "blackbox-admins.txt").read_text().split("\n")[:-1]
        to = [f"-r{line.split()[0]}" for line in lines]
        options = ("--use-agent", "--yes", "--trust-model=always")
        self._run("gpg", *options, "--encrypt", "-o", f"{name}.gpg", *to, name)

    def _decrypt_overwrite(self, name: str) -> None:
        self._run("gpg", "--use-agent", "-q", "--yes", "--decrypt", "-o", name, f"{name}.gpg")

    def _shred(self, name: str) -> None:
        self._run("shred", "-u", name)

    def _check_listed(self, name: str) -> None:
        if name not in self.list_files():
            raise OriginalError(1, f"{name} not found in blackbox-files.txt")

    def _ignore(self, name: str) -> None:
        path = self.root / ".gitignore"
        present = path.read_bytes() if path.exists() else b""
        if self._escaped(name) not in present.split(b"\n"):
            path.write_bytes(present + self._escaped(name) + b"\n")
        self._run("git", "add", ".gitignore")

    @staticmethod
    def _escaped(name: str) -> bytes:
        raw = os.fsencode(name)
        return b"/" + b"".join(b"\\" + bytes((byte,)) if byte in b"\\*?" else bytes((byte,)) for byte in raw)

    def _ring(self) -> str:
        return "pubring.gpg" if (self.root / self.data / "pubring.gpg").exists() else "pubring.kbx"

    def _run(self, *command: str, stdin: bytes = b"", fine: Sequence[int] = (0,)) -> bytes:
        done = subprocess.run(
            command, cwd=self.root, env=self.environ, input=stdin, capture_output=True, check=False, timeout=120
        )
        if done.returncode not in fine:
            status = _GPG_FAILED if command[0] == "gpg" else 1
            raise OriginalError(status, f"{command}: {(done.stderr or done.stdout).decode(errors='replace')}")
        return done.stdout
