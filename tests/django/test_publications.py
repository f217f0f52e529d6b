"""Publications in Django's caches: each backend is a real one. What a check would refuse is not opened either."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.test import override_settings

from strongroom._clock import SYSTEM_CLOCK
from strongroom.caching.locating import backend_of
from strongroom.caching.publication import HEAD
from strongroom.django import keystores
from strongroom.django.publications import DjangoCacheBackend
from strongroom.django.verbs import VERBS
from strongroom.errors import FormatError, NotFoundError, NotGrantedError, NotPublishedError, SettingsError, StoreError
from strongroom.keystore.opening import open_settings
from strongroom.keystore.publishing import publish
from strongroom.keystore.settings import StoreSettings
from strongroom.keystore.workers import grant
from strongroom.model.names import StoreId
from strongroom.sealing.identities import write_identity
from tests.support.memcached import Memcached
from tests.support.redis_server import RedisServer
from tests.workers.scenes import Site

OURS = "strongroom.django.serializers.BytesSerializer"
LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "publications"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site.make(tmp_path / ".strongroom", SYSTEM_CLOCK)
    made.keystore.create("box", "fernet")
    made.keystore.create("payroll", "secret")
    write_identity(tmp_path / "web.identity", made.group("web"))
    grant(made.keystore, "web", ["box"])
    yield made
    made.keystore.close()


Entry = Callable[[], dict[str, Any]]


@pytest.fixture(
    params=["locmem", "file", "redis", "django-redis", pytest.param("memcached", marks=pytest.mark.machine)]
)
def cache(request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer) -> Iterator[dict[str, Any]]:
    """An entry of CACHES, whose server runs."""
    waits = {"socket_timeout": 0.2, "socket_connect_timeout": 0.2}
    if request.param == "locmem":
        yield {**LOCMEM, "LOCATION": str(tmp_path)}
    elif request.param == "file":
        yield {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path / "cache")}
    elif request.param == "redis":
        options = {"serializer": OURS, **waits}
        yield {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": redis_server.url,
            "OPTIONS": options,
        }
    elif request.param == "django-redis":
        options = {"SERIALIZER": OURS, "SOCKET_TIMEOUT": 0.2, "SOCKET_CONNECT_TIMEOUT": 0.2}
        yield {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis_server.url, "OPTIONS": options}
    else:
        with Memcached() as server:
            yield {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": server.location}


def with_cache(entry: dict[str, Any], identity: Path, **store: object) -> Any:
    return override_settings(
        CACHES={"default": LOCMEM, "keys": entry},
        STRONGROOM={
            "default": {"CACHE": "keys", "IDENTITY": identity, "TIMEOUT": 0, "ALLOW_PICKLE_BACKEND": True, **store}
        },
    )


def test_a_worker_opens_what_was_published_in_a_cache(cache: dict[str, Any], site: Site, tmp_path: Path) -> None:
    with with_cache(cache, tmp_path / "web.identity", GROUP="web"):
        with pytest.raises(NotPublishedError, match="nothing is published at 'django-cache:keys'"):
            keystores["default"]
        (done,) = publish(site.keystore, to=["django-cache:keys"], allow_pickle=True)
        assert done.written == ("django-cache:keys",)
        (again,) = publish(site.keystore, to=["django-cache:keys?group=web"], allow_pickle=True)
        assert again.unchanged == ("django-cache:keys",)
        box = keystores["default"].fernet("box")
        assert box.decrypt(site.keystore.fernet("box").encrypt(b"x")) == b"x"
        with pytest.raises(NotGrantedError):
            keystores["default"].secret("payroll")
        site.keystore.rotate("box", now=True)
        publish(site.keystore, to=["django-cache:keys"], allow_pickle=True)
        deadline = SYSTEM_CLOCK.monotonic() + 20
        while box.version != 2:
            assert SYSTEM_CLOCK.monotonic() < deadline
        keystores.close_all()


def test_several_places_may_stand_in_for_each_other(
    site: Site, cache: dict[str, Any], redis_server: RedisServer, tmp_path: Path
) -> None:
    out = tmp_path / "web.publication"
    publish(site.keystore, out=out)
    with with_cache(cache, tmp_path / "web.identity", CACHE=f"keys file:{out}"):
        assert keystores["default"].names() == ("box",)
        assert "django-cache:keys file:" in keystores["default"].source.location
        keystores.close_all()


DATABASE_SITE = """
import sys
from django.conf import settings
settings.configure(
    SECRET_KEY="x", USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1] + "/db.sqlite3"}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "publications"}},
    STRONGROOM={
        "default": {"CACHE": "default", "IDENTITY": sys.argv[1] + "/web.identity", "ALLOW_PICKLE_BACKEND": True},
        "holder": {"STORE": sys.argv[1] + "/.strongroom", "CACHE": "default", "ALLOW_PICKLE_BACKEND": True},
    },
    INSTALLED_APPS=["strongroom.django"],
)
import django
django.setup()
from django.core.management import call_command
from strongroom.django import keystores
call_command("createcachetable", verbosity=0)
call_command("strongroom", "publish", "--keystore", "holder")
box = keystores["default"].fernet("box")
print(box.decrypt(keystores["holder"].fernet("box").encrypt(b"through the database")).decode())
keystores.close_all()
"""


def test_a_cache_in_the_database_carries_publications(site: Site, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", DATABASE_SITE, str(tmp_path)],
        env={**os.environ, "STRONGROOM_DEVELOPMENT": "1", "STRONGROOM_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.stdout.splitlines()[-1:] == ["through the database"], ended.stderr
    assert ended.stdout.startswith("published web to django-cache:default")


WATCHING_SITE = """
import sys
from django.conf import settings
settings.configure(
    SECRET_KEY="x", USE_TZ=True, INSTALLED_APPS=["strongroom.django"],
    STRONGROOM={"default": {"STORE": sys.argv[1] + "/.strongroom", "CACHE": "file:" + sys.argv[1] + "/p"}},
)
import django
django.setup()
from django.core.management import call_command
call_command("strongroom", "publish", "--watch")
"""


def test_a_watch_by_manage_py_goes_on_until_it_is_terminated(site: Site, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-c", WATCHING_SITE, str(tmp_path)],
        env={**os.environ, "STRONGROOM_DEVELOPMENT": "1", "STRONGROOM_STATE": str(tmp_path / "state")},
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        assert "published web to file:" in watching.stdout.readline()
        site.keystore.rotate("box", now=True)
        assert "published web to file:" in watching.stdout.readline()
        watching.terminate()
        assert watching.wait(60) == 0


def backend(identity: str = "keys", **options: Any) -> DjangoCacheBackend:
    made = backend_of(f"django-cache:{identity}", store=StoreId(bytes(16)), group="web", **options)
    assert isinstance(made, DjangoCacheBackend)
    return made


def publication(serial: int, size: int = 200) -> bytes:
    return b'{"format":"strongroom/1 publication","serial":%d,' % serial + b"x" * size


def test_the_head_is_the_cheap_question_and_names_the_rest(cache: dict[str, Any]) -> None:
    with override_settings(CACHES={"default": LOCMEM, "keys": cache}):
        place = backend(allow_pickle=True)
        for ask in (place.head, place.read):
            with pytest.raises(NotFoundError):
                ask()
        for serial in (1, 2):
            place.write(publication(serial), seconds=60)
            assert (place.head(), place.read()) == (publication(serial)[:HEAD], publication(serial))
        place.close()


def test_a_head_with_nothing_behind_it_is_nothing_and_junk_is_given_as_it_is() -> None:
    with override_settings(CACHES={"default": LOCMEM, "keys": {**LOCMEM, "LOCATION": "junk"}}):
        place = backend()
        key = place._key
        caches["keys"].set(key, publication(7)[:HEAD])
        with pytest.raises(NotFoundError):
            place.read()
        caches["keys"].set(key, b"junk")
        assert place.read() == b"junk"
        for planted in ("text", 7, ["list"], {"a": 1}):
            caches["keys"].set(key, planted)
            with pytest.raises(FormatError, match="where bytes were wanted"):
                place.head()


@pytest.mark.machine
def test_what_memcached_drops_is_told() -> None:
    with Memcached() as server:
        entry = {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": server.location}
        with override_settings(CACHES={"default": LOCMEM, "keys": entry}):
            place = backend(allow_pickle=True)
            place.write(publication(1), seconds=60)
            with pytest.raises(StoreError, match=r"'django-cache:keys' (did not keep|does not serve)"):
                place.write(publication(2, 3_000_000), seconds=60)
            assert place.read() == publication(1)  # what was there stands
            place.close()


class Trap:
    """What a pickle can do to whoever reads it."""

    def __init__(self, mark: Path) -> None:
        self._mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._mark,)


@pytest.mark.parametrize("kind", ["redis", "django-redis"])
def test_a_planted_pickle_is_bytes_and_runs_nothing(kind: str, redis_server: RedisServer, tmp_path: Path) -> None:
    core = kind == "redis"
    entry = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache" if core else "django_redis.cache.RedisCache",
        "LOCATION": redis_server.url,
        "OPTIONS": {"serializer" if core else "SERIALIZER": OURS},
    }
    with override_settings(CACHES={"default": LOCMEM, "keys": entry}):
        place = backend()
        place.write(publication(1), seconds=60)
        planted = pickle.dumps(Trap(tmp_path / "ran"))
        assert redis_server.command("KEYS", "*").count(b"strongroom") == 2
        import redis

        with redis.Redis.from_url(redis_server.url) as client:
            for key in client.scan_iter("*"):
                client.set(key, planted)
        assert place.read() == planted
        assert not (tmp_path / "ran").exists()
        with override_settings(CACHES={"default": LOCMEM, "keys": {**entry, "OPTIONS": {}}}):
            caches["keys"].get(place._key)  # the same alias without our serializer: the trap is a real one
        assert (tmp_path / "ran").exists()
        place.close()


@pytest.mark.parametrize(
    "entry",
    [
        {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/nowhere"},
        {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "table"},
        {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": "127.0.0.1:1"},
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"},
        {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1"},
        {"BACKEND": "some.package.UnknownCache"},
    ],
    ids=lambda entry: str(entry["BACKEND"]).rpartition(".")[0],
)
def test_what_unpickles_is_refused_at_opening(entry: dict[str, Any], site: Site, tmp_path: Path) -> None:
    with with_cache(entry, tmp_path / "web.identity", ALLOW_PICKLE_BACKEND=False):
        for opens in (lambda: keystores["default"], lambda: publish(site.keystore, to=["django-cache:keys"])):
            with pytest.raises(SettingsError, match="the cache 'keys' unpickles what it finds"):
                opens()


def test_a_dummy_and_a_missing_alias_are_told(site: Site) -> None:
    dummy = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
    with override_settings(CACHES={"default": LOCMEM, "keys": dummy}):
        with pytest.raises(SettingsError, match="the cache 'keys' keeps nothing: it is a DummyCache"):
            publish(site.keystore, to=["django-cache:keys"], allow_pickle=True)
        with pytest.raises(SettingsError, match="CACHES has no alias 'kyes'"):
            publish(site.keystore, to=["django-cache:kyes"])


def test_a_cache_that_fails_is_told_in_our_words_and_quotes_nothing() -> None:
    entry = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://:hidden-password@127.0.0.1:1",
        "OPTIONS": {"serializer": OURS},
    }
    with override_settings(CACHES={"default": LOCMEM, "keys": entry}):
        place = backend()
        with pytest.raises(StoreError, match="'django-cache:keys' does not serve: ConnectionError") as caught:
            place.head()
        assert "hidden" not in f"{caught.value} {place!r}"
        place.close()


def test_a_child_opens_the_cache_anew(redis_server: RedisServer) -> None:
    entry = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": redis_server.url,
        "OPTIONS": {"serializer": OURS},
    }
    with override_settings(CACHES={"default": LOCMEM, "keys": entry}):
        place = backend()
        place.write(publication(1), seconds=60)
        before = place._made
        child = os.fork()
        if child == 0:
            right = place.read() == publication(1) and place._made is not before
            os._exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert place.read() == publication(1)
        place.close()


def test_a_holder_publishes_to_the_alias_of_its_settings(site: Site, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("STRONGROOM_DEVELOPMENT", "1")
    monkeypatch.setenv("STRONGROOM_STATE", str(tmp_path / "state"))
    entry = {**LOCMEM, "LOCATION": str(tmp_path)}
    with override_settings(
        CACHES={"default": LOCMEM, "keys": entry},
        STRONGROOM={"default": {"STORE": site.directory, "CACHE": "keys"}},
    ):
        keystores["default"].rotate("box", now=True)
        worker = StoreSettings(store="django-cache:keys?group=web", identity=tmp_path / "web.identity", timeout=0)
        with open_settings(worker, environ={}) as keystore:
            assert keystore.fernet("box").version == 2
        assert "publish" in VERBS
        keystores.close_all()
