"""One writer at a time in a repository. The lock is the kernel's, so it ends with the process that held it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

from strongroom._clock import Clock
from strongroom._closing import let_go
from strongroom.errors import LockError, StoreError

LOCK = "strongroom-blackbox.lock"
WAIT = 30.0
"""Seconds that a writer waits for another."""

_held: set[int] = set()


@contextmanager
def locked(directory: Path, *, clock: Clock, wait: float = WAIT) -> Iterator[None]:
    """Hold the repository's lock for the block. LockError after `wait` seconds."""
    path = directory / LOCK
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"cannot open the lock {str(path)!r}: {error.strerror}", hint="see 'ls -ld'") from None
    _held.add(file)
    try:
        end = clock.monotonic() + wait
        while not _take(file):
            if clock.monotonic() >= end:
                raise LockError(f"another process has held {str(path)!r} for {wait:.0f} s", hint=f"see 'fuser {path}'")
            sleep(0.02)
        yield
    finally:
        if file in _held:  # not in a child that was forked within the block
            _held.discard(file)
            let_go(file)


def _take(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks
        raise StoreError(f"cannot lock: {error.strerror}", hint="see 'mount'") from None
    return True


def _close_in_child() -> None:
    """A forked child shares the lock with its parent and would keep it alive after the parent let go."""
    for file in _held:
        let_go(file)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)
