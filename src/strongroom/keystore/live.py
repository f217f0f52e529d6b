"""One keyset as this process knows it now; its source is asked again when its time is up, never at every use."""

from __future__ import annotations

import logging
from collections.abc import Callable

from strongroom._clock import Clock
from strongroom._encoding import Timestamp
from strongroom.caching.forklock import ForkLock
from strongroom.caching.limits import Limits
from strongroom.errors import ClosedError, NotFoundError, StrongroomError
from strongroom.keystore.counting import Counting, Tally
from strongroom.keystore.reminding import Reminder
from strongroom.model.keyset import Keyset
from strongroom.model.periods import Rights, next_end, rights_at
from strongroom.model.version import Version
from strongroom.stores.base import Opened, Refreshed, Source

log = logging.getLogger("strongroom")

DOUBT_EVERY = 1.0
"""Seconds between two questions that were only asked because something did not open."""


class Snapshot:
    """A verified keyset and what is in force of it until `until` (monotonic seconds). Not changed once made."""

    __slots__ = ("_remind", "keyset", "now", "opened", "primary", "rights", "tally", "until")

    def __init__(
        self, opened: Opened, now: Timestamp, until: float, *, counting: Counting, remind: Callable[..., None]
    ) -> None:
        self.opened = opened
        self.keyset: Keyset = opened.keyset
        self.now = now
        self.until = until
        self.primary: Version | None = self.keyset.primary_at(now)
        self.rights: Rights = rights_at(self.keyset, now)
        self.tally: Tally | None = counting.tally(self.keyset, self.primary)
        self._remind = remind

    def notice(self, event: str, **facts: object) -> None:
        """Say in the log, once an hour, that something was done which should not be needed any more."""
        self._remind(self.keyset, event, **facts)

    def same_force(self, other: Snapshot) -> bool:
        """Whether both read the same record, and neither a promotion nor the end of a period lies between them."""
        return (
            self.opened is other.opened
            and self.primary is other.primary
            and self.rights == other.rights
            and self.tally is other.tally
        )


class Gate:
    """Whether the keystore is still open; shared by it and everything that follows its keysets."""

    __slots__ = ("closed",)

    def __init__(self) -> None:
        self.closed = False

    def check(self) -> None:
        """Raise ClosedError once the keystore is closed."""
        if self.closed:
            raise ClosedError("the keystore is closed", hint="open it again with strongroom.open()")


class LiveKeyset:
    """Follows one keyset of a source.

    Within `limits.recheck` seconds of a change (a new record here, a promotion whose moment has come) `snapshot`
    shows it. A source that fails is borne for `limits.grace` seconds with what was last verified.
    """

    __slots__ = (
        "_counting",
        "_doubted_at",
        "_failing_since",
        "_gate",
        "_limits",
        "_loaded_at",
        "_lock",
        "_reminder",
        "_snapshot",
        "_source",
        "_stamp",
        "clock",
        "name",
    )

    def __init__(
        self, source: Source, name: str, *, clock: Clock, limits: Limits, gate: Gate, counting: Counting
    ) -> None:
        self.name = name
        self._counting = counting
        self._reminder = Reminder()
        self._gate = gate
        self.clock = clock
        self._source = source
        self._limits = limits
        self._lock = ForkLock()
        self._snapshot: Snapshot | None = None
        self._stamp: object = None
        self._loaded_at = 0.0
        self._doubted_at = float("-inf")
        self._failing_since: float | None = None

    def snapshot(self) -> Snapshot:
        """What is in force now.

        Raises NotFoundError, FormatError, IntegrityError or StoreError as the source does, at the first time and
        once the grace is over.
        """
        held = self._snapshot
        if held is not None and self.clock.monotonic() < held.until:
            return held
        with self._lock:
            held = self._snapshot
            monotonic = self.clock.monotonic()
            if held is not None and monotonic < held.until:
                return held
            self._gate.check()
            now = self.clock.now()
            try:
                opened = self._ask(held, monotonic)
            except StrongroomError as error:
                # counted from the first question that failed: a keyset that nobody used for an hour has its grace too
                self._failing_since = monotonic if self._failing_since is None else self._failing_since
                if held is None or monotonic >= self._failing_since + self._limits.grace:
                    raise
                log.warning(
                    "keyset=%s event=source-failed error=%s kept=last-verified", self.name, type(error).__name__
                )
                opened = held.opened
            else:
                self._failing_since = None
            until = monotonic + self._limits.recheck
            for change in (opened.keyset.next_change(now), next_end(opened.keyset, now)):
                if change is not None:
                    until = min(until, monotonic + (change - now) / 1000)
            made = Snapshot(opened, now, until, counting=self._counting, remind=self._remind)
            if made.tally is not None:
                made.tally.report(self._counting.usage, monotonic)
            self._reminder.look(made.keyset, made.primary, made.tally, now=now, monotonic=monotonic)
            self._snapshot = made
            return made

    def doubt(self) -> bool:
        """An output opened under nothing here: it may be of a version that was not heard of. Ask the source, at most
        once in DOUBT_EVERY seconds, for anybody can make outputs that open nowhere; whether it knew something newer."""
        now = self.clock.monotonic()
        if now < self._doubted_at + DOUBT_EVERY:
            return False
        self._doubted_at = now
        before = self._snapshot
        if isinstance(self._source, Refreshed):
            self._source.refresh()
        with self._lock:
            if self._snapshot is not None:
                self._snapshot.until = 0.0
        after = self.snapshot()
        return before is None or not before.same_force(after)

    def expire(self) -> None:
        """Ask the source at the next use: this process has just changed it."""
        with self._lock:
            if self._snapshot is not None:
                self._snapshot.until = 0.0
                self._stamp = None

    def _remind(self, keyset: Keyset, event: str, **facts: object) -> None:
        self._reminder.notice(keyset, event, monotonic=self.clock.monotonic(), **facts)

    def _ask(self, held: Snapshot | None, monotonic: float) -> Opened:
        # the stamp is taken before the record is read: a change in between is seen at the next question
        try:
            stamp = self._source.stamp(self.name)
        except NotFoundError:
            stamp = None  # loading it tells more: that it was there once
        if (
            held is not None
            and stamp is not None
            and stamp == self._stamp
            and monotonic < self._loaded_at + self._limits.max_age
        ):
            return held.opened
        opened = self._source.load(self.name)
        self._stamp = stamp
        self._loaded_at = monotonic
        return opened
