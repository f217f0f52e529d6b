"""With BytesSerializer, what somebody plants in Redis is bytes and nothing more. The server is real."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.test import override_settings

from strongroom.django.serializers import BytesSerializer
from strongroom.errors import FormatError
from strongroom.fernet import Fernet
from tests.support.redis_server import RedisServer

OURS = "strongroom.django.serializers.BytesSerializer"
PLANTED = ":1:planted"  # as Django writes KEY_PREFIX:VERSION:key


class Payload:
    """Unpickling it makes a file: the harmless end of what an attacker would run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def cache(server: RedisServer, serializer: str | None) -> override_settings:
    options = {} if serializer is None else {"serializer": serializer}
    backend = "django.core.cache.backends.redis.RedisCache"
    return override_settings(CACHES={"default": {"BACKEND": backend, "LOCATION": server.url, "OPTIONS": options}})


def plant(server: RedisServer, value: bytes) -> None:
    # protocol 0 is text, as a raw command wants it
    assert server.command("SET", PLANTED, value.decode("ascii")) == b"+OK\r\n"


def read() -> object:
    default: BaseCache = caches["default"]
    return default.get("planted")


def test_a_planted_pickle_is_not_executed(redis_server: RedisServer, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    pickled = pickle.dumps(Payload(mark), protocol=0)
    plant(redis_server, pickled)
    with cache(redis_server, OURS):
        assert read() == pickled
    assert not mark.exists()
    with cache(redis_server, None):  # so that this test could fail: Django's own serializer runs it
        read()
    assert mark.exists()


def test_a_planted_number_stays_the_bytes_that_were_planted(redis_server: RedisServer) -> None:
    plant(redis_server, b"9999999999")
    with cache(redis_server, OURS):
        assert read() == b"9999999999"


def test_tokens_come_back_as_they_went_in(redis_server: RedisServer) -> None:
    box = Fernet(Fernet.generate_key())
    token = box.encrypt(b"123-45-6789")
    with cache(redis_server, OURS):
        default = caches["default"]
        default.set("token", token, timeout=60)
        assert default.get("token") == token
        assert default.add("token", b"other") is False
        default.set_many({"a": b"\x00\xff", "b": bytearray(b"1"), "c": memoryview(b"2")})
        assert default.get_many(["a", "b", "c", "d"]) == {"a": b"\x00\xff", "b": b"1", "c": b"2"}
        assert default.get("missing", b"default") == b"default"
    assert token in redis_server.command("GET", ":1:token")


@pytest.mark.parametrize("value", ["text", 7, None, [b"1"], {"a": b"1"}, True])
def test_anything_but_bytes_is_refused_before_it_is_stored(redis_server: RedisServer, value: object) -> None:
    with cache(redis_server, OURS), pytest.raises(FormatError, match=type(value).__name__):
        caches["default"].set("planted", value)
    assert redis_server.command("EXISTS", PLANTED) == b":0\r\n"


def test_it_is_made_as_django_and_as_django_redis_make_it() -> None:
    assert BytesSerializer().dumps(b"x") == b"x"
    assert BytesSerializer(options={"PICKLE_VERSION": 5}).loads(b"x") == b"x"
    assert BytesSerializer(protocol=5).loads(memoryview(b"x")) == b"x"


def test_a_number_is_not_turned_into_that_many_zero_bytes() -> None:
    with pytest.raises(FormatError):
        BytesSerializer().loads(9999999999)
