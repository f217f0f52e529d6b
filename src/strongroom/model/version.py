"""One version of a keyset: a number, a key id, a state, its dates and its sealed material. It never moves by itself."""

from __future__ import annotations

from typing import Self

import msgspec
from msgspec.structs import replace

from strongroom._encoding import Timestamp
from strongroom.errors import StateError
from strongroom.model.names import KeyId, format_key_id
from strongroom.model.states import KeyState, check_move
from strongroom.model.text import check_text, followed
from strongroom.model.types import Prefix

MAX_TIME = Timestamp(253_402_300_799_999)
"""The last millisecond of the year 9999, beyond which no time can be written."""

_PRE_ACTIVATION, _ACTIVE, _DESTROYED = KeyState.PRE_ACTIVATION, KeyState.ACTIVE, KeyState.DESTROYED


# A struct and not a dataclass: a store of 10,000 records makes as many versions as it opens, and a frozen dataclass
# takes 2 µs to fill ten fields, a frozen struct 0.2 µs. Both check themselves in __post_init__, whoever makes them.
class Version(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One piece of material in a keyset, as it is written down.

    `state` is the *stored* state; what counts is `state_at(now)`. `promote_at` is the moment from which the version
    is primary, past or to come, None while none is fixed. `changed` is when it was last moved by a person, `reason`
    what was said then. `destroy_at` is the moment from which it may be destroyed, where that was scheduled; until then
    it protects nothing and goes on processing, so that who still needs it is noticed. `public` is the public half of an
    asymmetric key. `sealed` is the wrapped material; a destroyed version, and no other, has none.
    """

    number: int
    key_id: KeyId
    state: KeyState
    created: Timestamp
    promote_at: Timestamp | None
    changed: Timestamp
    reason: str | None
    prefix: Prefix
    public: bytes | None
    sealed: bytes | None
    destroy_at: Timestamp | None = None

    def __post_init__(self) -> None:
        if self.number < 1:
            raise StateError(f"a version cannot have the number {self.number}: they start at 1")
        if not 0 < self.key_id < 1 << 32:
            raise StateError(f"version {self.number} cannot have the key id {self.key_id}: 32 bits, not zero")
        promote_at = 0 if self.promote_at is None else self.promote_at
        if not (0 <= self.created <= MAX_TIME and 0 <= self.changed <= MAX_TIME and 0 <= promote_at <= MAX_TIME):
            raise StateError(f"version {self.number} has a date that is not between the years 1970 and 9999")
        if self.reason is not None:
            if not self.reason:
                raise StateError(f"version {self.number} has an empty reason; say one or none")
            check_text(self.reason, "reason")
        if self.public == b"" or self.sealed == b"":
            raise StateError(f"version {self.number} has an empty public half or empty sealed material")
        if self.destroy_at is not None:
            self._check_schedule(self.destroy_at)
        if (self.sealed is None) is not (self.state is _DESTROYED):
            kept = "no" if self.sealed is None else "still"
            raise StateError(f"version {self.number} is {self.state.value} and has {kept} sealed material")

    def _check_schedule(self, at: Timestamp) -> None:
        if not 0 <= at <= MAX_TIME:
            raise StateError(f"version {self.number} has a date that is not between the years 1970 and 9999")
        if self.state in (_ACTIVE, _DESTROYED):
            raise StateError(f"version {self.number} is {self.state.value} and cannot be scheduled for destruction")
        if self.state is _PRE_ACTIVATION and self.promote_at is not None:
            raise StateError(f"version {self.number} is to be promoted and to be destroyed")

    @classmethod
    def added(
        cls, number: int, key_id: KeyId, *, sealed: bytes, public: bytes | None, prefix: Prefix, now: Timestamp
    ) -> Self:
        """A new version: pre-activation, with no promotion in sight."""
        return cls(
            number=number,
            key_id=key_id,
            state=KeyState.PRE_ACTIVATION,
            created=now,
            promote_at=None,
            changed=now,
            reason=None,
            prefix=prefix,
            public=public,
            sealed=sealed,
        )

    def __repr__(self) -> str:
        return f"<version {self.number} ({format_key_id(self.key_id)}, {self.state.value})>"

    def state_at(self, now: Timestamp) -> KeyState:
        """The effective state: a pre-activation version whose promotion has come is active (DESIGN section 12)."""
        if self.state is _PRE_ACTIVATION and self.in_force(now):
            return _ACTIVE
        return self.state

    def in_force(self, now: Timestamp) -> bool:
        """Whether its promotion has come; what the promotion means depends on the state."""
        return self.promote_at is not None and self.promote_at <= now

    def awaits(self, now: Timestamp) -> bool:
        """Whether its promotion is still to come."""
        return self.promote_at is not None and self.promote_at > now

    def moved(self, to: KeyState, *, now: Timestamp, reason: str | None = None) -> Self:
        """The same version in another state; StateError unless its effective state allows that.

        A promotion that is still to come is given up unless the version can still serve it; one that has come is
        history and stays. The former reason stays where no new one is said, and beside the new one while a destruction
        is scheduled: it says why. Destruction drops the sealed material, and what was scheduled has then happened.
        """
        check_move(self.state_at(now), to, what=f"version {self.number}")
        if reason is not None and self.destroy_at is not None:
            reason = followed(self.reason, reason)
        return replace(
            self,
            state=to,
            changed=now,
            promote_at=None if self.awaits(now) and to not in (_PRE_ACTIVATION, _ACTIVE) else self.promote_at,
            reason=self.reason if reason is None else reason,
            sealed=None if to is _DESTROYED else self.sealed,
            destroy_at=None if to is _DESTROYED else self.destroy_at,
        )

    def doomed(self, at: Timestamp, *, now: Timestamp, reason: str) -> Self:
        """The same version, to be destroyed from `at` on: it is deactivated if it was active, and never promoted.

        The reason of the state that it is in stays beside this one.
        """
        state = self.state_at(now)
        if state is _DESTROYED:
            check_move(state, _DESTROYED, what=f"version {self.number}")
        return replace(
            self,
            state=KeyState.DEACTIVATED if state is _ACTIVE else state,
            changed=now,
            promote_at=None if self.awaits(now) else self.promote_at,
            reason=followed(self.reason, reason),
            destroy_at=at,
        )

    def spared(self, *, now: Timestamp, reason: str | None = None) -> Self:
        """The same version with no destruction in sight; its state stays, as nothing leads back to active.

        Why it was to be destroyed, and the reason of its state, stay beside this one.
        """
        said = "destruction cancelled" if reason is None else reason
        return replace(self, destroy_at=None, changed=now, reason=followed(self.reason, said))

    def promoted(self, *, now: Timestamp, reason: str | None = None) -> Self:
        """The same version, active and in force from now on; StateError unless it is pre-activation or active."""
        if self.state_at(now) is not KeyState.ACTIVE:
            check_move(self.state, KeyState.ACTIVE, what=f"version {self.number}")
        said = self.reason if reason is None else reason
        return replace(self, state=KeyState.ACTIVE, promote_at=now, changed=now, reason=said)

    def promoting(self, at: Timestamp | None, *, now: Timestamp) -> Self:
        """The same version with another moment of promotion, or with none."""
        return replace(self, promote_at=at, changed=now)
