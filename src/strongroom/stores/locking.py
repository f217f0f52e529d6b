"""One writer at a time. The lock is the kernel's, so it ends with the process that held it, however that ends."""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from strongroom._closing import let_go
from strongroom.errors import LockError, StoreError

_OPEN = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_SHORTEST, _LONGEST = 0.001, 0.02


class ThreadLock:
    """For the threads of one process. The thread that holds it may take it again; a forked child starts unlocked."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._lock = threading.RLock()
        _LIVE.add(self)

    @contextmanager
    def held(self, *, wait: float) -> Iterator[None]:
        """Hold it for the block. LockError after `wait` seconds."""
        lock = self._lock  # a fork within the block gives this object another one
        if not lock.acquire(timeout=wait):
            raise LockError(f"another thread has held {self._shown} for {wait:g} s; nothing was written")
        try:
            yield
        finally:
            lock.release()

    def forget(self) -> None:
        """Only for the child of a fork: the thread that held it may not exist here."""
        self._lock = threading.RLock()


class FileLock:
    """`flock` on one file, for the threads of this process and for others.

    The thread that holds it may take it again. A child that is forked while it is held does not hold it: what it goes
    on to write waits like any other process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = ThreadLock(repr(str(path)))
        self._file: int | None = None
        _LIVE.add(self)

    @contextmanager
    def held(self, *, wait: float) -> Iterator[None]:
        """Hold it for the block. LockError after `wait` seconds; StoreError where there can be no lock."""
        end = time.monotonic() + wait
        with self._threads.held(wait=wait):
            if self._file is not None:
                yield
                return
            mine = self._file = self._take(end, wait)
            try:
                yield
            finally:
                if self._file == mine:
                    self._file = None
                    # unlocked by word: the lock belongs to the open file, which a child forked in C may share
                    with suppress(OSError):
                        fcntl.flock(mine, fcntl.LOCK_UN)
                    let_go(mine)

    def forget(self) -> None:
        """Only for the child of a fork: close the shared file, which keeps the parent's lock, and start unlocked."""
        if self._file is not None:
            let_go(self._file)
            self._file = None

    def _take(self, end: float, wait: float) -> int:
        pause = _SHORTEST
        while True:
            file = self._try()
            if file is not None:
                return file
            if time.monotonic() >= end:
                raise self._late(wait)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST)

    def _try(self) -> int | None:
        try:
            # Readable by others as far as the umask lets it: accounts that share a checkout share the lock, and flock
            # needs no right to write.
            file = os.open(self._path, _OPEN, 0o644)
        except OSError as error:
            raise StoreError(
                f"cannot open the lock {str(self._path)!r}: {error.strerror}; nothing was written",
                hint=f"ls -ld {self._path.parent}",
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # 'git clean -X' removes ignored files: a lock on a file that is gone keeps nobody out
            if os.path.samestat(os.fstat(file), self._path.lstat()):
                return file
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError as error:
            let_go(file)
            raise StoreError(
                f"cannot lock {str(self._path)!r}: {error.strerror}; nothing was written",
                hint="'df' tells the file system: it must know flock",
            ) from None
        let_go(file)
        return None

    def _late(self, wait: float) -> LockError:
        return LockError(
            f"another process has held {str(self._path)!r} for {wait:g} s; nothing was written",
            hint=f"fuser -v {self._path}",
        )


_LIVE: weakref.WeakSet[FileLock | ThreadLock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_LIVE):
        lock.forget()


os.register_at_fork(after_in_child=_forget_all)
