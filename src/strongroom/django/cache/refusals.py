"""What lay in a cache and was not ours: counted by reason, and warned of once a minute. Never a value, never a key."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.keystore import acts

WARN_EVERY: Final = 60.0
"""Seconds between two warnings of one reason: whoever can write to a cache must not be able to fill a log."""


class Refusals:
    """Counts, for this process."""

    def __init__(self, clock: Clock) -> None:
        self.counts: Counter[str] = Counter()
        """By reason: `unopened` (garbage, planted, moved, or under a version that no longer opens), `expired` (kept
        longer than it was meant to be), `unreadable` (authentic, but the codec does not read it)."""
        self._clock = clock
        self._warned: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def note(self, reason: str, *, cache: str, name: str) -> None:
        """Count it; warn unless this cache and reason were warned of just now. `name` is the hidden name."""
        now = self._clock.monotonic()
        with self._lock:
            self.counts[reason] += 1
            before = self._warned.get((cache, reason))
            if before is not None and now < before + WARN_EVERY:
                return
            self._warned[cache, reason] = now
        acts.warn("cache-value-refused", cache=cache, name=name, reason=reason, count=self.counts[reason])


refusals = Refusals(SYSTEM_CLOCK)
