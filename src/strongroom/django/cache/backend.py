"""A Django cache that seals each value and hides each key of another one. Nothing is decoded before it is authentic."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from strongroom._encoding import Timestamp
from strongroom.caching.forklock import ForkLock
from strongroom.django.cache.entries import Entries, Entry
from strongroom.django.cache.inner import Inner
from strongroom.django.cache.options import Options
from strongroom.django.cache.refusals import refusals
from strongroom.django.cache.twins import AsyncTwins
from strongroom.django.connections import keystores
from strongroom.django.pickling import lineage
from strongroom.errors import DecryptionError, FormatError, IntegrityError

T = TypeVar("T")

_LATE_MS: Final = 2000
"""How long after its end an honest cache may still have a value: Redis and memcached count in whole seconds."""

# `incr` reads, adds and writes; within a process one at a time for a name
_STRIPES: Final = tuple(ForkLock() for _ in range(64))


class EncryptedCache(AsyncTwins):
    """`"BACKEND": "strongroom.django.cache.EncryptedCache", "OPTIONS": {"CACHE": ALIAS, "KEYSET": NAME}`.

    A value that is garbled, planted, moved from another key, kept beyond its expiry, or sealed under a version that no
    longer opens is a miss; it is counted (`strongroom.django.cache.refusals`), logged, and deleted. An older value of
    the same key that has not expired cannot be told from the newest. Where a key is not to be had, reading and writing
    raise what the keystore raises: nothing is ever stored in the clear. Errors of the inner cache come through as they
    are.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        # read at the first use: `check` makes every cache, and has its own words for what is wrong
        self._given = dict(params.get("OPTIONS") or {})
        self._ready: tuple[Options, Inner] | None = None
        self._kept: Entries | None = None

    # --- one value

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """The value, or the default."""
        made = self.make_and_validate_key(key, version=version)
        entries = self._entries
        name = entries.name(made)
        entry = self._entry(made, name, self._inner.read(name), entries)
        return default if entry is None else self._loaded(name, entry, default)

    def set(self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Seal and store."""
        made = self.make_and_validate_key(key, version=version)
        timeout, expires = self._life(timeout)
        entries = self._entries
        token = entries.seal(made, Entry(self._dumped(value), expires))
        self._inner.write(entries.name(made), token, timeout)

    def add(self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store unless there is a value. As atomic as the inner `add`; what is refused does not count as a value."""
        made = self.make_and_validate_key(key, version=version)
        timeout, expires = self._life(timeout)
        name, token = self._entries.name(made), self._entries.seal(made, Entry(self._dumped(value), expires))
        inner = self._inner
        if inner.add(name, token, timeout):
            return True
        if self._entry(made, name, inner.read(name), self._entries) is not None:
            return False
        inner.delete(name)
        return inner.add(name, token, timeout)

    def touch(self, key: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Another expiry for the same value, sealed anew: the expiry is inside. False where there is none."""
        made = self.make_and_validate_key(key, version=version)
        name = self._entries.name(made)
        with _stripe(name):
            entry = self._entry(made, name, self._inner.read(name), self._entries)
            if entry is None:
                return False
            timeout, expires = self._life(timeout)
            self._inner.write(name, self._entries.seal(made, Entry(entry.payload, expires)), timeout)
        return True

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Whether there was something."""
        return self._inner.delete(self._entries.name(self.make_and_validate_key(key, version=version)))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Whether there is a value that opens."""
        return self.get(key, self._missing_key, version=version) is not self._missing_key

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add, and keep the expiry. Atomic among the threads of this process only; ValueError where there is none."""
        made = self.make_and_validate_key(key, version=version)
        name = self._entries.name(made)
        with _stripe(name):
            entry = self._entry(made, name, self._inner.read(name), self._entries)
            value: Any = self._missing_key if entry is None else self._loaded(name, entry, self._missing_key)
            if entry is None or value is self._missing_key:
                raise ValueError(f"Key {key!r} not found")  # the kind that Django's caches raise
            counted: int = value + delta
            self._keep(made, name, Entry(self._dumped(counted), entry.expires))
        return counted

    def incr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Move the value to another version of its key, and keep its expiry. ValueError where there is none."""
        version = self.version if version is None else version
        made = self.make_and_validate_key(key, version=version)
        name = self._entries.name(made)
        entry = self._entry(made, name, self._inner.read(name), self._entries)
        if entry is None:
            raise ValueError(f"Key {key!r} not found")
        moved = self.make_and_validate_key(key, version=version + delta)
        self._keep(moved, self._entries.name(moved), entry)
        self._inner.delete(name)
        return version + delta

    # --- many values: one call of the inner cache

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """The values that are there, by their keys."""
        entries = self._entries
        asked = {entries.name(made): (key, made) for key, made in self._made(keys, version)}
        found: dict[Any, Any] = {}
        for name, raw in self._inner.read_many(list(asked)).items():
            key, made = asked[name]
            entry = self._entry(made, name, raw, entries)
            value = self._missing_key if entry is None else self._loaded(name, entry, self._missing_key)
            if value is not self._missing_key:
                found[key] = value
        return found

    def set_many(
        self, data: dict[Any, Any], timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Seal and store; the keys that failed, where the inner cache tells."""
        timeout, expires = self._life(timeout)
        entries = self._entries
        keys: dict[str, Any] = {}
        tokens: dict[str, bytes] = {}
        for key, made in self._made(data, version):
            name = entries.name(made)
            keys[name] = key
            tokens[name] = entries.seal(made, Entry(self._dumped(data[key]), expires))
        return [keys[name] for name in self._inner.write_many(tokens, timeout) if name in keys]

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Delete those that are there."""
        self._inner.delete_many([self._entries.name(made) for _, made in self._made(keys, version)])

    def clear(self) -> None:
        """Empty the inner cache: all of it, whoever put it there."""
        self._inner.clear()

    def get_backend_timeout(self, timeout: float | None = DEFAULT_TIMEOUT) -> float | None:
        """What the inner cache makes of a timeout."""
        return self._inner.backend.get_backend_timeout(self._life(timeout)[0])

    # --- what these stand on

    @property
    def _options(self) -> Options:
        return (self._ready or self._prepare())[0]

    @property
    def _inner(self) -> Inner:
        return (self._ready or self._prepare())[1]

    @property
    def _entries(self) -> Entries:
        options = self._options
        keystore = keystores[options.keystore]
        kept = self._kept
        if kept is None or kept.keystore is not keystore:
            kept = self._kept = Entries(
                keystore,
                keyset=options.keyset,
                names=options.names,
                serializer=options.serializer,
                pad=options.pad,
            )
        return kept

    def _prepare(self) -> tuple[Options, Inner]:
        options = Options.of(self._given)
        options.refuse_unpickling()
        self._ready = options, Inner(options.cache, lineage(options.inner()))
        return self._ready

    def _made(self, keys: Iterable[Any], version: int | None) -> list[tuple[Any, str]]:
        return [(key, self.make_and_validate_key(key, version=version)) for key in keys]

    def _life(self, timeout: float | None) -> tuple[float | None, Timestamp | None]:
        """The seconds that the inner cache is told, and the end that is bound inside."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        return timeout, None if timeout is None else Timestamp(_now() + int(timeout * 1000))

    def _keep(self, made: str, name: str, entry: Entry) -> None:
        """Store an entry until the end that it has; what rounds up is cut off by the end inside."""
        left = None if entry.expires is None else max(1, math.ceil((entry.expires - _now()) / 1000))
        self._inner.write(name, self._entries.seal(made, entry), left)

    def _dumped(self, value: Any) -> bytes:
        payload: bytes | int = self._options.codec.dumps(value)
        # Django's RedisSerializer hands integers over as they are, for Redis to count with
        return payload if isinstance(payload, bytes) else str(payload).encode()

    def _loaded(self, name: str, entry: Entry, default: T) -> Any | T:
        try:
            return self._options.codec.loads(entry.payload)
        except FormatError:
            self._refuse(name, "unreadable")
            return default

    def _entry(self, made: str, name: str, raw: object, entries: Entries) -> Entry | None:
        """What opens and has not expired; everything else is gone afterwards."""
        if raw is None:
            return None
        try:
            entry = entries.open(made, raw)
        except DecryptionError:
            reason = "unopened"
        except FormatError:
            reason = "unreadable"
        else:
            late = 0 if entry.expires is None else _now() - entry.expires
            if entry.expires is None or late < 0:
                return entry
            if late < _LATE_MS:
                return None
            reason = "expired"
        self._refuse(name, reason)
        return None

    def _refuse(self, name: str, reason: str) -> None:
        refusals.note(reason, cache=self._options.cache, name=name)
        self._inner.delete(name)
        if self._options.strict:
            raise IntegrityError(
                f"the cache {self._options.cache!r} held what is not ours under {name!r}",
                hint="strongroom show of its KEYSET tells which versions open",
            )


def _now() -> Timestamp:
    return Timestamp(time.time_ns() // 1_000_000)


def _stripe(name: str) -> ForkLock:
    return _STRIPES[int(name[:8], 16) % len(_STRIPES)]
