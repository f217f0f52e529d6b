"""The six states of a version, the lawful moves between them and what each permits. Tables, read by everyone."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from strongroom.errors import StateError


class KeyState(enum.Enum):
    """Where a version is in its life (SP 800-57 part 1 rev. 5, section 7)."""

    PRE_ACTIVATION = "pre-activation"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"
    COMPROMISED = "compromised"
    DESTROYED = "destroyed"


class Operation(enum.Enum):
    """What an application does with a version."""

    PROTECT = "protect"
    """Encrypt, sign, compute a MAC."""
    PROCESS = "process"
    """Decrypt, verify."""


# The numbers are the transitions of SP 800-57 part 1, section 7 (1 is generation). There is none from pre-activation
# to suspended: nothing was protected yet, so a suspect key goes to compromised at once (transition 3).
MOVES: Mapping[KeyState, frozenset[KeyState]] = MappingProxyType(
    {
        KeyState.PRE_ACTIVATION: frozenset({KeyState.DESTROYED, KeyState.COMPROMISED, KeyState.ACTIVE}),  # 2, 3, 4
        KeyState.ACTIVE: frozenset(
            {KeyState.DESTROYED, KeyState.COMPROMISED, KeyState.SUSPENDED, KeyState.DEACTIVATED}  # 5, 6, 7, 8
        ),
        KeyState.SUSPENDED: frozenset(
            {KeyState.DESTROYED, KeyState.ACTIVE, KeyState.COMPROMISED, KeyState.DEACTIVATED}  # 9, 10, 11, 12
        ),
        KeyState.DEACTIVATED: frozenset({KeyState.DESTROYED, KeyState.COMPROMISED}),  # 13, 14
        KeyState.COMPROMISED: frozenset({KeyState.DESTROYED}),  # 15
        KeyState.DESTROYED: frozenset(),
    }
)


class Rule(enum.Enum):
    """On what a state lets an operation depend."""

    NEVER = "never"
    ALWAYS = "always"
    IF_PRIMARY = "if primary"
    IF_ASKED = "if asked for by name"


# DESIGN section 1. Pre-activation versions process, which SP 800-57 section 7.1 does not foresee: a host whose copy of
# the store is late within the propagation must open what the others, where the promotion has come, already protect.
# Suspended ones do not, although section 7.3 leaves it to the recipient: while a compromise is looked into, "accept
# the risk" is not for a library to say.
RULES: Mapping[tuple[KeyState, Operation], Rule] = MappingProxyType(
    {
        (KeyState.PRE_ACTIVATION, Operation.PROTECT): Rule.NEVER,
        (KeyState.PRE_ACTIVATION, Operation.PROCESS): Rule.ALWAYS,
        (KeyState.ACTIVE, Operation.PROTECT): Rule.IF_PRIMARY,
        (KeyState.ACTIVE, Operation.PROCESS): Rule.ALWAYS,
        (KeyState.SUSPENDED, Operation.PROTECT): Rule.NEVER,
        (KeyState.SUSPENDED, Operation.PROCESS): Rule.NEVER,
        (KeyState.DEACTIVATED, Operation.PROTECT): Rule.NEVER,
        (KeyState.DEACTIVATED, Operation.PROCESS): Rule.ALWAYS,
        (KeyState.COMPROMISED, Operation.PROTECT): Rule.NEVER,
        (KeyState.COMPROMISED, Operation.PROCESS): Rule.IF_ASKED,
        (KeyState.DESTROYED, Operation.PROTECT): Rule.NEVER,
        (KeyState.DESTROYED, Operation.PROCESS): Rule.NEVER,
    }
)

# From mild to stern. A merge or a witness may only take rights away: suspended stands above deactivated because it
# permits nothing, and active above pre-activation because a promotion that was seen is not undone.
_STERNNESS = (
    KeyState.PRE_ACTIVATION,
    KeyState.ACTIVE,
    KeyState.DEACTIVATED,
    KeyState.SUSPENDED,
    KeyState.COMPROMISED,
    KeyState.DESTROYED,
)


def check_move(a: KeyState, b: KeyState, *, what: str = "a version", hint: str = "") -> None:
    """Raise StateError unless a version may go from state `a` to state `b`; `what` and `hint` go into the message."""
    if b not in MOVES[a]:
        lawful = ", ".join(state.value for state in KeyState if state in MOVES[a]) or "nothing: it is final"
        raise StateError(f"{what} is {a.value} and cannot become {b.value}; lawful is {lawful}", hint=hint)


def permits(state: KeyState, operation: Operation, *, primary: bool, compromised_too: bool = False) -> bool:
    """Whether a version in `state` may do `operation`; `compromised_too` is the caller's explicit wish to read on."""
    match RULES[state, operation]:
        case Rule.ALWAYS:
            return True
        case Rule.IF_PRIMARY:
            return primary
        case Rule.IF_ASKED:
            return compromised_too
        case Rule.NEVER:
            return False


def sterner(a: KeyState, b: KeyState) -> KeyState:
    """Of two states that two copies of a record give one version, the one that must win."""
    return max(a, b, key=_STERNNESS.index)
