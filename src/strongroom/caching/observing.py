"""What a worker tells of itself: counts and ages, never a value. A trouble that lasts is one warning a minute."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Final, Protocol

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom._encoding import Timestamp

log = logging.getLogger("strongroom")

WARN_EVERY: Final = 60.0
"""Seconds between two warnings of one kind about one place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceStanding:
    """How a place serves: `trouble` is empty where all is well; `left_alone`: the breaker is open."""

    location: str
    trouble: str
    left_alone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a worker holds now. `age` and `left` are seconds: since it was taken, and until it ends.

    serial is 0, and expires None, where nothing is held (yet, or any more). moved_on: the issuer that the identity
    names was replaced, and a link led on to the one that is believed now.
    """

    group: str
    serial: int
    expires: Timestamp | None
    age: float
    left: float
    keysets: int
    moved_on: bool
    places: tuple[PlaceStanding, ...]


class Observer(Protocol):
    """Is told what happens to publications. It must not block, and must not raise."""

    def loaded(self, *, serial: int, location: str) -> None:
        """A publication was taken."""
        ...

    def refused(self, *, reason: str, location: str) -> None:
        """What lies there was refused, for this reason: one word."""
        ...

    def failed(self, *, location: str, problem: str) -> None:
        """The place did not serve."""
        ...

    def left_alone(self, *, location: str, seconds: float) -> None:
        """The breaker opened: the place is not asked for so many seconds."""
        ...


class LoggingObserver:
    """Counts, and logs under the name `strongroom`."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self.counts: Counter[str] = Counter()
        """By event: `loaded`, `failed`, `left-alone`, and `refused.REASON`."""
        self._clock = clock
        self._warned: dict[tuple[str, str], float] = {}

    def loaded(self, *, serial: int, location: str) -> None:
        """Counts it; the next trouble is told at once again."""
        self.counts["loaded"] += 1
        self._warned.clear()
        log.info("serial=%d from=%s event=publication-loaded", serial, location)

    def refused(self, *, reason: str, location: str) -> None:
        """Counts it, and warns once a minute."""
        self.counts[f"refused.{reason}"] += 1
        if self._may_warn(reason, location):
            log.warning("reason=%s from=%s event=publication-refused", reason, location)

    def failed(self, *, location: str, problem: str) -> None:
        """Counts it, and warns once a minute."""
        self.counts["failed"] += 1
        if self._may_warn("", location):
            log.warning("from=%s problem=%r event=publication-unreachable", location, problem)

    def left_alone(self, *, location: str, seconds: float) -> None:
        """Counts it: the failures before it were told."""
        self.counts["left-alone"] += 1
        log.info("from=%s seconds=%g event=publication-left-alone", location, seconds)

    def _may_warn(self, kind: str, location: str) -> bool:
        now = self._clock.monotonic()
        before = self._warned.get((kind, location))
        if before is not None and now < before + WARN_EVERY:
            return False
        self._warned[kind, location] = now
        return True


def _conforms(observer: LoggingObserver) -> Observer:
    return observer
