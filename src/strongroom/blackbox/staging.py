"""One file of a step: its new content lies beside it, later its old one, and each move can be taken back."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat

from strongroom.blackbox.files import check_regular, check_single, stamp_of, store_errors, unlink_quietly
from strongroom.blackbox.journal import TEMPORARY, Entry
from strongroom.errors import ConflictError, NotFoundError
from strongroom.primitives.secret import SecretBytes


class Staged:
    """A file to be, in an open directory that the caller closes. The calls come in the order in which they stand."""

    def __init__(self, name: str, directory: int) -> None:
        self.name = name
        self._directory = directory
        self._base = name.rpartition("/")[2]
        self._new = ""
        self._hash = ""
        self._old = ""
        self._there: os.stat_result | None = None
        self._placed = False

    def prepare(self, raw: bytes | None) -> None:
        """Write the new content beside the file, synced; None: the file is to go. PathError for a link."""
        with store_errors(self.name):
            self._there = self._checked()
            if raw is None:
                if self._there is None:
                    raise NotFoundError(f"there is no file {self.name!r} to remove", hint="git status")
                return
            mode = 0o644 if self._there is None else stat.S_IMODE(self._there.st_mode)
            self._new = temporary_name()
            self._hash = hashlib.sha256(raw).hexdigest()
            write_new(self._new, SecretBytes(raw), mode, directory=self._directory)

    @property
    def entry(self) -> Entry:
        """What the journal needs to know."""
        return Entry(name=self.name, old=self._old, new=self._hash)

    def keep_old(self) -> None:
        """A second name for the old file, so that taking back needs no space; a copy where there are no links.

        ConflictError if another file stands there than when the new one was prepared.
        """
        found = self._checked()
        before = None if self._there is None else stamp_of(self._there)
        if (None if found is None else stamp_of(found)) != before:
            happened = "appeared" if before is None else "was changed"
            raise ConflictError(f"{self.name!r} {happened} while it was being written", hint="see what wrote it")
        if found is None:
            return
        self._old = temporary_name()
        try:
            os.link(
                self._base, self._old, src_dir_fd=self._directory, dst_dir_fd=self._directory, follow_symlinks=False
            )
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
                raise
            file = os.open(self._base, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._directory)
            with os.fdopen(file, "rb") as stream:
                mode = stat.S_IMODE(os.fstat(file).st_mode)
                write_new(self._old, SecretBytes(stream.read()), mode, directory=self._directory)

    def place(self) -> None:
        """The new one takes the old one's place."""
        if self._new:
            os.rename(self._new, self._base, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        else:
            os.unlink(self._base, dir_fd=self._directory)
        self._placed = True

    def take_back(self) -> None:
        """The old one takes its place again."""
        if not self._placed:
            return
        if self._old:
            os.rename(self._old, self._base, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        else:
            os.unlink(self._base, dir_fd=self._directory)
        self._placed = False

    def close(self) -> None:
        """Drop what lies beside the file."""
        for name in (self._new, self._old):
            if name:
                unlink_quietly(name, directory=self._directory)

    def _checked(self) -> os.stat_result | None:
        try:
            status = os.stat(self._base, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        check_regular(self.name, status)
        check_single(self.name, status)
        return status


def write_new(name: str, content: SecretBytes, mode: int, *, directory: int) -> None:
    """A new file, counted and synced. A failed fsync is final: the kernel may have dropped the pages."""
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    with os.fdopen(file, "wb", buffering=0) as stream:
        rest = memoryview(content.reveal())
        while rest:
            rest = rest[stream.write(rest) :]
        os.fchmod(file, mode)  # not left to the umask: the original's readers chmod by this mode
        os.fsync(file)


def temporary_name() -> str:
    """A new name that nobody else's file has, and that the next `sweep` of its directory knows."""
    return f"{TEMPORARY}{secrets.token_hex(8)}.tmp"
