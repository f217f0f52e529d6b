"""A witness at work: its words become hindrances and errors, and one that fails never passes for a good one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from strongroom.errors import FormatError, NotFoundError, StaleError, StoreError, StrongroomError
from strongroom.model.names import KeysetName, Revision, RootId
from strongroom.model.record import Record
from strongroom.sealing.header import Header
from strongroom.sealing.root import Root
from strongroom.stores.pins import check_known
from strongroom.stores.seen import UNKNOWN, Difference, Mark, Seen, Verdict, Witness, vanished

log = logging.getLogger("strongroom")


class Watch:
    """Asks one witness. Where it fails, records go on opening under a hindrance that is the failure itself."""

    __slots__ = ("witness",)

    def __init__(self, witness: Witness) -> None:
        self.witness = witness

    def check(self, record: Record) -> tuple[Verdict, StrongroomError | None]:
        """What the witness says of a record, and why it could say nothing."""
        try:
            return self.witness.check(record), None
        except (FormatError, StoreError) as trouble:
            return UNKNOWN, self._failed(trouble)

    def check_all(self, records: Sequence[Record]) -> tuple[list[Verdict], StrongroomError | None]:
        """The same for many records, in the same order."""
        try:
            return self.witness.check_all(records), None
        except (FormatError, StoreError) as trouble:
            return [UNKNOWN] * len(records), self._failed(trouble)

    def behind(self, root: Root) -> StaleError | None:
        """Why a header of this root is stale: a later root was seen, or another one of the same number."""
        known = self._roots()  # where it fails, each record says so
        newest = max(known.values(), default=0)
        if newest < root.number or (newest == root.number and root.id in known):
            return None
        which = f"root {newest}" if newest > root.number else f"another root {newest}"
        return StaleError(
            f"the header is of root {root.number}, and {which} was seen",
            hint="'git log' tells which one is right; if this one is: strongroom witness accept",
        )

    def mark_behind(self, name: KeysetName, mark: Mark, *, shown: str) -> StaleError | None:
        """Why the header or a group is stale: a later one was seen, or another one."""
        try:
            found = self.witness.check_mark(name, mark)
        except (FormatError, StoreError):
            return None  # each record says so
        if not found:
            return None
        return StaleError(
            f"{shown} is stale: {'; '.join(map(str, found))}",
            hint=f"'git pull' may bring the newer one; if this one is right: strongroom witness accept {name}",
        )

    def groups(self) -> Mapping[KeysetName, Revision]:
        """The worker groups that were seen and not removed, each with its newest revision."""
        try:
            return {name: mark.revision for name, mark in self.witness.groups().items() if mark.digest}
        except (FormatError, StoreError):
            return {}

    def removed(self, name: KeysetName, revision: Revision) -> None:
        """Have the witness know that a group was removed. What fails is told: the removal itself stands."""
        try:
            self.witness.accept_mark(name, Mark(revision, b""))
        except (FormatError, StoreError) as trouble:
            self._failed(trouble)

    def vanished(self, present: Collection[KeysetName]) -> tuple[StaleError, ...]:
        """What is to be said of each record that was seen and is not among those that are here, by name."""
        try:
            gone = [(name, self._gone(name)) for name in sorted(self.witness.known_names().difference(present))]
        except (FormatError, StoreError):
            return ()  # each record says so
        return tuple(stale(name, (found,)) for name, found in gone if found is not None)

    def check_follows(self, header: Header, root: Root) -> None:
        """ForeignStoreError where a root that stands in place of ours does not go on from the newest that was seen."""
        check_known(header, root, self._roots())

    def _roots(self) -> Mapping[RootId, int]:
        try:
            return self.witness.roots()
        except (FormatError, StoreError):
            return {}

    def learn_root(self, root: Root) -> None:
        """Have the witness know a root that was followed to or made. What fails is told; the next opening learns it."""
        try:
            self.witness.learn_root(root)
        except (FormatError, StoreError) as trouble:
            self._failed(trouble)

    def missing(self, name: KeysetName, missing: NotFoundError) -> NotFoundError:
        """The error for a record that is not there, which says so if it was there once."""
        try:
            gone = self._gone(name)
        except (FormatError, StoreError):
            gone = None
        if gone is None:
            return missing
        return NotFoundError(
            f"{missing}; {gone}", hint=f"git log --all -- '*/keysets/{name}.json' tells who removed it"
        )

    def check_unseen(self, name: KeysetName) -> None:
        """StaleError where a record of this name was seen: a new one would hide that somebody removed it."""
        gone = self._gone(name)
        if gone is not None:
            raise stale(name, (gone,))

    def _gone(self, name: KeysetName) -> Difference | None:
        seen: tuple[Seen, ...] = self.witness.show(name)
        return vanished(seen[0]) if seen and seen[0].revision else None

    def _failed(self, trouble: StrongroomError) -> StrongroomError:
        log.warning("witness=%s error=%s event=witness-failed", ascii(self.witness.location), ascii(str(trouble)))
        return trouble


def stale(name: KeysetName, found: Sequence[Difference]) -> StaleError:
    """The error that lists the differences of a record."""
    return StaleError(
        f"keyset {name!r} is stale: {'; '.join(map(str, found))}",
        hint=f"'git pull' may bring the newer one; if this one is right: strongroom witness accept {name}",
    )
