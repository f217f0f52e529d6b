"""A worker keeps what it has until that expires, takes none older, and says why it has nothing."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from strongroom.caching.observing import LoggingObserver
from strongroom.caching.publication import SKEW
from strongroom.caching.worker import WorkerSource
from strongroom.errors import ClosedError, NotGrantedError, NotPublishedError, StateError, StoreError
from strongroom.keystore import workers
from strongroom.keystore.facade import KeyStore
from strongroom.sealing.identities import WorkerIdentity
from tests.workers.scenes import HandClock, Shelf, Site, source


def counts(worker: WorkerSource) -> dict[str, int]:
    assert isinstance(worker.observer, LoggingObserver)
    return dict(worker.observer.counts)


def test_a_change_is_seen_within_a_second(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    shelf = Shelf(site.issue("web").raw)
    worker = source(web, shelf, clock=clock)
    with KeyStore(worker, clock=clock) as keystore:
        box = keystore.fernet("box")
        token = box.encrypt(b"x")
        site.keystore.suspend("box", 1, reason="a test")
        clock.move(0.2)
        shelf.raw = site.issue("web", shelf.raw).raw
        assert box.decrypt(token) == b"x"
        clock.move(1.0)
        with pytest.raises(StateError):
            box.encrypt(b"y")


def test_asking_again_costs_one_short_read(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    shelf = Shelf(site.issue("web").raw)
    worker = source(web, shelf, clock=clock)
    for _ in range(20):
        worker.load("box")
        worker.stamp("box")
        clock.move(1)
    assert (shelf.heads, shelf.reads) == (20, 1)


def test_what_it_has_serves_until_it_expires_and_then_it_says_why(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    shelf = Shelf(site.issue("web", life=600).raw)
    worker = source(web, shelf, clock=clock)
    worker.load("box")
    shelf.trouble = StoreError("the shelf fell down")
    clock.move(600 + SKEW / 1000 - 1)
    assert worker.load("box").material(1)
    clock.move(2)
    with pytest.raises(NotPublishedError, match=r"serial \d+, expired at .*the shelf fell down"):
        worker.load("box")
    shelf.trouble = None
    shelf.raw = site.issue("web", shelf.raw, life=600).raw
    clock.move(6)
    assert worker.load("box").material(1)


def test_setting_the_wall_clock_back_does_not_stretch_a_life(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    worker = source(web, Shelf(site.issue("web", life=600).raw), clock=clock)
    worker.load("box")
    clock.wall -= 100_000_000
    clock.since += 600 + SKEW / 1000 + 1
    with pytest.raises(NotPublishedError):
        worker.load("box")


def test_of_several_places_the_highest_serial_counts(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    old = site.issue("web")
    clock.move(3)
    new = site.issue("web")
    for order in ((old, new), (new, old)):
        worker = source(web, *(Shelf(issue.raw, name=str(issue.serial)) for issue in order), clock=clock)
        worker.load("box")
        assert worker.serial == new.serial
        assert counts(worker)["loaded"] == 1


def test_one_place_that_lies_does_not_hide_another(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    issue = site.issue("web")
    liar = Shelf(issue.raw.replace(b'"serial":1', b'"serial":9', 1), name="liar")
    worker = source(web, liar, Shelf(issue.raw), clock=clock)
    worker.load("box")
    assert (worker.serial, counts(worker)) == (issue.serial, {"loaded": 1, "refused.signature": 1})


def test_what_was_refused_is_not_read_again_at_every_question(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    issue = site.issue("web")
    shelf = Shelf(issue.raw)
    worker = source(web, shelf, clock=clock)
    worker.load("box")
    shelf.raw = issue.raw.replace(b'"serial":1', b'"serial":9', 1)
    for _ in range(25):
        clock.move(1)
        worker.load("box")
    assert shelf.reads == 2


def test_another_name_is_not_granted(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    site.keystore.create("payroll", "fernet")
    worker = source(web, Shelf(site.issue("web").raw), clock=clock)
    for ask in (worker.load, worker.stamp):
        for name in ("payroll", "strongroom.issuer", "../box", ""):
            with pytest.raises(NotGrantedError):
                ask(name)


def test_what_was_revoked_ends_with_the_next_publication(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    site.keystore.create("mail", "secret")
    workers.grant(site.keystore, "web", ["mail"])
    shelf = Shelf(site.issue("web").raw)
    worker = source(web, shelf, clock=clock)
    assert worker.names() == ("box", "mail")
    workers.revoke(site.keystore, "web", ["mail"])
    shelf.raw = site.issue("web", shelf.raw).raw
    clock.move(1)
    with pytest.raises(NotGrantedError):
        worker.load("mail")
    assert [each.keyset.name for each in worker.load_all()] == ["box"]


def test_a_worker_can_change_nothing(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    from strongroom.errors import PolicyError

    with KeyStore(source(web, Shelf(site.issue("web").raw), clock=clock), clock=clock) as keystore:
        for change in (
            lambda: keystore.create("new", "fernet"),
            lambda: keystore.rotate("box"),
            lambda: workers.grant(keystore, "web", ["box"]),
        ):
            with pytest.raises(PolicyError, match="only read"):
                change()


def test_with_nothing_there_it_waits_as_long_as_it_was_told(web: WorkerIdentity) -> None:
    from strongroom._clock import SYSTEM_CLOCK

    begun = SYSTEM_CLOCK.monotonic()
    with pytest.raises(NotPublishedError, match="the shelf is empty"):
        source(web, Shelf(), clock=SYSTEM_CLOCK).wait(0.3)
    assert SYSTEM_CLOCK.monotonic() - begun >= 0.3


def test_one_thread_asks_and_the_others_go_on(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    class Slow(Shelf):
        asked, go = threading.Event(), threading.Event()

        def head(self) -> bytes:
            if self.heads:
                self.asked.set()
                assert self.go.wait(60)
            return super().head()

    shelf = Slow(site.issue("web").raw)
    worker = source(web, shelf, clock=clock)
    worker.load("box")
    clock.move(2)
    asking = threading.Thread(target=worker.load, args=("box",))
    asking.start()
    assert shelf.asked.wait(60)
    assert worker.load("box").material(1)
    assert shelf.heads == 1
    shelf.go.set()
    asking.join(60)
    assert shelf.heads == 2


def test_a_child_goes_on_where_its_parent_was_asking(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    worker = source(web, Shelf(site.issue("web").raw), clock=clock)
    worker.load("box")
    clock.move(2)
    read, write = os.pipe()
    with worker._lock:
        worker._asking = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                os.write(write, b"1" if worker.load("box").material(1) else b"0")
            finally:
                os._exit(0)
    os.close(write)
    assert os.read(read, 1) == b"1"
    os.close(read)
    os.waitpid(child, 0)


def test_a_trouble_that_lasts_is_one_warning_a_minute(
    site: Site, web: WorkerIdentity, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(site.issue("web").raw)
    worker = source(web, shelf, clock=clock)
    worker.load("box")
    shelf.trouble = StoreError("down")
    with caplog.at_level(logging.WARNING, logger="strongroom"):
        for _ in range(180):
            clock.move(1)
            worker.load("box")
    assert 3 <= len(caplog.records) <= 4


def test_a_closed_one_knows_nothing(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    worker = source(web, Shelf(site.issue("web").raw), clock=clock)
    worker.load("box")
    worker.close()
    worker.close()
    with pytest.raises(ClosedError):
        worker.load("box")
    assert (worker.serial, worker.age) == (0, 0.0)


def test_it_shows_no_material(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    import pickle

    worker = source(web, Shelf(site.issue("web").raw), clock=clock)
    opened = worker.load("box")
    shown = f"{worker!r} {opened!r} {opened._granted!r} {worker._held!r}"
    raw = opened.material(1).reveal()
    assert raw.hex() not in shown
    assert repr(raw)[2:10] not in shown
    with pytest.raises(TypeError):
        pickle.dumps(opened)
