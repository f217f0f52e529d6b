"""A lock that a forked child gets unlocked: a thread of the parent that held it does not exist in the child."""

from __future__ import annotations

import logging  # noqa: F401  its own lock is held around a fork: registered before ours, it is taken after them
import os
import threading
import weakref
from types import TracebackType


class ForkLock:
    """A re-entrant lock for `with`; renewed in the child after a fork."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _LIVE.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Forget who held it. Only for the child of a fork, which has one thread."""
        self._lock = threading.RLock()


class QuietLock(ForkLock):
    """A fork waits until no other thread holds it, so that what is done under it is never forked half done.

    A socket in the middle of an answer, or OpenSSL in the middle of a key, would be of no use in the child. Whoever
    holds it may log, takes no other lock, and waits for nothing without a limit.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        _QUIET.add(self)


_LIVE: weakref.WeakSet[ForkLock] = weakref.WeakSet()
_QUIET: weakref.WeakSet[QuietLock] = weakref.WeakSet()
_held_for_fork: list[QuietLock] = []


def _hold_quiet() -> None:
    for lock in list(_QUIET):
        lock.__enter__()
        _held_for_fork.append(lock)


def _let_go() -> None:
    while _held_for_fork:
        _held_for_fork.pop().__exit__(None, None, None)


def _renew_all() -> None:
    _held_for_fork.clear()
    for lock in list(_LIVE):
        lock.renew()


os.register_at_fork(before=_hold_quiet, after_in_parent=_let_go, after_in_child=_renew_all)
