"""A clock that a test moves by hand."""

from __future__ import annotations

from strongroom._encoding import Timestamp


class HandClock:
    """Starts at 2026-11-23T12:00:00Z; `pass_time` moves both of its hands."""

    def __init__(self) -> None:
        self._now = 1_795_435_200_000
        self._monotonic = 1000.0

    def now(self) -> Timestamp:
        return Timestamp(self._now)

    def monotonic(self) -> float:
        return self._monotonic

    def pass_time(self, seconds: float) -> None:
        self._now += round(seconds * 1000)
        self._monotonic += seconds
