"""What the owner of a keyset asked for: periods, permissions, labels. Only values that can be kept are accepted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from strongroom._encoding import format_duration
from strongroom.errors import PolicyError, SettingsError
from strongroom.model.states import Operation
from strongroom.model.text import check_text

MAX_PERIOD = 3650 * 86_400
"""Seconds of the longest period. SP 800-57 part 1 rev. 5, table 1 knows none beyond some years."""

MAX_LABELS = 64
"""Labels a keyset may carry."""

Labels = Mapping[str, str]
"""Free text about a keyset: keys `^[a-z][a-z0-9_-]{0,31}$`, values of at most 256 printable characters."""

_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,31}")


MAX_COUNT = (1 << 53) - 1
"""The greatest number of messages that a limit names: every JSON reader keeps it whole (RFC 8259 section 6)."""

EVERYTHING = frozenset(Operation)
"""What a keyset may do where its policy takes nothing away."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The rules that a keyset carries with it. Values out of range are a SettingsError.

    `rotate_every`: seconds after which a rotation is due, None for never. `propagation`: seconds from a rotation to
    the promotion, in which every host receives the new version; None takes the store's default. `exportable`: whether
    a key may go out as text; a `secret`, which is kept to be read, always may.

    `originator` and `recipient`: seconds, from when a version became primary, for which it protects and for which what
    it protected is processed (SP 800-57 part 1 rev. 5, section 5.3.5). Stated ones are kept to; where there is none,
    the usual period of the type is only warned about (periods.py). `grace`: seconds beyond `originator` in which the
    version still protects. `allow`: what the keyset may do at all. `max_messages`: how many messages one version may
    protect, as far as holders have counted together; `worker_messages`: how many of them each worker process may.
    """

    rotate_every: int | None = None
    propagation: int | None = None
    exportable: bool = False
    originator: int | None = None
    recipient: int | None = None
    grace: int = 0
    allow: frozenset[Operation] = EVERYTHING
    max_messages: int | None = None
    worker_messages: int | None = None

    def __post_init__(self) -> None:
        every, propagation = self.rotate_every, self.propagation
        _check_period(every, "rotation every", least=1)
        _check_period(propagation, "propagation of", least=0)
        if every is not None and propagation is not None and propagation >= every:
            # each rotation queues behind the last: the queue would grow for ever
            raise SettingsError(
                f"a propagation of {format_duration(propagation)} is not shorter than"
                f" a rotation every {format_duration(every)}",
                hint="rotate less often, or shorten the propagation",
            )
        if self.extended:
            self._check_extension()

    @property
    def extended(self) -> bool:
        """Whether anything is set that the first format of records has no place for."""
        return not (
            self.originator is None
            and self.recipient is None
            and self.grace == 0
            and self.allow == EVERYTHING
            and self.max_messages is None
            and self.worker_messages is None
        )

    def permits(self, operation: Operation) -> bool:
        """Whether the keyset may do this at all."""
        return operation in self.allow

    def followed_by(self, other: Policy) -> Policy:
        """`other`, if it may take the place of this policy. PolicyError where it lets out what was kept in."""
        if other.exportable and not self.exportable:
            raise PolicyError(
                "a keyset that was not exportable does not become so",
                hint="strongroom create NAME --type TYPE --exportable makes another one",
            )
        return other

    def _check_extension(self) -> None:
        originator, recipient = self.originator, self.recipient
        _check_period(originator, "originator-usage period of", least=1)
        _check_period(recipient, "recipient-usage period of", least=1)
        _check_period(self.grace, "grace of", least=0)
        if self.grace and originator is None:
            raise SettingsError(
                "a grace follows an originator-usage period, and there is none",
                hint="strongroom policy NAME --originator 730d --grace 7d",
            )
        if originator is not None and recipient is not None and recipient < originator + self.grace:
            raise SettingsError(
                f"a recipient-usage period of {format_duration(recipient)} is shorter than the"
                f" {format_duration(originator + self.grace)} in which the version protects",
                hint="what is protected must be processed for as long, at least",
            )
        if originator is not None and self.rotate_every is not None and self.rotate_every > originator:
            raise SettingsError(
                f"a rotation every {format_duration(self.rotate_every)} comes after the originator-usage period of"
                f" {format_duration(originator)}",
                hint="rotate more often, or state a longer period",
            )
        if not self.allow:
            raise SettingsError(
                "a keyset must be allowed something: protect, process or both",
                hint="strongroom suspend NAME VERSION stops a version",
            )
        _check_count(self.max_messages, "a limit")
        _check_count(self.worker_messages, "a worker's share")
        if self.worker_messages is not None and (self.max_messages is None or self.worker_messages > self.max_messages):
            raise SettingsError(
                f"a worker's share of {self.worker_messages} messages is part of no limit that is greater",
                hint="strongroom policy NAME --max-messages 1000000 --worker-messages 10000",
            )


def _check_period(seconds: int | None, what: str, *, least: int) -> None:
    if seconds is not None and not least <= seconds <= MAX_PERIOD:
        raise SettingsError(
            f"a {what} {seconds} seconds is not between {least}s and {format_duration(MAX_PERIOD)}",
            hint="write it like 90d, 24h or 30m",
        )


def _check_count(messages: int | None, what: str) -> None:
    if messages is not None and not 1 <= messages <= MAX_COUNT:
        raise SettingsError(f"{what} of {messages} messages is not between 1 and {MAX_COUNT}")


NO_LABELS: Labels = MappingProxyType({})
"""The labels of a keyset that has none."""


def check_labels(labels: Labels) -> Labels:
    """A read-only copy, sorted by key; a SettingsError for a key or value that the label law does not allow."""
    if not labels:
        return NO_LABELS
    if len(labels) > MAX_LABELS:
        raise SettingsError(f"{len(labels)} labels are more than {MAX_LABELS}")
    for key, value in labels.items():
        if _LABEL_KEY.fullmatch(key) is None:
            raise SettingsError(
                f"{key[:40]!r} is not a label",
                hint="write it like owner: a-z, then also 0-9, '_' and '-', at most 32 characters",
            )
        check_text(value, f"label {key!r}")
    return MappingProxyType(dict(sorted(labels.items())))
