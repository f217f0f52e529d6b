"""The cache underneath. What it promises it keeps, its errors included; only what was planted there is no error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.db import Error as DatabaseError

_REDIS: Final = frozenset({"django.core.cache.backends.redis.RedisCache", "django_redis.cache.RedisCache"})
_ROWS: Final = frozenset(
    {"django.core.cache.backends.filebased.FileBasedCache", "django.core.cache.backends.db.DatabaseCache"}
)


class Inner:
    """An alias of CACHES.

    Its backend is asked for at each call: Django gives each thread and task its own, and closes it after a request.
    """

    def __init__(self, alias: str, lineage: Iterable[str]) -> None:
        self.alias = alias
        kinds = frozenset(lineage)
        # GET of a list that somebody planted is an error, MGET says that there is no value
        self._at_once = bool(kinds & _REDIS)
        self._garbles = bool(kinds & _ROWS)

    @property
    def backend(self) -> BaseCache:
        """This thread's."""
        return caches[self.alias]

    def read(self, name: str) -> object:
        """What lies under a name; None for nothing, and GARBLED for what the backend cannot read."""
        if self._at_once:
            return self.backend.get_many([name]).get(name)
        if not self._garbles:
            return self.backend.get(name)
        try:
            return self.backend.get(name)
        except (OSError, DatabaseError):
            raise
        except Exception:  # noqa: BLE001  a garbled pickle raises whatever it likes, zlib.error and UnpicklingError too
            return GARBLED

    def read_many(self, names: Sequence[str]) -> dict[str, object]:
        """What lies under the names that are there, in one call."""
        if not self._garbles:
            return dict(self.backend.get_many(names))
        try:
            return dict(self.backend.get_many(names))
        except (OSError, DatabaseError):
            raise
        except Exception:  # noqa: BLE001  as above; one by one tells which
            found = ((name, self.read(name)) for name in names)
            return {name: raw for name, raw in found if raw is not None}

    def add(self, name: str, token: bytes, timeout: float | None) -> bool:
        """Put it there unless something is. Atomic where the backend's `add` is."""
        return bool(self.backend.add(name, token, timeout))

    def write(self, name: str, token: bytes, timeout: float | None) -> None:
        """Put it there."""
        self.backend.set(name, token, timeout)

    def write_many(self, tokens: dict[str, bytes], timeout: float | None) -> list[Any]:
        """Put them there in one call; the names that failed, where the backend tells."""
        # django-redis returns None
        return (self.backend.set_many(tokens, timeout) if tokens else None) or []

    def delete(self, name: str) -> bool:
        """Whether there was something."""
        return bool(self.backend.delete(name))

    def delete_many(self, names: Sequence[str]) -> None:
        """In one call."""
        if names:
            self.backend.delete_many(names)

    def clear(self) -> None:
        """All of it, whoever put it there: Redis empties the whole database."""
        self.backend.clear()


class _Garbled:
    """What a backend could not read. It is no bytes, so nothing opens it."""


GARBLED: Final = _Garbled()
