"""Changes reach a worker that listens at once, and look-ups do not stand at a socket. Without a voice it asks on."""

from __future__ import annotations

import gc
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom.caching.forklock import QuietLock
from strongroom.caching.keeper import Keeper
from strongroom.caching.observing import LoggingObserver
from strongroom.caching.redis_backend import RedisBackend
from strongroom.caching.worker import WorkerSource
from strongroom.errors import StateError, StoreError
from strongroom.keystore import publishing, workers
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_store
from strongroom.sealing.identities import WorkerIdentity, write_identity
from tests.support.redis_server import RedisServer
from tests.workers.scenes import Site


@pytest.fixture
def live(place: Path) -> Iterator[Site]:
    """A site under the machine's clock, with the group `web` and its identity in `web.identity`."""
    made = Site.make(place / ".strongroom", SYSTEM_CLOCK)
    made.keystore.create("box", "fernet")
    write_identity(place / "web.identity", made.group("web"))
    workers.grant(made.keystore, "web", ["box"])
    yield made
    made.keystore.close()


def until(what: Callable[[], bool], seconds: float = 20) -> float:
    """Wait for it; how long it took."""
    begun = time.monotonic()
    while not what():
        assert time.monotonic() < begun + seconds
        time.sleep(0.001)
    return time.monotonic() - begun


def keepers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "strongroom-keeper"]


@pytest.fixture
def worker(live: Site, place: Path, redis_server: RedisServer) -> Iterator[KeyStore]:
    """A worker whose keeper listens."""
    publishing.publish(live.keystore, to=[redis_server.url])
    with open_store(f"{redis_server.url}?group=web", identity=place / "web.identity", environ={}) as keystore:
        source = keystore.source
        assert isinstance(source, WorkerSource)
        assert keepers() == []  # who only opens, and forks, has no thread
        until(lambda: bool(keystore.names()) and bool(keepers()))
        channel = RedisBackend(redis_server.url, store=source._store, group="web").key
        until(lambda: b":1\r\n" in redis_server.command("PUBSUB", "NUMSUB", channel))
        yield keystore
    until(lambda: keepers() == [])


def test_every_change_is_heard_of(live: Site, worker: KeyStore, redis_server: RedisServer) -> None:
    def published() -> None:
        publishing.publish(live.keystore, to=[redis_server.url])

    box = worker.fernet("box")
    taken = []
    for number in range(2, 12):
        live.keystore.rotate("box", now=True)
        published()
        taken.append(until(lambda number=number: box.version == number))  # type: ignore[misc]  # a lambda in a loop
    # asking alone takes a second or two: most of these were heard of
    assert statistics.median(taken) < 0.5
    live.keystore.suspend("box", 11, reason="a test")
    published()

    def refused() -> bool:
        try:
            box.encrypt(b"x")
        except StateError:
            return True
        return False

    until(refused)
    live.keystore.compromise("box", 11, reason="a test")
    published()
    until(lambda: not refused())
    assert box.version == 12
    workers.revoke(live.keystore, "web", ["box"])
    published()
    until(lambda: worker.names() == ())


def test_a_notice_says_nothing_but_the_serial(live: Site, worker: KeyStore, redis_server: RedisServer) -> None:
    import redis

    source = worker.source
    assert isinstance(source, WorkerSource)
    with redis.Redis.from_url(redis_server.url) as client, client.pubsub() as heard:
        heard.psubscribe("*")
        assert heard.get_message(timeout=60) is not None
        (done,) = publishing.publish(live.keystore, to=[redis_server.url], force=True)
        message = heard.get_message(timeout=60)
    assert message is not None
    assert message["data"] == str(done.serial).encode()


def test_a_flood_of_notices_is_answered_now_and_then(live: Site, worker: KeyStore, redis_server: RedisServer) -> None:
    import redis

    source = worker.source
    assert isinstance(source, WorkerSource)
    with redis.Redis.from_url(redis_server.url) as client:
        client.config_resetstat()
        channel = RedisBackend(redis_server.url, store=source._store, group="web").key
        for _ in range(3000):
            client.publish(channel, b"9" * 40)
        asked = int(client.info("commandstats").get("cmdstat_getrange", {"calls": 0})["calls"])
    assert asked < 1500
    assert worker.fernet("box").version == 1


def test_a_voice_that_is_gone_is_found_again(live: Site, place: Path) -> None:
    with RedisServer() as server:
        publishing.publish(live.keystore, to=[server.url])
        with open_store(f"{server.url}?group=web", identity=place / "web.identity", environ={}) as keystore:
            until(lambda: bool(keystore.names()) and bool(keepers()))
            server.stop()
            time.sleep(1.2)
            assert keystore.names() == ("box",)
            server.start()
            live.keystore.rotate("box", now=True)
            publishing.publish(live.keystore, to=[server.url])
            until(lambda: keystore.fernet("box").version == 2, 40)
        until(lambda: keepers() == [])


def test_look_ups_do_not_stand_at_a_server_that_hangs(live: Site, place: Path) -> None:
    with RedisServer() as server:
        publishing.publish(live.keystore, to=[server.url])
        with open_store(f"{server.url}?group=web", identity=place / "web.identity", environ={}) as keystore:
            box = keystore.fernet("box")
            until(lambda: bool(keystore.names()) and bool(keepers()))
            os.kill(server.pid, signal.SIGSTOP)
            try:
                taken = []
                end = time.monotonic() + 4
                while time.monotonic() < end:
                    begun = time.perf_counter()
                    box.encrypt(b"x")
                    keystore.names()
                    taken.append(time.perf_counter() - begun)
                    time.sleep(0.002)
            finally:
                os.kill(server.pid, signal.SIGCONT)
            assert sorted(taken)[len(taken) * 99 // 100] <= 0.05
            standing = keystore.standing
            assert standing is not None
            assert (standing.group, standing.keysets, standing.places[0].trouble != "") == ("web", 1, True)
        until(lambda: keepers() == [])


def test_a_reader_who_may_not_listen_asks(live: Site, place: Path) -> None:
    with RedisServer() as server:
        publishing.publish(live.keystore, to=[server.url])
        server.command("ACL", "SETUSER", "reader", "on", ">word", "~strongroom:*", "+getrange", "+select")
        url = server.url.replace("redis://", "redis://reader:word@")
        with open_store(f"{url}?group=web", identity=place / "web.identity", environ={}) as keystore:
            until(lambda: bool(keystore.names()) and bool(keepers()))
            live.keystore.rotate("box", now=True)
            publishing.publish(live.keystore, to=[server.url])
            until(lambda: keystore.fernet("box").version == 2)
        until(lambda: keepers() == [])


def test_a_child_gets_a_keeper_of_its_own(live: Site, worker: KeyStore, redis_server: RedisServer) -> None:
    box = worker.fernet("box")
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            alone = keepers() == []
            until(lambda: bool(worker.names()) and bool(keepers()))
            os.write(told, b"r")
            until(lambda: box.version == 2)
            status = 0 if alone else 2
        finally:
            os._exit(status)
    assert os.read(ready, 1) == b"r"
    live.keystore.rotate("box", now=True)
    publishing.publish(live.keystore, to=[redis_server.url])
    until(lambda: box.version == 2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(ready)
    os.close(told)


def test_a_fork_waits_for_who_is_asking() -> None:
    lock = QuietLock()
    asking, done = threading.Event(), threading.Event()

    def ask() -> None:
        with lock:
            asking.set()
            time.sleep(0.3)
            done.set()

    thread = threading.Thread(target=ask)
    thread.start()
    assert asking.wait(60)
    child = os.fork()
    if child == 0:
        with lock:  # and it is free there
            os._exit(0 if done.is_set() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join(60)
    with lock:
        pass
    other = threading.Thread(target=ask)
    other.start()  # the parent has let go of it
    other.join(60)
    assert not other.is_alive()


def test_what_is_forgotten_is_not_held_by_its_keeper() -> None:
    class Kept:
        def refresh(self) -> None:
            raise AssertionError("nobody is there")

    class Mute:
        def subscribe(self) -> object:
            raise StoreError("not here")

    kept = Kept()
    keeper = Keeper(kept, [Mute()], every=0.01)  # type: ignore[list-item]  # it never subscribes
    del kept
    gc.collect()
    keeper.start()
    until(lambda: not keeper.running)


def test_an_observer_that_is_given_is_told(live: Site, place: Path, web_url: str) -> None:
    told = LoggingObserver()
    with open_store(web_url, identity=place / "web.identity", environ={}, observer=told) as keystore:
        assert told.counts == {"loaded": 1}
        standing = keystore.standing
        assert standing is not None
        assert standing.serial > 0
        assert standing.age < 60 < standing.left
        assert [each.left_alone for each in standing.places] == [False]
    assert live.keystore.standing is None


@pytest.fixture
def web_url(live: Site, place: Path) -> str:
    publishing.publish(live.keystore, out=place / "p")
    return f"file:{place}/p?group=web"


def test_the_breaker_is_told_of(web: WorkerIdentity, site: Site) -> None:
    from tests.workers.scenes import HandClock, Shelf, source

    assert isinstance(site.clock, HandClock)
    shelf = Shelf(site.issue("web").raw)
    told = LoggingObserver(site.clock)
    held = source(web, shelf, clock=site.clock, observer=told)
    held.load("box")
    shelf.trouble = StoreError("down")
    for _ in range(4):
        site.clock.move(1)
        held.load("box")
    assert (told.counts["failed"], told.counts["left-alone"]) == (4, 1)
    assert held.standing().places[0].left_alone
