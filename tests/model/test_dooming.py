"""Scheduled destructions: which version, when, what it may do meanwhile, and how it is spared."""

from __future__ import annotations

from itertools import product

import pytest
from msgspec.structs import replace

from strongroom._encoding import Timestamp
from strongroom.errors import PolicyError, StateError, StrongroomError
from strongroom.model.dooming import LONGEST_WAIT, SHORTEST_WAIT, doomed, doomed_whole, expired, spared
from strongroom.model.keyset import Keyset
from strongroom.model.states import KeyState, Operation, permits
from strongroom.model.text import MAX_TEXT
from tests.model.building import NOW, keyset, version

DAY = 86_400
WEEK = 7 * DAY


def at(days: float, ms: int = 0) -> Timestamp:
    return Timestamp(NOW + round(days * DAY * 1000) + ms)


def two() -> Keyset:
    return keyset().replacement(version(2), now=at(1))


def having(state: KeyState) -> Keyset:
    """A keyset whose version 1 is in this state, and whose version 2 is the primary."""
    held = two()
    if state is KeyState.PRE_ACTIVATION:
        return held.add(version(3)).with_versions(replace(held.versions[0], state=state, promote_at=None))
    if state is KeyState.ACTIVE:
        return held
    verb = {"suspended": "suspend", "deactivated": "deactivate", "compromised": "compromise", "destroyed": "destroy"}
    moved: Keyset = getattr(held, verb[state.value])(1, now=at(1))
    return moved


@pytest.mark.parametrize("state", [state for state in KeyState if state is not KeyState.DESTROYED])
def test_a_doomed_version_is_deactivated_or_sterner_and_processes_as_before(state: KeyState) -> None:
    held = doomed(having(state), 1, now=at(2), wait_s=WEEK, reason="over")
    version = held.version(1)
    wanted = KeyState.DEACTIVATED if state is KeyState.ACTIVE else state
    assert (version.state, version.destroy_at, version.reason, version.changed) == (wanted, at(9), "over", at(2))
    for asked, operation in product((False, True), Operation):
        before = permits(state, operation, primary=False, compromised_too=asked)
        assert permits(version.state, operation, primary=False, compromised_too=asked) is before


def test_the_destroyed_is_not_doomed() -> None:
    with pytest.raises(StateError, match="it is final"):
        doomed(having(KeyState.DESTROYED), 1, now=at(2), wait_s=WEEK, reason="over")


@pytest.mark.parametrize("wait", [0, SHORTEST_WAIT - 1, LONGEST_WAIT + 1])
def test_a_destruction_comes_7_to_30_days_later(wait: int) -> None:
    with pytest.raises(PolicyError, match="7 to 30 days"):
        doomed(two(), 1, now=at(2), wait_s=wait, reason="over")
    with pytest.raises(PolicyError, match="7 to 30 days"):
        doomed_whole(two(), now=at(2), wait_s=wait, reason="over")


def test_the_primary_is_not_doomed_alone() -> None:
    with pytest.raises(StateError, match="is the primary"):
        doomed(two(), 2, now=at(2), wait_s=WEEK, reason="over")


def test_a_version_that_waits_for_its_promotion_gives_it_up() -> None:
    held = keyset().rotation(version(2), now=NOW, propagation_s=DAY)
    held = doomed(held, 2, now=NOW, wait_s=WEEK, reason="a mistake")
    assert (held.version(2).promote_at, held.primary_at(at(30))) == (None, held.version(1))


@pytest.mark.parametrize("verb", ["promote", "schedule", "resume"])
def test_a_doomed_version_comes_back_only_once_it_is_spared(verb: str) -> None:
    state = KeyState.SUSPENDED if verb == "resume" else KeyState.PRE_ACTIVATION
    held = doomed(having(state), 1, now=at(2), wait_s=WEEK, reason="over")

    def move(of: Keyset) -> Keyset:
        more = (at(3),) if verb == "schedule" else ()
        moved: Keyset = getattr(of, verb)(1, *more, now=at(2))
        return moved

    with pytest.raises(StateError, match="is to be destroyed at") as refusal:
        move(held)
    assert refusal.value.hint == "strongroom destroy student-records 1 --cancel"
    assert move(spared(held, 1, now=at(2))).version(1).destroy_at is None


def test_a_compromise_in_between_keeps_the_schedule() -> None:
    held = doomed(two(), 1, now=at(2), wait_s=WEEK, reason="over").compromise(1, now=at(3), reason="found in a log")
    assert (held.version(1).state, held.version(1).destroy_at) == (KeyState.COMPROMISED, at(9))


def test_nothing_happens_by_itself_when_the_moment_comes() -> None:
    held = doomed(two(), 1, now=at(2), wait_s=WEEK, reason="over")
    assert expired(held, at(9, -1)) == ()
    assert expired(held, at(9)) == (1,)
    assert held.version(1) in held.processing(at(400))


def test_destruction_leaves_a_tombstone_with_the_reason() -> None:
    gone = doomed(two(), 1, now=at(2), wait_s=WEEK, reason="over").destroy(1, now=at(9)).version(1)
    assert (gone.state, gone.sealed, gone.destroy_at, gone.changed) == (KeyState.DESTROYED, None, None, at(9))
    assert (gone.reason, gone.key_id, gone.promote_at) == ("over", 0x10000001, NOW)


def test_a_whole_keyset_stops_protecting_and_can_then_be_destroyed_whole() -> None:
    held = doomed_whole(two(), now=at(2), wait_s=WEEK, reason="the service ended")
    with pytest.raises(StateError, match="deactivated"):
        held.protecting(at(2))
    assert [v.number for v in held.processing(at(2))] == [2, 1]
    for number in (2, 1):
        held = held.destroy(number, now=at(9))
    with pytest.raises(StateError, match="destroyed whole"):
        held.protecting(at(9))
    with pytest.raises(StateError, match="destroyed whole"):
        doomed_whole(held, now=at(9), wait_s=WEEK, reason="again")
    assert held.replacement(version(3), now=at(10)).protecting(at(10)).number == 3


def test_the_primary_is_kept_as_long_as_one_version_of_the_keyset_is() -> None:
    held = spared(doomed_whole(two(), now=at(2), wait_s=WEEK, reason="over"), 1, now=at(3))
    with pytest.raises(StateError, match="is the primary"):
        held.destroy(2, now=at(9))


class TestWhatWasSaid:
    def test_the_reason_of_the_state_outlives_a_destruction_that_is_cancelled(self) -> None:
        held = two().suspend(1, now=at(1), reason="ticket 4711")
        held = doomed(held, 1, now=at(2), wait_s=WEEK, reason="unused")
        assert held.version(1).reason == "unused; before: ticket 4711"
        held = spared(held, 1, now=at(3), reason="an archive needs it")
        assert held.version(1).reason == "an archive needs it; before: unused; before: ticket 4711"

    def test_a_cancellation_without_a_reason_says_that_it_was_one(self) -> None:
        held = spared(doomed(two(), 1, now=at(2), wait_s=WEEK, reason="unused"), 1, now=at(3))
        assert held.version(1).reason == "destruction cancelled; before: unused"

    def test_a_move_in_between_keeps_why_it_is_to_be_destroyed(self) -> None:
        held = doomed(two(), 1, now=at(2), wait_s=WEEK, reason="unused").compromise(1, now=at(3), reason="leaked")
        assert held.version(1).reason == "leaked; before: unused"
        assert held.destroy(1, now=at(9)).version(1).reason == "leaked; before: unused"

    def test_a_move_of_what_is_not_doomed_has_its_own_reason(self) -> None:
        held = two().suspend(1, now=at(1), reason="suspect").compromise(1, now=at(2), reason="leaked")
        assert held.version(1).reason == "leaked"

    def test_where_it_gets_too_long_the_newest_stays_whole_and_the_oldest_goes_last(self) -> None:
        held = two().suspend(1, now=at(1), reason="ticket 4711")
        for day in range(20):
            held = doomed(held, 1, now=at(2 + day), wait_s=WEEK, reason=f"unused {day}")
            held = spared(held, 1, now=at(2 + day))
        reason = held.version(1).reason or ""
        assert reason.startswith("destruction cancelled; before: ")
        assert reason.endswith("; before: ticket 4711")
        assert len(reason) <= MAX_TEXT

    @pytest.mark.parametrize("length", [1, 240, 244, 245, 246, MAX_TEXT])
    def test_one_of_any_lawful_length_is_taken(self, length: int) -> None:
        held = two().suspend(1, now=at(1), reason="y" * 200)
        reason = doomed(held, 1, now=at(2), wait_s=WEEK, reason="x" * length).version(1).reason or ""
        assert reason.startswith("x" * length)
        assert len(reason) <= MAX_TEXT

    @pytest.mark.parametrize("wrong", ["", "x" * (MAX_TEXT + 1)])
    def test_one_of_another_length_is_refused_as_ever(self, wrong: str) -> None:
        held = two().suspend(1, now=at(1), reason="ticket 4711")
        with pytest.raises(StrongroomError):
            doomed(held, 1, now=at(2), wait_s=WEEK, reason=wrong)


def test_only_the_doomed_is_spared() -> None:
    with pytest.raises(StateError, match="not scheduled"):
        spared(two(), 1, now=at(2))


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": KeyState.ACTIVE, "promote_at": NOW},
        {"state": KeyState.DESTROYED, "sealed": None},
        {"promote_at": NOW},
        {"destroy_at": Timestamp(-1)},
    ],
    ids=repr,
)
def test_a_version_that_could_not_be_doomed_is_none(wrong: dict[str, object]) -> None:
    with pytest.raises(StrongroomError):
        replace(version(1), **{"destroy_at": NOW, **wrong})
