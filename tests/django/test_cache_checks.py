"""The checks of encrypted caches fire where a deployment would regret it, and touch no cache."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.core.checks.registry import registry
from django.test import override_settings

from strongroom.django.cache import checks
from tests.django.cache_sites import BYTES, CORE_REDIS, DJANGO_REDIS, ENCRYPTED, LOCMEM, PICKLE, SERIALIZERS

STORE = {"default": {"STORE": "memory:"}}


def messages(under: dict[str, Any] | None = None, *, store: Any = STORE, **options: Any) -> list[CheckMessage]:
    """What our checks say of an encrypted cache over this one."""
    ours = [check for check in registry.get_checks() if getattr(check, "__module__", "") == checks.__name__]
    assert len(ours) == 3
    said = {"CACHE": "inner", "KEYSET": "cache", **options}
    given = {"default": {"BACKEND": ENCRYPTED, "OPTIONS": said}, "inner": under or {"BACKEND": LOCMEM}}
    given |= {alias: entry for alias, entry in (under or {}).items() if isinstance(entry, dict) and "BACKEND" in entry}
    with override_settings(CACHES=given, STRONGROOM=store):
        return [message for check in ours for message in check(app_configs=None, databases=None)]


def ids(*arguments: Any, **options: Any) -> list[str | None]:
    return [message.id for message in messages(*arguments, **options)]


def redis(backend: str = CORE_REDIS, *, serializer: object = BYTES, **entry: Any) -> dict[str, Any]:
    return {
        "BACKEND": backend,
        "LOCATION": "redis://127.0.0.1:1/1",
        "OPTIONS": {SERIALIZERS[backend]: serializer},
        **entry,
    }


def test_a_sound_one_hears_nothing() -> None:
    for under in (None, redis(), redis(DJANGO_REDIS)):
        assert messages(under) == []


def test_a_site_without_one_hears_nothing() -> None:
    with override_settings(CACHES={"default": {"BACKEND": LOCMEM}}):
        assert checks.check_options(None) == checks.check_serializers(None) == checks.check_neighbours(None) == []


@pytest.mark.parametrize(
    "options",
    [
        {"CACHE": "none"},
        {"CACHE": "default"},
        {"KEYSET": ""},
        {"KEYSTORE": "none"},
        {"PADD": 1},
        {"SERIALIZER": "no.x"},
    ],
    ids=repr,
)
def test_e050_options_that_cannot_work(options: dict[str, Any]) -> None:
    (message,) = messages(**options)
    assert message.id == "strongroom.E050"
    assert message.hint


def test_e051_an_inner_cache_that_unpickles() -> None:
    for backend, option in SERIALIZERS.items():
        bare = {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:1/1"}
        (message,) = messages(bare)
        assert message.id == "strongroom.E051"
        assert f'"{option}": "{BYTES}"' in (message.hint or "")
        assert ids(bare, ALLOW_PICKLE_BACKEND=True) == ["strongroom.E051"]
    for backend in ("filebased.FileBasedCache", "db.DatabaseCache", "memcached.PyMemcacheCache"):
        under = {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": "/nonexistent"}
        assert ids(under) == ["strongroom.E051"]
        assert ids(under, ALLOW_PICKLE_BACKEND=True) == []


def test_w050_a_serializer_of_the_sites_own() -> None:
    assert ids(SERIALIZER=PICKLE) == ["strongroom.W050"]


def test_w051_a_redis_database_in_which_others_lie_too() -> None:
    shared = redis()
    assert ids({**shared, "other": redis(DJANGO_REDIS)}) == ["strongroom.W051"]
    assert ids({**shared, "other": redis(LOCATION="redis://127.0.0.1:1/2")}) == []
    for cache in ("inner", "redis://127.0.0.1:1/1", "redis://127.0.0.1:1/1?group=web redis://127.0.0.1:2"):
        store = {"default": {"STORE": "/nonexistent", "CACHE": cache}}
        (message,) = messages(shared, store=store)
        assert message.id == "strongroom.W051"
        assert "STRONGROOM['default']['CACHE']" in message.msg
    assert ids(shared, store={"default": {"STORE": "/nonexistent", "CACHE": "redis://127.0.0.1:1/3"}}) == []
