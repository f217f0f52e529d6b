"""A policy as it is spelled in records and publications: whole as the first format knew it, or whole as the second."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from strongroom._encoding import format_duration, parse_duration
from strongroom.errors import FormatError
from strongroom.model.policy import MAX_COUNT, Policy
from strongroom.model.states import Operation

_Messages = Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)] | None

_ALLOWED = tuple(Operation)  # in the order in which they are spelled


# The order of the fields is the order in the file. Those after `exportable` are there together, or not at all.
class PolicyWire(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """A policy in JSON. The fields of the second format are unset in the first."""

    rotate_every: str | None
    propagation: str | None
    exportable: bool
    originator: str | UnsetType | None = UNSET
    recipient: str | UnsetType | None = UNSET
    grace: str | UnsetType = UNSET
    allow: tuple[Operation, ...] | UnsetType = UNSET
    max_messages: _Messages | UnsetType = UNSET
    worker_messages: _Messages | UnsetType = UNSET


def spell_policy(policy: Policy, *, extended: bool) -> PolicyWire:
    """As the second format spells it (`extended`), or as the first, which has no place for what is left out then."""
    if not extended:
        return PolicyWire(
            rotate_every=_text(policy.rotate_every),
            propagation=_text(policy.propagation),
            exportable=policy.exportable,
        )
    return PolicyWire(
        rotate_every=_text(policy.rotate_every),
        propagation=_text(policy.propagation),
        exportable=policy.exportable,
        originator=_text(policy.originator),
        recipient=_text(policy.recipient),
        grace=format_duration(policy.grace),
        allow=tuple(each for each in _ALLOWED if each in policy.allow),
        max_messages=policy.max_messages,
        worker_messages=policy.worker_messages,
    )


@lru_cache(maxsize=256)  # a store knows a handful of policies
def read_policy(wire: PolicyWire, *, extended: bool) -> Policy:
    """The policy. FormatError for fields of the other format and for another spelling; SettingsError as Policy."""
    originator, recipient, grace, allow = wire.originator, wire.recipient, wire.grace, wire.allow
    most, share = wire.max_messages, wire.worker_messages
    if (
        isinstance(originator, UnsetType)
        or isinstance(recipient, UnsetType)
        or isinstance(grace, UnsetType)
        or isinstance(allow, UnsetType)
        or isinstance(most, UnsetType)
        or isinstance(share, UnsetType)
    ):
        if extended or not all(each is UNSET for each in (originator, recipient, grace, allow, most, share)):
            raise FormatError("its policy has fields of another format, or lacks some")
        return Policy(
            rotate_every=_seconds(wire.rotate_every),
            propagation=_seconds(wire.propagation),
            exportable=wire.exportable,
        )
    if not extended:
        raise FormatError("its policy has fields of a later format")
    if allow != tuple(each for each in _ALLOWED if each in allow):
        raise FormatError("what its policy allows is not spelled once and in order")
    return Policy(
        rotate_every=_seconds(wire.rotate_every),
        propagation=_seconds(wire.propagation),
        exportable=wire.exportable,
        originator=_seconds(originator),
        recipient=_seconds(recipient),
        grace=_seconds(grace) or 0,
        allow=frozenset(allow),
        max_messages=most,
        worker_messages=share,
    )


def _text(seconds: int | None) -> str | None:
    return None if seconds is None else format_duration(seconds)


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    seconds = parse_duration(text)
    if format_duration(seconds) != text:
        raise FormatError(f"{text!r} is to be written {format_duration(seconds)!r}")
    return seconds
