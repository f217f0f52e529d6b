"""A change of several files as one step: each is whole when it is seen, and a step that fails is taken back."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from types import TracebackType
from typing import Self

from strongroom.blackbox.files import (
    Stamp,
    Tree,
    check_regular,
    check_single,
    stamp_of,
    store_errors,
    unlink_quietly,
)
from strongroom.blackbox.shred import overwrite
from strongroom.errors import ConflictError, StoreError
from strongroom.primitives.secret import SecretBytes

_TEMPORARY = ".strongroom-blackbox-"


class Change:
    """Several files of a tree. When the block fails, or never applies, each file is as it was.

    New contents are on the disk, whole and synced, before the first one takes its place. The caller holds the
    repository's lock, so that what an earlier process left behind is known to be dead.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._staged: list[_Staged] = []
        self._removed: list[tuple[str, SecretBytes, int]] = []
        self._swept: set[tuple[int, int]] = set()
        self._applied = False

    def write(self, name: str, raw: bytes) -> None:
        """Have `name` hold `raw` when the step is applied. An existing file keeps its mode; a new one gets 0644."""
        with self._tree.parent(name) as (directory, base):
            staged = _Staged(name, os.dup(directory), base)
            self._staged.append(staged)
            with store_errors(name):
                self._sweep(directory)
                staged.prepare(raw)

    def apply(self) -> None:
        """Rename every file into its place."""
        for staged in self._staged:
            with store_errors(staged.name):
                staged.place()
        for staged in self._staged:
            with store_errors(staged.name):
                os.fsync(staged.directory)
        self._applied = True

    def remove_plaintext(self, name: str, plaintext: SecretBytes, mode: int, *, stamp: Stamp) -> None:
        """Overwrite and unlink a plaintext, if it is still the one that was read; else ConflictError.

        If the step fails afterwards, the plaintext is put back.
        """
        with self._tree.parent(name) as (directory, base), store_errors(name):
            found = os.stat(base, dir_fd=directory, follow_symlinks=False)
            if stamp_of(found) != stamp or found.st_nlink != 1:
                raise ConflictError(f"{name!r} was changed while it was being encrypted", hint="try again")
            self._removed.append((name, plaintext, mode))
            overwrite(base, directory=directory)
            os.unlink(base, dir_fd=directory)
            os.fsync(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = kind is not None or not self._applied
        try:
            if failed:
                # Plaintexts first: while one of them cannot be put back, its ciphertext must not go either.
                for name, plaintext, mode in self._removed:
                    self._put_back(name, plaintext, mode)
                for staged in reversed(self._staged):
                    with store_errors(staged.name):
                        staged.take_back()
        finally:
            for staged in self._staged:
                staged.close()

    def _sweep(self, directory: int) -> None:
        """Drop what a killed process left here; a second name of its would make a file look hard-linked for ever."""
        status = os.fstat(directory)
        if (status.st_dev, status.st_ino) not in self._swept:
            self._swept.add((status.st_dev, status.st_ino))
            for entry in os.listdir(directory):
                if entry.startswith(_TEMPORARY):
                    os.unlink(entry, dir_fd=directory)

    def _put_back(self, name: str, plaintext: SecretBytes, mode: int) -> None:
        with self._tree.parent(name) as (directory, base):
            temporary = _temporary()
            try:
                _write_new(temporary, plaintext, mode, directory=directory)
                os.rename(temporary, base, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError as error:
                unlink_quietly(temporary, directory=directory)
                raise StoreError(
                    f"the step failed, and {name!r} cannot be put back ({error.strerror}); {name + '.gpg'!r} holds it",
                    hint="see 'git status'; 'strongroom blackbox cat' shows the file",
                ) from None


class _Staged:
    """One file of a step: its new content beside it, later its old one."""

    def __init__(self, name: str, directory: int, base: str) -> None:
        self.name = name
        self.directory = directory
        self._base = base
        self._new = _temporary()
        self._old = ""
        self._existed = False
        self._placed = False

    def prepare(self, raw: bytes) -> None:
        mode = 0o644
        try:
            status = os.stat(self._base, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            pass
        else:
            check_regular(self.name, status)
            check_single(self.name, status)
            self._existed = True
            mode = stat.S_IMODE(status.st_mode)
        _write_new(self._new, SecretBytes(raw), mode, directory=self.directory)

    def place(self) -> None:
        if self._existed:
            status = os.stat(self._base, dir_fd=self.directory, follow_symlinks=False)
            check_regular(self.name, status)
            check_single(self.name, status)
            self._old = _temporary()
            self._keep_old()
        elif _is_there(self._base, directory=self.directory):
            raise ConflictError(f"{self.name!r} appeared while it was being written", hint="see what wrote it")
        os.rename(self._new, self._base, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        self._placed = True

    def _keep_old(self) -> None:
        """A second name for the old file, so that taking back needs no space; a copy where there are no links."""
        here = {"src_dir_fd": self.directory, "dst_dir_fd": self.directory}
        try:
            os.link(self._base, self._old, **here, follow_symlinks=False)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
                raise
            file = os.open(self._base, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.directory)
            with os.fdopen(file, "rb") as stream:
                mode = stat.S_IMODE(os.fstat(file).st_mode)
                _write_new(self._old, SecretBytes(stream.read()), mode, directory=self.directory)

    def take_back(self) -> None:
        if not self._placed:
            return
        if self._existed:
            os.rename(self._old, self._base, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        else:
            os.unlink(self._base, dir_fd=self.directory)
        os.fsync(self.directory)

    def close(self) -> None:
        for name in (self._new, self._old):
            if name:
                unlink_quietly(name, directory=self.directory)
        os.close(self.directory)


def _write_new(name: str, content: SecretBytes, mode: int, *, directory: int) -> None:
    """A new file, counted and synced. A failed fsync is final: the kernel may have dropped the pages."""
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    with os.fdopen(file, "wb", buffering=0) as stream:
        rest = memoryview(content.reveal())
        while rest:
            rest = rest[stream.write(rest) :]
        os.fchmod(file, mode)  # not left to the umask: the original's readers chmod by this mode
        os.fsync(file)


def _is_there(name: str, *, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _temporary() -> str:
    return f"{_TEMPORARY}{secrets.token_hex(8)}.tmp"
