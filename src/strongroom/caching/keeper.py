"""Keeps a worker's publication fresh from a thread of its own: what it hears and asks, no look-up has to wait for.

It is a comfort and no truth: without it (before its first start, in a forked child until its first question, where no
thread can start) look-ups ask by themselves. Hearing is sooner than asking, and asking goes on all the same.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Final, Protocol

from strongroom.caching.backends import Announcing, Subscription
from strongroom.errors import FormatError, StoreError

log = logging.getLogger("strongroom")

AGAIN: Final = 5.0
"""Seconds until a place that could not be heard is tried again."""
ANEW: Final = 60.0
"""Seconds after which a subscription is made anew: a connection can die without a word."""
SPACE: Final = 0.05
"""Seconds between two answers to notices: whoever may publish them could send very many."""


class Kept(Protocol):
    """What is kept fresh."""

    def refresh(self) -> None:
        """Ask the places now."""
        ...


class Keeper:
    """One daemon thread a process. It holds no strong reference: what is kept may be forgotten without `stop`."""

    def __init__(self, kept: Kept, places: Sequence[Announcing], *, every: float) -> None:
        self._kept = weakref.ref(kept)
        self._places = tuple(places)
        self._every = every
        self._pid = 0
        self._stop = threading.Event()

    @property
    def running(self) -> bool:
        """Whether the thread is at work in this process. A fork leaves it behind."""
        return self._pid == os.getpid() and not self._stop.is_set()

    def start(self) -> None:
        """Start it, unless it runs. Call it with a lock held. Where no thread can start, nothing happens."""
        if self.running or not self._places:
            return
        self._stop = threading.Event()  # the parent's may be held by a thread that is not here
        self._pid = os.getpid()
        thread = threading.Thread(target=self._run, args=(self._stop,), name="strongroom-keeper", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # too many threads, or the interpreter is ending
            self._stop.set()

    def stop(self) -> None:
        """Have it end at its next step, within a second or so."""
        self._stop.set()

    def _run(self, stop: threading.Event) -> None:
        ears = [_Ear(place) for place in self._places]
        try:
            while not stop.is_set():
                heard = [ear.heard(self._every / len(ears), stop) for ear in ears]
                kept = self._kept()
                if kept is None or stop.is_set():
                    return
                kept.refresh()
                del kept
                if any(heard):
                    stop.wait(SPACE)
        except Exception as error:  # noqa: BLE001  a thread that dies says so; look-ups go on by themselves
            log.warning("error=%s event=keeper-ended", type(error).__name__)
        finally:
            stop.set()
            for ear in ears:
                ear.close()


class _Ear:
    """One place that is listened to, as long as it can be heard."""

    def __init__(self, place: Announcing) -> None:
        self._place = place
        self._subscription: Subscription | None = None
        self._next = 0.0

    def heard(self, seconds: float, stop: threading.Event) -> bool:
        """Whether something was heard within so many seconds; so many pass, too, where nothing can be heard."""
        now = time.monotonic()
        try:
            if self._subscription is None and now >= self._next:
                self._subscription = self._place.subscribe()
                self._next = now + ANEW
                return True  # what was told before is not heard any more: ask
            if self._subscription is not None:
                heard = self._subscription.heard(seconds)
                if not heard and now >= self._next:
                    self.close()
                return heard
        except (StoreError, FormatError):
            self.close()
            self._next = now + AGAIN
        stop.wait(seconds)
        return False

    def close(self) -> None:
        """Listen no more."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
