"""What people write for types, purposes and policies, as the model's values."""

from __future__ import annotations

import difflib
from typing import TypedDict

from msgspec.structs import replace

from strongroom._encoding import parse_duration
from strongroom.errors import PurposeError, SettingsError
from strongroom.model.policy import EVERYTHING, Policy
from strongroom.model.states import Operation
from strongroom.model.types import KeyType, Purpose

NOTHING = "none"
"""What people write to take back what a policy says."""


class PolicyWords(TypedDict, total=False):
    """A policy as people write it; what is left out, or None, stays as it is, and `none` takes it back.

    rotate_every, propagation, originator, recipient, grace: durations like 90d; allow: `protect`, `process` or both,
    with a comma; max_messages, worker_messages: numbers; exportable: true or false.
    """

    rotate_every: str | None
    propagation: str | None
    originator: str | None
    recipient: str | None
    grace: str | None
    allow: str | None
    max_messages: int | str | None
    worker_messages: int | str | None
    exportable: bool | None


PERIODS = ("rotate_every", "propagation", "originator", "recipient", "grace")
COUNTS = ("max_messages", "worker_messages")


def parse_policy(words: PolicyWords, base: Policy) -> Policy:
    """`base` with what the words change. Raises SettingsError."""
    changes: dict[str, object] = {}
    for field, word in words.items():
        if word is None:
            continue
        if field in PERIODS:
            changes[field] = _period(field, str(word))
        elif field in COUNTS:
            changes[field] = _count(field, word)
        elif field == "allow":
            changes[field] = _allowed(str(word))
        elif field == "exportable" and isinstance(word, bool):
            changes[field] = word
        else:
            raise SettingsError(f"a policy has no {field!r} of {word!r}", hint="strongroom policy --help")
    return replace(base, **changes) if changes else base


def _period(field: str, word: str) -> int | None:
    if word == NOTHING:
        return 0 if field == "grace" else None
    return parse_duration(word)


def _count(field: str, word: object) -> int | None:
    if word == NOTHING:
        return None
    try:
        return int(str(word))
    except ValueError:
        pass
    raise SettingsError(
        f"{str(word)[:40]!r} is not a number of messages", hint=f"write {field} like 1000000, or {NOTHING}"
    )


def _allowed(word: str) -> frozenset[Operation]:
    if word == NOTHING:
        return EVERYTHING
    try:
        return frozenset(Operation(each.strip()) for each in word.split(","))
    except ValueError:
        pass
    raise SettingsError(
        f"{word[:40]!r} is not what a keyset may be allowed", hint="write protect, process or protect,process"
    )


def parse_type(kind: str | KeyType) -> KeyType:
    """The key type of that name. Raises SettingsError, with the nearest one."""
    if isinstance(kind, KeyType):
        return kind
    try:
        return KeyType(kind)
    except ValueError:
        pass
    known = [each.value for each in KeyType]
    near = difflib.get_close_matches(kind, known, n=1)
    raise SettingsError(
        f"{kind!r} is not a key type",
        hint=f"did you mean {near[0]!r}?" if near else f"the types are {', '.join(known)}",
    )


def parse_purpose(purpose: str | Purpose | None) -> Purpose | None:
    """The purpose of that name, or None. Raises PurposeError."""
    if purpose is None or isinstance(purpose, Purpose):
        return purpose
    try:
        return Purpose(purpose)
    except ValueError:
        pass
    raise PurposeError(f"{purpose!r} is not a purpose", hint=f"the purposes are {', '.join(p.value for p in Purpose)}")
