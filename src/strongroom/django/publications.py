"""A publication in a Django cache: `django-cache:ALIAS`. Whatever the cache does or fails to do, the words are ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache, InvalidCacheBackendError
from django.core.exceptions import ImproperlyConfigured

from strongroom._encoding import b64encode
from strongroom.caching.backends import Backend, too_large
from strongroom.caching.publication import HEAD, MAX_PUBLICATION, serial_in
from strongroom.django.pickling import keeps_nothing, unpickles
from strongroom.errors import FormatError, NotFoundError, SettingsError, StoreError, StrongroomError
from strongroom.model.names import StoreId


class DjangoCacheBackend:
    """One alias of CACHES.

    A Django cache gives no part of a value, so there are two: under `strongroom:STORE:GROUP` the publication's head,
    which holds its serial, and under `…:SERIAL` the whole of it. The head is written last, and so a reader who sees it
    finds what it names, whoever else is writing; what it named before goes by itself.

    The cache is opened anew in a forked child, and is no other thread's: a source asks with one thread at a time.
    """

    def __init__(self, alias: str, *, store: StoreId, group: str) -> None:
        self._alias = alias
        self._key = f"strongroom:{b64encode(store)}:{group}"
        self._pid = 0
        self._made: BaseCache | None = None

    def __repr__(self) -> str:
        return f"<{self.location}>"

    @property
    def location(self) -> str:
        """`django-cache:ALIAS`"""
        return f"django-cache:{self._alias}"

    def head(self) -> bytes:
        """The head. NotFoundError."""
        return self._found(self._key)[:HEAD]

    def read(self) -> bytes:
        """What the head names; where it names nothing, itself, which is no publication. NotFoundError."""
        head = self._found(self._key)
        serial = serial_in(head)
        raw = self._found(f"{self._key}:{serial}") if serial else head
        if len(raw) > MAX_PUBLICATION:
            raise too_large(self.location)
        return raw

    def write(self, raw: bytes, *, seconds: int) -> None:
        """Put it there, and make sure that it is: many caches drop in silence what they cannot keep. StoreError."""
        head = raw[:HEAD]
        whole = f"{self._key}:{serial_in(head)}"
        self._put(whole, raw, seconds)
        self._put(self._key, head, seconds)

    def close(self) -> None:
        """Close the cache of this process."""
        made, self._made = self._made, None
        if made is not None and self._pid == os.getpid():
            self._told(made.close)

    def _put(self, key: str, value: bytes, seconds: int) -> None:
        self._asked(lambda cache: cache.set(key, value, timeout=seconds))
        if self._asked(lambda cache: cache.get(key)) != value:
            raise StoreError(
                f"{self.location!r} did not keep the {len(value)} bytes that it was given",
                hint="look at the cache's limits: memcached takes 1 MiB a value, unless -I says otherwise",
            )

    def _found(self, key: str) -> bytes:
        value = self._asked(lambda cache: cache.get(key))
        if value is None:
            raise NotFoundError(
                f"nothing is published at {self.location!r}", hint="manage.py strongroom publish, by a holder"
            )
        if not isinstance(value, bytes):
            raise FormatError(f"{self.location!r} answered with {type(value).__name__} where bytes were wanted")
        return value

    def _asked(self, ask: Callable[[BaseCache], Any]) -> Any:
        if self._made is None or self._pid != os.getpid():
            # not caches[ALIAS]: that one's sockets may be its parent's, and the site's own values are on them
            self._made = self._told(lambda: caches.create_connection(self._alias))
            self._pid = os.getpid()
        cache = self._made
        return self._told(lambda: ask(cache))

    def _told(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except StrongroomError:
            raise
        except Exception as error:  # noqa: BLE001  a cache may raise whatever its client does, or what it unpickles
            problem = type(error).__name__
        # its message is not told: some clients quote the value that they were given, or the password
        raise StoreError(f"{self.location!r} does not serve: {problem}", hint="look at the cache behind that alias")


def place(rest: str, *, store: StoreId, group: str, timeout: float, allow_pickle: bool) -> Backend:
    """What `django-cache:ALIAS` means. SettingsError for an alias that is not there, that keeps nothing, or that
    unpickles (what the check strongroom.E003 says, is refused here too).

    timeout: not ours to set; the alias has its own (`socket_timeout` in its OPTIONS).
    """
    del timeout
    try:
        cache = settings.CACHES.get(rest)
        caches.settings  # noqa: B018  Django's own look at CACHES: it wants the alias `default`
    except (ImproperlyConfigured, InvalidCacheBackendError, ImportError) as error:
        raise SettingsError(
            f"{f'django-cache:{rest}'!r} wants Django's settings: {type(error).__name__}",
            hint="manage.py strongroom publish; or set DJANGO_SETTINGS_MODULE",
        ) from None
    if cache is None:
        raise SettingsError(f"CACHES has no alias {rest!r}", hint=f"it has {', '.join(sorted(settings.CACHES))}")
    if keeps_nothing(cache):
        raise SettingsError(
            f"the cache {rest!r} keeps nothing: it is a DummyCache", hint="name another alias of CACHES"
        )
    hint = unpickles(cache, allowed=allow_pickle)
    if hint is not None:
        raise SettingsError(
            f"the cache {rest!r} unpickles what it finds: whoever can write to it could run code here", hint=hint
        )
    return DjangoCacheBackend(rest, store=store, group=group)


def _conforms(backend: DjangoCacheBackend) -> Backend:
    return backend
