"""What an alias of CACHES does to a publication: most unpickle it, and so run what another writer put there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.module_loading import import_string

from strongroom.django.serializers import BytesSerializer

SERIALIZER: Final = "strongroom.django.serializers.BytesSerializer"

_REDIS: Final = {
    "django.core.cache.backends.redis.RedisCache": "serializer",
    "django_redis.cache.RedisCache": "SERIALIZER",
}
_DUMMY: Final = "django.core.cache.backends.dummy.DummyCache"
_OWN: Final = {"django.core.cache.backends.locmem.LocMemCache", _DUMMY}
"""Nobody outside the process can write to these."""


def unpickles(cache: Mapping[str, Any], *, allowed: bool) -> str | None:
    """What to do about an alias (its entry in CACHES) that unpickles, or None where it does not, or is `allowed`.

    Redis is never allowed to, because there a serializer helps. A backend that is not known here is taken for one that
    unpickles, as nearly all do.
    """
    names = lineage(cache)
    for backend in names & _REDIS.keys():
        option = _REDIS[backend]
        if _is_ours((cache.get("OPTIONS") or {}).get(option)):
            return None
        return f'set "OPTIONS": {{"{option}": "{SERIALIZER}"}} in CACHES'
    if names & _OWN or allowed:
        return None
    return "use Redis with the BytesSerializer, or set ALLOW_PICKLE_BACKEND where nobody else can write to it"


def keeps_nothing(cache: Mapping[str, Any]) -> bool:
    """Whether it is a DummyCache."""
    return _DUMMY in lineage(cache)


def waits_long(cache: Mapping[str, Any]) -> str | None:
    """The option that a Redis alias lacks: without it a server that hangs holds each question for seconds."""
    options = cache.get("OPTIONS") or {}
    for backend in lineage(cache) & _REDIS.keys():
        option = "SOCKET_TIMEOUT" if _REDIS[backend].isupper() else "socket_timeout"
        if not options.get(option) and "socket_timeout=" not in str(cache.get("LOCATION", "")):
            return option
    return None


def lineage(cache: Mapping[str, Any]) -> set[str]:
    """The name of an alias's backend and, where it can be imported, those of the classes that it derives from."""
    backend = str(cache.get("BACKEND", ""))
    try:
        found = import_string(backend)
    except ImportError:  # Django's own checks, or the first use, tell of a backend that is not installed
        return {backend}
    return {backend, *(f"{each.__module__}.{each.__qualname__}" for each in getattr(found, "__mro__", ()))}


def _is_ours(serializer: object) -> bool:
    if isinstance(serializer, str):
        try:
            serializer = import_string(serializer)
        except ImportError:
            return False
    return isinstance(serializer, BytesSerializer) or (
        isinstance(serializer, type) and issubclass(serializer, BytesSerializer)
    )
