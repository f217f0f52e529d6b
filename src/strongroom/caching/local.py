"""What this process keeps in memory: bounded, and gone after a fork and after close."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from strongroom.caching.forklock import ForkLock
from strongroom.errors import ClosedError

V = TypeVar("V")


class LocalCache(dict[str, V], Generic[V]):
    """A dict that makes what it lacks.

    `cache[name]` costs a dict look-up when the value is there, because the look-up is dict's own; a missing value is
    made once, by `make(name)`, however many threads ask. More than `entries` values: the one made first leaves.
    After a fork the child's cache is empty. After `close` every look-up raises ClosedError.
    """

    __slots__ = ("__weakref__", "_closed", "_entries", "_lock", "_make")

    def __init__(self, make: Callable[[str], V], *, entries: int) -> None:
        super().__init__()
        self._make = make
        self._entries = entries
        self._closed = False
        self._lock = ForkLock()
        _LIVE.add(self)

    __hash__ = object.__hash__  # type: ignore[assignment]  # the WeakSet goes by identity
    __eq__ = object.__eq__

    def __missing__(self, name: str) -> V:
        if self._closed:
            raise ClosedError("the keystore is closed", hint="open it again with strongroom.open()")
        with self._lock:
            if name in self:
                return self[name]
            made = self._make(name)
            while len(self) >= self._entries:
                del self[next(iter(self))]
            self[name] = made
            return made

    def close(self) -> None:
        """Forget everything; every later look-up raises ClosedError. Closing twice is harmless."""
        self._closed = True
        self.clear()

    def __repr__(self) -> str:
        return f"<local cache of {len(self)} entries>"


_LIVE: weakref.WeakSet[LocalCache[Any]] = weakref.WeakSet()


def _clear_all() -> None:
    for cache in list(_LIVE):
        cache.clear()


os.register_at_fork(after_in_child=_clear_all)
