"""Encrypted caches over what a test wants, with keys in a development store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings

from strongroom.keystore.opening import open_store
from tests.support.redis_server import RedisServer

ENCRYPTED = "strongroom.django.cache.EncryptedCache"
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
CORE_REDIS = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"
SERIALIZERS = {CORE_REDIS: "serializer", DJANGO_REDIS: "SERIALIZER"}
BYTES = "strongroom.django.serializers.BytesSerializer"
PICKLE = "django.core.cache.backends.redis.RedisSerializer"


class Counting(LocMemCache):
    """locmem, which writes down what it is asked."""

    asked: list[str] = []  # noqa: RUF012  one list, whichever thread has made the backend

    def get(self, *args: Any, **kwargs: Any) -> Any:
        self.asked.append("get")
        return super().get(*args, **kwargs)

    def get_many(self, keys: Any, version: int | None = None) -> dict[Any, Any]:
        self.asked.append("get_many")
        return {key: value for key in keys if (value := super(Counting, self).get(key)) is not None}

    def set_many(self, data: dict[Any, Any], *args: Any, **kwargs: Any) -> list[Any]:
        self.asked.append("set_many")
        for key, value in data.items():
            super().set(key, value, *args, **kwargs)
        return []

    def delete_many(self, keys: Any, version: int | None = None) -> None:
        self.asked.append("delete_many")
        for key in keys:
            super().delete(key)


def make_keys(directory: Path) -> None:
    """A keyset of each kind that seals, and the one that hides names."""
    with open_store(directory) as keystore:
        keystore.create("cache", "fernet")
        keystore.create("cache-names", "hmac-sha256")
        keystore.create("cache-gcm", "aes256-gcm")
        keystore.create("cache-xgcm", "xaes256-gcm")


def inner(backend: str, server: RedisServer | None = None, **entry: Any) -> dict[str, Any]:
    """An entry of CACHES for a cache that carries bytes."""
    made: dict[str, Any] = {"BACKEND": backend, **entry}
    if server is not None:
        made["LOCATION"] = server.url
    if backend in SERIALIZERS:
        made["OPTIONS"] = {SERIALIZERS[backend]: BYTES, **made.get("OPTIONS", {})}
    return made


@contextmanager
def encrypted(
    store: Path, under: dict[str, Any], *, entry: dict[str, Any] | None = None, **options: Any
) -> Iterator[tuple[BaseCache, BaseCache]]:
    """`caches["default"]` over `caches["inner"]`; both."""
    said = {"CACHE": "inner", "KEYSET": "cache", "NAMES": "cache-names", **options}
    default = {"BACKEND": ENCRYPTED, "OPTIONS": said, **(entry or {})}
    with override_settings(STRONGROOM={"default": {"STORE": store}}, CACHES={"default": default, "inner": under}):
        caches["inner"].clear()
        yield caches["default"], caches["inner"]


def raw_names(locmem: BaseCache) -> list[str]:
    """The names under which a locmem holds something, without Django's own prefix."""
    return [name.removeprefix(":1:") for name in locmem._cache]  # type: ignore[attr-defined]  # locmem's own
