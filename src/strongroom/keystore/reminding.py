"""What ends soon is said in the log, once an hour a keyset: before it ends, and as long as nobody has done anything."""

from __future__ import annotations

from collections.abc import Iterator

from strongroom._encoding import Timestamp, format_time
from strongroom.keystore import acts
from strongroom.keystore.counting import Tally
from strongroom.model.keyset import Keyset
from strongroom.model.periods import End, originator_end, processes_at, recipient_end, since
from strongroom.model.version import Version

EVERY = 3600.0
"""Seconds between two reminders of one thing about one keyset."""

LONGEST_NOTICE = 30 * 86_400_000
"""Milliseconds before the end of a period from which on it is said; of a shorter period its last tenth."""


def is_near(end: End, version: Version, now: Timestamp) -> bool:
    """Whether the end of a version's period is so near, or past, that somebody should know."""
    return now >= end.at - min((end.at - since(version)) // 10, LONGEST_NOTICE)


class Reminder:
    """The reminders of one keyset, and when each was last given."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def look(
        self, keyset: Keyset, primary: Version | None, tally: Tally | None, *, now: Timestamp, monotonic: float
    ) -> None:
        """Say what ends soon."""
        for event, facts in _reminders(keyset, primary, tally, now):
            if monotonic >= self._said.get(event, float("-inf")) + EVERY:
                self._said[event] = monotonic
                acts.warn(event, keyset=keyset.name, **facts)

    def notice(self, keyset: Keyset, event: str, *, monotonic: float, **facts: object) -> None:
        """Say that something happened which should not, once an hour."""
        if monotonic >= self._said.get(event, float("-inf")) + EVERY:
            self._said[event] = monotonic
            acts.warn(event, keyset=keyset.name, **facts)


def _reminders(
    keyset: Keyset, primary: Version | None, tally: Tally | None, now: Timestamp
) -> Iterator[tuple[str, dict[str, object]]]:
    if primary is not None and not keyset.pending(now):
        end = originator_end(keyset, primary)
        if end is not None and is_near(end, primary, now):
            yield "originator-period-ends", {"version": primary.number, **_said(end)}
    for version in keyset.versions:
        end = recipient_end(keyset, version)
        if end is not None and is_near(end, version, now) and processes_at(keyset, version, now):
            yield "recipient-period-ends", {"version": version.number, **_said(end)}
    if tally is not None and tally.is_near:
        yield (
            "message-limit-near",
            {"version": tally.number, "messages": tally.total + tally.made, "limit": tally.limit},
        )


def _said(end: End) -> dict[str, object]:
    return {"at": format_time(end.at), "period": "stated" if end.stated else "usual"}
