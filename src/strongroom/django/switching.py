"""A file of a directory is put in another's place only if that is still the one that was read, in one step.

New ciphertext is written beside, under a name that says whose it is, and renamed over the old. No rename looks before
it replaces: so the look and the rename hold the directory's lock, and so does each deletion (`deleting`), without which
no other file can take the name. Whoever deletes files past EncryptedStorage is not seen.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.core.files.storage import FileSystemStorage, Storage

_PREFIX, _SUFFIX = ".strongroom-", ".new"


def directory_path(storage: Storage, name: str) -> Path | None:
    """Where a file of this storage lies on this machine, links resolved; None where it lies in no directory."""
    return Path(os.path.realpath(storage.path(name))) if isinstance(storage, FileSystemStorage) else None


@contextmanager
def deleting(storage: Storage, name: str) -> Iterator[None]:
    """Hold the lock of the file's directory while it is deleted; where there is no lock to be had, go on without."""
    path = directory_path(storage, name)
    held = -1
    if path is not None:
        with suppress(OSError):
            held = _locked(path.parent)
    try:
        yield
    finally:
        if held >= 0:
            os.close(held)


def switch(path: Path, pieces: Iterable[bytes], *, instead_of: bytes) -> bool:
    """Put these pieces in the place of the file, if it begins as the one that was read; whether it did.

    Owner, mode and times stay. OSError where the directory takes no file, or no lock.
    """
    beside, written = _begun(path.parent)
    try:
        try:
            with os.fdopen(os.dup(written), "wb") as file:
                for piece in pieces:
                    file.write(piece)
            was = path.stat()
            with suppress(PermissionError):
                os.fchown(written, was.st_uid, was.st_gid)
            os.fchmod(written, was.st_mode & 0o7777)
            os.utime(written, ns=(was.st_atime_ns, was.st_mtime_ns))
            os.fsync(written)
            return _renamed(beside, path, instead_of)
        except FileNotFoundError:  # it was deleted meanwhile
            return False
        finally:
            os.close(written)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def sweep(directory: Path) -> None:
    """Remove what processes that died in `switch` have left here."""
    for left in directory.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):  # it is gone, or being written
            held = os.open(left, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
            finally:
                os.close(held)


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is one that `switch` is writing, or has left."""
    base = name.rpartition("/")[2]
    return base.startswith(_PREFIX) and base.endswith(_SUFFIX)


def _begun(directory: Path) -> tuple[Path, int]:
    """A new file in here and its descriptor, locked: `sweep` leaves it alone while this process lives."""
    while True:
        beside = directory / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        written = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(written, fcntl.LOCK_EX)
            if os.fstat(written).st_nlink:
                return beside, written
        except BaseException:
            os.close(written)
            beside.unlink(missing_ok=True)
            raise
        os.close(written)  # another process swept here before it was locked


def _renamed(beside: Path, path: Path, instead_of: bytes) -> bool:
    directory = _locked(path.parent)
    try:
        with path.open("rb") as file:
            if file.read(len(instead_of)) != instead_of:
                return False
        beside.rename(path)
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def _locked(directory: Path) -> int:
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
    except BaseException:
        os.close(held)
        raise
    return held
