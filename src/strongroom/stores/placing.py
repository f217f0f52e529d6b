"""How bytes get to the disk and come back: whole or not at all, never through a link, never more than a limit.

DESIGN section 8: a new file, every byte counted, fsync, rename, fsync of the directory. What a killed writer leaves is
a temporary file with a fixed pattern of name in the store's own directory, which the next writer removes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from strongroom._closing import let_go
from strongroom.errors import FormatError, NotFoundError, StoreError, UnsyncedError

# O_PATH asks for no right to read a directory that is only passed through, and is the cheapest; it is Linux's own
PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO or a device in a file's place must not hold us up
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

TEMPORARY = re.compile(r"\.new-[0-9a-f]{16}")
_FIRST = 8192
_OPEN_AT_ONCE = 128


def read_file(name: str, *, directory: int, limit: int) -> bytes:
    """The bytes of a regular file. OSError as the system has it; FormatError above `limit` bytes."""
    file = os.open(name, _FILE, dir_fd=directory)
    try:
        # One read is enough for nearly every record: less than was asked for means the end (read(2), regular files).
        # Whatever else stands there gives bytes that no codec lets through.
        raw = os.read(file, _FIRST)
        return raw if len(raw) < _FIRST else _rest(file, raw, name, limit)
    finally:
        let_go(file)


def _rest(file: int, raw: bytes, name: str, limit: int) -> bytes:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise FormatError(f"{name!r} is not a regular file")
    parts = [raw]
    size = len(raw)
    while size <= limit:
        part = os.read(file, min(1 << 20, limit + 1 - size))
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
    raise FormatError(f"{name!r} has more than {limit} bytes, which is the limit")


def place(raw: bytes, name: str, *, directory: int, top: int, shown: str) -> None:
    """Have `name` in `directory` hold `raw`, in one step. StoreError: the old state stands, unless it says otherwise.

    `top` is the directory for the temporary file, on the same file system: there nobody takes it for a record.
    """
    temporary = f".new-{secrets.token_hex(8)}"
    with told(shown, "write"):
        try:
            _write(temporary, raw, directory=top)
            os.rename(temporary, name, src_dir_fd=top, dst_dir_fd=directory)
        except BaseException:
            with contextlib.suppress(OSError):  # what cannot be removed now, the next writer removes
                os.unlink(temporary, dir_fd=top)
            raise
    sync(directory, shown=shown)


def _write(name: str, raw: bytes, *, directory: int) -> None:
    file = os.open(name, _NEW, 0o600, dir_fd=directory)
    try:
        _fill(file, raw)
        # A failed fsync is final: the kernel has dropped the pages and would report success the next time.
        os.fsync(file)
    except BaseException:
        let_go(file)
        raise
    os.close(file)  # may fail too (a quota, a network file system): before the rename, so that the old state stands


@contextmanager
def staged(contents: Sequence[bytes], *, top: int) -> Iterator[list[str]]:
    """Temporary files that hold these bytes and are on the disk, for the block to rename. OSError.

    Many are written before the first is synced: a disk that commits its journal for one does so for all of them.
    """
    names: list[str] = []
    files: list[int] = []
    try:
        for raw in contents:
            names.append(f".new-{secrets.token_hex(8)}")
            files.append(os.open(names[-1], _NEW, 0o600, dir_fd=top))
            _fill(files[-1], raw)
            if len(files) == _OPEN_AT_ONCE:
                _sync_all(files)
        _sync_all(files)
        yield names
    except BaseException:
        for file in files:
            let_go(file)
        for name in names:
            with contextlib.suppress(OSError):  # renamed already, or left to the next writer
                os.unlink(name, dir_fd=top)
        raise


def _sync_all(files: list[int]) -> None:
    for file in files:
        os.fsync(file)  # a failed one is final, as in _write
    while files:
        os.close(files.pop())


def sync(directory: int, *, shown: str) -> None:
    """Have the disk keep what was renamed in a directory. UnsyncedError: it was written all the same."""
    try:
        os.fsync(directory)
    except OSError as error:
        raise UnsyncedError(
            f"{shown} was written, but the disk does not promise to keep it: {error.strerror}",
            hint="'dmesg' tells what the disk said; look at it before you write again",
        ) from None


def _fill(file: int, raw: bytes) -> None:
    rest = memoryview(raw)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.fchmod(file, 0o644)  # git's mode: sealed records are for all who may read the checkout


def sweep(top: int) -> None:
    """Remove what killed writers left. Only under the lock: then none of them lives."""
    for entry in entries(top):
        if TEMPORARY.fullmatch(entry):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                os.unlink(entry, dir_fd=top)


def entries(directory: int) -> list[str]:
    """What lies in an open directory."""
    return os.listdir(directory)


def make_directory(name: str, *, directory: int) -> None:
    """A directory that others may pass through, on the disk; there may be one already."""
    try:
        os.mkdir(name, 0o755, dir_fd=directory)
    except FileExistsError:
        return
    os.fsync(directory)


@contextmanager
def told(shown: str, verb: str) -> Iterator[None]:
    """Whatever the medium says, in our words. `shown` is the thing, quoted, and begins the message after the verb."""
    try:
        yield
    except OSError as error:
        raise trouble(error, shown, verb) from None


def trouble(error: OSError, shown: str, verb: str) -> StoreError | NotFoundError:
    """The error of ours for one of the system's."""
    stands = "" if verb == "read" else "; the old state stands"
    if error.errno == errno.ENOENT:
        return NotFoundError(f"there is no {shown}{stands}", hint="strongroom list")
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}:
        return StoreError(
            f"cannot {verb} {shown}: a link or a file stands where a directory or file of the store should{stands}",
            hint="'git status' and 'ls -la' tell what it is",
        )
    if error.errno == errno.EISDIR:
        return StoreError(f"cannot {verb} {shown}: a directory stands in its place{stands}", hint="git status")
    return StoreError(f"cannot {verb} {shown}: {error.strerror}{stands}", hint="'df' and 'ls -ld' tell why")
