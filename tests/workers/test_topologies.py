"""Redis as production has it: a Cluster, and a failover under a Sentinel. The worker's code knows nothing of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom.caching.breaker import Guarded
from strongroom.caching.locating import backend_of
from strongroom.caching.redis_clients import shown
from strongroom.caching.worker import WorkerSource
from strongroom.errors import SettingsError, StoreError, StrongroomError
from strongroom.keystore import publishing, workers
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_store
from strongroom.sealing.identities import WorkerIdentity, write_identity
from tests.support.redis_topologies import cluster, sentinel, wait_for
from tests.workers.scenes import Site

machine = pytest.mark.machine


def live(place: Path) -> tuple[Site, Path]:
    site = Site.make(place / ".strongroom", SYSTEM_CLOCK)
    site.keystore.create("box", "fernet")
    write_identity(place / "web.identity", site.group("web"))
    workers.grant(site.keystore, "web", ["box"])
    return site, place / "web.identity"


@machine
def test_a_cluster_of_three_carries_publications(place: Path) -> None:
    site, identity = live(place)
    with cluster() as nodes:
        url = f"redis+cluster://127.0.0.1:{nodes[0].port},127.0.0.1:{nodes[1].port}"
        publishing.publish(site.keystore, to=[url])
        with open_store(f"{url}?group=web", identity=identity, environ={}) as keystore:
            box = keystore.fernet("box")
            assert box.decrypt(site.keystore.fernet("box").encrypt(b"x")) == b"x"
            site.keystore.rotate("box", now=True)
            publishing.publish(site.keystore, to=[url])
            wait_for(lambda: box.version == 2)
            for node in nodes:  # whichever holds the key is down: what is held serves
                node.stop()
            time.sleep(2)
            assert box.version == 2
            with pytest.raises(StoreError, match="not everything was published"):
                publishing.publish(site.keystore, to=[url], force=True)
    site.keystore.close()


@machine
def test_a_failover_is_borne_and_the_new_master_is_found(place: Path) -> None:
    site, identity = live(place)
    with sentinel() as watched:
        publishing.publish(site.keystore, to=[watched.url])
        with open_store(f"{watched.url}?group=web", identity=identity, environ={}) as keystore:
            box = keystore.fernet("box")
            token = box.encrypt(b"before")
            watched.master.stop()
            end = time.monotonic() + 90
            while watched.master_port() != watched.replica.port:
                assert time.monotonic() < end
                assert box.decrypt(token) == b"before"
                time.sleep(0.05)
            site.keystore.rotate("box", now=True)

            def published() -> bool:
                try:
                    publishing.publish(site.keystore, to=[watched.url])
                except StrongroomError:
                    return False
                return True

            wait_for(published)
            wait_for(lambda: box.version == 2)
            assert box.decrypt(token) == b"before"
    site.keystore.close()


@machine
def test_a_worker_that_hears_nothing_finds_the_new_master_too(place: Path) -> None:
    site, _ = live(place)
    made = site.group("batch", key=1)
    assert isinstance(made, WorkerIdentity)
    workers.grant(site.keystore, "batch", ["box"])
    with sentinel() as watched:
        publishing.publish(site.keystore, to=[watched.url])
        place_ = backend_of(watched.url, store=made.store, group="batch")
        with KeyStore(WorkerSource(made, [place_])) as keystore:
            box = keystore.fernet("box")
            watched.master.stop()
            wait_for(lambda: watched.master_port() == watched.replica.port)
            site.keystore.rotate("box", now=True)
            wait_for(lambda: _published(site, watched.url))
            until = time.monotonic() + Guarded.LONGEST + 60
            while box.version != 2:
                assert time.monotonic() < until
                time.sleep(0.1)
    site.keystore.close()


def _published(site: Site, url: str) -> bool:
    try:
        publishing.publish(site.keystore, to=[url])
    except StrongroomError:
        return False
    return True


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis+sentinel://u:secret@a:1,b/keys/2?sentinel_password=hush", "redis+sentinel://a:1,b:26379/keys/2"),
        ("rediss+cluster://:secret@[::1]:7000,h", "rediss+cluster://::1:7000,h:6379"),
        ("unix://:secret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("rediss://h", "rediss://h:6379"),
    ],
)
def test_a_place_is_told_without_its_passwords(url: str, told: str) -> None:
    assert shown(url) == told


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://127.0.0.1:1",
        "redis+sentinel://:secret@/keys",
        "redis+sentinel://127.0.0.1:1,,/keys",
        "redis+sentinel://127.0.0.1:99999999/keys",
        "redis+cluster://:secret@127.0.0.1:1/3",
        "redis+sentinel://:secret@h/keys/two",
    ],
)
def test_what_is_no_place_is_told_without_its_password(url: str, web: WorkerIdentity) -> None:
    with pytest.raises(SettingsError, match="is no URL of a Redis") as caught:
        backend_of(url, store=web.store, group="web").read()
    assert "secret" not in str(caught.value)


def test_a_dead_cluster_and_dead_sentinels_are_told_soon(web: WorkerIdentity) -> None:
    for url in ("redis+cluster://127.0.0.1:1,127.0.0.1:2", "redis+sentinel://:secret@127.0.0.1:1,127.0.0.1:2/keys"):
        with pytest.raises(StoreError, match="does not serve") as caught:
            backend_of(url, store=web.store, group="web").read()
        assert "secret" not in str(caught.value)
