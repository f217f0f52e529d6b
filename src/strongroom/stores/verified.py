"""A store with its root, as it is read: what comes out is authentic, and what cannot be is an error or a hindrance."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path

from strongroom.errors import ClosedError, ExposedRootError, NotFoundError, StaleError, StrongroomError
from strongroom.model.names import KeysetName, Revision, RootId, parse_name
from strongroom.model.record import Record
from strongroom.sealing.header import Header
from strongroom.sealing.lineage import lineage
from strongroom.sealing.recipients import Audience
from strongroom.sealing.root import Root
from strongroom.stores.acceptance import Acceptance, Witnessed
from strongroom.stores.base import WAIT, Oddity, Store
from strongroom.stores.following import Follower, Reopen, Standing
from strongroom.stores.pins import Pin
from strongroom.stores.roots import Roots
from strongroom.stores.sealed_keyset import SealedKeyset
from strongroom.stores.seen import HEADER, Mark, NoWitness, Verdict, Witness
from strongroom.stores.under import under_witness
from strongroom.stores.watch import Watch, stale

log = logging.getLogger("strongroom")

_parsed = lru_cache(maxsize=16_384)(parse_name)
_ATTEMPTS = 3


class VerifiedStore:
    """Records that are verified under the root as they are read.

    Threads may share it; a forked child may go on with it. A record that the witness knows to be stale, or any while
    the root is exposed, still opens: `hindrance` says why nothing may be protected with it. A header that another
    process has put in place is followed as the next record is read; `reopen` is asked where it is under another root.
    """

    writable = True
    verified = True

    def __init__(
        self,
        store: Store,
        root: Root,
        header: Header,
        *,
        raw: bytes | None = None,
        witness: Witness | None = None,
        audience: Audience | None = None,
        reopen: Reopen | None = None,
    ) -> None:
        self._stands = Standing.of(root, header, raw=raw, audience=audience)
        self._roots: Roots | None = self._stands.roots
        self.witness: Witness = NoWitness("none was given") if witness is None else witness
        self._watch = Watch(self.witness)
        self._store = store
        self._follower = Follower(store, reopen, self._watch)
        self._exposed = self._exposure(())
        self._behind: StaleError | None = None
        self._look_behind()

    def __repr__(self) -> str:
        return f"<sealed store {self.location!r}>"

    # -- what it is -------------------------------------------------------------------------------------------------

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return self._store.location

    @property
    def header(self) -> Header:
        """The header that was verified when the store was opened, or followed to or written since."""
        return self._stands.header

    @property
    def root(self) -> Root:
        """The root, for sealing it to somebody. ClosedError after close."""
        return self._open_roots().newest

    def older_roots(self) -> tuple[Root, ...]:
        """The older roots that the header holds, newest first. ClosedError."""
        return lineage(self.header, self.root)

    @property
    def pin(self) -> Pin:
        """What to write down outside the repository."""
        return Pin.of(self.root)

    @property
    def propagation(self) -> int:
        """Seconds that a new version travels before it protects, where the keyset's policy says nothing else."""
        return self.header.propagation

    def path_of(self, name: str) -> Path | None:
        """The file to `git add` for a keyset; None where there are no files."""
        return self._store.path_of(_parsed(name, reserved=True))

    def lock(self, *, wait: float = WAIT) -> AbstractContextManager[None]:
        """Be the only writer for a block; a thread may nest it. LockError."""
        return self._store.lock(wait=wait)

    def close(self) -> None:
        """Forget the root; every later question raises ClosedError. Closing twice is harmless."""
        self._roots = None
        self._store.close()
        self.witness.close()

    # -- reading ----------------------------------------------------------------------------------------------------

    def names(self) -> tuple[KeysetName, ...]:
        """The names of all keysets, sorted; nothing is opened for it."""
        self._open_roots()
        return self._store.names()

    def oddities(self) -> tuple[Oddity, ...]:
        """What lies among the records and is none."""
        return self._store.oddities()

    def load(self, name: str) -> SealedKeyset:
        """One keyset, verified now: strictly parsed, under our root, compared with the witness."""
        wanted = _parsed(name, reserved=True)
        self.follow()
        record = self._read(wanted)
        verdict, damage = self._watch.check(record)
        attempts = _ATTEMPTS
        while verdict.differences and attempts:
            # between our reading and the witness's answer another process may have written, and told it
            attempts -= 1
            again = self._read(wanted)
            if again.mac == record.mac:
                break
            record = again
            verdict, damage = self._watch.check(record)
        return self._opened(record, verdict, damage)

    def load_all(self) -> tuple[SealedKeyset, ...]:
        """Every keyset, verified now, in the order of their names."""
        self.follow()
        records = self._read_all()
        verdicts, damage = self._watch.check_all(records)
        return tuple(
            [
                self.load(record.keyset.name) if verdict.differences else self._opened(record, verdict, damage)
                for record, verdict in zip(records, verdicts, strict=True)
            ]
        )

    def stamp(self, name: str) -> object:
        """A cheap token that is equal while the record and the header are the same."""
        return self._store.header_stamp(), self._store.stamp(_parsed(name, reserved=True))

    def follow(self) -> None:
        """Go on to the header that is in place now, if it is another one. Errors as Follower.look."""
        self._open_roots()
        for _ in range(_ATTEMPTS):
            found = self._follower.look(self._stands)
            if found is not self._stands:
                self._stand_on(found)
            else:
                self._look_behind()  # another process of this place may have seen a later one
            if self._behind is None:
                return
            # between our looking and the witness's answer another process may have written, and told it

    def check_authentic(self, body: bytes, mac: bytes, *, root: RootId, place: KeysetName, shown: str) -> None:
        """For what lies beside the keysets: IntegrityError unless its MAC counts, as `Roots.check` says."""
        self._open_roots().check(body, mac, root=root, place=place, shown=shown)

    @property
    def behind(self) -> StaleError | None:
        """Why the header is stale, and with it everything here, if it is. Errors as `follow`."""
        if self._behind is not None:
            self.follow()  # what was seen may be in place by now
        return self._behind

    def vanished(self) -> tuple[StaleError, ...]:
        """A StaleError for each record that was seen and is not here any more."""
        return self._watch.vanished(frozenset(self._store.names()))

    def mark_behind(self, name: KeysetName, mark: Mark, *, shown: str) -> StaleError | None:
        """For what lies beside the keysets: why it is stale, if it is; what is news is remembered."""
        return self._watch.mark_behind(name, mark, shown=shown)

    def remembered_beside(self) -> Mapping[KeysetName, Revision]:
        """What was seen beside the keysets and, for all that was seen, is there still."""
        return self._watch.groups()

    def remember_removed(self, name: KeysetName, revision: Revision) -> None:
        """That what lay beside the keysets was removed, and is not to be taken again as it was."""
        self._watch.removed(name, revision)

    def check_not_vanished(self, name: KeysetName) -> None:
        """For a record that is not here: StaleError where it was seen. As the witness."""
        self._watch.check_unseen(name)

    # -- the witness ------------------------------------------------------------------------------------------------

    def witnessed(self) -> Witnessed:
        """What was seen of each record, and how the one that is here differs."""
        return self._acceptance().witnessed()

    def accept(self, name: str | None = None) -> tuple[KeysetName, ...]:
        """Take the record of this name, or of all, as it is here now for the newest; the names of those that differed.

        Only the memory of this checkout changes, and the acceptance is logged. Versions that are known to be
        compromised or destroyed stay so. `store.json` is the header's name. All of it also accepts that and an older
        root, and sets a damaged memory aside.
        """
        with self._store.lock():
            if name is None:
                accepted = self._acceptance().of_all()
            elif name == HEADER:
                accepted = self._acceptance().of_header()
            else:
                accepted = self._acceptance().of(_parsed(name, reserved=True))
        self._look_behind()
        return accepted

    def _acceptance(self) -> Acceptance:
        mark = self._stands.mark
        return Acceptance(self.witness, root=self.root, header=mark, read=self._read, read_all=self._read_all)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _open_roots(self) -> Roots:
        roots = self._roots
        if roots is None:
            raise ClosedError("the store is closed", hint="open it again with strongroom.open()")
        return roots

    def _root_of(self, root: RootId) -> Root:
        return self._open_roots().of(root)

    def _stand_on(self, standing: Standing) -> None:
        newer = standing.header.root > self._stands.header.root
        self._stands = standing
        if self._roots is not None:
            self._roots = standing.roots
        if newer:
            self._watch.learn_root(standing.roots.newest)
        self._look_behind()
        self._exposed = self._exposure(())

    def _look_behind(self) -> None:
        stands, watch = self._stands, self._watch
        self._behind = (
            stands.behind
            or watch.behind(stands.roots.newest)
            or watch.mark_behind(HEADER, stands.mark, shown="the header")
        )

    def _read(self, name: KeysetName) -> Record:
        roots = self._open_roots()
        try:
            raw = self._store.read(name)
        except NotFoundError as missing:
            raise self._watch.missing(name, missing) from None
        return roots.verified(raw, name)

    def _read_all(self) -> list[Record]:
        verified = self._open_roots().verified
        names = self._store.names()
        found = zip(names, self._store.read_many(names), strict=True)
        # one that went between the listing and the reading was deleted, and is left out
        return [verified(raw, name) for name, raw in found if raw is not None]

    def _opened(self, record: Record, verdict: Verdict, damage: StrongroomError | None) -> SealedKeyset:
        keyset = record.keyset
        if verdict.states:
            keyset = under_witness(keyset, verdict.states)
        hindrance = self._exposed or self._behind or damage
        if hindrance is None and verdict.differences:
            hindrance = stale(keyset.name, verdict.differences)
        return SealedKeyset(keyset, record.root, hindrance, self._root_of)

    def _exposure(self, approving: Collection[str]) -> ExposedRootError | None:
        audience, header = self._stands.audience, self._stands.header
        tolerated = {fingerprint[-16:] for fingerprint in approving}
        if audience.exposed and (audience.hidden or audience.problem or not tolerated.issuperset(audience.extra)):
            return audience.error()
        # a team that registered the root with BlackBox asked for it (DESIGN section 4); doctor warns
        if not header.registered and self._store.lies_open(header.root):
            return ExposedRootError(
                f"root {header.root} lies in the clear beside its sealed file in {self.location!r}",
                hint="remove the file; whoever read it knows every key here: strongroom root rotate, then"
                " strongroom rotate --exposed",
            )
        return None
