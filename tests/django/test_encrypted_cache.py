"""EncryptedCache: values are sealed, keys are hidden; what we did not put there is a miss, an event and a delete."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.test import override_settings

from strongroom._encoding import Timestamp
from strongroom.django import keystores
from strongroom.django.cache import EncryptedCache, refusals
from strongroom.django.cache.entries import Entry
from strongroom.errors import FormatError, IntegrityError, NotFoundError, PurposeError, SettingsError, StateError
from strongroom.keystore.founding import found
from tests.django.cache_sites import ENCRYPTED, LOCMEM, PICKLE, Counting, encrypted, inner, make_keys, raw_names

COUNTING = f"{Counting.__module__}.{Counting.__qualname__}"
KEYSETS = ["cache", "cache-gcm", "cache-xgcm"]


@pytest.fixture
def store(development: Path) -> Path:
    make_keys(development)
    return development


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store for the tests that change nothing in it."""
    directory = tmp_path_factory.mktemp("kept") / ".strongroom"
    found(directory, development=True)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STRONGROOM_DEVELOPMENT", "1")
        make_keys(directory)
    return directory


@pytest.fixture(params=KEYSETS)
def both(
    kept: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[BaseCache, BaseCache]]:
    monkeypatch.setenv("STRONGROOM_DEVELOPMENT", "1")
    with encrypted(kept, inner(LOCMEM), KEYSET=request.param) as made:
        yield made


@pytest.fixture
def refused() -> Any:
    """What was refused since the last time it was asked."""
    refusals.counts.clear()
    refusals._warned.clear()

    def since() -> dict[str, int]:
        found = dict(refusals.counts)
        refusals.counts.clear()
        return found

    return since


def test_values_and_keys_are_not_to_be_seen_in_the_inner_cache(both: tuple[BaseCache, BaseCache]) -> None:
    cache, under = both
    cache.set("student-078-05-1120", {"grade": "needle"})
    assert cache.get("student-078-05-1120") == {"grade": "needle"}
    (name,) = raw_names(under)
    assert len(name) == 64
    assert set(name) <= set("0123456789abcdef")
    raw = under.get(name)
    assert isinstance(raw, bytes)
    assert b"needle" not in raw
    assert b"student" not in raw


def test_under_a_fernet_keyset_the_inner_cache_holds_plain_fernet_tokens(store: Path) -> None:
    with encrypted(store, inner(LOCMEM)) as (cache, under):
        cache.set("k", "v")
        (name,) = raw_names(under)
        assert keystores["default"].fernet("cache").decrypt(under.get(name)).endswith(b"v")


def test_equal_values_of_equal_length_have_unequal_tokens(both: tuple[BaseCache, BaseCache]) -> None:
    cache, under = both
    cache.set_many({"a": "x", "b": "x"})
    one, two = (under.get(name) for name in raw_names(under))
    assert one != two


@pytest.mark.parametrize("value", [None, 0, "", b"", [], {}, False])
def test_what_is_empty_is_a_hit(both: tuple[BaseCache, BaseCache], value: object) -> None:
    cache, _ = both
    cache.set("k", value)
    assert cache.get("k", "missing") == value
    assert cache.has_key("k")
    assert cache.get_many(["k"]) == {"k": value}


def test_a_value_under_another_key_is_a_miss_an_event_and_a_delete(
    both: tuple[BaseCache, BaseCache], refused: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache, under = both
    cache.set("mine", "my grades")
    (mine,) = raw_names(under)
    cache.set("theirs", "their grades")
    (theirs,) = set(raw_names(under)) - {mine}
    under.set(mine, under.get(theirs))  # somebody who may write swaps them
    with caplog.at_level(logging.WARNING, "strongroom"):
        assert cache.get("mine", "missing") == "missing"
    assert refused() == {"unopened": 1}
    assert f"cache=inner name={mine} reason=unopened count=1 event=cache-value-refused" in caplog.text
    assert under.get(mine) is None
    assert cache.get("theirs") == "their grades"


def test_a_value_of_another_version_of_its_key_is_a_miss(both: tuple[BaseCache, BaseCache], refused: Any) -> None:
    cache, under = both
    cache.set("k", "old", version=1)
    (old,) = raw_names(under)
    cache.set("k", "new", version=2)
    (new,) = set(raw_names(under)) - {old}
    under.set(new, under.get(old))
    assert cache.get("k", version=2) is None
    assert cache.get("k", version=1) == "old"
    assert refused() == {"unopened": 1}


def test_a_value_that_was_kept_too_long_is_a_miss(both: tuple[BaseCache, BaseCache], refused: Any) -> None:
    cache, under = both
    assert isinstance(cache, EncryptedCache)
    entries = cache._entries
    now = Timestamp(time.time_ns() // 1_000_000)
    for age, told in ((1, {}), (60_000, {"expired": 1})):  # in the first seconds an honest cache may be late
        under.set(entries.name(":1:k"), entries.seal(":1:k", Entry(b"\xa1v", Timestamp(now - age))), timeout=None)
        assert cache.get("k") is None
        assert refused() == told
    assert raw_names(under) == []
    under.set(entries.name(":1:k"), entries.seal(":1:k", Entry(b"\xa1v", Timestamp(now + 60_000))), timeout=None)
    assert cache.get("k") == "v"


GARBAGE = [b"", b"\x00" * 100, b"gAAAAA", 9999999999, "text", ["list"], {"a": 1}, object, 1.5, bytearray(b"gAAAA")]


@pytest.mark.parametrize("planted", GARBAGE, ids=repr)
def test_whatever_was_planted_is_a_miss_to_every_method(
    both: tuple[BaseCache, BaseCache], refused: Any, planted: object
) -> None:
    cache, under = both
    cache.set("k", 1)
    (name,) = raw_names(under)

    def missed() -> bool:
        gone = under.get(name) is None
        under.set(name, planted)
        return gone and refused() == {"unopened": 1}

    under.set(name, planted)
    assert cache.get("k", "missing") == "missing"
    assert missed()
    assert cache.get_many(["k"]) == {}
    assert missed()
    assert not cache.has_key("k")
    assert missed()
    assert cache.touch("k") is False
    assert missed()
    for refusing in (cache.incr, cache.decr, cache.incr_version):
        with pytest.raises(ValueError, match="not found"):
            refusing("k")
        assert missed()
    assert cache.add("k", "added") is True
    assert cache.get("k") == "added"
    under.set(name, planted)
    assert cache.get_or_set("k", "default") == "default"
    assert cache.get("k") == "default"
    under.set(name, planted)
    cache.set("k", "set")
    assert cache.get("k") == "set"


def test_any_flipped_bit_is_a_miss(both: tuple[BaseCache, BaseCache]) -> None:
    cache, under = both
    cache.set("k", "v")
    (name,) = raw_names(under)
    token = under.get(name)
    for place in range(0, len(token), 5):
        under.set(name, token[:place] + bytes([token[place] ^ 1]) + token[place + 1 :])
        assert cache.get("k", "missing") == "missing"


def test_a_strict_cache_raises_instead(store: Path) -> None:
    with encrypted(store, inner(LOCMEM), STRICT=True) as (cache, under):
        cache.set("k", "v")
        (name,) = raw_names(under)
        under.set(name, b"planted")
        with pytest.raises(IntegrityError, match="held what is not ours"):
            cache.get("k")
        assert cache.get("k", "missing") == "missing"


# --- keys


def test_after_a_rotation_old_values_open_and_new_ones_are_under_the_new_version(store: Path) -> None:
    for keyset in KEYSETS:
        with encrypted(store, inner(LOCMEM, LOCATION=keyset), KEYSET=keyset) as (cache, _):
            cache.set("old", 1)
            keystores["default"].rotate(keyset, now=True)
            assert cache.get("old") == 1
            cache.set("new", 2)
            assert cache.get_many(["old", "new"]) == {"old": 1, "new": 2}


def test_after_a_compromise_its_values_are_gone(store: Path, refused: Any) -> None:
    for keyset in KEYSETS:
        with encrypted(store, inner(LOCMEM, LOCATION=keyset), KEYSET=keyset) as (cache, under):
            cache.set("old", 1)
            keystores["default"].rotate(keyset, now=True)
            cache.set("new", 2)
            keystores["default"].compromise(keyset, 1, reason="a test")
            assert cache.get("old", "missing") == "missing"
            assert cache.get("new") == 2
            assert len(raw_names(under)) == 1
            assert refused() == {"unopened": 1}


def test_rotating_the_name_key_gives_a_cold_cache(store: Path) -> None:
    with encrypted(store, inner(LOCMEM)) as (cache, _):
        cache.set("k", 1)
        keystores["default"].rotate("cache-names", now=True)
        assert cache.get("k") is None
        cache.set("k", 2)
        assert cache.get("k") == 2


def test_with_no_key_it_raises_and_stores_nothing(store: Path) -> None:
    with encrypted(store, inner(LOCMEM), KEYSET="none", NAMES="cache-names") as (cache, under):
        for use in (lambda: cache.set("k", "plain"), lambda: cache.get("k"), lambda: cache.add("k", "plain")):
            with pytest.raises(NotFoundError):
                use()
        assert raw_names(under) == []


def test_with_no_version_that_protects_it_raises_and_stores_nothing(store: Path) -> None:
    with encrypted(store, inner(LOCMEM)) as (cache, under):
        cache.set("k", "v")
        keystores["default"].suspend("cache", 1, reason="a test")
        with pytest.raises(StateError):
            cache.set("other", "plain")
        assert len(raw_names(under)) == 1


def test_a_keyset_of_another_purpose_is_refused(store: Path) -> None:
    for keyset, names in (("cache-names", "cache-names"), ("cache", "cache")):
        with encrypted(store, inner(LOCMEM), KEYSET=keyset, NAMES=names) as (cache, _), pytest.raises(PurposeError):
            cache.set("k", "v")


def test_another_site_under_the_same_key_of_its_own_store_is_a_miss_to_us(
    store: Path, tmp_path: Path, refused: Any
) -> None:
    other = tmp_path / "other" / ".strongroom"
    other.parent.mkdir()
    found(other, development=True)
    make_keys(other)
    with encrypted(store, inner(LOCMEM)) as (cache, under):
        cache.set("k", "ours")
        (name,) = raw_names(under)
    with encrypted(other, inner(LOCMEM)) as (cache, under):
        cache.set("k", "theirs")
        (foreign,) = raw_names(under)
        token = under.get(foreign)
    assert foreign != name  # the two sites do not even meet
    with encrypted(store, inner(LOCMEM)) as (cache, under):
        under.set(name, token)
        assert cache.get("k") is None
        assert refused() == {"unopened": 1}


def test_a_serializer_never_sees_what_another_one_wrote(store: Path, refused: Any) -> None:
    with encrypted(store, inner(LOCMEM)) as (cache, under):
        cache.set("k", b"bytes that a visitor chose")
        kept = {name: under.get(name) for name in raw_names(under)}
    with encrypted(store, inner(LOCMEM), SERIALIZER=PICKLE) as (cache, under):
        for name, token in kept.items():
            under.set(name, token)
        assert cache.get("k") is None
    assert refused() == {"unopened": 1}


# --- Django's contract, beyond Django's own tests


def ends(cache: BaseCache, key: str) -> float:
    """The end that is sealed into a value: seconds from now."""
    assert isinstance(cache, EncryptedCache)
    made = cache.make_key(key)
    name = cache._entries.name(made)
    entry = cache._entries.open(made, cache._inner.read(name))
    assert entry.expires is not None
    return entry.expires / 1000 - time.time()


def test_counting_and_moving_to_another_version_keep_the_end(both: tuple[BaseCache, BaseCache]) -> None:
    cache, _ = both
    cache.set("k", 1, timeout=5000)
    assert cache.incr("k", 4) == 5
    assert cache.decr("k") == 4
    assert 4000 < ends(cache, "k") <= 5000
    assert cache.incr_version("k") == 2
    assert cache.get("k") is None
    assert cache.get("k", version=2) == 4
    assert cache.decr_version("k", version=2) == 1
    assert 4000 < ends(cache, "k") <= 5000


def test_touch_moves_the_end_that_is_sealed_inside(both: tuple[BaseCache, BaseCache]) -> None:
    cache, under = both
    cache.set("k", "v", timeout=50)
    assert cache.touch("k", 5000) is True
    assert 4000 < ends(cache, "k") <= 5000
    assert cache.touch("k") is True
    assert 200 < ends(cache, "k") <= 300
    assert cache.touch("k", 0) is True
    assert cache.get("k") is None
    assert cache.touch("none") is False
    del under


def test_many_values_are_one_call_of_the_inner_cache(store: Path) -> None:
    with encrypted(store, inner(COUNTING)) as (cache, _):
        Counting.asked.clear()
        assert cache.set_many({f"k{n}": n for n in range(100)}) == []
        assert cache.get_many([f"k{n}" for n in range(110)]) == {f"k{n}": n for n in range(100)}
        cache.delete_many([f"k{n}" for n in range(50)])
        assert Counting.asked == ["set_many", "get_many", "delete_many"]
        assert len(cache.get_many([f"k{n}" for n in range(110)])) == 50


def test_the_asynchronous_half_does_the_same(both: tuple[BaseCache, BaseCache]) -> None:
    cache, _ = both

    async def use() -> None:
        await cache.aset("k", 1, timeout=5000)
        assert await cache.aget("k") == 1
        assert await cache.ahas_key("k")
        assert not await cache.aadd("k", 2)
        assert await cache.aincr("k", 4) == 5
        assert await cache.adecr("k") == 4
        assert await cache.aincr_version("k") == 2
        assert await cache.adecr_version("k", version=2) == 1
        assert await cache.atouch("k", 4000)
        assert await cache.aset_many({"a": 1, "b": 2}) == []
        assert await cache.aget_many(["a", "b", "c"]) == {"a": 1, "b": 2}
        await cache.adelete_many(["a"])
        assert await cache.aget_or_set("a", lambda: 3) == 3
        assert await cache.aget_or_set("a", lambda: 4) == 3
        assert await cache.adelete("a")
        await cache.aclear()
        assert await cache.aget("k", "missing") == "missing"
        await cache.aclose()

    asyncio.run(use())


def test_fifty_asynchronous_increments_are_fifty(both: tuple[BaseCache, BaseCache]) -> None:
    cache, _ = both

    async def use() -> None:
        await cache.aset("k", 0, timeout=5000)
        await asyncio.gather(*(cache.aincr("k") for _ in range(50)))

    asyncio.run(use())
    assert cache.get("k") == 50
    assert ends(cache, "k") > 4000


def test_every_asynchronous_method_is_its_own() -> None:
    theirs = {name for name in vars(BaseCache) if name.startswith("a") and callable(vars(BaseCache)[name])} - {"add"}
    defined = {name for cls in EncryptedCache.__mro__ if cls is not BaseCache for name in vars(cls)}
    assert len(theirs) == 16
    assert theirs <= defined


def test_a_value_that_the_codec_does_not_take_is_told_before_anything_is_stored(store: Path) -> None:
    with encrypted(store, inner(LOCMEM)) as (cache, under):
        with pytest.raises(FormatError, match="does not write") as told:
            cache.set_many({"a": 1, "b": object()})
        assert "SERIALIZER" in told.value.hint
        assert raw_names(under) == []


def test_with_a_serializer_that_pickles_it_takes_what_djangos_caches_take(store: Path) -> None:
    with encrypted(store, inner(LOCMEM), SERIALIZER=PICKLE) as (cache, _):
        value = {"when": datetime(2026, 11, 27, tzinfo=UTC), "what": Timestamp, "n": 7}
        cache.set("k", value)
        assert cache.get("k") == value
        cache.set("n", 5)
        assert cache.incr("n") == 6


def test_padding_hides_lengths_up_to_its_step(store: Path) -> None:
    for keyset in KEYSETS:
        with encrypted(store, inner(LOCMEM, LOCATION=keyset), KEYSET=keyset, PAD=256) as (cache, under):
            cache.set_many({"a": "", "b": "x" * 100, "c": "y" * 200})
            assert len({len(under.get(name)) for name in raw_names(under)}) == 1
            assert cache.get_many(["a", "b", "c"]) == {"a": "", "b": "x" * 100, "c": "y" * 200}


def test_prefix_version_and_key_function_are_the_outer_caches(store: Path) -> None:
    entry = {"KEY_PREFIX": "p", "VERSION": 3, "KEY_FUNCTION": lambda key, prefix, version: f"{version}/{prefix}/{key}"}
    with encrypted(store, inner(LOCMEM), entry=entry) as (cache, under):
        cache.set("k", 1)
        assert cache.get("k", version=3) == 1
        assert cache.get("k", version=1) is None
        assert isinstance(cache, EncryptedCache)
        assert raw_names(under) == [cache._entries.name("3/p/k")]


# --- settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs"),
        ({"CACHE": "inner"}, "needs KEYSET"),
        ({"CACHE": "inner", "KEYSET": "cache", "KEYSTOR": "default"}, "not an option"),
        ({"CACHE": "none", "KEYSET": "cache"}, "CACHES does not have"),
        ({"CACHE": "default", "KEYSET": "cache"}, "is an EncryptedCache itself"),
        ({"CACHE": "inner", "KEYSET": "cache", "SERIALIZER": "no.such.Thing"}, "cannot be made"),
        ({"CACHE": "inner", "KEYSET": "cache", "SERIALIZER": "builtins.dict"}, "no dumps and loads"),
        ({"CACHE": "inner", "KEYSET": "cache", "STRICT": "yes"}, "True or False"),
        ({"CACHE": "inner", "KEYSET": "cache", "PAD": -1}, "number of bytes"),
        ({"CACHE": "inner", "KEYSET": "Not A Name"}, "not a keyset name"),
        ({"CACHE": "pickles", "KEYSET": "cache"}, "unpickles what it finds"),
        ({"CACHE": "files", "KEYSET": "cache"}, "unpickles what it finds"),
    ],
)
def test_wrong_options_are_told_at_the_first_use_and_store_nothing(
    store: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    given = {
        "default": {"BACKEND": ENCRYPTED, "OPTIONS": options},
        "inner": {"BACKEND": LOCMEM},
        "pickles": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"},
        "files": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": tmp_path / "files"},
    }
    with override_settings(STRONGROOM={"default": {"STORE": store}}, CACHES=given):
        cache = caches["default"]
        with pytest.raises(SettingsError, match=message):
            cache.set("k", "v")
