"""A store with its root: what comes out of here is authentic, and what cannot be is an error or a hindrance."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from strongroom.errors import (
    ClosedError,
    ConflictError,
    ExposedRootError,
    NotFoundError,
    StateError,
    StrongroomError,
)
from strongroom.model.codec import encode_body, join
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, KeysetName, Revision, RootId, parse_name
from strongroom.model.record import Record
from strongroom.model.types import KeyType, Purpose
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import encode_header
from strongroom.sealing.recipients import Audience, audience_of_file
from strongroom.sealing.root import Root
from strongroom.stores.acceptance import Acceptance, Witnessed
from strongroom.stores.base import Oddity, Source, Store
from strongroom.stores.pins import Pin
from strongroom.stores.roots import Roots
from strongroom.stores.sealed_keyset import SealedKeyset
from strongroom.stores.seen import NoWitness, Verdict, Witness
from strongroom.stores.under import under_witness
from strongroom.stores.watch import Watch, stale

log = logging.getLogger("strongroom")

_parsed = lru_cache(maxsize=16_384)(parse_name)
_ATTEMPTS = 3


class SealedStore:
    """Records that are verified under the root as they are read, and authenticated by it as they are written.

    Threads may share it; a forked child may go on with it. A record that the witness knows to be stale, or any while
    the root is exposed, still opens: `hindrance` says why nothing may be protected with it, and every write raises
    that. `header` is the one that was verified when the store was opened, or written since.
    """

    writable = True
    verified = True

    def __init__(
        self,
        store: Store,
        root: Root,
        header: Header,
        *,
        witness: Witness | None = None,
        audience: Audience | None = None,
    ) -> None:
        self._roots: Roots | None = Roots(root, header)
        self.header = header
        self.witness: Witness = NoWitness("none was given") if witness is None else witness
        self._watch = Watch(self.witness)
        self._store = store
        self._audience = Audience() if audience is None else audience
        self._exposed = self._exposure(())
        self._behind = self._watch.behind(root)

    def __repr__(self) -> str:
        return f"<sealed store {self.location!r}>"

    # -- what it is -------------------------------------------------------------------------------------------------

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return self._store.location

    @property
    def root(self) -> Root:
        """The root, for sealing it to somebody. ClosedError after close."""
        return self._open_roots().newest

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
        records = self._read_all()
        verdicts, damage = self._watch.check_all(records)
        return tuple(
            [
                self.load(record.keyset.name) if verdict.differences else self._opened(record, verdict, damage)
                for record, verdict in zip(records, verdicts, strict=True)
            ]
        )

    def stamp(self, name: str) -> object:
        """A cheap token that is equal while the record is the same."""
        return self._store.stamp(_parsed(name, reserved=True))

    # -- writing ----------------------------------------------------------------------------------------------------

    def seal(
        self,
        material: SecretBytes,
        *,
        name: KeysetName,
        key_id: KeyId,
        type: KeyType,  # noqa: A002  the word of DESIGN section 1
        purpose: Purpose,
    ) -> bytes:
        """The material of a version, wrapped for its place in this store."""
        return self.root.seal(material, name=name, key_id=key_id, type=type, purpose=purpose)

    def create(self, keyset: Keyset) -> None:
        """Write the record of a new keyset.

        ExistsError; StaleError where the witness has seen a record of this name; as `check_writable`.
        """
        with self.writing():
            try:
                self._store.stamp(keyset.name)
            except NotFoundError:
                self._watch.check_unseen(keyset.name)
            self._write(keyset, replaces=None)

    def replace(self, keyset: Keyset, *, replaces: Revision) -> None:
        """Write the next revision of a keyset. ConflictError when another one is there; as `check_writable`."""
        with self.writing():
            opened = self.load(keyset.name)
            if opened.hindrance is not None:
                raise opened.hindrance
            old = opened.keyset
            if old.revision != replaces:
                raise ConflictError(
                    f"keyset {keyset.name!r} has revision {old.revision} by now; revision {replaces} was to be"
                    " replaced, and nothing was written",
                    hint=f"look at it with 'strongroom show {keyset.name}' and try again",
                )
            # what every witness would call stale is not written in the first place
            if keyset.revision <= old.revision or not old.key_ids <= keyset.key_ids:
                raise StateError(f"revision {keyset.revision} of {keyset.name!r} does not follow {old.revision}")
            self._write(keyset, replaces=replaces)

    def replace_header(self, header: Header, *, root_file: bytes | None = None) -> None:
        """Write the next header, and then the root file of its OpenPGP slot.

        In this order: a recipient of the file whom the header does not know is an exposed root; one who is missing in
        it only cannot open it yet. ConflictError when another process wrote a header since this store was opened.
        """
        with self._store.lock():
            self._store.write_header(encode_header(header, self.root), replaces=encode_header(self.header, self.root))
            self.header = header
            if root_file is not None and header.openpgp is not None:
                self._store.write_attachment(header.openpgp.file, root_file)
                self._audience = audience_of_file(header, root_file)
        self._exposed = self._exposure(())

    def check_writable(self, *, exposed_by: Collection[str] = ()) -> None:
        """Raise what keeps everything from being written: ExposedRootError, StaleError, ClosedError.

        `exposed_by` are full fingerprints of encryption subkeys that are about to be approved: an exposure to nobody
        else is no obstacle to approving them.
        """
        self._open_roots()
        trouble = self._exposure(exposed_by) or self._behind
        if trouble is not None:
            raise trouble

    # -- the witness ------------------------------------------------------------------------------------------------

    def witnessed(self) -> Witnessed:
        """What was seen of each record, and how the one that is here differs."""
        return self._acceptance().witnessed()

    def accept(self, name: str | None = None) -> tuple[KeysetName, ...]:
        """Take the record of this name, or of all, as it is here now for the newest; the names of those that differed.

        Only the memory of this checkout changes, and the acceptance is logged. Versions that are known to be
        compromised or destroyed stay so. All of it also accepts an older root, and sets a damaged memory aside.
        """
        with self._store.lock():
            if name is None:
                accepted = self._acceptance().of_all()
            else:
                accepted = self._acceptance().of(_parsed(name, reserved=True))
        self._behind = self._watch.behind(self.root)
        return accepted

    def _acceptance(self) -> Acceptance:
        return Acceptance(self.witness, root=self.root, read=self._read, read_all=self._read_all)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _open_roots(self) -> Roots:
        roots = self._roots
        if roots is None:
            raise ClosedError("the store is closed", hint="open it again with strongroom.open()")
        return roots

    def _root_of(self, root: RootId) -> Root:
        return self._open_roots().of(root)

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
        audience = self._audience
        tolerated = {fingerprint[-16:] for fingerprint in approving}
        if audience.exposed and (audience.hidden or audience.problem or not tolerated.issuperset(audience.extra)):
            return audience.error()
        # a team that registered the root with BlackBox asked for it (DESIGN section 4); doctor warns
        if not self.header.registered and self._store.lies_open(self.header.root):
            return ExposedRootError(
                f"root {self.header.root} lies in the clear beside its sealed file in {self.location!r}",
                hint="remove the file; whoever read it knows every key here: make a new store with strongroom init",
            )
        return None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer for a block, of records or of what lies beside them. As `check_writable`; LockError."""
        with self._store.lock():
            self.check_writable()
            yield

    def _write(self, keyset: Keyset, *, replaces: Revision | None) -> None:
        root = self.root
        body = encode_body(keyset, root.id)
        mac = root.record_mac(body)
        self._store.write(keyset.name, join(body, mac), replaces=replaces)
        _, damage = self._watch.check(Record(keyset=keyset, root=root.id, mac=mac, body=body))
        if damage is not None:
            log.warning("keyset=%s revision=%d event=witness-not-told", keyset.name, keyset.revision)


def _conforms(store: SealedStore) -> Source:
    return store
