"""Each system check fires where a deployment would regret it, and is silent where it would not."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.cache.backends.redis import RedisCache
from django.core.checks import CheckMessage
from django.core.checks.registry import registry
from django.test import override_settings

from strongroom.django import checks
from strongroom.django.fields import field_checks, model_checks

CORE_REDIS = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"
OURS = "strongroom.django.serializers.BytesSerializer"


def messages(*, deploy: bool = False, **settings: Any) -> list[CheckMessage]:
    """What our checks, as Django's registry has them, say about these settings."""
    ours = [
        check
        for check in registry.get_checks(include_deployment_checks=deploy)
        if getattr(check, "__module__", "") == checks.__name__
    ]
    assert ours
    with override_settings(**settings):
        return [message for check in ours for message in check(app_configs=None, databases=None)]


def ids(*, deploy: bool = False, **settings: Any) -> set[str | None]:
    return {message.id for message in messages(deploy=deploy, **settings)}


def test_the_checks_are_registered_for_check_and_for_deploy() -> None:
    always = set(registry.get_checks())
    assert {checks.check_settings, checks.check_places, checks.check_caches, checks.check_debug} <= always
    assert set(registry.get_checks(include_deployment_checks=True)) - always >= {checks.check_deployment}


def test_a_site_without_the_setting_hears_nothing() -> None:
    assert messages(deploy=True) == []


# E001


@pytest.mark.parametrize("value", [[], "default", {"default": "/srv"}, {"default": None}, {1: {}}, {"default": {1: 2}}])
def test_e001_a_setting_that_is_no_dict_of_dicts(value: object) -> None:
    (message,) = messages(STRONGROOM=value)
    assert message.id == "strongroom.E001"
    assert "STRONGROOM = {'default'" in (message.hint or "")


def test_e001_an_unknown_setting_is_answered_with_the_nearest_name(development: Path) -> None:
    (message,) = messages(STRONGROOM={"default": {"STORE": development, "WITNES": "/srv/witness"}})
    assert message.id == "strongroom.E001"
    assert "'default'" in message.msg
    assert "'WITNES'" in message.msg
    assert "'WITNESS'" in (message.hint or "")


def test_e001_an_unknown_setting_that_is_near_to_none_is_answered_with_all(development: Path) -> None:
    (message,) = messages(STRONGROOM={"default": {"STORE": development, "COLOUR": "blue"}})
    assert "STORE" in (message.hint or "")
    assert "ALLOW_PICKLE_BACKEND" in (message.hint or "")


@pytest.mark.parametrize("wrong", [{"STRICT": "perhaps"}, {"STORE": 7}, {"MAX_AGE": -1}, {"MIN_SERIAL": "x"}])
def test_e001_a_value_of_the_wrong_kind(wrong: dict[str, object]) -> None:
    assert ids(STRONGROOM={"default": wrong}) == {"strongroom.E001"}


def test_e001_each_alias_is_told_by_its_name() -> None:
    told = messages(STRONGROOM={"one": {"A": 1}, "two": {"B": 1}})
    assert [message.id for message in told] == ["strongroom.E001"] * 2
    assert "'one'" in told[0].msg
    assert "'two'" in told[1].msg


def test_e001_an_environment_variable_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, development: Path) -> None:
    monkeypatch.setenv("STRONGROOM_STRICT", "perhaps")
    assert ids(STRONGROOM={"default": {"STORE": development}}) == {"strongroom.E001"}


def test_e001_is_silent_where_every_setting_is_known(development: Path, tmp_path: Path) -> None:
    every = {
        "STORE": development,
        "CACHE": "redis://127.0.0.1:6379/0",
        "GROUP": "web",
        "IDENTITY": tmp_path / "web.identity",
        "PASSPHRASE_FILE": str(tmp_path / "passphrase"),
        "WITNESS": tmp_path / "witness",
        "PIN": "a pin",
        "STRICT": True,
        "MAX_AGE": "15m",
        "TIMEOUT": 0.5,
        "MIN_SERIAL": 12,
        "ALLOW_PICKLE_BACKEND": False,
    }
    assert ids(STRONGROOM={"default": every}) == set()


# E002


@pytest.mark.parametrize("setting", ["MEDIA_ROOT", "STATIC_ROOT"])
def test_e002_a_store_that_a_web_server_would_hand_out(setting: str, development: Path) -> None:
    served: dict[str, Any] = {setting: str(development.parent)}
    (message,) = messages(STRONGROOM={"default": {"STORE": development}}, **served)
    assert message.id == "strongroom.E002"
    assert setting in message.msg


def test_e002_media_inside_the_store(development: Path) -> None:
    assert ids(STRONGROOM={"default": {"STORE": development}}, MEDIA_ROOT=development / "media") == {"strongroom.E002"}


def test_e002_a_link_hides_nothing(development: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(development.parent)
    assert ids(STRONGROOM={"default": {"STORE": development}}, MEDIA_ROOT=tmp_path / "link") == {"strongroom.E002"}


def test_e002_a_store_named_by_the_directory_that_it_is_in(development: Path) -> None:
    named = {"STORE": development.parent}
    assert ids(STRONGROOM={"default": named}, MEDIA_ROOT=development / "media") == {"strongroom.E002"}


@pytest.mark.parametrize("setting", ["IDENTITY", "PASSPHRASE_FILE"])
def test_e002_what_opens_the_store_is_not_served_either(setting: str, development: Path, tmp_path: Path) -> None:
    settings = {"STORE": development, setting: tmp_path / "static" / "opener"}
    assert ids(STRONGROOM={"default": settings}, STATIC_ROOT=tmp_path / "static") == {"strongroom.E002"}


def test_e002_an_identity_that_the_environment_names(
    development: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRONGROOM_IDENTITY_FILE", str(tmp_path / "static" / "web.identity"))
    settings = {"default": {"STORE": development}}
    assert ids(STRONGROOM=settings, STATIC_ROOT=tmp_path / "static") == {"strongroom.E002"}


@pytest.mark.parametrize("prefixed", [False, True])
def test_e002_a_store_that_collectstatic_would_copy(development: Path, *, prefixed: bool) -> None:
    entry = ("downloads", development.parent) if prefixed else str(development.parent)
    assert ids(STRONGROOM={"default": {"STORE": development}}, STATICFILES_DIRS=[entry]) == {"strongroom.E002"}


def test_e002_is_silent_where_they_stand_side_by_side(development: Path) -> None:
    base = development.parent
    settings: dict[str, Any] = {
        "MEDIA_ROOT": base / "media",
        "STATIC_ROOT": base / "static",
        "STATICFILES_DIRS": [base / "assets"],
    }
    assert ids(STRONGROOM={"default": {"STORE": development}}, **settings) == set()


# E003, E004


def with_cache(backend: str, options: dict[str, object] | None = None, **store: object) -> dict[str, Any]:
    cache = {"BACKEND": backend, "LOCATION": "/nowhere", "OPTIONS": options or {}}
    local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    return {
        "CACHES": {"default": local, "keys": cache},
        "STRONGROOM": {"default": {"STORE": "memory:", "CACHE": "keys", **store}},
    }


class OwnRedis(RedisCache):
    """A backend that a site derived from Django's."""


@pytest.mark.parametrize(
    ("backend", "option"),
    [
        (CORE_REDIS, "serializer"),
        (DJANGO_REDIS, "SERIALIZER"),  # not installed here: its name is enough
        (f"{__name__}.OwnRedis", "serializer"),
    ],
)
def test_e003_redis_unpickles_unless_it_has_our_serializer(backend: str, option: str) -> None:
    (message,) = messages(**with_cache(backend))
    assert message.id == "strongroom.E003"
    assert f'"{option}": "{OURS}"' in (message.hint or "")
    assert ids(**with_cache(backend, {option: "django.core.cache.backends.redis.RedisSerializer"})) == {
        "strongroom.E003"
    }
    assert ids(**with_cache(backend, {option: "no.such.Serializer"})) == {"strongroom.E003"}
    # another backend's spelling of the option does nothing
    assert ids(**with_cache(backend, {option.swapcase(): OURS})) == {"strongroom.E003"}
    # and saying that pickle is wanted does not make Redis safe, where a serializer would
    assert ids(**with_cache(backend, ALLOW_PICKLE_BACKEND=True)) == {"strongroom.E003"}
    assert ids(**with_cache(backend, {option: OURS})) == {"strongroom.W060"}
    wait = "SOCKET_TIMEOUT" if option.isupper() else "socket_timeout"
    assert ids(**with_cache(backend, {option: OURS, wait: 0.2})) == set()


@pytest.mark.parametrize(
    "backend",
    [
        "django.core.cache.backends.filebased.FileBasedCache",
        "django.core.cache.backends.db.DatabaseCache",
        "django.core.cache.backends.memcached.PyMemcacheCache",
        "django.core.cache.backends.memcached.PyLibMCCache",
    ],
)
def test_e003_backends_that_can_only_pickle_must_be_allowed_by_name(backend: str) -> None:
    (message,) = messages(**with_cache(backend))
    assert message.id == "strongroom.E003"
    assert "ALLOW_PICKLE_BACKEND" in (message.hint or "")
    assert ids(**with_cache(backend, ALLOW_PICKLE_BACKEND=True)) == set()


def test_e003_is_silent_for_a_cache_that_nobody_else_can_write_to() -> None:
    assert ids(**with_cache("django.core.cache.backends.locmem.LocMemCache")) == set()


def test_e060_a_cache_that_keeps_nothing() -> None:
    (message,) = messages(**with_cache("django.core.cache.backends.dummy.DummyCache"))
    assert message.id == "strongroom.E060"


def test_e003_takes_a_backend_that_it_does_not_know_for_one_that_unpickles() -> None:
    assert ids(**with_cache("some.package.UnknownCache")) == {"strongroom.E003"}
    assert ids(**with_cache("some.package.UnknownCache", ALLOW_PICKLE_BACKEND=True)) == set()


def test_e003_speaks_only_of_the_alias_that_is_named() -> None:
    settings = with_cache("django.core.cache.backends.filebased.FileBasedCache")
    assert ids(**{**settings, "STRONGROOM": {"default": {"STORE": "memory:"}}}) == set()


def test_e004_a_cache_alias_that_is_not_there() -> None:
    settings = {"default": {"STORE": "memory:", "CACHE": "rediss"}}
    (message,) = messages(STRONGROOM=settings)
    assert message.id == "strongroom.E004"
    assert "'rediss'" in message.msg
    assert ids(STRONGROOM={"default": {"STORE": "memory:", "CACHE": "redis://127.0.0.1:6379/0"}}) == set()
    assert ids(STRONGROOM={"default": {"STORE": "memory:", "CACHE": "default"}}) == set()


# W001


def test_w001_debug_where_the_root_can_be_opened(sealed: Path) -> None:
    (message,) = messages(DEBUG=True, STRONGROOM={"default": {"STORE": sealed}})
    assert message.id == "strongroom.W001"
    assert ids(DEBUG=False, STRONGROOM={"default": {"STORE": sealed}}) == set()


def test_w001_a_store_that_is_found_upwards_counts(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sealed.parent)
    assert ids(DEBUG=True, STRONGROOM={"default": {}}) == {"strongroom.W001"}


def test_w001_is_silent_for_a_development_store_and_for_one_in_memory(development: Path) -> None:
    assert ids(DEBUG=True, STRONGROOM={"default": {"STORE": development}}) == set()
    assert ids(DEBUG=True, STRONGROOM={"default": {"STORE": "memory:"}}) == set()


def test_w001_is_silent_in_a_build_which_opens_nothing(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRONGROOM_BUILD", "1")
    assert ids(DEBUG=True, STRONGROOM={"default": {"STORE": sealed}}) == set()


# E010, E011: on deploy only


def test_e010_a_development_store_on_deploy(development: Path, sealed: Path) -> None:
    assert ids(deploy=True, STRONGROOM={"default": {"STORE": development}}) == {"strongroom.E010"}
    assert ids(deploy=False, STRONGROOM={"default": {"STORE": development}}) == set()
    assert ids(deploy=True, STRONGROOM={"default": {"STORE": sealed}}) == set()


@pytest.fixture
def no_place_for_a_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    """No directory can be made below a device, not even by root."""
    monkeypatch.delenv("STRONGROOM_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", os.devnull + "/state")
    monkeypatch.setenv("HOME", os.devnull)


@pytest.mark.usefixtures("no_place_for_a_witness")
def test_e011_neither_pin_nor_witness_on_deploy(sealed: Path) -> None:
    (message,) = messages(deploy=True, STRONGROOM={"default": {"STORE": sealed}})
    assert message.id == "strongroom.E011"
    assert "strongroom pin" in (message.hint or "")
    assert ids(deploy=False, STRONGROOM={"default": {"STORE": sealed}}) == set()


@pytest.mark.usefixtures("no_place_for_a_witness")
def test_e011_is_silent_with_a_pin(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(deploy=True, STRONGROOM={"default": {"STORE": sealed, "PIN": "as strongroom pin prints it"}}) == set()
    monkeypatch.setenv("STRONGROOM_PIN", "as strongroom pin prints it")
    assert ids(deploy=True, STRONGROOM={"default": {"STORE": sealed}}) == set()


@pytest.mark.usefixtures("no_place_for_a_witness")
def test_e011_is_silent_with_a_place_for_a_witness(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"STORE": sealed, "WITNESS": tmp_path / "witness"}
    assert ids(deploy=True, STRONGROOM={"default": settings}) == set()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert ids(deploy=True, STRONGROOM={"default": {"STORE": sealed}}) == set()


def test_every_id_of_the_code_is_in_the_reference_and_the_other_way_round() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "django.md"
    pattern = re.compile(r"strongroom\.[EWI][0-9]{3}")
    code = Path(checks.__file__).read_text().split('"""', 2)[2]  # without its own list
    used = set(re.findall(r'id="(strongroom\.[EWI][0-9]{3})"', code))
    assert used == set(pattern.findall(checks.__doc__ or ""))
    of_fields: set[str] = set()
    for module in (field_checks, model_checks):
        code = Path(module.__file__).read_text().split('"""', 2)[2]
        fired = {f"strongroom.{each}" for each in re.findall(r'"(?:strongroom\.)?([EW][0-9]{3})"', code)}
        assert fired == set(pattern.findall(module.__doc__ or ""))
        of_fields |= fired
    assert used | of_fields <= set(pattern.findall(page.read_text()))


def test_every_setting_of_the_code_is_in_the_reference_and_the_other_way_round() -> None:
    from strongroom.keystore.settings import KNOWN_SETTINGS

    page = Path(__file__).parents[2] / "docs" / "reference" / "django.md"
    table = page.read_text().partition("## Settings of a store")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE) == list(KNOWN_SETTINGS)
