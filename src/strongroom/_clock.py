"""The only place that asks what time it is. Everything above takes a Clock, or a time, as an argument."""

from __future__ import annotations

import time
from typing import Protocol

from strongroom._encoding import Timestamp


class Clock(Protocol):
    """Wall-clock time for what is written down, monotonic time for what expires in this process."""

    def now(self) -> Timestamp:
        """Milliseconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's clock."""

    __slots__ = ()

    def now(self) -> Timestamp:
        return Timestamp(time.time_ns() // 1_000_000)

    # the built-in itself: handles ask it at every operation, and a Python frame would double the price
    monotonic = staticmethod(time.monotonic)


SYSTEM_CLOCK: Clock = SystemClock()
