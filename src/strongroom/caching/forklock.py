"""A lock that a forked child gets unlocked: a thread of the parent that held it does not exist in the child."""

from __future__ import annotations

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


_LIVE: weakref.WeakSet[ForkLock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in list(_LIVE):
        lock.renew()


os.register_at_fork(after_in_child=_renew_all)
