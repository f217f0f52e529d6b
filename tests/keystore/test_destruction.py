"""How versions end: never at once, never while data needs them unless that is meant, and then for good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from tests.keystore.clocks import HandClock
from tests.keystore.scenes import Scene

from strongroom.errors import DecryptionError, NotFoundError, PolicyError, StateError, StrongroomError
from strongroom.keystore.destruction import aftermath, destroy_due, schedule
from strongroom.keystore.duties import Work, due
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.in_use import Use
from strongroom.keystore.opening import open_memory
from strongroom.model.keyset import Keyset
from strongroom.model.states import KeyState

DAY = 86_400


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def ks(clock: HandClock) -> Iterator[KeyStore]:
    with open_memory(clock=clock) as keystore:
        keystore.create("box", "fernet")
        keystore.rotate("box", now=True)
        yield keystore


class Rows:
    """A table with rows under versions."""

    def __init__(self, **counts: int) -> None:
        self.counts = counts

    def uses(self, keyset: Keyset) -> Sequence[Use]:
        return [Use(place="school.Student.ssn", version=int(number[1:]), count=count)
                for number, count in self.counts.items() if keyset.name == "box"]  # fmt: skip


def state(ks: KeyStore, number: int) -> KeyState:
    return ks.show("box").version(number).state


@pytest.mark.parametrize("days", [0, 6, 31])
def test_the_day_is_7_to_30_days_away(ks: KeyStore, days: int) -> None:
    with pytest.raises(PolicyError, match="7 to 30 days"):
        schedule(ks, "box", 1, reason="old", after_s=days * DAY)
    assert ks.show("box").version(1).destroy_at is None


def test_until_its_day_a_version_reads_and_says_that_it_was_used(
    ks: KeyStore, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    box = ks.fernet("box")
    token = ks.fernet("box").encrypt(b"data")
    ks.rotate("box", now=True)
    schedule(ks, "box", 2, reason="moved", after_s=7 * DAY)
    assert box.decrypt(token) == b"data"
    assert "box" in caplog.text
    assert destroy_due(ks) == ()
    assert [duty.work for duty in due(ks, within_s=7 * DAY)] == [Work.DESTROY]


def test_on_its_day_it_goes_for_good_and_a_tombstone_stays(ks: KeyStore, clock: HandClock) -> None:
    box = ks.fernet("box")
    token = box.encrypt(b"data")
    ks.rotate("box", now=True)
    key_id = ks.show("box").version(2).key_id
    schedule(ks, "box", 2, reason="moved", after_s=7 * DAY)
    clock.pass_time(7 * DAY)
    (done,) = destroy_due(ks)
    assert (done.keyset, done.versions, done.problem) == ("box", (2,), "")
    tombstone = ks.show("box").version(2)
    assert (tombstone.state, tombstone.sealed, tombstone.key_id) == (KeyState.DESTROYED, None, key_id)
    assert tombstone.reason == "moved"
    with pytest.raises(DecryptionError):
        box.decrypt(token)
    with pytest.raises(StateError, match="destroyed"):
        ks.source.load("box").material(2)
    assert destroy_due(ks) == ()


def test_a_scheduled_destruction_can_be_cancelled(ks: KeyStore, clock: HandClock) -> None:
    schedule(ks, "box", 1, reason="old")
    ks.spare("box", 1, reason="an archive needs it")
    clock.pass_time(31 * DAY)
    assert destroy_due(ks) == ()
    assert state(ks, 1) is KeyState.DEACTIVATED
    with pytest.raises(StateError, match="not scheduled"):
        ks.spare("box", 1)


def test_the_primary_alone_does_not_go(ks: KeyStore) -> None:
    with pytest.raises(StateError, match="primary"):
        schedule(ks, "box", 2, reason="old")
    with pytest.raises(NotFoundError):
        schedule(ks, "box", 9, reason="old")


def test_a_version_in_use_is_not_scheduled_and_it_is_said_where_it_is_used(ks: KeyStore) -> None:
    ks.register_use(Rows(v1=12, v2=3))
    with pytest.raises(PolicyError, match=r"version 1 in school\.Student\.ssn \(12\)") as refused:
        schedule(ks, "box", 1, reason="old")
    assert "reencrypt" in refused.value.hint
    assert "destroy box 1 --shred" in refused.value.hint, "no more than what was asked for"
    assert ks.show("box").version(1).destroy_at is None


def test_what_came_into_use_after_the_scheduling_is_not_destroyed(ks: KeyStore, clock: HandClock) -> None:
    rows = Rows()
    ks.register_use(rows)
    schedule(ks, "box", 1, reason="old", after_s=7 * DAY)
    clock.pass_time(8 * DAY)
    rows.counts["v1"] = 1
    (done,) = destroy_due(ks)
    assert "still protects data" in done.problem
    assert state(ks, 1) is KeyState.DEACTIVATED
    rows.counts["v1"] = 0
    (done,) = destroy_due(ks)
    assert done.problem == ""
    assert state(ks, 1) is KeyState.DESTROYED


def test_shredding_shows_what_is_lost_and_goes_on_only_when_it_is_meant(ks: KeyStore, clock: HandClock) -> None:
    ks.register_use(Rows(v1=12, v2=3))
    shown: list[tuple[str, tuple[Use, ...]]] = []

    def asked(answer: bool) -> object:
        def confirm(name: str, uses: Sequence[Use]) -> bool:
            shown.append((name, tuple(uses)))
            return answer

        return confirm

    with pytest.raises(PolicyError):
        schedule(ks, "box", None, reason="contract ended", shred=asked(False))
    schedule(ks, "box", None, reason="contract ended", after_s=7 * DAY, shred=asked(True))
    assert [sum(use.count for use in uses) for _, uses in shown] == [15, 15]
    with pytest.raises(StrongroomError):
        ks.fernet("box").encrypt(b"data")
    clock.pass_time(7 * DAY)
    (refused,) = destroy_due(ks)
    assert refused.problem
    (done,) = destroy_due(ks, shred=asked(True))
    assert done.versions == (1, 2)
    assert {version.state for version in ks.show("box").versions} == {KeyState.DESTROYED}


def test_it_is_said_what_a_destruction_does_not_reach(ks: KeyStore) -> None:
    told = " ".join(aftermath(ks))
    assert "older commits and backups still hold the material" in told
    assert "manage.py strongroom asks" in told
    ks.register_use(Rows())
    assert "nobody was asked" not in " ".join(aftermath(ks))


def test_the_material_leaves_the_file(scene: Scene, clock: HandClock) -> None:
    scene.found()
    with scene.open(clock=clock) as keystore:
        keystore.create("box", "fernet")
        keystore.rotate("box", now=True)
        path = keystore.path_of("box")
        assert path is not None
        before = path.read_text()
        schedule(keystore, "box", 1, reason="old", after_s=7 * DAY)
        clock.pass_time(8 * DAY)
        destroy_due(keystore)
        sealed = [line for line in before.splitlines() if '"sealed"' in line]
        assert len(sealed) == 2
        assert sealed[0] not in path.read_text()
        assert sealed[1] in path.read_text()
    with scene.open(clock=clock) as keystore:
        assert keystore.show("box").version(1).state is KeyState.DESTROYED
