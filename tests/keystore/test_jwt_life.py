"""Whatever is done to a keyset, in whatever order: who fetches its keys can verify every token that still lives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.keystore.clocks import HandClock

from strongroom.errors import NotFoundError, StateError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_memory
from strongroom.model.states import KeyState

LIVES = timedelta(hours=1)
MOVES = st.one_of(
    st.tuples(st.sampled_from(["rotate", "rotate at once", "add"])),
    st.tuples(st.sampled_from(["promote", "suspend", "resume", "deactivate", "compromise"]), st.integers(1, 4)),
    st.tuples(st.just("wait"), st.sampled_from([1, 600, 1800, 3599, 3600, 7200])),
)


class Life:
    """A keyset, and what an onlooker noted: until when each version was the primary and could sign."""

    def __init__(self, keystore: KeyStore, clock: HandClock) -> None:
        self.keystore, self.clock = keystore, clock
        keystore.create("tokens", "ed25519", propagation="30m")
        self.signed_until: dict[int, int] = {}

    def note(self) -> None:
        now = self.clock.now()
        primary = self.keystore.show("tokens").primary_at(now)
        if primary is not None and primary.state_at(now) is KeyState.ACTIVE:
            self.signed_until[primary.number] = now

    def wait(self, seconds: int) -> None:
        """Let the time pass, with a look at each promotion, and a moment before it."""
        end = self.clock.now() + seconds * 1000
        while (change := self.keystore.show("tokens").next_change(self.clock.now())) is not None and change <= end:
            for moment in (change - 1, change):
                self.clock.pass_time(max(0, moment - self.clock.now()) / 1000)
                self.note()
        self.clock.pass_time((end - self.clock.now()) / 1000)
        self.note()

    def move(self, verb: str, *arguments: int) -> None:
        try:
            if verb == "wait":
                return self.wait(*arguments)
            if verb in {"rotate", "rotate at once"}:
                self.keystore.rotate("tokens", now=verb == "rotate at once")
            elif verb in {"add", "promote", "resume"}:
                getattr(self.keystore, verb)("tokens", *arguments)
            else:
                getattr(self.keystore, verb)("tokens", *arguments, reason="a test")
        except (StateError, NotFoundError):
            pass  # not every move is lawful for every version
        return self.note()


@settings(max_examples=60)
@given(st.lists(MOVES, max_size=12))
def test_every_living_tokens_key_is_published_and_none_that_may_not_verify(moves: list[tuple[Any, ...]]) -> None:
    clock = HandClock()
    with open_memory("?seed=lives", clock=clock) as keystore:
        life = Life(keystore, clock)
        life.note()
        for verb, *arguments in moves:
            life.wait(1)
            life.move(str(verb), *map(int, arguments))
            now = clock.now()
            published = {key.number for key in keystore.jwt("tokens").published(tokens_live=LIVES)}
            keyset = keystore.show("tokens")
            may = {version.number for version in keyset.processing(now)}
            coming = {v.number for v in keyset.versions if v.state_at(now) is KeyState.PRE_ACTIVATION}
            lives_ms = LIVES.total_seconds() * 1000
            living = {number for number, until in life.signed_until.items() if now - until < lives_ms}
            assert (living | coming) & may <= published <= may
