"""Two copies of a keyset that went different ways: no version is lost, no right comes back, and it comes to rest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from strongroom._encoding import Timestamp
from strongroom.errors import ConflictError, StateError, StrongroomError
from strongroom.model import dooming
from strongroom.model.dooming import doomed, doomed_whole, spared
from strongroom.model.keyset import Keyset
from strongroom.model.merging import moved_by, subdued, unite
from strongroom.model.names import KeyId
from strongroom.model.policy import Policy
from strongroom.model.states import KeyState, Operation, sterner
from strongroom.model.types import KeyType
from tests.model.building import NOW, keyset, version

HOUR = 3_600_000


def later(hours: float) -> Timestamp:
    return Timestamp(NOW + int(hours * HOUR))


def rotated(old: Keyset, key_id: int, at: Timestamp, *, propagation_s: int = 86_400) -> Keyset:
    return old.rotation(version(old.next_number, now=at, key_id=key_id), now=at, propagation_s=propagation_s)


def replaced(old: Keyset, key_id: int, at: Timestamp) -> Keyset:
    return old.replacement(version(old.next_number, now=at, key_id=key_id), now=at)


BASE = keyset()


class TestBothRotated:
    ours = rotated(BASE, 0xA, later(1))
    theirs = rotated(BASE, 0xB, later(2))

    def test_both_versions_stay_in_the_order_in_which_they_were_made(self) -> None:
        merged = unite(BASE, self.ours, self.theirs, now=later(3)).keyset
        assert [(each.number, each.key_id) for each in merged.versions] == [(1, 0x1000_0001), (2, 0xA), (3, 0xB)]
        assert merged.revision == 3

    def test_the_later_promotion_is_the_primary_in_the_end(self) -> None:
        merged = unite(BASE, self.ours, self.theirs, now=later(3)).keyset
        assert merged.protecting(later(24.5)).number == 1
        assert merged.protecting(later(25.5)).key_id == 0xA
        assert merged.protecting(later(27)).key_id == 0xB

    def test_whichever_way_round_the_keyset_is_the_same(self) -> None:
        one = unite(BASE, self.ours, self.theirs, now=later(3))
        other = unite(BASE, self.theirs, self.ours, now=later(3))
        assert one == other
        assert one.notes == ()

    def test_numbers_that_both_know_stay_even_where_a_clock_went_back(self) -> None:
        early = rotated(BASE, 0xC, later(-5))
        merged = unite(BASE, self.ours, early, now=later(3)).keyset
        assert [each.key_id for each in merged.versions] == [0x1000_0001, 0xC, 0xA]

    def test_merging_the_merged_again_changes_nothing_but_the_revision(self) -> None:
        merged = unite(BASE, self.ours, self.theirs, now=later(3)).keyset
        again = unite(self.theirs, merged, self.theirs, now=later(3)).keyset
        assert again == merged.as_revision(again.revision)
        assert again.revision > merged.revision


class TestRotatedHereCompromisedThere:
    def test_every_version_stays_the_sterner_state_too_and_something_protects(self) -> None:
        ours = rotated(BASE, 0xA, later(1))
        theirs = replaced(BASE.compromise(1, now=later(2), reason="leaked"), 0xB, later(2))
        for one, other in ((ours, theirs), (theirs, ours)):
            merged = unite(BASE, one, other, now=later(3)).keyset
            assert [each.state for each in merged.versions] == [
                KeyState.COMPROMISED, KeyState.PRE_ACTIVATION, KeyState.ACTIVE,
            ]  # fmt: skip
            assert merged.versions[0].reason == "leaked"
            assert merged.protecting(later(3)).key_id == 0xB
            assert merged.protecting(later(30)).key_id == 0xA

    def test_a_primary_that_one_branch_promoted_and_the_other_gave_up_gives_way(self) -> None:
        base = BASE.add(version(2, now=NOW, key_id=0xA)).promote(2, now=later(1))
        ours = base.promote(1, now=later(2)).compromise(2, now=later(2))
        theirs = base.suspend(1, now=later(3), reason="looking into it").with_labels({"owner": "registrar"})
        merged = unite(base, ours, theirs, now=later(4))
        assert [each.state for each in merged.keyset.versions] == [KeyState.SUSPENDED, KeyState.COMPROMISED]
        assert "rotate student-records --now" in merged.notes[-1]

    def test_where_another_active_version_is_left_it_protects(self) -> None:
        base = BASE.add(version(2, key_id=0xA)).add(version(3, key_id=0xB))
        base = base.promote(3, now=later(1)).promote(1, now=later(2))
        ours = base.promote(2, now=later(3)).promote(3, now=later(4)).compromise(2, now=later(4))
        theirs = base.deactivate(3, now=later(5))
        merged = unite(base, ours, theirs, now=later(6))
        assert merged.keyset.protecting(later(6)).number == 1
        assert "is primary now" in merged.notes[-1]


def test_a_resumption_on_one_branch_does_not_lift_the_suspension_and_that_is_told() -> None:
    base = BASE.suspend(1, now=later(1), reason="looking into it")
    ours = base.resume(1, now=later(2))
    merged = unite(base, ours, base.with_labels({"owner": "x"}), now=later(3))
    assert merged.keyset.version(1).state is KeyState.SUSPENDED
    assert "became active on one branch and stays suspended, as it was: the sterner state wins" in merged.notes[0]


def test_a_promotion_that_one_branch_gave_up_stays_given_up() -> None:
    base = rotated(BASE, 0xA, NOW)
    ours = replaced(base, 0xB, later(1))  # gives up the promotion of version 2
    theirs = base.with_labels({"owner": "x"})
    merged = unite(base, ours, theirs, now=later(2)).keyset
    assert merged.version(2).promote_at is None
    assert merged.protecting(later(100)).key_id == 0xB


def test_destroyed_material_does_not_come_back() -> None:
    base = replaced(BASE, 0xA, later(1))
    ours = base.destroy(1, now=later(2), reason="ended")
    theirs = base.compromise(1, now=later(3))
    for one, other in ((ours, theirs), (theirs, ours)):
        merged = unite(base, one, other, now=later(4)).keyset.version(1)
        assert (merged.state, merged.sealed) == (KeyState.DESTROYED, None)


class TestScheduledDestruction:
    base = replaced(BASE, 0xA, later(1))
    week = 7 * 86_400

    def test_a_schedule_of_one_branch_stays(self) -> None:
        ours = doomed(self.base, 1, now=later(2), wait_s=self.week, reason="no longer used")
        theirs = rotated(self.base, 0xB, later(3))
        for one, other in ((ours, theirs), (theirs, ours)):
            merged = unite(self.base, one, other, now=later(4)).keyset
            assert merged.version(1).destroy_at == ours.version(1).destroy_at
            assert merged.version(1).state is KeyState.DEACTIVATED

    def test_one_that_was_called_off_stays_called_off(self) -> None:
        base = doomed(self.base, 1, now=later(2), wait_s=self.week, reason="no longer used")
        ours = spared(base, 1, now=later(3))
        merged = unite(base, ours, base.with_labels({"a": "b"}), now=later(4)).keyset
        assert merged.version(1).destroy_at is None

    def test_nor_does_another_time_on_the_other_branch_bring_it_back(self) -> None:
        base = doomed(self.base, 1, now=later(2), wait_s=self.week, reason="no longer used")
        ours = spared(base, 1, now=later(3))
        theirs = doomed(base, 1, now=later(4), wait_s=2 * self.week, reason="not before the audit")
        for one, other in ((ours, theirs), (theirs, ours)):
            merged = unite(base, one, other, now=later(5))
            assert merged.keyset.version(1).destroy_at is None
            assert any("it is spared" in note for note in merged.notes)

    def test_a_schedule_outlives_a_suspension_on_the_other_branch(self) -> None:
        ours = doomed(self.base, 1, now=later(2), wait_s=self.week, reason="no longer used")
        theirs = self.base.suspend(1, now=later(3), reason="a doubt")
        merged = unite(self.base, ours, theirs, now=later(4)).keyset.version(1)
        assert (merged.state, merged.destroy_at) == (KeyState.SUSPENDED, ours.version(1).destroy_at)

    def test_what_one_branch_doomed_and_the_other_promoted_protects_nothing(self) -> None:
        base = BASE.add(version(2, key_id=0xA))
        ours = doomed(base, 2, now=later(1), wait_s=self.week, reason="never used")
        theirs = base.promote(2, now=later(2))
        merged = unite(base, ours, theirs, now=later(3))
        assert merged.keyset.version(2).state is KeyState.DEACTIVATED
        assert merged.keyset.protecting(later(3)).number == 1

    def test_a_keyset_doomed_whole_lives_on_in_what_the_other_branch_made(self) -> None:
        ours = doomed_whole(BASE, now=later(1), wait_s=self.week, reason="the site closes")
        theirs = replaced(BASE, 0xA, later(2))
        merged = unite(BASE, ours, theirs, now=later(3)).keyset
        assert merged.protecting(later(3)).key_id == 0xA


class TestPolicyAndLabels:
    def test_of_what_is_allowed_both_must_allow_it(self) -> None:
        read_only = Policy(allow=frozenset({Operation.PROCESS}))
        ours, theirs = BASE.with_policy(read_only), BASE.with_policy(Policy(max_messages=100))
        merged = unite(BASE, ours, theirs, now=NOW).keyset.policy
        assert merged == replace(read_only, max_messages=100)
        assert unite(None, theirs, ours, now=NOW).keyset.policy.allow == {Operation.PROCESS}

    def test_each_side_s_change_is_taken_and_exportable_goes_one_way(self) -> None:
        base = keyset(policy=Policy(rotate_every=90 * 86_400, propagation=3600, exportable=True))
        ours = base.with_policy(replace(base.policy, rotate_every=30 * 86_400))
        theirs = base.with_policy(replace(base.policy, exportable=False, propagation=7200))
        merged = unite(base, ours, theirs, now=NOW)
        assert merged.keyset.policy == Policy(rotate_every=30 * 86_400, propagation=7200, exportable=False)
        assert merged.notes == ()
        assert unite(None, theirs, base, now=NOW).keyset.policy.exportable is False

    def test_what_both_changed_stays_ours_and_is_told(self) -> None:
        ours = BASE.with_policy(Policy(rotate_every=86_400))
        theirs = BASE.with_policy(Policy(rotate_every=2 * 86_400))
        merged = unite(BASE, ours, theirs, now=NOW)
        assert merged.keyset.policy == ours.policy
        assert "both branches changed rotate_every" in merged.notes[0]

    def test_policies_that_do_not_go_together_leave_ours(self) -> None:
        ours = BASE.with_policy(Policy(rotate_every=3600))
        theirs = BASE.with_policy(Policy(propagation=7200))
        merged = unite(BASE, ours, theirs, now=NOW)
        assert merged.keyset.policy == ours.policy
        assert "do not go together" in merged.notes[0]

    def test_labels_are_merged_key_by_key(self) -> None:
        base = BASE.with_labels({"a": "1", "b": "1", "c": "1", "d": "1"})
        ours = base.with_labels({"a": "2", "b": "1", "d": "2"})
        theirs = base.with_labels({"a": "1", "b": "3", "c": "1", "d": "3", "e": "1"})
        merged = unite(base, ours, theirs, now=NOW)
        assert merged.keyset.labels == {"a": "2", "b": "3", "d": "2", "e": "1"}
        assert merged.notes == ("both branches changed the label 'd' of 'student-records': ours stays",)


class TestWhatIsNotUnited:
    def test_two_keysets_of_one_name(self) -> None:
        with pytest.raises(ConflictError, match="another type"):
            unite(None, BASE, keyset(type=KeyType.AES256_GCM), now=NOW)

    def test_one_key_id_for_two_keys(self) -> None:
        with pytest.raises(ConflictError, match="two keys"):
            unite(BASE, rotated(BASE, 0xA, later(1)), rotated(BASE, 0xA, later(2)), now=later(3))


class TestSubdued:
    def test_what_a_replaced_root_vouches_for_promotes_nothing(self) -> None:
        lead = replaced(BASE, 0xA, later(1))
        forged = replaced(BASE, 0xBAD, later(50))
        merged = unite(BASE, lead, subdued(forged, lead), now=later(60)).keyset
        assert merged.protecting(later(60)).key_id == 0xA
        assert merged.by_key_id(KeyId(0xBAD)).promote_at is None

    def test_nor_does_it_destroy_what_is_alive(self) -> None:
        lead = replaced(BASE, 0xA, later(1))
        doomed = dooming.doomed_whole(lead, now=later(2), wait_s=7 * 86_400, reason="b")
        shredded = replaced(doomed.destroy(1, now=later(200)), 0xBAD, later(201)).destroy(2, now=later(202))
        for forged in (doomed, shredded):
            quiet = subdued(forged, lead)
            for base in (BASE, None):
                for pair in ((lead, quiet), (quiet, lead)):
                    merged = unite(base, *pair, now=later(300)).keyset
                    for each in lead.versions:
                        one = merged.by_key_id(each.key_id)
                        assert one.sealed is not None
                        assert one.destroy_at is None
                        assert one.state is not KeyState.DESTROYED
        foreign = merged.by_key_id(KeyId(0xBAD))
        assert foreign.state is KeyState.DEACTIVATED
        with pytest.raises(StateError):  # who knew the replaced root reads it, whoever made it
            merged.promote(foreign.number, now=later(300))
        assert unite(BASE, lead, subdued(shredded, lead), now=later(300)).keyset.protecting(later(300)).key_id == 0xA
        told = moved_by(shredded, lead)
        assert len(told) == 2
        assert "was destroyed, and stays as it is here" in told[0]

    def test_nor_does_it_change_a_policy_but_it_may_compromise(self) -> None:
        lead = replaced(keyset(policy=Policy(exportable=False)), 0xA, later(1))
        forged = replace(lead, policy=Policy(exportable=True, rotate_every=86_400)).compromise(1, now=later(2))
        merged = unite(None, lead, subdued(forged, lead), now=later(3)).keyset
        assert merged.policy == lead.policy
        assert merged.version(1).state is KeyState.COMPROMISED


MOVES = (
    "rotate",
    "replace",
    "promote",
    "suspend",
    "resume",
    "deactivate",
    "compromise",
    "destroy",
    "label",
    "doom",
    "spare",
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Keyset, Keyset, Keyset]:
    """A base, and two ways on from it."""
    base = _walk(draw, BASE, "base", 0)
    return base, _walk(draw, base, "ours", 100), _walk(draw, base, "theirs", 200)


def _walk(draw: st.DrawFn, keyset: Keyset, who: str, start: int) -> Keyset:
    for step in range(draw(st.integers(0, 5))):
        move, number = draw(st.sampled_from(MOVES)), draw(st.integers(1, len(keyset.versions)))
        at = later(draw(st.integers(0, 40)))
        try:
            keyset = _moved(keyset, move, number, at, key_id=0x100 + start + step, who=who)
        except StrongroomError:
            continue
    return keyset


def _moved(keyset: Keyset, move: str, number: int, at: Timestamp, *, key_id: int, who: str) -> Keyset:
    match move:
        case "rotate":
            return rotated(keyset, key_id, at)
        case "replace":
            return replaced(keyset, key_id, at)
        case "promote":
            return keyset.promote(number, now=at)
        case "resume":
            return keyset.resume(number, now=at)
        case "label":
            return keyset.with_labels({"who": who})
        case "suspend":
            return keyset.suspend(number, now=at, reason=who)
        case "doom":
            return doomed(keyset, number, now=at, wait_s=7 * 86_400, reason=who)
        case "spare":
            return spared(keyset, number, now=at)
        case "deactivate":
            return keyset.deactivate(number, now=at)
        case "compromise":
            return keyset.compromise(number, now=at)
        case _:
            return keyset.destroy(number, now=at)


@given(histories())
@settings(max_examples=250)
def test_nothing_is_lost_nothing_comes_back_and_both_ways_round_are_one(
    copies: tuple[Keyset, Keyset, Keyset],
) -> None:
    base, ours, theirs = copies
    now = later(50)
    merged = unite(base, ours, theirs, now=now).keyset
    other = unite(base, theirs, ours, now=now).keyset
    assert other == replace(merged, labels=other.labels)
    assert merged.key_ids == ours.key_ids | theirs.key_ids
    assert merged.revision > max(ours.revision, theirs.revision)
    for version_ in merged.versions:
        known = [each.by_key_id(version_.key_id) for each in (ours, theirs) if version_.key_id in each.key_ids]
        expected = known[0].state if len(known) == 1 else sterner(known[0].state, known[1].state)
        lawful = {expected}
        if version_.destroy_at is not None or expected is KeyState.PRE_ACTIVATION:
            lawful.add(KeyState.DEACTIVATED if version_.destroy_at is not None else KeyState.ACTIVE)
        assert version_.state in lawful
    assert [each.key_id for each in merged.versions][: len(base.versions)] == [each.key_id for each in base.versions]
    primary = merged.primary_at(now)
    usable = [each for each in merged.versions if each.in_force(now) and each.state_at(now) is KeyState.ACTIVE]
    if primary is not None and usable and primary.state is not KeyState.SUSPENDED:
        assert merged.protecting(now) in usable
