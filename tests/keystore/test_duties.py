"""What is due: rotations, re-encryptions and destructions, by the policy or by what is usual; and who does them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.keystore.clocks import HandClock
from tests.keystore.scenes import Scene

from strongroom.errors import PolicyError
from strongroom.keystore.duties import Duty, Work, due, rotate_due
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_memory
from strongroom.keystore.workers import create_worker

DAY = 86_400
YEAR = 365 * DAY


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def ks(clock: HandClock) -> Iterator[KeyStore]:
    with open_memory(clock=clock) as keystore:
        yield keystore


def told(duties: tuple[Duty, ...]) -> list[tuple[str, int, Work]]:
    return [(duty.keyset, duty.version, duty.work) for duty in duties]


def test_a_new_keyset_brings_nothing(ks: KeyStore) -> None:
    ks.create("box", "fernet", rotate_every="90d")
    assert due(ks) == ()
    assert told(due(ks, within_s=90 * DAY)) == [("box", 1, Work.ROTATE)]


def test_a_rotation_is_due_when_its_interval_is_over_and_not_after_it_was_done(ks: KeyStore, clock: HandClock) -> None:
    ks.create("box", "fernet", rotate_every="90d", labels={"owner": "registrar"})
    clock.pass_time(90 * DAY - 1)
    assert due(ks) == ()
    clock.pass_time(1)
    (duty,) = due(ks)
    assert (duty.work, duty.stated, duty.owner, duty.by_hand) == (Work.ROTATE, True, "registrar", False)
    ks.rotate("box")
    assert due(ks) == ()


def test_a_queued_version_answers_it(ks: KeyStore, clock: HandClock) -> None:
    ks.create("box", "fernet", rotate_every="90d", propagation="2d")
    clock.pass_time(91 * DAY)
    ks.rotate("box")
    assert due(ks) == ()


@pytest.mark.parametrize(
    ("kind", "years", "work"),
    [("fernet", 2, Work.ROTATE), ("ed25519", 3, Work.ROTATE), ("hmac-sha256", 2, Work.ROTATE)],
)
def test_the_usual_periods_are_told_as_usual(ks: KeyStore, clock: HandClock, kind: str, years: int, work: Work) -> None:
    ks.create("box", kind)
    clock.pass_time(years * YEAR)
    (duty,) = due(ks)
    assert (duty.work, duty.stated) == (work, False)


def test_a_secret_has_no_usual_period(ks: KeyStore, clock: HandClock) -> None:
    ks.import_key("smtp", b"a password", "secret")
    clock.pass_time(9 * YEAR)
    assert due(ks) == ()


def test_what_an_old_version_protected_is_to_be_moved_before_its_time_is_over(ks: KeyStore, clock: HandClock) -> None:
    ks.create("box", "fernet", recipient="400d")
    clock.pass_time(100 * DAY)
    ks.rotate("box", now=True)
    assert told(due(ks, within_s=300 * DAY)) == [("box", 1, Work.REENCRYPT)]
    clock.pass_time(300 * DAY)
    assert told(due(ks)) == [("box", 1, Work.REENCRYPT)]


def test_a_stopped_keyset_brings_no_rotation(ks: KeyStore, clock: HandClock) -> None:
    ks.create("box", "fernet", rotate_every="90d", allow="process")
    clock.pass_time(100 * DAY)
    assert due(ks) == ()


def test_the_most_urgent_comes_first(ks: KeyStore, clock: HandClock) -> None:
    for name, every in (("late", "90d"), ("soon", "30d")):
        ks.create(name, "fernet", rotate_every=every)
    clock.pass_time(100 * DAY)
    assert [duty.keyset for duty in due(ks)] == ["soon", "late"]


def test_rotating_what_is_due_leaves_secrets_to_a_person(ks: KeyStore, clock: HandClock) -> None:
    ks.create("box", "fernet", rotate_every="30d")
    ks.create("calm", "fernet", rotate_every="300d")
    ks.import_key("smtp", b"a password", "secret", rotate_every="30d")
    clock.pass_time(31 * DAY)
    done = rotate_due(ks)
    assert [keyset.name for keyset in done.rotated] == ["box"]
    assert [duty.keyset for duty in done.left] == ["smtp"]
    assert done.failed == ()
    assert rotate_due(ks).rotated == ()
    assert len(ks.show("calm").versions) == 1
    assert ks.secret("smtp").reveal() == b"a password"


def test_a_key_that_others_know_without_our_prefix_is_theirs_to_replace(ks: KeyStore, clock: HandClock) -> None:
    ks.import_key("webhook", bytes(range(32)), "hmac-sha256", prefix="none", rotate_every="30d")
    clock.pass_time(31 * DAY)
    done = rotate_due(ks)
    assert [duty.keyset for duty in done.left] == ["webhook"]
    assert len(ks.show("webhook").versions) == 1


def test_a_version_that_must_travel_is_due_before_the_old_one_stops(ks: KeyStore, clock: HandClock) -> None:
    ks.create("box", "fernet", originator="100d", propagation="2d")
    clock.pass_time(98 * DAY)
    assert [keyset.name for keyset in rotate_due(ks).rotated] == ["box"]
    box = ks.fernet("box")
    for _ in range(5):
        clock.pass_time(DAY // 2)
        box.encrypt(b"data")
    assert box.version == 2


def test_what_protects_nothing_any_more_gets_its_new_version_at_once(ks: KeyStore, clock: HandClock) -> None:
    ks.create("box", "fernet", originator="10d", propagation="2d")
    ks.create("calm", "fernet", rotate_every="10d", propagation="2d")
    box = ks.fernet("box")
    token = box.encrypt(b"data")
    clock.pass_time(11 * DAY)
    with pytest.raises(PolicyError):
        box.encrypt(b"data")
    assert [(duty.keyset, duty.ended) for duty in due(ks)] == [("box", True), ("calm", False)]
    assert [keyset.name for keyset in rotate_due(ks).rotated] == ["box", "calm"]
    assert box.decrypt(box.encrypt(b"more")) == b"more"
    assert box.version == 2
    assert box.decrypt(token) == b"data"
    assert ks.fernet("calm").version == 1


def test_messages_that_are_used_up_get_a_new_version_at_once(scene: Scene) -> None:
    scene.found()
    with scene.open() as keystore:
        keystore.create("box", "fernet", max_messages=3)
        box = keystore.fernet("box")
        for _ in range(3):
            box.encrypt(b"data")
        with pytest.raises(PolicyError):
            box.encrypt(b"data")
    with scene.open() as keystore:
        assert [keyset.name for keyset in rotate_due(keystore).rotated] == ["box"]
        assert keystore.fernet("box").encrypt(b"data")


def test_the_store_s_own_keysets_are_nobody_s_duty(scene: Scene, tmp_path: Path, clock: HandClock) -> None:
    scene.found()
    with scene.open(clock=clock) as keystore:
        create_worker(keystore, "web", out=tmp_path / "web.identity")
        assert any(keyset.name.startswith("strongroom.") for keyset in keystore.list())
        clock.pass_time(9 * YEAR)
        assert due(keystore) == ()


def test_one_that_cannot_be_rotated_keeps_no_other_waiting(ks: KeyStore, clock: HandClock) -> None:
    for name in ("alpha", "beta"):
        ks.create(name, "fernet", rotate_every="30d")
    clock.pass_time(31 * DAY)
    ks.doom("alpha", None, wait_s=7 * DAY, reason="ended")
    done = rotate_due(ks)
    assert [keyset.name for keyset in done.rotated] == ["beta"]


def test_messages_near_their_limit_are_a_reason_to_rotate(scene: Scene, tmp_path: Path) -> None:
    scene.found()
    with scene.open() as keystore:
        keystore.create("box", "fernet", max_messages=4)
        for _ in range(3):
            keystore.fernet("box").encrypt(b"data")
    with scene.open() as keystore:
        (duty,) = due(keystore)
        assert "3 of 4 messages" in duty.why
        keystore.rotate("box", now=True)
        assert due(keystore) == ()
