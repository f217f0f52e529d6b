"""System checks of encrypted caches. They read CACHES, and touch no cache and no store.

strongroom.E050  an EncryptedCache whose OPTIONS are malformed, or whose CACHE or KEYSTORE is not there
strongroom.E051  the inner cache unpickles what it finds, before it can be authenticated
strongroom.W050  SERIALIZER is not the safe one: whoever has the keys, or a hole in the code that caches, runs code
strongroom.W051  clear() of the inner Redis empties a database in which other aliases, or publications, are
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks

from strongroom.caching.locating import DJANGO_SCHEME
from strongroom.django import conf
from strongroom.django.cache.options import BACKEND, SAFE, Options, unpickling
from strongroom.django.pickling import lineage, unpickles
from strongroom.errors import SettingsError

Message = checks.CheckMessage

_REDIS = {"django.core.cache.backends.redis.RedisCache", "django_redis.cache.RedisCache"}


def register() -> None:
    """Register them with Django."""
    checks.register(check_options, checks.Tags.caches)
    checks.register(check_serializers, checks.Tags.caches)
    checks.register(check_neighbours, checks.Tags.caches)


def check_options(app_configs: Any, **kwargs: Any) -> list[Message]:
    """E050, E051."""
    found: list[Message] = []
    for alias, entry in settings.CACHES.items():
        if BACKEND not in lineage(entry):
            continue
        try:
            options = Options.of(entry.get("OPTIONS") or {})
            inner = options.inner()
            conf.store_settings(options.keystore)
        except SettingsError as error:
            found.append(checks.Error(f"CACHES[{alias!r}]: {error}", hint=error.hint, id="strongroom.E050"))
            continue
        hint = unpickles(inner, allowed=options.allow_pickle_backend)
        if hint is not None:
            told = f"CACHES[{alias!r}]: {unpickling(options.cache)}"
            found.append(checks.Error(told, hint=hint, id="strongroom.E051"))
    return found


def check_serializers(app_configs: Any, **kwargs: Any) -> list[Message]:
    """W050."""
    return [
        checks.Warning(
            f"CACHES[{alias!r}]: SERIALIZER is {options.serializer!r}; if it pickles, whoever has the key of"
            f" {options.keyset!r} can run code here, and not only read",
            hint="leave SERIALIZER out where plain values are enough",
            id="strongroom.W050",
        )
        for alias, options in _encrypted()
        if options.serializer != SAFE
    ]


def check_neighbours(app_configs: Any, **kwargs: Any) -> list[Message]:
    """W051."""
    found: list[Message] = []
    for alias, options in _encrypted():
        entry = settings.CACHES.get(options.cache) or {}
        if not lineage(entry) & _REDIS:
            continue
        places = _places(entry)
        others = [
            f"CACHES[{other!r}]"
            for other, each in settings.CACHES.items()
            if other != options.cache and lineage(each) & _REDIS and _places(each) & places
        ]
        others += [
            f"STRONGROOM[{name!r}]['CACHE']" for name, cache in _publications() if _meets(cache, options, places)
        ]
        if others:
            found.append(
                checks.Warning(
                    f"CACHES[{alias!r}]: clear() empties the whole Redis database of {options.cache!r}, in which"
                    f" {' and '.join(others)} lie too",
                    hint=f"give {options.cache!r} a database of its own, like redis://127.0.0.1:6379/1",
                    id="strongroom.W051",
                )
            )
    return found


def _encrypted() -> Iterator[tuple[str, Options]]:
    """Every encrypted cache whose options can be read; the others are E050's."""
    for alias, entry in settings.CACHES.items():
        if BACKEND in lineage(entry):
            try:
                yield alias, Options.of(entry.get("OPTIONS") or {})
            except SettingsError:
                continue


def _publications() -> Iterator[tuple[str, str]]:
    try:
        names = conf.aliases()
    except SettingsError:
        return
    for name in names:
        try:
            cache = conf.store_settings(name).cache
        except SettingsError:
            continue
        for each in (cache or "").split():
            yield name, each


def _meets(cache: str, options: Options, places: set[tuple[str, int, str]]) -> bool:
    """Whether publications go where `clear` would find them: the alias itself, or a URL of its database."""
    return cache == f"{DJANGO_SCHEME}:{options.cache}" or ("://" in cache and _place(cache) in places)


def _places(entry: Mapping[str, Any]) -> set[tuple[str, int, str]]:
    location = entry.get("LOCATION") or ""
    urls = location.replace(";", ",").split(",") if isinstance(location, str) else location
    return {place for url in urls if (place := _place(str(url))) is not None}


def _place(url: str) -> tuple[str, int, str] | None:
    """Host, port and database of a Redis URL; None where it cannot be read."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return parts.path, 0, parts.query
        return parts.hostname or "localhost", parts.port or 6379, parts.path.strip("/") or "0"
    except ValueError:
        return None
