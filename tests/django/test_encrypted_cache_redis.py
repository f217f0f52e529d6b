"""EncryptedCache over a real Redis that others write to, that dies, and that hangs. What is planted does not run."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.test import override_settings

from strongroom.django.cache import EncryptedCache, refusals
from strongroom.errors import SettingsError
from tests.django.cache_sites import CORE_REDIS, DJANGO_REDIS, ENCRYPTED, PICKLE, encrypted, inner, make_keys
from tests.support.redis_server import RedisServer

BACKENDS = [CORE_REDIS, DJANGO_REDIS]


class Payload:
    """Unpickling it makes a file: the harmless end of what an attacker would run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.fixture
def store(development: Path) -> Path:
    make_keys(development)
    return development


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """Whoever may write to this Redis."""
    made = redis.Redis.from_url(redis_server.url)
    yield made
    made.close()


@pytest.fixture(params=BACKENDS, ids=["core", "django-redis"])
def cache(store: Path, redis_server: RedisServer, request: pytest.FixtureRequest) -> Iterator[BaseCache]:
    with encrypted(store, inner(request.param, redis_server)) as (made, _):
        yield made
        caches["inner"].clear()
        caches.close_all()


def raw_name(cache: BaseCache, key: str) -> str:
    """The Redis key under which a value lies."""
    assert isinstance(cache, EncryptedCache)
    return f":1:{cache._entries.name(cache.make_key(key))}"


def test_in_redis_there_are_hidden_names_and_tokens_that_expire(cache: BaseCache, client: redis.Redis) -> None:
    cache.set("student-078-05-1120", {"grade": "needle"}, timeout=500)
    cache.set("for-ever", 1, timeout=None)
    name = raw_name(cache, "student-078-05-1120").encode()
    assert set(client.keys()) == {name, raw_name(cache, "for-ever").encode()}
    assert b"needle" not in client.get(name)
    assert client.get(name).startswith(b"gAAAA")
    assert 400 < client.ttl(name) <= 500
    assert client.ttl(raw_name(cache, "for-ever")) == -1
    assert cache.incr("for-ever") == 2
    assert client.ttl(raw_name(cache, "for-ever")) == -1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_planted_pickle_does_not_run(cache: BaseCache, client: redis.Redis, tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "executed"
    cache.set("k", "v")
    client.set(raw_name(cache, "k"), pickle.dumps(Payload(mark), protocol=protocol))
    assert cache.get("k", "missing") == "missing"
    assert not mark.exists()
    assert client.get(raw_name(cache, "k")) is None


def test_nor_where_the_site_itself_pickles_because_it_was_not_sealed(
    store: Path, redis_server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    mark = tmp_path / "executed"
    with encrypted(store, inner(CORE_REDIS, redis_server), SERIALIZER=PICKLE) as (cache, _):
        client.set(raw_name(cache, "k"), pickle.dumps(Payload(mark)))
        assert cache.get("k") is None
        assert not mark.exists()
        cache.set("k", Payload(mark))  # so that this test could fail: what was sealed is unpickled
        cache.get("k")
        assert mark.exists()
        caches.close_all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_over_a_redis_that_unpickles_nothing_is_read_at_all(
    store: Path, redis_server: RedisServer, client: redis.Redis, tmp_path: Path, backend: str
) -> None:
    mark = tmp_path / "executed"
    pickled = {"BACKEND": backend, "LOCATION": redis_server.url}
    options = {"CACHE": "inner", "KEYSET": "cache", "ALLOW_PICKLE_BACKEND": True}
    given = {"default": {"BACKEND": ENCRYPTED, "OPTIONS": options}, "inner": pickled}
    with override_settings(STRONGROOM={"default": {"STORE": store}}, CACHES=given):
        client.set(":1:k", pickle.dumps(Payload(mark)))
        with pytest.raises(SettingsError, match="unpickles") as told:
            caches["default"].get("k")
        assert "BytesSerializer" in told.value.hint
        assert not mark.exists()


def test_a_planted_number_of_ten_digits_asks_for_no_memory(cache: BaseCache, client: redis.Redis) -> None:
    client.set(raw_name(cache, "k"), "9999999999")
    assert cache.get("k") is None


@pytest.mark.parametrize("plant", ["rpush", "sadd", "hset", "zadd"])
def test_a_planted_value_of_another_type_is_a_miss_that_can_be_written_over(
    cache: BaseCache, client: redis.Redis, plant: str
) -> None:
    arguments: dict[str, tuple[Any, ...]] = {"hset": ("a", "b"), "zadd": ({"a": 1},)}
    for write in (cache.set, cache.add):
        name = raw_name(cache, "k")
        client.delete(name)
        getattr(client, plant)(name, *arguments.get(plant, ("a",)))
        assert cache.get("k", "missing") == "missing"
        assert cache.get_many(["k"]) == {}
        with pytest.raises(ValueError, match="not found"):
            cache.incr("k")
        write("k", "v")
        assert cache.get("k") == "v"


def test_one_planted_value_does_not_spoil_its_neighbours(cache: BaseCache, client: redis.Redis) -> None:
    cache.set_many({f"k{n}": n for n in range(10)})
    client.set(raw_name(cache, "k3"), b"planted")
    client.delete(raw_name(cache, "k4"))
    client.rpush(raw_name(cache, "k4"), "a")
    refusals.counts.clear()
    assert cache.get_many([f"k{n}" for n in range(10)]) == {f"k{n}": n for n in range(10) if n not in {3, 4}}
    assert refusals.counts == {"unopened": 1}


def test_a_prolonged_value_is_a_miss(cache: BaseCache, client: redis.Redis) -> None:
    import time

    assert isinstance(cache, EncryptedCache)
    cache.set("k", "v", timeout=1)
    client.persist(raw_name(cache, "k"))
    deadline = time.monotonic() + 30
    while cache.get("k") is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert cache.add("k", "next") is True
    assert cache.get("k") == "next"


def test_large_values_go_through(cache: BaseCache) -> None:
    value = os.urandom(3 << 20)
    cache.set("k", value)
    assert cache.get("k") == value


def test_when_redis_is_gone_its_own_error_comes_through_and_when_it_is_back_all_goes_on(
    store: Path, redis_server: RedisServer
) -> None:
    for backend in BACKENDS:
        with RedisServer() as server, encrypted(store, inner(backend, server)) as (cache, _):
            cache.set("k", "v")
            server.stop()
            for use in (lambda: cache.get("k"), lambda: cache.set("k", "v"), lambda: cache.get_many(["k"])):
                with pytest.raises(redis.exceptions.ConnectionError):
                    use()
            server.start()
            assert cache.get("k") is None
            cache.set("k", "v")
            assert cache.get("k") == "v"
            caches.close_all()


def test_when_redis_hangs_its_time_limit_is_ours(store: Path) -> None:
    with RedisServer() as server:
        under = inner(CORE_REDIS, server, OPTIONS={"socket_timeout": 0.2, "retry": None})
        with encrypted(store, under) as (cache, _):
            cache.set("k", "v")
            os.kill(server.pid, signal.SIGSTOP)
            try:
                with pytest.raises(redis.exceptions.TimeoutError):
                    cache.get("k")
            finally:
                os.kill(server.pid, signal.SIGCONT)
            caches.close_all()


def test_django_redis_that_ignores_a_dead_server_gives_misses(store: Path) -> None:
    with RedisServer() as server:
        under = inner(DJANGO_REDIS, server, OPTIONS={"IGNORE_EXCEPTIONS": True})
        with encrypted(store, under) as (cache, _):
            cache.set("k", "v")
            server.stop()
            assert cache.get("k", "missing") == "missing"
            assert cache.get_many(["k"]) == {}
            cache.set("k", "v")
            assert cache.set_many({"k": "v"}) == []
            assert cache.add("k", "v") is False
            cache.delete_many(["k"])
            assert cache.touch("k") is False
            caches.close_all()
