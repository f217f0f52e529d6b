"""strongroom.open with a URL of publications: an identity file, no root, and the group that the identity is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom.errors import IdentityError, NotGrantedError, NotPublishedError, PassphraseError, SettingsError
from strongroom.keystore.opening import open_settings, open_store
from strongroom.keystore.publishing import publish
from strongroom.keystore.settings import StoreSettings
from strongroom.keystore.workers import create_worker, grant
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.identities import WorkerIdentity, write_identity
from strongroom.sealing.passphrase import Cost
from tests.support.redis_server import RedisServer
from tests.workers.scenes import Site

PASSPHRASE = "violet anchor 42 drums"


@pytest.fixture
def live(place: Path) -> Any:
    """A site under the machine's clock, with the group `web` and its identity in `web.identity`."""
    made = Site.make(place / ".strongroom", SYSTEM_CLOCK)
    made.keystore.create("box", "fernet")
    write_identity(place / "web.identity", made.group("web"))
    grant(made.keystore, "web", ["box"])
    yield made
    made.keystore.close()


@pytest.fixture
def identity(live: Site, place: Path) -> Path:
    return place / "web.identity"


def test_a_file_opens(live: Site, identity: Path, place: Path) -> None:
    (done,) = publish(live.keystore, out=place / "web.publication")
    assert done.written == (f"file:{place / 'web.publication'}",)
    token = live.keystore.fernet("box").encrypt(b"x")
    with open_store(f"file:{place}/web.publication?group=web", identity=identity, environ={}) as keystore:
        assert keystore.fernet("box").decrypt(token) == b"x"
        with pytest.raises(NotGrantedError):
            keystore.secret("payroll")


def test_redis_opens_and_the_file_stands_in_for_it(
    live: Site, identity: Path, place: Path, redis_server: RedisServer
) -> None:
    out = place / "web.publication"
    publish(live.keystore, out=out, to=[redis_server.url])
    both = f"{redis_server.url}?group=web file:{out}?group=web"
    environ = {"STRONGROOM_STORE": both, "STRONGROOM_IDENTITY_FILE": str(identity)}
    for _ in range(2):
        with open_store(environ=environ) as keystore:
            assert keystore.names() == ("box",)
        redis_server.command("FLUSHALL")
    (cache, file) = publish(live.keystore, out=out, to=[redis_server.url])
    assert (len(cache.written), cache.unchanged, file.written, len(file.unchanged)) == (1, (), (), 1)


def test_the_settings_of_a_worker_name_its_cache_and_no_store(
    live: Site, identity: Path, redis_server: RedisServer
) -> None:
    publish(live.keystore, to=[redis_server.url])
    settings = StoreSettings.from_mapping({"CACHE": redis_server.url, "GROUP": "web", "IDENTITY": identity})
    with open_settings(settings, environ={}) as keystore:
        assert keystore.names() == ("box",)
    (done,) = publish(live.keystore, to=[redis_server.url], force=True)
    above = {"CACHE": redis_server.url, "IDENTITY": identity, "TIMEOUT": 0, "MIN_SERIAL": done.serial + 1}
    with pytest.raises(NotPublishedError, match="was seen or asked for"):
        open_settings(StoreSettings.from_mapping(above), environ={})


def test_an_identity_of_another_group_is_told(live: Site, identity: Path) -> None:
    with pytest.raises(SettingsError, match="of the worker group 'web', not 'batch'"):
        open_store("file:/nowhere?group=batch", identity=identity, environ={})


def test_without_an_identity_nothing_opens(place: Path) -> None:
    with pytest.raises(IdentityError, match="none was given"):
        open_store("file:/nowhere?group=web", environ={})


def test_nothing_published_is_said_after_the_wait(live: Site, identity: Path, place: Path) -> None:
    settings = StoreSettings(store=f"file:{place}/none", identity=identity, timeout=0.2)
    with pytest.raises(NotPublishedError, match="there is no 'file:"):
        open_settings(settings, environ={})


def test_an_identity_wants_its_passphrase(live: Site, place: Path) -> None:
    made = live.group("batch", key=1)
    assert isinstance(made, WorkerIdentity)
    path = place / "batch.identity"
    write_identity(
        path, made, passphrase=SecretBytes(PASSPHRASE.encode()), cost=Cost(memory_kib=19_456, iterations=2, lanes=1)
    )
    publish(live.keystore, ["batch"], out=place / "batch.publication")
    url = f"file:{place}/batch.publication"
    with pytest.raises(PassphraseError, match="none was given"):
        open_store(url, identity=path, environ={})
    with pytest.raises(PassphraseError, match="does not open"):
        open_store(url, identity=path, passphrase="another one 17 oaks", environ={})
    with open_store(url, identity=path, passphrase=PASSPHRASE, environ={}) as keystore:
        assert keystore.names() == ()


def test_a_workers_identity_opens_no_store(live: Site, identity: Path) -> None:
    with pytest.raises(IdentityError, match="opens publications and no store"):
        open_store(live.directory, identity=identity, environ={})


def test_the_identity_that_create_writes_opens_what_is_published(live: Site, place: Path) -> None:
    made = create_worker(live.keystore, "batch", place / "made.identity", bits=2048)
    grant(live.keystore, "batch", ["box"])
    publish(live.keystore, ["batch"], out=place / "p")
    with open_store(f"file:{place}/p", identity=made.identity, environ={}) as keystore:
        assert keystore.names() == ("box",)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "needs a place"),
        ({"to": ["ftp://nowhere"]}, "is no place for publications"),
        ({"to": ["redis://h?group=a&group=b"]}, "more than one group"),
    ],
)
def test_a_place_that_is_none_is_told(live: Site, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        publish(live.keystore, **arguments)


def test_one_file_does_not_hold_two_groups(live: Site, place: Path) -> None:
    live.group("batch", key=1)
    with pytest.raises(SettingsError, match="a file holds the publication of one group"):
        publish(live.keystore, out=place / "p")


def test_a_holder_with_a_cache_publishes_after_each_change(
    live: Site, identity: Path, redis_server: RedisServer
) -> None:
    settings = StoreSettings(store=str(live.directory), cache=redis_server.url)
    environ = {"STRONGROOM_DEVELOPMENT": "1", "STRONGROOM_STATE": str(identity.parent / "state")}
    with open_settings(settings, environ=environ) as holder:
        holder.rotate("box", now=True)
        with open_store(f"{redis_server.url}?group=web", identity=identity, environ={}) as worker:
            assert worker.fernet("box").version == 2
            holder.create("mail", "secret")
            grant(holder, "web", ["mail"])
            deadline = SYSTEM_CLOCK.monotonic() + 5
            while worker.names() != ("box", "mail"):
                assert SYSTEM_CLOCK.monotonic() < deadline


def test_a_change_stands_where_it_cannot_be_published(
    live: Site, identity: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = StoreSettings(store=str(live.directory), cache="redis://127.0.0.1:1/0")
    environ = {"STRONGROOM_DEVELOPMENT": "1", "STRONGROOM_STATE": str(identity.parent / "state")}
    with open_settings(settings, environ=environ) as holder:
        holder.rotate("box", now=True)
        assert holder.fernet("box").version == 2
    assert "event=publish-failed" in caplog.text
