"""What the owner of a keyset asked for: periods, permissions, labels. Only values that can be kept are accepted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from strongroom._encoding import format_duration
from strongroom.errors import SettingsError
from strongroom.model.text import check_text

MAX_PERIOD = 3650 * 86_400
"""Seconds of the longest period. SP 800-57 part 1 rev. 5, table 1 knows none beyond some years."""

MAX_LABELS = 64
"""Labels a keyset may carry."""

Labels = Mapping[str, str]
"""Free text about a keyset: keys `^[a-z][a-z0-9_-]{0,31}$`, values of at most 256 printable characters."""

_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class Policy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The rules that a keyset carries with it.

    `rotate_every`: seconds after which a rotation is due, None for never. `propagation`: seconds from a rotation to
    the promotion, in which every host receives the new version; None takes the store's default. `exportable`: whether
    the material may leave as a file. Values out of range are a SettingsError.
    """

    rotate_every: int | None = None
    propagation: int | None = None
    exportable: bool = False

    def __post_init__(self) -> None:
        every, propagation = self.rotate_every, self.propagation
        if every is not None and not 0 < every <= MAX_PERIOD:
            raise SettingsError(
                f"a rotation every {every} seconds is not between 1s and {format_duration(MAX_PERIOD)}",
                hint="write it like 90d or 52w",
            )
        if propagation is not None and not 0 <= propagation <= MAX_PERIOD:
            raise SettingsError(
                f"a propagation of {propagation} seconds is not between 0s and {format_duration(MAX_PERIOD)}",
                hint="write it like 24h or 30m",
            )
        if every is not None and propagation is not None and propagation >= every:
            # each rotation queues behind the last: the queue would grow for ever
            raise SettingsError(
                f"a propagation of {format_duration(propagation)} is not shorter than"
                f" a rotation every {format_duration(every)}",
                hint="rotate less often, or shorten the propagation",
            )


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
