"""The header that a store stands on, and the way to the next one. A root is followed only where links lead to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from strongroom.errors import ForeignStoreError, NotFoundError, StaleError, StrongroomError
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import decode_header, encode_header
from strongroom.sealing.lineage import lineage
from strongroom.sealing.recipients import Audience
from strongroom.sealing.root import Root
from strongroom.sealing.unsealing import Unsealed, audience_in
from strongroom.stores.base import WAIT, Store
from strongroom.stores.locking import ThreadLock
from strongroom.stores.roots import Roots
from strongroom.stores.seen import Mark
from strongroom.stores.watch import Watch

log = logging.getLogger("strongroom")

Reopen = Callable[[], Unsealed]
"""Opens the store's header anew, with the credentials that opened it at first."""

PAUSE: Final = 5.0
"""Seconds between two attempts to open a header that did not open: each may cost a gpg call or an Argon2id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a store stands on: its roots, the header that the newest of them vouches for, and who reads its root file.

    `behind` says why nothing may be written on it: it is older than what this process has seen.
    """

    roots: Roots
    header: Header
    raw: bytes
    audience: Audience
    behind: StaleError | None = None

    @property
    def mark(self) -> Mark:
        """What a witness remembers of the header."""
        return Mark.of_header(self.header, self.raw)

    @classmethod
    def of(cls, root: Root, header: Header, *, raw: bytes | None, audience: Audience | None) -> Standing:
        """What an opened store stands on. `raw` are the header's bytes, where they are at hand."""
        return cls(
            roots=Roots(root, header),
            header=header,
            raw=encode_header(header, root) if raw is None else raw,
            audience=Audience() if audience is None else audience,
        )


class Follower:
    """Looks whether another process, or a git pull, has put another header in place, and follows to it.

    A header under the same root needs nothing more. One under another root is opened with `reopen`, and taken where
    that root and ours are linked, and the newest that any process of this place has seen is among them: whoever could
    forge such a link holds our root already.
    """

    __slots__ = ("_failed", "_monotonic", "_reopen", "_stamp", "_store", "_turn", "_watch")

    def __init__(
        self, store: Store, reopen: Reopen | None, watch: Watch, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._watch = watch
        self._reopen = reopen
        self._monotonic = monotonic
        self._stamp: object = None
        self._failed: tuple[bytes, float, StrongroomError] | None = None
        self._turn = ThreadLock(f"the header of {store.location!r}")

    def look(self, held: Standing) -> Standing:
        """What is to be stood on now: `held` itself where the header is the same, or is gone.

        StaleError where the store went on to a root that does not open here; ForeignStoreError, FormatError,
        IntegrityError where what lies there is none of ours.
        """
        stamp = self._store.header_stamp()
        if stamp == self._stamp:
            return held
        with self._turn.held(wait=WAIT):
            return self._looked(held, stamp)

    def _looked(self, held: Standing, stamp: object) -> Standing:
        try:
            raw = self._store.header()
        except NotFoundError:
            return held
        if raw == held.raw:
            self._stamp = stamp
            return held if held.behind is None else replace(held, behind=None)
        if self._failed is not None and self._failed[0] == raw and self._monotonic() < self._failed[1]:
            raise self._failed[2].again()
        try:
            found = self._next(held, raw)
        except StrongroomError as problem:
            self._failed = (raw, self._monotonic() + PAUSE, problem.again())
            raise
        self._failed = None
        if found.raw == raw or found.behind is not None:
            self._stamp = stamp  # else it has changed once more, and is looked at the next time
        log.info("revision=%d root=%d event=header-followed", found.header.revision, found.header.root)
        return found

    def _next(self, held: Standing, raw: bytes) -> Standing:
        root, unverified = held.roots.newest, decode_header(raw)
        if unverified.claims.root < root.number:
            # never followed: whoever was removed with an older root could have made every byte of it
            return replace(held, behind=_older(unverified.claims.root, root.number))
        if unverified.claims.ref == root.ref:
            header = unverified.verify(root)
            return Standing(
                roots=Roots(root, header, former=held.roots),
                header=header,
                raw=raw,
                audience=audience_in(header, self._store.attachment),
            )
        opened = self._reopened(held, unverified.claims.root)
        if not any(each.ref == root.ref for each in lineage(opened.header, opened.root)):
            raise ForeignStoreError(
                f"root {opened.root.number} stands where root {root.number} was opened, and no link joins the two",
                hint="if it is the right store, open it again: its pin or the witness decides",
            )
        try:
            self._watch.check_follows(opened.header, opened.root)
        except ForeignStoreError:
            now = self._store.header()
            if now == raw:
                raise
            return self._next(held, now)  # it went on meanwhile, and another process has told of that
        return Standing(
            roots=Roots(opened.root, opened.header, former=held.roots),
            header=opened.header,
            raw=opened.raw,
            audience=opened.audience,
        )

    def _reopened(self, held: Standing, number: int) -> Unsealed:
        went_on = f"the store went on to root {number}, and this process opened root {held.header.root}"
        if self._reopen is None:
            raise StaleError(went_on, hint="open it again: strongroom.open(), or start the program anew")
        try:
            return self._reopen()
        except StrongroomError as problem:
            raise StaleError(
                f"{went_on}; the new one does not open here: {problem}", hint=problem.hint or "strongroom doctor"
            ) from None


def _older(number: int, seen: int) -> StaleError:
    return StaleError(
        f"the header is of root {number}, and root {seen} was seen",
        hint="'git log' tells which one is right; if this one is: strongroom witness accept",
    )
