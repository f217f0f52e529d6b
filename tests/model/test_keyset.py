"""A keyset and its moves: one primary at most, the clock promotes, nothing comes back from the dead."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from msgspec.structs import replace

from strongroom._encoding import Timestamp
from strongroom.errors import NotFoundError, PurposeError, SettingsError, StateError
from strongroom.model.keyset import MAX_REVISION, Keyset
from strongroom.model.names import KeyId, Revision
from strongroom.model.policy import Policy
from strongroom.model.states import MOVES, KeyState
from strongroom.model.types import TRAITS, KeyType, Prefix, Purpose
from strongroom.model.version import MAX_TIME, Version
from tests.model.building import NOW, keyset, version

DAY = 86_400
DAY_MS = DAY * 1000


def at(days: float) -> Timestamp:
    return Timestamp(NOW + int(days * DAY_MS))


def primary_number(of: Keyset, now: Timestamp) -> int | None:
    found = of.primary_at(now)
    return None if found is None else found.number


def numbers(versions: tuple[Version, ...]) -> list[int]:
    return [each.number for each in versions]


def in_state(state: KeyState) -> Keyset:
    """Two versions; the second is primary since NOW, the first is in `state`."""
    two = keyset(now=NOW - DAY_MS).replacement(version(2), now=NOW)
    first = replace(two.versions[0], state=state, sealed=None if state is KeyState.DESTROYED else b"x")
    if state is KeyState.PRE_ACTIVATION:
        first = replace(first, promote_at=None)
    return replace(two, versions=(first, two.versions[1]))


class TestCreation:
    def test_the_first_version_is_primary_at_once(self) -> None:
        made = keyset()
        assert made.revision == 1
        assert made.protecting(NOW) == made.version(1)
        assert made.version(1).state is KeyState.ACTIVE
        assert made.version(1).created == made.version(1).promote_at == made.version(1).changed == NOW

    def test_a_keyset_needs_no_primary(self) -> None:
        bare = replace(keyset(), versions=(version(1),))
        assert bare.primary_at(NOW) is None
        assert numbers(bare.processing(NOW)) == [1]
        with pytest.raises(StateError, match="no primary") as refusal:
            bare.protecting(NOW)
        assert refusal.value.hint == "strongroom promote student-records 1"


class TestLaws:
    @pytest.mark.parametrize("held", [[], [2], [0], [1, 3], [1, 2, 2], [2, 1], [1, 1]])
    def test_versions_are_numbered_without_a_gap(self, held: list[int]) -> None:
        with pytest.raises(StateError):
            replace(keyset(), versions=tuple(version(n, key_id=900 + i) for i, n in enumerate(held)))

    def test_key_ids_are_unique(self) -> None:
        with pytest.raises(StateError, match="key id twice"):
            replace(keyset(), versions=(version(1, key_id=7), version(2, key_id=7)))

    @pytest.mark.parametrize("revision", [0, -1, MAX_REVISION + 1])
    def test_revisions_count_from_one(self, revision: int) -> None:
        with pytest.raises(StateError):
            replace(keyset(), revision=Revision(revision))

    @pytest.mark.parametrize(("kind", "purpose"), list(product(KeyType, Purpose)), ids=lambda each: each.value)
    def test_the_purpose_must_be_one_of_the_type(self, kind: KeyType, purpose: Purpose) -> None:
        if purpose in TRAITS[kind].purposes:
            assert keyset(type=kind, purpose=purpose).purpose is purpose
        else:
            with pytest.raises(PurposeError):
                keyset(type=kind, purpose=purpose)

    @pytest.mark.parametrize("kind", KeyType, ids=lambda each: each.value)
    def test_public_halves_belong_to_asymmetric_types(self, kind: KeyType) -> None:
        purpose = min(TRAITS[kind].purposes, key=lambda each: each.value)
        made = keyset(type=kind, purpose=purpose)
        wrong = replace(made.versions[0], public=None if TRAITS[kind].has_public else b"public")
        with pytest.raises(StateError, match="public half"):
            replace(made, versions=(wrong,))

    @pytest.mark.parametrize(
        ("kind", "purpose", "lawful"),
        [
            (KeyType.FERNET, Purpose.ENCRYPT, False),
            (KeyType.SECRET, Purpose.SECRET, False),
            (KeyType.RSA_3072, Purpose.ENCRYPT, False),
            (KeyType.RSA_3072, Purpose.SIGN, True),
            (KeyType.AES256_GCM, Purpose.ENCRYPT, True),
            (KeyType.HMAC_SHA256, Purpose.MAC, True),
        ],
    )
    def test_a_prefix_is_written_only_where_outputs_have_room_for_it(
        self, kind: KeyType, purpose: Purpose, lawful: bool
    ) -> None:
        made = keyset(type=kind, purpose=purpose)  # with no prefix, as imported versions may have
        prefixed = replace(made.versions[0], prefix=Prefix.TINK)
        if lawful:
            assert replace(made, versions=(prefixed,)).versions[0].prefix is Prefix.TINK
        else:
            with pytest.raises(StateError, match="no prefix"):
                replace(made, versions=(prefixed,))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"number": 0},
            {"key_id": 0},
            {"key_id": 1 << 32},
            {"key_id": -1},
            {"created": -1},
            {"created": MAX_TIME + 1},
            {"changed": -1},
            {"promote_at": -1},
            {"promote_at": MAX_TIME + 1},
            {"reason": ""},
            {"public": b""},
            {"sealed": b""},
            {"sealed": None},
            {"state": KeyState.DESTROYED},
        ],
        ids=str,
    )
    def test_a_version_that_cannot_be_is_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(StateError):
            replace(version(1), **wrong)

    @pytest.mark.parametrize("reason", ["a\nb", "\u202e", "x" * 257], ids=ascii)
    def test_a_reason_is_one_printable_line(self, reason: str) -> None:
        with pytest.raises(SettingsError):
            keyset().suspend(1, now=NOW, reason=reason)

    def test_values_do_not_change(self) -> None:
        made = keyset(labels={"owner": "registrar"})
        with pytest.raises(AttributeError):
            made.revision = Revision(9)  # type: ignore[misc]  # that it fails is the point
        with pytest.raises(AttributeError):
            made.versions[0].state = KeyState.ACTIVE  # type: ignore[misc]  # as above
        with pytest.raises(TypeError):
            made.labels["owner"] = "mallory"  # type: ignore[index]  # as above
        assert hash(made) == hash(keyset(labels={"owner": "registrar"}))

    def test_what_is_shown_is_no_material(self) -> None:
        assert repr(keyset()) == "<keyset 'student-records' (fernet), revision 1, 1 versions>"
        assert repr(version(1)) == "<version 1 (10000001, pre-activation)>"


class TestQuestions:
    def test_versions_are_found_by_number_and_by_key_id(self) -> None:
        two = keyset().add(version(2))
        assert two.version(2) is two.by_key_id(KeyId(0x1000_0002)) is two.versions[1]
        assert two.next_number == 3
        assert two.key_ids == {0x1000_0001, 0x1000_0002}

    @pytest.mark.parametrize("number", [0, -1, 3, 10**9])
    def test_a_missing_version_is_an_error_that_says_what_there_is(self, number: int) -> None:
        with pytest.raises(NotFoundError, match="1 to 2"):
            keyset().add(version(2)).version(number)

    def test_an_unknown_key_id_is_an_error(self) -> None:
        with pytest.raises(NotFoundError, match="0000002a"):
            keyset().by_key_id(KeyId(42))

    def test_the_primary_comes_first_then_the_newest(self) -> None:
        four = keyset().add(version(2)).add(version(3)).add(version(4)).promote(2, now=at(1))
        assert numbers(four.processing(at(1))) == [2, 4, 3, 1]

    @pytest.mark.parametrize(
        ("state", "plain", "asked"),
        [
            (KeyState.PRE_ACTIVATION, [2, 1], [2, 1]),
            (KeyState.ACTIVE, [2, 1], [2, 1]),
            (KeyState.SUSPENDED, [2], [2]),
            (KeyState.DEACTIVATED, [2, 1], [2, 1]),
            (KeyState.COMPROMISED, [2], [2, 1]),
            (KeyState.DESTROYED, [2], [2]),
        ],
        ids=str,
    )
    def test_what_processes_follows_from_the_state(self, state: KeyState, plain: list[int], asked: list[int]) -> None:
        held = in_state(state)
        assert numbers(held.processing(NOW)) == plain
        assert numbers(held.processing(NOW, compromised_too=True)) == asked

    @pytest.mark.parametrize("stop", [Keyset.suspend, Keyset.compromise])
    def test_a_primary_out_of_use_protects_nothing_and_stays_primary(self, stop: Callable[..., Keyset]) -> None:
        two = keyset().replacement(version(2), now=at(1))
        stopped = stop(two, 2, now=at(2), reason="laptop lost")
        assert primary_number(stopped, at(2)) == 2
        with pytest.raises(StateError, match="version 2") as refusal:
            stopped.protecting(at(2))
        assert refusal.value.hint == "strongroom rotate student-records --now"
        assert numbers(stopped.processing(at(2))) == [1]

    def test_the_view_of_a_moment_says_how_long_it_holds(self) -> None:
        held = keyset().rotation(version(2), now=NOW, propagation_s=DAY)
        before, after = held.at(at(0.5)), held.at(at(1))
        assert before.primary == held.version(1)
        assert before.states == {1: KeyState.ACTIVE, 2: KeyState.PRE_ACTIVATION}
        assert before.until == held.next_change(NOW) == at(1)
        assert after.primary == held.version(2)
        assert after.states == {1: KeyState.ACTIVE, 2: KeyState.ACTIVE}
        assert after.until is None


class TestRotation:
    def test_the_clock_promotes_at_the_very_millisecond(self) -> None:
        held = keyset().rotation(version(2), now=NOW, propagation_s=DAY)
        assert primary_number(held, Timestamp(at(1) - 1)) == 1
        assert primary_number(held, at(1)) == 2
        assert held.version(2).state is KeyState.PRE_ACTIVATION
        assert held.version(2).state_at(Timestamp(at(1) - 1)) is KeyState.PRE_ACTIVATION
        assert held.version(2).state_at(at(1)) is KeyState.ACTIVE

    def test_both_versions_process_at_every_moment_of_a_rotation(self) -> None:
        held = keyset().rotation(version(2), now=NOW, propagation_s=DAY)
        for moment in (NOW, at(0.5), Timestamp(at(1) - 1), at(1), at(400)):
            assert sorted(numbers(held.processing(moment))) == [1, 2]

    def test_a_second_rotation_queues_behind_the_first(self) -> None:
        held = keyset().rotation(version(2), now=NOW, propagation_s=2 * DAY)
        held = held.rotation(version(3), now=at(1), propagation_s=0)
        assert numbers(held.pending(at(1))) == [2, 3]
        assert held.version(3).promote_at == at(2) + 1
        assert [primary_number(held, moment) for moment in (at(1), at(2), Timestamp(at(2) + 1))] == [1, 2, 3]

    def test_a_rotation_with_no_propagation_counts_in_the_same_millisecond(self) -> None:
        assert primary_number(keyset().rotation(version(2), now=NOW, propagation_s=0), NOW) == 2

    def test_a_rotation_is_one_revision(self) -> None:
        held = keyset()
        assert held.rotation(version(2), now=NOW, propagation_s=5).revision == 2
        assert held.replacement(version(2), now=NOW).revision == 2
        assert held.replacement(version(2), now=NOW).as_revision(Revision(7)).revision == 7

    def test_rotate_now_overtakes_what_waits(self) -> None:
        held = keyset().rotation(version(2), now=NOW, propagation_s=DAY).replacement(version(3), now=at(0.5))
        assert primary_number(held, at(0.5)) == primary_number(held, at(2)) == 3
        assert held.pending(at(0.5)) == ()
        assert held.version(2).state_at(at(2)) is KeyState.PRE_ACTIVATION

    @pytest.mark.parametrize("propagation", [-1, 10**12])
    def test_a_promotion_lies_within_the_years_that_can_be_written(self, propagation: int) -> None:
        with pytest.raises(StateError):
            keyset().rotation(version(2), now=NOW, propagation_s=propagation)

    @pytest.mark.parametrize(
        "wrong",
        [version(3), version(1), version(2, key_id=0x1000_0001), replace(version(2), promote_at=NOW),
         replace(version(2), state=KeyState.ACTIVE)],
    )  # fmt: skip
    def test_only_the_next_new_version_is_added(self, wrong: Version) -> None:
        with pytest.raises(StateError):
            keyset().add(wrong)

    def test_the_key_id_of_a_destroyed_version_is_not_used_again(self) -> None:
        held = keyset().replacement(version(2), now=NOW).destroy(1, now=at(1))
        with pytest.raises(StateError, match="key id twice"):
            held.add(version(3, key_id=0x1000_0001))


class TestSchedule:
    def test_a_waiting_version_can_be_put_off_and_brought_forward(self) -> None:
        held = keyset().rotation(version(2), now=NOW, propagation_s=DAY)
        assert held.schedule(2, at(3), now=NOW).next_change(NOW) == at(3)
        assert primary_number(held.schedule(2, NOW, now=NOW), NOW) == 2

    def test_a_promotion_is_never_moved_once_it_came(self) -> None:
        held = keyset().rotation(version(2), now=NOW, propagation_s=DAY)
        for number in (1, 2):
            with pytest.raises(StateError, match="in force"):
                held.schedule(number, at(5), now=at(1))

    @pytest.mark.parametrize("moment", [NOW - 1, 0, -1, -(10**18), MAX_TIME + 1, 10**18])
    def test_a_promotion_is_fixed_for_a_time_to_come(self, moment: int) -> None:
        with pytest.raises(StateError):
            keyset().add(version(2)).schedule(2, Timestamp(moment), now=NOW)

    def test_two_promotions_at_one_moment_would_hide_the_older(self) -> None:
        held = keyset().add(version(2)).add(version(3)).schedule(3, at(1), now=NOW)
        with pytest.raises(StateError, match="too"):
            held.schedule(2, at(1), now=NOW)


class TestPromote:
    def test_an_older_active_version_can_be_primary_again(self) -> None:
        held = keyset().replacement(version(2), now=at(1)).promote(1, now=at(2))
        assert primary_number(held, at(2)) == 1
        assert held.version(2).state is KeyState.ACTIVE
        assert held.version(1).changed == at(2)
        assert held.version(2).changed == at(1)

    def test_promotions_of_older_versions_are_given_up_and_of_newer_ones_kept(self) -> None:
        held = keyset().add(version(2)).add(version(3)).add(version(4))
        held = held.schedule(2, at(5), now=NOW).schedule(4, at(6), now=NOW)
        held = held.promote(3, now=at(1))
        assert held.version(2).promote_at is None
        assert numbers(held.pending(at(1))) == [4]
        assert [primary_number(held, at(n)) for n in (1, 5, 6)] == [3, 3, 4]

    def test_the_primary_is_not_promoted(self) -> None:
        with pytest.raises(StateError, match="already") as refused:
            keyset().promote(1, now=at(1))
        assert refused.value.hint == f"strongroom show {keyset().name}"

    def test_the_clock_may_have_promoted_it_before(self) -> None:
        held = keyset().rotation(version(2), now=NOW, propagation_s=DAY).replacement(version(3), now=at(2))
        assert primary_number(held.promote(2, now=at(3)), at(3)) == 2

    @pytest.mark.parametrize("moves", [[1, 2], [2, 1, 2], [1, 2, 3, 1]])
    def test_the_last_one_wins_even_within_one_millisecond(self, moves: list[int]) -> None:
        held = keyset().add(version(2)).add(version(3)).promote(3, now=NOW)
        for number in moves:
            held = held.promote(number, now=NOW)
            assert primary_number(held, NOW) == number

    @pytest.mark.parametrize("state", KeyState, ids=str)
    def test_only_what_may_be_active_becomes_primary(self, state: KeyState) -> None:
        held = in_state(state)
        if state in (KeyState.PRE_ACTIVATION, KeyState.ACTIVE):
            assert primary_number(held.promote(1, now=at(1)), at(1)) == 1
        else:
            with pytest.raises(StateError, match="cannot become primary"):
                held.promote(1, now=at(1))
            with pytest.raises(StateError):
                held.schedule(1, at(2), now=at(1))


VERBS = {
    "suspend": KeyState.SUSPENDED,
    "resume": KeyState.ACTIVE,
    "deactivate": KeyState.DEACTIVATED,
    "compromise": KeyState.COMPROMISED,
    "destroy": KeyState.DESTROYED,
}


class TestMoves:
    @pytest.mark.parametrize(("state", "verb"), list(product(KeyState, VERBS)), ids=str)
    def test_every_verb_from_every_state(self, state: KeyState, verb: str) -> None:
        held, to = in_state(state), VERBS[verb]
        lawful = to in MOVES[state] and (verb != "resume" or state is KeyState.SUSPENDED)
        if not lawful:
            with pytest.raises(StateError):
                getattr(held, verb)(1, now=at(1), reason="audit")
            return
        moved: Keyset = getattr(held, verb)(1, now=at(1), reason="audit")
        assert moved.version(1).state is to
        assert moved.version(1).reason == "audit"
        assert moved.version(1).changed == at(1)
        assert moved.version(2) == held.version(2)
        assert moved.revision == held.revision + 1

    @pytest.mark.parametrize("verb", VERBS)
    def test_no_verb_makes_a_version_up(self, verb: str) -> None:
        with pytest.raises(NotFoundError):
            getattr(keyset(), verb)(2, now=NOW)

    @pytest.mark.parametrize("verb", ["deactivate", "destroy"])
    def test_the_primary_is_not_taken_away(self, verb: str) -> None:
        with pytest.raises(StateError, match="primary") as refusal:
            getattr(keyset(), verb)(1, now=at(1))
        assert refusal.value.hint == "strongroom rotate student-records --now"

    def test_the_clock_decides_what_the_primary_is(self) -> None:
        held = keyset().rotation(version(2), now=NOW, propagation_s=DAY)
        with pytest.raises(StateError):
            held.destroy(1, now=Timestamp(at(1) - 1))
        assert held.destroy(1, now=at(1)).version(1).state is KeyState.DESTROYED
        with pytest.raises(StateError):
            held.destroy(2, now=at(1))

    def test_moves_are_checked_against_the_effective_state(self) -> None:
        held = keyset().rotation(version(2), now=NOW, propagation_s=DAY)
        with pytest.raises(StateError, match="pre-activation") as refusal:
            held.suspend(2, now=Timestamp(at(1) - 1))
        assert refusal.value.hint == "strongroom compromise student-records 2"
        assert held.suspend(2, now=at(1)).version(2).state is KeyState.SUSPENDED

    def test_a_destroyed_version_keeps_everything_but_its_material(self) -> None:
        held = keyset(type=KeyType.ED25519, purpose=Purpose.SIGN)
        held = held.replacement(version(2, type=KeyType.ED25519), now=at(1)).destroy(1, now=at(2), reason="end of life")
        gone = held.version(1)
        assert gone.sealed is None
        assert (gone.number, gone.key_id, gone.created, gone.promote_at) == (1, 0x1000_0001, NOW, NOW)
        assert gone.public == b"public 1"

    def test_a_compromised_version_keeps_its_material_and_loses_its_promotion(self) -> None:
        held = (
            keyset().rotation(version(2), now=NOW, propagation_s=DAY).compromise(2, now=at(0.5), reason="seen in a log")
        )
        assert held.version(2).sealed == b"sealed 2"
        assert held.version(2).promote_at is None
        assert primary_number(held, at(2)) == 1

    def test_a_destroyed_version_is_never_promoted(self) -> None:
        held = keyset().rotation(version(2), now=NOW, propagation_s=DAY).destroy(2, now=at(0.5))
        assert held.next_change(at(0.5)) is None
        assert primary_number(held, at(2)) == 1

    def test_what_is_not_suspended_is_not_resumed_and_the_hint_shows_what_it_is(self) -> None:
        with pytest.raises(StateError, match="is active; only a suspended one is resumed") as refused:
            keyset().resume(1, now=at(1))
        assert refused.value.hint == f"strongroom show {keyset().name}"

    def test_moves_back_may_say_why_and_else_keep_what_was_said(self) -> None:
        held = keyset().add(version(2)).suspend(1, now=at(1), reason="a rumour")
        assert held.resume(1, now=at(2)).version(1).reason == "a rumour"
        assert held.resume(1, now=at(2), reason="false alarm").version(1).reason == "false alarm"
        assert held.promote(2, now=at(2), reason="at last").version(2).reason == "at last"

    def test_a_resumed_primary_is_primary_again(self) -> None:
        held = keyset().suspend(1, now=at(1), reason="holiday").resume(1, now=at(2))
        assert held.protecting(at(2)).number == 1
        assert held.version(1).reason == "holiday"
        assert held.version(1).promote_at == NOW

    def test_policy_and_labels_change_with_a_revision(self) -> None:
        held = keyset().with_policy(Policy(rotate_every=90)).with_labels({"b": "2", "a": "1"})
        assert (held.revision, held.policy.rotate_every, list(held.labels)) == (3, 90, ["a", "b"])
        assert held.versions == keyset().versions


class TestClocksThatDiffer:
    """One host's clock is a minute ahead; what it wrote is read by the other, for which it lies in the future."""

    AHEAD = Timestamp(NOW + 60_000)

    def test_a_promotion_by_the_host_ahead_comes_when_our_clock_gets_there(self) -> None:
        held = keyset().replacement(version(2), now=self.AHEAD)
        assert primary_number(held, NOW) == 1
        assert held.next_change(NOW) == self.AHEAD

    def test_a_person_on_the_host_behind_still_has_the_last_word(self) -> None:
        held = keyset().add(version(2)).promote(2, now=self.AHEAD).promote(1, now=Timestamp(self.AHEAD + 1))
        held = held.promote(2, now=NOW)
        assert {primary_number(held, Timestamp(NOW + step)) for step in (0, 60_000, 60_001, 10**9)} == {2}

    def test_suspending_a_version_whose_promotion_is_to_come_gives_the_promotion_up(self) -> None:
        held = keyset().replacement(version(2), now=self.AHEAD).suspend(2, now=NOW)
        assert held.version(2).promote_at is None
        assert primary_number(held, Timestamp(self.AHEAD + 1)) == 1

    def test_a_version_that_lost_its_promotion_can_be_scheduled_anew(self) -> None:
        held = keyset().replacement(version(2), now=self.AHEAD).suspend(2, now=NOW).resume(2, now=NOW)
        assert held.version(2).state is KeyState.ACTIVE
        assert primary_number(held.schedule(2, at(1), now=NOW), at(1)) == 2

    def test_a_rotation_on_the_host_behind_queues_behind_the_host_ahead(self) -> None:
        held = keyset().replacement(version(2), now=self.AHEAD).rotation(version(3), now=NOW, propagation_s=0)
        assert held.version(3).promote_at == self.AHEAD + 1

    def test_with_its_predecessor_destroyed_the_host_behind_has_no_primary_until_then(self) -> None:
        held = keyset().replacement(version(2), now=self.AHEAD).destroy(1, now=self.AHEAD)
        with pytest.raises(StateError, match="no primary") as refusal:
            held.protecting(NOW)
        assert refusal.value.hint == "strongroom promote student-records 2"
        assert held.protecting(self.AHEAD).number == 2

    def test_what_the_host_ahead_destroyed_is_not_waited_for(self) -> None:
        held = keyset().replacement(version(2), now=self.AHEAD).replacement(version(3), now=Timestamp(self.AHEAD + 1))
        held = held.destroy(2, now=Timestamp(self.AHEAD + 2))
        assert held.version(2).promote_at == self.AHEAD
        assert numbers(held.pending(NOW)) == [3]
        assert primary_number(held, self.AHEAD) == 1
