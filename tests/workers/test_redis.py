"""Redis in trouble, each time a real server: a worker keeps what it has, waits a bounded time, and recovers."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom.caching.breaker import Guarded
from strongroom.caching.file_backend import FileBackend
from strongroom.caching.locating import backend_of, split_group
from strongroom.caching.observing import LoggingObserver
from strongroom.caching.publication import MAX_PUBLICATION
from strongroom.caching.publisher import LIFE
from strongroom.caching.redis_backend import RedisBackend
from strongroom.caching.worker import WorkerSource
from strongroom.errors import FormatError, NotFoundError, NotPublishedError, SettingsError, StoreError
from strongroom.keystore import publishing, workers
from strongroom.keystore.facade import KeyStore
from strongroom.sealing.identities import WorkerIdentity
from tests.support.redis_server import RedisServer
from tests.workers.scenes import HandClock, Site, source


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that the test may stop."""
    with RedisServer() as server:
        yield server


def redis_of(server: RedisServer, identity: WorkerIdentity) -> RedisBackend:
    return RedisBackend(server.url, store=identity.store, group=identity.group)


def worker_at(server: RedisServer, site: Site, identity: WorkerIdentity, clock: HandClock) -> WorkerSource:
    """A worker that has loaded what is published at the server."""
    publishing.publish(site.keystore, to=[server.url])
    worker = source(identity, redis_of(server, identity), clock=clock)
    worker.load("box")
    return worker


def waited(worker: WorkerSource, clock: HandClock, questions: int) -> list[float]:
    """Seconds of each of so many look-ups, a tenth of a second apart by the worker's clock."""
    taken = []
    for _ in range(questions):
        clock.move(0.1)
        begun = time.perf_counter()
        worker.load("box")
        taken.append(time.perf_counter() - begun)
    return sorted(taken)


def recovers(worker: WorkerSource, server: RedisServer, site: Site, clock: HandClock) -> None:
    """Without a restart, the worker takes the next publication."""
    (done,) = publishing.publish(site.keystore, to=[server.url], force=True)
    clock.move(Guarded.LONGEST + 1)
    worker.load("box")
    assert worker.serial == done.serial


def test_a_dead_server_is_borne(own_redis: RedisServer, site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    worker = worker_at(own_redis, site, web, clock)
    own_redis.stop()
    assert waited(worker, clock, 1000)[990] <= 0.05
    own_redis.start()  # and empty
    recovers(worker, own_redis, site, clock)


def test_a_server_that_hangs_is_borne(
    own_redis: RedisServer, site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    worker = worker_at(own_redis, site, web, clock)
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        taken = waited(worker, clock, 1000)
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)
    assert taken[-1] < 0.6
    assert taken[990] <= 0.05
    recovers(worker, own_redis, site, clock)


def test_a_paused_server_is_borne(redis_server: RedisServer, site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    worker = worker_at(redis_server, site, web, clock)
    redis_server.command("CLIENT", "PAUSE", "1500", "ALL")
    assert waited(worker, clock, 20)[-1] < 0.6
    time.sleep(1.6)
    recovers(worker, redis_server, site, clock)


def test_what_it_had_ends_when_it_expires_and_the_error_says_what_failed(
    own_redis: RedisServer, site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    worker = worker_at(own_redis, site, web, clock)
    own_redis.stop()
    clock.move(LIFE + 59)
    worker.load("box")
    clock.move(2)
    with pytest.raises(NotPublishedError, match="does not serve: ConnectionError"):
        worker.load("box")


def test_a_restarted_empty_server_takes_nothing_away_and_gets_it_back(
    own_redis: RedisServer, site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    worker = worker_at(own_redis, site, web, clock)
    serial = worker.serial
    own_redis.stop()
    own_redis.start()
    clock.move(2)
    worker.load("box")
    (done,) = publishing.publish(site.keystore, to=[own_redis.url])
    assert done.written
    clock.move(2)
    worker.load("box")
    assert worker.serial == done.serial > serial


def test_a_value_of_another_type_is_refused(
    redis_server: RedisServer, site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    worker = worker_at(redis_server, site, web, clock)
    backend = redis_of(redis_server, web)
    redis_server.command("DEL", backend.key)
    redis_server.command("LPUSH", backend.key, "x")
    clock.move(2)
    worker.load("box")
    assert isinstance(worker.observer, LoggingObserver)
    assert worker.observer.counts["refused.format"] == 1
    with pytest.raises(FormatError, match="another type"):
        backend.read()
    recovers(worker, redis_server, site, clock)
    backend.close()


def test_a_hundred_megabytes_are_not_fetched(
    redis_server: RedisServer, site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    worker = worker_at(redis_server, site, web, clock)
    backend = redis_of(redis_server, web)
    redis_server.command("SETRANGE", backend.key, str(100_000_000), "x")
    with pytest.raises(FormatError, match=f"more than {MAX_PUBLICATION} bytes"):
        backend.read()
    assert len(backend.head()) < 100
    clock.move(2)
    worker.load("box")
    redis_server.command("SET", backend.key, "y" * 100)
    clock.move(2)
    worker.load("box")
    recovers(worker, redis_server, site, clock)
    backend.close()


def test_a_full_server_and_a_read_only_one_refuse_the_publisher_in_our_words(
    own_redis: RedisServer, site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    worker = worker_at(own_redis, site, web, clock)
    own_redis.command("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StoreError, match="not everything was published"):
        publishing.publish(site.keystore, to=[own_redis.url], force=True)
    own_redis.command("CONFIG", "SET", "maxmemory", "0")
    own_redis.command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(StoreError, match=r"not everything was published: .*read.?only"):
        publishing.publish(site.keystore, to=[own_redis.url], force=True)
    clock.move(2)
    worker.load("box")
    own_redis.command("REPLICAOF", "NO", "ONE")
    recovers(worker, own_redis, site, clock)


def test_a_server_that_evicts_takes_nothing_away(
    own_redis: RedisServer, site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    worker = worker_at(own_redis, site, web, clock)
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    own_redis.command("CONFIG", "SET", "maxmemory", "1")
    own_redis.command("SET", "filler", "x")
    clock.move(2)
    assert worker.load("box").material(1)
    own_redis.command("CONFIG", "SET", "maxmemory", "0")
    recovers(worker, own_redis, site, clock)


def test_a_changed_password_is_told_and_shown_nowhere(own_redis: RedisServer, web: WorkerIdentity) -> None:
    own_redis.command("CONFIG", "SET", "requirepass", "right-one")
    for url in (own_redis.url, own_redis.url.replace("redis://", "redis://:wrong-one@")):
        backend = RedisBackend(url, store=web.store, group="web")
        with pytest.raises(StoreError, match=r"Authentication|WRONGPASS|NOAUTH") as caught:
            backend.read()
        assert "wrong-one" not in f"{caught.value} {backend!r} {backend.location}"
        backend.close()


def test_a_worker_bears_a_password_that_changes_under_it(
    own_redis: RedisServer, site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    worker = worker_at(own_redis, site, web, clock)
    own_redis.command("CONFIG", "SET", "requirepass", "right-one")
    # whoever had asked before is unknown now
    with socket.create_connection(("127.0.0.1", own_redis.port), timeout=60) as asked:
        asked.sendall(b"AUTH right-one\r\nCLIENT KILL TYPE normal SKIPME yes\r\n")
        assert asked.recv(4096).startswith(b"+OK")
        assert waited(worker, clock, 100)[-1] < 0.6
        assert "Auth" in worker.standing().places[0].trouble
        assert "right-one" not in worker.standing().places[0].trouble
        asked.sendall(b"CONFIG SET requirepass ''\r\n")
        assert b"+OK" in asked.recv(4096)
    recovers(worker, own_redis, site, clock)


def test_a_load_of_a_hundred_keysets_is_one_round_trip(
    own_redis: RedisServer, site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    import redis

    names = [f"keyset-{number}" for number in range(100)]
    for name in names:
        site.keystore.create(name, "fernet")
    workers.grant(site.keystore, "web", names)
    publishing.publish(site.keystore, to=[own_redis.url])
    worker = source(web, redis_of(own_redis, web), clock=clock)
    with redis.Redis.from_url(own_redis.url) as client:

        def asked() -> int:
            return int(client.info("commandstats").get("cmdstat_getrange", {"calls": 0})["calls"])

        before = asked()
        assert len(worker.names()) == 101
        assert asked() == before + 2  # the head, and the whole
        clock.move(1)
        worker.load_all()
        assert asked() == before + 3  # the head alone
    worker.close()


def test_nothing_there_is_not_found(redis_server: RedisServer, web: WorkerIdentity) -> None:
    backend = redis_of(redis_server, web)
    for ask in (backend.head, backend.read):
        with pytest.raises(NotFoundError):
            ask()
    backend.close()
    backend.close()


def test_what_is_published_goes_by_itself(redis_server: RedisServer, site: Site, web: WorkerIdentity) -> None:
    publishing.publish(site.keystore, to=[redis_server.url], life=60)
    assert redis_server.command("TTL", redis_of(redis_server, web).key) in {b":60\r\n", b":59\r\n"}


def test_a_child_uses_no_socket_of_its_parent(redis_server: RedisServer, site: Site, web: WorkerIdentity) -> None:
    publishing.publish(site.keystore, to=[redis_server.url])
    backend = redis_of(redis_server, web)
    raw = backend.read()
    read, write = os.pipe()
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            right = all(backend.read() == raw for _ in range(200))
            os.write(write, b"1" if right else b"0")
            os._exit(0)
        children.append(child)
    assert all(backend.read() == raw for _ in range(200))
    for child in children:
        os.waitpid(child, 0)
    assert os.read(read, 2) == b"11"
    os.close(read)
    os.close(write)
    backend.close()


def test_threads_share_a_worker(redis_server: RedisServer, site: Site, web: WorkerIdentity) -> None:
    publishing.publish(site.keystore, to=[redis_server.url])
    worker = WorkerSource(web, [redis_of(redis_server, web)], clock=site.clock, recheck=0.0)
    with KeyStore(worker, clock=SYSTEM_CLOCK) as keystore:
        box = keystore.fernet("box")
        failed: list[BaseException] = []

        def use() -> None:
            try:
                for _ in range(200):
                    assert box.decrypt(box.encrypt(b"x")) == b"x"
                    keystore.show("box")
            except BaseException as error:  # noqa: BLE001  told below
                failed.append(error)

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert failed == []


def test_a_change_reaches_a_worker_that_only_asks(redis_server: RedisServer, place: Path) -> None:
    site = Site.make(place / "live", SYSTEM_CLOCK)
    identity = site.group("web")
    site.keystore.create("box", "fernet")
    workers.grant(site.keystore, "web", ["box"])
    publishing.publish(site.keystore, to=[redis_server.url])
    with KeyStore(WorkerSource(identity, [redis_of(redis_server, identity)])) as keystore:
        box = keystore.fernet("box")
        site.keystore.rotate("box", now=True)
        publishing.publish(site.keystore, to=[redis_server.url])
        begun = time.monotonic()
        while box.version != 2:
            assert time.monotonic() < begun + 60
            time.sleep(0.05)
    site.keystore.close()


@pytest.mark.parametrize(
    ("url", "bare", "group"),
    [
        ("redis://h:1/2?group=web", "redis://h:1/2", "web"),
        ("redis://h?group=web&ssl_cert_reqs=none", "redis://h?ssl_cert_reqs=none", "web"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1", None),
        ("file:/a/b", "file:/a/b", None),
    ],
)
def test_a_group_is_taken_out_of_a_url(url: str, bare: str, group: str | None) -> None:
    assert split_group(url) == (bare, group)


@pytest.mark.parametrize("url", ["redis://:secret@h:port/0", "redis://:secret@h/0?socket_timeout=y"])
def test_a_url_that_is_none_is_told_without_its_password(web: WorkerIdentity, url: str) -> None:
    with pytest.raises((SettingsError, StoreError)) as caught:
        backend_of(url, store=web.store, group="web").read()
    assert "secret" not in str(caught.value)


def test_a_file_is_replaced_whole_and_may_be_behind_a_link(place: Path) -> None:
    (place / "data").mkdir()
    FileBackend(place / "data" / "p").write(b"one", seconds=1)
    (place / "link").symlink_to(place / "data" / "p")
    reader = FileBackend(place / "link")
    assert reader.read() == b"one"
    FileBackend(place / "data" / "p").write(b"two", seconds=1)
    assert (reader.read(), reader.head()) == (b"two", b"two")
    assert [each.name for each in (place / "data").iterdir()] == ["p"]


def test_what_is_no_file_is_told(place: Path) -> None:
    os.mkfifo(place / "fifo")
    for bad in (place / "fifo", place):
        with pytest.raises((FormatError, StoreError)):
            FileBackend(bad).read()
    with pytest.raises(StoreError):
        FileBackend(place / "none" / "p").write(b"x", seconds=1)
    (place / "large").write_bytes(bytes(MAX_PUBLICATION + 1))
    with pytest.raises(FormatError, match="more than"):
        FileBackend(place / "large").read()


def test_the_breaker_opens_after_three_failures_and_lets_one_question_through(clock: HandClock) -> None:
    from tests.workers.scenes import Shelf

    shelf = Shelf(b"raw")
    guarded = Guarded(shelf, clock=clock)
    shelf.trouble = StoreError("down")
    for _ in range(10):
        with pytest.raises(StoreError, match="down"):
            guarded.head()
    assert (shelf.heads, guarded.is_open) == (3, True)
    clock.move(Guarded.PAUSE)
    with pytest.raises(StoreError):
        guarded.head()
    with pytest.raises(StoreError):
        guarded.head()
    assert shelf.heads == 4
    shelf.trouble = None
    clock.move(Guarded.PAUSE)
    with pytest.raises(StoreError):
        guarded.head()
    clock.move(Guarded.PAUSE)  # twice as long after the next failure
    assert guarded.head() == b"raw"
    assert not guarded.is_open
