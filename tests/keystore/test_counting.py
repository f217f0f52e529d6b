"""Messages counted by several holders and added up beside the witness; a worker has a share of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.keystore.clocks import HandClock
from tests.keystore.scenes import Scene
from tests.workers.scenes import HandClock as SiteClock
from tests.workers.scenes import Shelf, Site, source

from strongroom.caching.limits import Limits
from strongroom.errors import PolicyError
from strongroom.keystore import workers
from strongroom.keystore.facade import KeyStore
from strongroom.stores.usage import UsageFile


@pytest.fixture
def scene(scene: Scene) -> Scene:
    """A development store: it opens with no gpg."""
    scene.more["STRONGROOM_DEVELOPMENT"] = "1"
    scene.found(development=True)
    return scene


def opened(scene: Scene, clock: HandClock) -> KeyStore:
    return scene.open(clock=clock, limits=Limits(recheck=1))


def counts(keystore: KeyStore) -> dict[str, int]:
    usage = UsageFile.beside(keystore.sealed.witness.location)
    assert usage is not None
    found = {name: messages for (name, _), messages in usage.totals().items()}
    usage.close()
    return found


def protect(keystore: KeyStore, messages: int) -> None:
    for _ in range(messages):
        keystore.fernet("box").encrypt(b"data")


def test_holders_add_up_what_they_protected_and_stop_together(scene: Scene, hand_clock: HandClock) -> None:
    with opened(scene, hand_clock) as ours, opened(scene, hand_clock) as theirs:
        ours.create("box", "fernet", max_messages=10)
        for keystore in (ours, theirs):
            for _ in range(4):
                keystore.fernet("box").encrypt(b"data")
        hand_clock.pass_time(61)
        for keystore in (ours, theirs):
            keystore.fernet("box").encrypt(b"data")
        # each has told of its first four; ours had not heard of theirs when it asked
        assert counts(ours) == {"box": 8}
        hand_clock.pass_time(61)
        with pytest.raises(PolicyError, match="the 10 messages"):
            protect(theirs, 3)


def test_what_was_not_told_yet_is_told_at_the_end(scene: Scene, hand_clock: HandClock) -> None:
    with opened(scene, hand_clock) as keystore:
        keystore.create("box", "aes256-gcm")
        keystore.create("quiet", "fernet")
        for _ in range(5):
            keystore.aead("box").encrypt(b"data", b"")
        keystore.fernet("quiet").encrypt(b"data")
    with opened(scene, hand_clock) as keystore:
        assert counts(keystore) == {"box": 5}
        keystore.aead("box").encrypt(b"data", b"")
        tally = keystore.current("box").tally
        assert tally is not None
        assert (tally.total, tally.made) == (5, 1)


def test_a_forked_child_does_not_tell_what_its_parent_made(scene: Scene, hand_clock: HandClock) -> None:
    with opened(scene, hand_clock) as keystore:
        keystore.create("box", "fernet", max_messages=100)
        held = keystore.fernet("box")
        for _ in range(3):
            held.encrypt(b"data")
        child = os.fork()
        if child == 0:
            held.encrypt(b"data")
            keystore.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    with opened(scene, hand_clock) as keystore:
        assert counts(keystore) == {"box": 4}


def test_counts_that_cannot_be_written_are_warned_about_and_stop_nothing(
    scene: Scene, hand_clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(scene, hand_clock) as keystore:
        keystore.create("box", "fernet", max_messages=5)
        path = Path(keystore.sealed.witness.location).with_suffix(".usage.sqlite")
        path.mkdir()
        for _ in range(5):
            keystore.fernet("box").encrypt(b"data")
            hand_clock.pass_time(61)
        with pytest.raises(PolicyError):
            keystore.fernet("box").encrypt(b"data")
    assert "event=usage-not-counted" in caplog.text


def test_a_worker_keeps_to_its_share_and_to_what_is_allowed(tmp_path: Path) -> None:
    clock = SiteClock()
    site = Site.make(tmp_path / "store", clock)
    site.keystore.create("box", "fernet", max_messages=1000, worker_messages=2)
    web = site.group("web")
    workers.grant(site.keystore, "web", ["box"])
    shelf = Shelf(site.issue("web").raw)
    with KeyStore(source(web, shelf, clock=clock), clock=clock) as worker:
        token = [worker.fernet("box").encrypt(b"data") for _ in range(2)][-1]
        with pytest.raises(PolicyError, match="the 2 messages that its policy allows"):
            worker.fernet("box").encrypt(b"data")
        site.keystore.set_policy("box", allow="process", worker_messages="none")
        clock.move(5)
        shelf.raw = site.issue("web", shelf.raw).raw
        with pytest.raises(PolicyError, match="does not allow to protect"):
            worker.fernet("box").encrypt(b"data")
        assert worker.fernet("box").decrypt(token) == b"data"
    site.keystore.close()
