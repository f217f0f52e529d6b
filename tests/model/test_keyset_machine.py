"""Keysets moved about at random, with a moving clock, against a small model that works by events and not by dates."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from strongroom._encoding import Timestamp
from strongroom.errors import StateError
from strongroom.model.codec import decode, encode
from strongroom.model.keyset import Keyset
from tests.model.building import NAME, NOW, keyset, record, version

# what each verb takes a version from and to; "waiting" and "on" are what the clock makes of an added one
_VERBS = {
    "suspend": ({"on"}, "suspended"),
    "resume": ({"suspended"}, "on"),
    "deactivate": ({"on", "suspended"}, "deactivated"),
    "compromise": ({"waiting", "on", "suspended", "deactivated"}, "compromised"),
    "destroy": ({"waiting", "on", "suspended", "deactivated", "compromised"}, "destroyed"),
}
_PROCESSING = {"waiting", "on", "deactivated"}


class KeysetMoves(RuleBasedStateMachine):
    """The model: what each version is, who wears the crown, and who waits for it from when."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.held: Keyset = keyset()
        self.are = {1: "on"}
        self.crown = 1
        self.queue: dict[int, int] = {}
        self.seen: set[int] = set(self.held.key_ids)
        self.moves = 0

    @initialize(step=st.integers(0, 10_000))
    def later(self, step: int) -> None:
        self.tick(step)

    def tick(self, step: int) -> None:
        self.now = Timestamp(self.now + step)
        for number in sorted(self.queue, key=lambda each: (self.queue[each], each)):
            if self.queue[number] <= self.now:
                del self.queue[number]
                self.are[number], self.crown = "on", number

    def attempt(self, lawful: bool, move: Callable[[], Keyset]) -> bool:
        """Make the move; it must succeed exactly where the model says so."""
        try:
            moved = move()
        except StateError:
            assert not lawful
            return False
        assert lawful
        self.moves += 1
        assert moved.revision == self.held.revision + 1
        self.held = moved
        return True

    @rule(step=st.sampled_from([0, 1, 999, 1_000, 10_000, 86_400_000]))
    def time_passes(self, step: int) -> None:
        self.tick(step)

    @rule()
    def add(self) -> None:
        number = len(self.are) + 1
        assert self.attempt(True, lambda: self.held.add(version(number, now=self.now)))
        self.are[number] = "waiting"

    @rule(propagation=st.sampled_from([0, 1, 10, 86_400]))
    def rotate(self, propagation: int) -> None:
        number = len(self.are) + 1
        new = version(number, now=self.now)
        assert self.attempt(True, lambda: self.held.rotation(new, now=self.now, propagation_s=propagation))
        self.are[number] = "waiting"
        self.queue[number] = max(self.now + propagation * 1000, max(self.queue.values(), default=0) + 1)
        self.tick(0)

    @rule()
    def rotate_now(self) -> None:
        number = len(self.are) + 1
        assert self.attempt(True, lambda: self.held.replacement(version(number, now=self.now), now=self.now))
        self.queue.clear()
        self.are[number], self.crown = "on", number

    @rule(number=st.integers(1, 9))
    def promote(self, number: int) -> None:
        if number not in self.are:
            return
        lawful = self.are[number] in {"waiting", "on"} and number != self.crown
        if self.attempt(lawful, lambda: self.held.promote(number, now=self.now)):
            self.are[number], self.crown = "on", number
            self.queue = {each: at for each, at in self.queue.items() if each > number}

    @rule(number=st.integers(1, 9), step=st.sampled_from([1, 10_000, 86_400_000]))
    def schedule(self, number: int, step: int) -> None:
        if number not in self.are:
            return
        at = Timestamp(self.now + step)
        hidden = any(each > number and waits == at for each, waits in self.queue.items())
        lawful = self.are[number] == "waiting" and not hidden
        if self.attempt(lawful, lambda: self.held.schedule(number, at, now=self.now)):
            self.queue[number] = at

    @rule(number=st.integers(1, 9), verb=st.sampled_from(sorted(_VERBS)))
    def move(self, number: int, verb: str) -> None:
        if number not in self.are:
            return
        before, after = _VERBS[verb]
        lawful = self.are[number] in before and not (verb in {"deactivate", "destroy"} and number == self.crown)
        if self.attempt(lawful, lambda: getattr(self.held, verb)(number, now=self.now)):
            self.are[number] = after
            self.queue.pop(number, None)

    @invariant()
    def there_is_one_primary_and_it_is_the_models(self) -> None:
        primary = self.held.primary_at(self.now)
        assert primary is not None
        assert primary.number == self.crown
        try:
            protecting = self.held.protecting(self.now).number
        except StateError:
            assert self.are[self.crown] != "on"
        else:
            assert (protecting, self.are[protecting]) == (self.crown, "on")

    @invariant()
    def every_version_is_what_the_model_says(self) -> None:
        words = {"waiting": "pre-activation", "on": "active"}
        states = self.held.at(self.now).states
        assert {n: state.value for n, state in states.items()} == {n: words.get(it, it) for n, it in self.are.items()}

    @invariant()
    def the_queue_is_the_models(self) -> None:
        waiting = sorted(self.queue, key=lambda each: (self.queue[each], each))
        assert [each.number for each in self.held.pending(self.now)] == waiting
        assert self.held.next_change(self.now) == min(self.queue.values(), default=None)

    @invariant()
    def what_processes_is_what_the_model_lets(self) -> None:
        for asked in (False, True):
            lets = _PROCESSING | ({"compromised"} if asked else set())
            order = [self.crown, *(n for n in sorted(self.are, reverse=True) if n != self.crown)]
            processing = [each.number for each in self.held.processing(self.now, compromised_too=asked)]
            assert processing == [n for n in order if self.are[n] in lets]

    @invariant()
    def key_ids_are_never_used_again_and_material_goes_only_by_destruction(self) -> None:
        assert self.held.key_ids >= self.seen
        self.seen |= self.held.key_ids
        assert len(self.held.key_ids) == len(self.held.versions) == len(self.are)
        assert all((each.sealed is None) == (self.are[each.number] == "destroyed") for each in self.held.versions)

    @invariant()
    def revisions_count_the_moves_and_the_record_keeps_them(self) -> None:
        assert self.held.revision == self.moves + 1
        written = record(self.held)
        assert decode(encode(written), name=NAME) == written


TestKeysetMoves = KeysetMoves.TestCase
TestKeysetMoves.settings = settings(max_examples=60, stateful_step_count=40)
