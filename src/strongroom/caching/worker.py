"""What a worker draws from: its group's publications. What it has it keeps until that expires; it takes none older."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom._encoding import Timestamp, format_time
from strongroom.caching.backends import Announcing, Backend
from strongroom.caching.believing import Belief
from strongroom.caching.breaker import Guarded
from strongroom.caching.forklock import QuietLock
from strongroom.caching.keeper import Keeper, Kept
from strongroom.caching.observing import LoggingObserver, Observer, PlaceStanding, Standing
from strongroom.caching.publication import SKEW, check, key_hash, parse, serial_in
from strongroom.caching.publication_tokens import open_tokens
from strongroom.caching.published import PublishedKeyset
from strongroom.errors import (
    ClosedError,
    FormatError,
    NotFoundError,
    NotGrantedError,
    NotPublishedError,
    PublicationError,
    StoreError,
    StrongroomError,
)
from strongroom.primitives.rsa import OaepPrivate
from strongroom.sealing.identities import WorkerIdentity
from strongroom.stores.base import Source

WAIT: Final = 10.0
"""Seconds that a worker waits for its first publication."""
RECHECK: Final = 1.0
"""Seconds between two questions whether there is a newer one."""
LATE: Final = 2.5
"""So many times RECHECK pass before a look-up asks by itself although a keeper runs."""
FORGIVE: Final = 30.0
"""Seconds after which a value that was refused is looked at again: a clock may have been set."""


@dataclass(frozen=True, slots=True)
class _Held:
    serial: int
    expires: Timestamp
    until: float
    since: float
    keysets: Mapping[str, PublishedKeyset] = field(repr=False)


class WorkerSource:
    """The publications of one group, from one place or several; of several the highest serial counts.

    What it has serves until it expires, whatever happens to the places; then every question raises NotPublishedError,
    which says why. Threads may share it; a forked child may go on with it. While one thread asks the places, the
    others use what is held.
    """

    writable = False
    verified = True

    def __init__(
        self,
        identity: WorkerIdentity,
        backends: Sequence[Backend],
        *,
        clock: Clock = SYSTEM_CLOCK,
        min_serial: int = 0,
        recheck: float = RECHECK,
        observer: Observer | None = None,
        memory: Path | None = None,
    ) -> None:
        """memory: the directory in which is kept to whom links between issuers have led (`Belief`)."""
        self._store = identity.store
        self._group = identity.group
        self._key = key_hash(identity.public)
        self._belief = Belief(identity, memory)
        self._private: OaepPrivate | None = OaepPrivate(identity.private)
        self.observer: Observer = LoggingObserver(clock) if observer is None else observer
        self._places = tuple(
            Guarded(each, clock=clock, opened=functools.partial(self._opened, each.location)) for each in backends
        )
        self._clock = clock
        self._floor = min_serial
        self._recheck = recheck
        self.on_news: Callable[[], None] | None = None
        """Called, in whatever thread it is, after a newer publication was taken. It must not raise."""
        self._keeper: Keeper | None = None
        self._lock = QuietLock()
        self._asking = 0  # the process in which a thread is asking
        self._asked_at = float("-inf")
        self._held: _Held | None = None
        self._passed: dict[int, tuple[bytes, float]] = {}
        self._trouble: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"<worker of {self._group!r} at {self.location!r}>"

    @property
    def location(self) -> str:
        """Where its publications lie, and the group."""
        return f"{' '.join(place.location for place in self._places)} (group {self._group})"

    @property
    def serial(self) -> int:
        """The serial of the publication that is held; 0 for none."""
        held = self._held
        return 0 if held is None else held.serial

    @property
    def age(self) -> float:
        """Seconds since the publication that is held was taken; 0 for none."""
        held = self._held
        return 0.0 if held is None else self._clock.monotonic() - held.since

    def standing(self) -> Standing:
        """What is held, and how the places serve, for who watches over it. Nothing is asked for it."""
        held, now = self._held, self._clock.monotonic()
        return Standing(
            group=self._group,
            serial=self.serial,
            expires=None if held is None else held.expires,
            age=self.age,
            left=0.0 if held is None else max(0.0, held.until - now),
            keysets=0 if held is None else len(held.keysets),
            moved_on=self._belief.moved,
            places=tuple(
                PlaceStanding(location=place.location, trouble=self._trouble.get(index, ""), left_alone=place.is_open)
                for index, place in enumerate(self._places)
            ),
        )

    def keep(self) -> None:
        """From the next question on, have a thread do the asking where a place tells its readers at once (Redis)."""
        self._keeper = Keeper(
            self, [each.backend for each in self._places if isinstance(each.backend, Announcing)], every=self._recheck
        )

    def refresh(self) -> None:
        """Ask the places now, whenever they were asked last. What the keeper does."""
        self._refresh(now=True)

    def wait(self, seconds: float = WAIT) -> None:
        """Return once there is a publication. NotPublishedError after that many seconds, with what is wrong where."""
        end = self._clock.monotonic() + seconds
        while True:
            try:
                self._current()
            except NotPublishedError:
                if self._clock.monotonic() >= end:
                    raise
            else:
                return
            time.sleep(0.05)

    def names(self) -> tuple[str, ...]:
        """The names of all granted keysets, sorted."""
        return tuple(sorted(self._current().keysets))

    def load(self, name: str) -> PublishedKeyset:
        """One granted keyset. NotGrantedError for any other name; NotPublishedError."""
        return self._found(self._current(), name)

    def load_all(self) -> tuple[PublishedKeyset, ...]:
        """Every granted keyset, in the order of their names."""
        keysets = self._current().keysets
        return tuple(keysets[name] for name in sorted(keysets))

    def stamp(self, name: str) -> object:
        """The publication's serial. Errors as `load`."""
        held = self._current()
        self._found(held, name)
        return held.serial

    def close(self) -> None:
        """Forget what is held and the identity; later calls raise ClosedError."""
        if self._keeper is not None:
            self._keeper.stop()
        with self._lock:  # whoever is asking comes to an end, and nobody connects again
            self._private = None
            self._held = None
            for place in self._places:
                place.close()

    # -- inside -----------------------------------------------------------------------------------------------------

    def _found(self, held: _Held, name: str) -> PublishedKeyset:
        try:
            return held.keysets[name]
        except KeyError:
            raise NotGrantedError(
                f"keyset {name[:200]!r} was not granted to the worker group {self._group!r}",
                hint=f"strongroom worker grant {self._group} KEYSET, then strongroom publish",
            ) from None

    def _current(self) -> _Held:
        if self._private is None:
            raise ClosedError("the keystore is closed", hint="open it again with strongroom.open()")
        keeper = self._keeper
        # a keeper at work is only waited for where it is late, so that no look-up stands at a socket
        patience = self._recheck if keeper is None or not keeper.running else self._recheck * LATE
        if self._clock.monotonic() >= self._asked_at + patience:
            self._refresh()
        held = self._held
        if held is None or self._clock.monotonic() >= held.until:
            raise self._nothing(held)
        return held

    def _refresh(self, *, now: bool = False) -> None:
        """Ask the places, unless a thread of this process is at it and there is something to go on with."""
        held = self._held
        if not now and self._asking == os.getpid() and held is not None and self._clock.monotonic() < held.until:
            return
        with self._lock:
            if self._private is None or (not now and self._clock.monotonic() < self._asked_at + self._recheck):
                return  # another thread has just done it
            self._asking = os.getpid()
            before = self._held
            try:
                self._ask()
            finally:
                self._asked_at = self._clock.monotonic()
                self._asking = 0
            if self._keeper is not None and not now:
                self._keeper.start()
        # outside the lock: who hears of it takes locks of his own
        if self.on_news is not None and before is not None and self._held is not before:
            self.on_news()

    def _ask(self) -> None:
        claims: list[tuple[int, int, bytes]] = []
        for index, place in enumerate(self._places):
            try:
                head = place.head()
            except (StoreError, NotFoundError, FormatError) as problem:
                self._note(index, problem)
                continue
            passed = self._passed.get(index)
            if passed is None or passed[0] != head or self._clock.monotonic() >= passed[1]:
                claims.append((serial_in(head), index, head))
        for claimed, index, head in sorted(claims, reverse=True):  # the highest serial first: the rest is older then
            until = float("inf")
            try:
                if self._held is None or claimed != self._held.serial:
                    self._take(index, claimed)
            except (StoreError, NotFoundError) as problem:
                self._note(index, problem)
                continue
            except (PublicationError, FormatError) as problem:
                self._note(index, problem)
                until = self._clock.monotonic() + FORGIVE
            else:
                self._trouble.pop(index, None)
            self._passed[index] = (head, until)

    def _take(self, index: int, claimed: int) -> None:
        """Load what lies there, if it is the group's newest. PublicationError, FormatError; StoreError."""
        private, place = self._private, self._places[index]
        if private is None:
            return
        if 0 < claimed < self._floor:
            raise PublicationError(
                f"what lies at {place.location!r} says serial {claimed}, and {self._floor} was seen or asked for",
                reason="serial",
            )
        publication = parse(place.read())
        now = self._clock.now()
        signer = check(
            publication,
            issuer=self._belief.look_again(),
            store=self._store,
            group=self._group,
            key=self._key,
            now=now,
            floor=self._floor,
        )
        granted = open_tokens(publication, publication.key_for(private))
        # from here on the monotonic clock counts: setting the other one neither stretches nor cuts a life
        since = self._clock.monotonic()
        left = min(publication.expires - now, publication.expires - publication.issued) + SKEW
        self._held = _Held(
            serial=publication.serial,
            expires=publication.expires,
            until=since + left / 1000,
            since=since,
            keysets={name: PublishedKeyset(each) for name, each in granted.items()},
        )
        self._floor = publication.serial
        self._belief.follow(signer)
        self.observer.loaded(serial=publication.serial, location=place.location)

    def _opened(self, location: str, seconds: float) -> None:
        self.observer.left_alone(location=location, seconds=seconds)

    def _note(self, index: int, problem: StrongroomError) -> None:
        place = self._places[index]
        self._trouble[index] = str(problem)
        if isinstance(problem, PublicationError):
            self.observer.refused(reason=problem.reason, location=place.location)
        elif isinstance(problem, FormatError):
            self.observer.refused(reason="format", location=place.location)
        else:
            self.observer.failed(location=place.location, problem=str(problem))

    def _nothing(self, held: _Held | None) -> NotPublishedError:
        had = "" if held is None else f"; the last one, serial {held.serial}, expired at {format_time(held.expires)}"
        why = "; ".join(self._trouble[each] for each in sorted(self._trouble)) or "nothing newer is there"
        return NotPublishedError(
            f"there is no publication for the worker group {self._group!r}{had}: {why}", hint="strongroom publish"
        )


def _conforms(source: WorkerSource) -> tuple[Source, Kept]:
    return source, source
