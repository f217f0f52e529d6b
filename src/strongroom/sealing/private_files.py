"""Small files that hold a secret. Nobody but their owner and one group may have had a hand on them.

A secret mounted into a container is often a symbolic link to a file of root's with mode 0440, so links are followed,
a group may read, and what counts is the file that was opened: every check is made on the open descriptor.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from strongroom._closing import let_go
from strongroom.errors import ExistsError, IdentityError, NotFoundError, StoreError
from strongroom.primitives.secret import SecretBytes

MAX_PRIVATE_FILE: Final = 65_536


def read_private_file(path: Path, *, what: str, hint: str = "") -> SecretBytes:
    """The bytes of a private file. `what` names it in messages, e.g. "identity file"; `hint` says what would be one.

    Refused with IdentityError: a file that others can read or write, that its group can write, that belongs to someone
    who is neither this user nor root, that is neither a regular file nor a pipe, or that is longer than 64 KiB.
    NotFoundError when it is not there.
    """
    try:
        # not blocking: a named pipe without a writer must not hold us up before its owner was looked at
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFoundError(f"there is no {what} {str(path)!r}", hint=hint) from None
    except (OSError, ValueError) as problem:
        raise IdentityError(f"{what} {str(path)!r} cannot be opened: {_reason(problem)}", hint=hint) from None
    try:
        _check(os.fstat(descriptor), path, what, hint)
        os.set_blocking(descriptor, True)
        content = _read(descriptor)
    except OSError as problem:
        raise IdentityError(f"{what} {str(path)!r} cannot be read: {_reason(problem)}") from None
    finally:
        let_go(descriptor)
    return _limited(content, f"{what} {str(path)!r}", hint)


def read_descriptor(descriptor: int, *, what: str) -> SecretBytes:
    """The bytes that an open descriptor gives until its end, at most 64 KiB. The descriptor stays open."""
    try:
        content = _read(descriptor)
    except (OSError, ValueError, OverflowError) as problem:
        raise IdentityError(f"{what} on descriptor {descriptor} cannot be read: {_reason(problem)}") from None
    return _limited(content, f"{what} on descriptor {descriptor}")


def write_private_file(path: Path, content: SecretBytes, *, what: str) -> None:
    """A new file of mode 0600 with this content, on the disk when this returns.

    ExistsError when there is something already; StoreError when the medium fails, and then no file is left.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise ExistsError(f"{what} {str(path)!r} exists already, and is not overwritten") from None
    except (OSError, ValueError) as problem:
        raise StoreError(f"{what} {str(path)!r} cannot be created: {_reason(problem)}") from None
    try:
        try:
            os.fchmod(descriptor, 0o600)  # whatever the umask said
            _write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _sync_directory(path.parent)
    except OSError as problem:
        with contextlib.suppress(OSError):
            path.unlink()
        raise StoreError(f"{what} {str(path)!r} cannot be written: {_reason(problem)}") from None


def _check(found: os.stat_result, path: Path, what: str, hint: str) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISFIFO(found.st_mode)):
        raise IdentityError(f"{what} {str(path)!r} is neither a regular file nor a pipe", hint=hint)
    if found.st_uid not in {os.geteuid(), 0}:
        raise IdentityError(
            f"{what} {str(path)!r} belongs to user {found.st_uid}, who could exchange it",
            hint=f"chown {os.geteuid()} {path}",
        )
    if mode & 0o027:
        raise IdentityError(
            f"{what} {str(path)!r} has mode {mode:04o}: others could read or write it", hint=f"chmod 0600 {path}"
        )


def _limited(content: SecretBytes, subject: str, hint: str = "") -> SecretBytes:
    if len(content) > MAX_PRIVATE_FILE:
        raise IdentityError(f"{subject} has more than {MAX_PRIVATE_FILE} bytes", hint=hint)
    if not len(content):
        raise IdentityError(f"{subject} is empty", hint=hint)
    return content


def _read(descriptor: int) -> SecretBytes:
    content = bytearray()
    while len(content) <= MAX_PRIVATE_FILE:
        piece = os.read(descriptor, MAX_PRIVATE_FILE + 1 - len(content))
        if not piece:
            break
        content += piece
    return SecretBytes(bytes(content))


def _write(descriptor: int, content: SecretBytes) -> None:
    left = memoryview(content.reveal())
    while left:
        left = left[os.write(descriptor, left) :]


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        let_go(descriptor)


def _reason(problem: Exception) -> str:
    return (problem.strerror if isinstance(problem, OSError) else None) or type(problem).__name__
