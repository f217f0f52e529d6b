"""A sealed store, for writing too: every record and header that is written is authenticated by the newest root."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from msgspec.structs import replace as changed

from strongroom.errors import ConflictError, IntegrityError, NotFoundError, StaleError, StateError
from strongroom.model.codec import encode_body, join
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, KeysetName, Revision
from strongroom.model.record import Record
from strongroom.model.types import KeyType, Purpose
from strongroom.model.version import Version
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header import Header, Recipient
from strongroom.sealing.header_codec import encode_header
from strongroom.sealing.recipients import Audience, audience_of_file
from strongroom.sealing.root import Root
from strongroom.stores.base import Change, Source
from strongroom.stores.following import Standing
from strongroom.stores.roots import Roots
from strongroom.stores.seen import Verdict
from strongroom.stores.under import under_witness
from strongroom.stores.verified import VerifiedStore
from strongroom.stores.watch import stale

log = logging.getLogger("strongroom")


class SealedStore(VerifiedStore):
    """Records that are verified under the root as they are read, and authenticated by it as they are written.

    While the root is exposed, or a record is stale, every write raises what `hindrance` says. A write that another
    process's rotation of the root has overtaken is a ConflictError: nothing was written, and the next try is under the
    new root.
    """

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

        ExistsError; StaleError where the witness has seen a record of this name; ConflictError where the root was
        rotated since it was sealed; as `check_writable`.
        """
        with self.writing():
            try:
                self._store.stamp(keyset.name)
            except NotFoundError:
                self._watch.check_unseen(keyset.name)
            self._write(keyset, replaces=None)

    def replace(self, keyset: Keyset, *, replaces: Revision) -> None:
        """Write the next revision of a keyset. ConflictError when another one is there; as `create`."""
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
            self._write(keyset, replaces=replaces, known=old, under=self._root_of(opened.root))

    def check_writable(self, *, exposed_by: Collection[str] = ()) -> None:
        """Raise what keeps everything from being written: ExposedRootError, StaleError, ClosedError.

        `exposed_by` are full fingerprints of encryption subkeys that are about to be approved: an exposure to nobody
        else is no obstacle to approving them.
        """
        self._open_roots()
        trouble = self._exposure(exposed_by) or self.behind
        if trouble is not None:
            raise trouble

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer for a block, of records or of what lies beside them. As `check_writable`; LockError."""
        with self._store.lock():
            self.follow()
            self.check_writable()
            yield

    @property
    def missing(self) -> tuple[Recipient, ...]:
        """The approved recipients to whom the root file is not sealed yet."""
        return self._stands.audience.missing

    # -- the header -------------------------------------------------------------------------------------------------

    def replace_header(self, header: Header, *, root_file: bytes | None = None) -> None:
        """Write the next header, and then the root file of its OpenPGP slot.

        In this order: a recipient of the file whom the header does not know is an exposed root; one who is missing in
        it only cannot open it yet. ConflictError when another process wrote a header since this one was made.
        """
        with self._store.lock():
            self._put_header(header, self.root, self._stands.audience)
            if root_file is not None and header.openpgp is not None:
                self._store.write_attachment(header.openpgp.file, root_file)
                self._stand_on(replace(self._stands, audience=audience_of_file(header, root_file)))

    def put_root(self, root: Root, header: Header, *, root_file: bytes | None) -> None:
        """Make a new root the newest one, by the rename of the header that says so. Its root file is there before.

        As `replace_header`. The caller holds the lock since before he looked at the records that the header lists.
        """
        audience = Audience()
        if header.openpgp is not None and root_file is not None:
            self._store.write_attachment(header.openpgp.file, root_file)
            audience = audience_of_file(header, root_file)
        self._put_header(header, root, audience)

    def remove_root_file(self, number: int) -> None:
        """Take away the OpenPGP file of an older root; there may be none."""
        self._store.remove_attachment(f"root.{number}.gpg")

    def _put_header(self, header: Header, root: Root, audience: Audience) -> None:
        held = self._stands
        if self._behind is not None and self._store.header() == held.raw:
            raise self._behind.again()
        if header.revision <= held.header.revision and header != held.header:
            raise ConflictError(
                f"the header of {self.location!r} has revision {held.header.revision} by now; nothing was written",
                hint="look at it with 'strongroom doctor' and try again",
            )
        raw = encode_header(header, root)
        self._store.write_header(raw, replaces=held.raw)
        self._stand_on(
            Standing(roots=Roots(root, header, former=held.roots), header=header, raw=raw, audience=audience)
        )

    # -- rewrapping -------------------------------------------------------------------------------------------------

    def records(self) -> list[Record]:
        """Every record, verified and not stale, and none vanished: what is not taken along to another root is lost.

        An exposed root is no hindrance: this leads to another one.
        """
        self._open_roots()
        records = self._read_all()
        self._verdicts(records)
        _complete(self._watch.vanished({each.keyset.name for each in records}))
        return records

    def check_complete(self) -> None:
        """StaleError where a record was seen that is not here."""
        _complete(self.vanished())

    def rewrap(self, names: Sequence[KeysetName]) -> int:
        """Bring these records under the newest root, those that are not yet; how many were written.

        Material, states and dates stay; only the revision counts up. Errors as `replace`.
        """
        with self._store.lock():
            self.follow()
            root, records = self.root, []
            for name, raw in zip(names, self._store.read_many(names), strict=True):
                record = None if raw is None else self._open_roots().verified(raw, name)
                if record is not None and record.root != root.id:
                    records.append(record)
            changes, news = [], []
            for record, verdict in zip(records, self._verdicts(records), strict=True):
                old = under_witness(record.keyset, verdict.states)
                new = changed(
                    old,
                    revision=Revision(old.revision + 1),
                    versions=tuple([self._moved(each, old, self._root_of(record.root)) for each in old.versions]),
                )
                news.append(self._recorded(new))
                changes.append(Change(new.name, join(news[-1].body, news[-1].mac), old.revision))
            self._store.write_many(changes)
            self._told(news)
        return len(changes)

    def put_note(self, keyset: Keyset) -> Record:
        """As `create` and `replace`, while the root is exposed too: what its rotation must not forget."""
        with self._store.lock():
            return self._write(keyset, replaces=Revision(keyset.revision - 1) if keyset.revision > 1 else None)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _verdicts(self, records: Sequence[Record]) -> list[Verdict]:
        """What the witness says of records, of which none may be stale. StaleError; what its memory has failed with."""
        if self._behind is not None:
            raise self._behind.again()
        verdicts, damage = self._watch.check_all(records)
        if damage is not None:
            raise damage.again()
        for record, verdict in zip(records, verdicts, strict=True):
            if verdict.differences:
                raise stale(record.keyset.name, verdict.differences)
        return verdicts

    def _write(
        self, keyset: Keyset, *, replaces: Revision | None, known: Keyset | None = None, under: Root | None = None
    ) -> Record:
        """Write a keyset whose versions are sealed under the newest root, or stand so in the record that is `known`."""
        stood = frozenset() if known is None else frozenset([each.sealed for each in known.versions])
        versions = tuple([self._under_newest(each, keyset, stood, under) for each in keyset.versions])
        record = self._recorded(changed(keyset, versions=versions))
        self._store.write(keyset.name, join(record.body, record.mac), replaces=replaces)
        self._told([record])
        return record

    def _under_newest(
        self, version: Version, keyset: Keyset, stood: Collection[bytes | None], under: Root | None
    ) -> Version:
        if version.sealed is None:
            return version
        if under is not None and version.sealed in stood:
            return version if under is self.root else self._moved(version, keyset, under)
        try:
            self._material(version, keyset, self.root)
        except IntegrityError:
            raise ConflictError(
                f"version {version.number} of {keyset.name!r} is not sealed under root {self.root.number}, which is the"
                " newest by now; nothing was written",
                hint=f"look at it with 'strongroom show {keyset.name}' and try again",
            ) from None
        return version

    def _moved(self, version: Version, keyset: Keyset, under: Root) -> Version:
        """A version with its material under the newest root instead of this one."""
        if version.sealed is None:
            return version
        held = self._material(version, keyset, under)
        sealed = self.seal(held, name=keyset.name, key_id=version.key_id, type=keyset.type, purpose=keyset.purpose)
        return changed(version, sealed=sealed)

    @staticmethod
    def _material(version: Version, keyset: Keyset, under: Root) -> SecretBytes:
        return under.open(
            version.sealed or b"", name=keyset.name, key_id=version.key_id, type=keyset.type, purpose=keyset.purpose
        )

    def _recorded(self, keyset: Keyset) -> Record:
        root = self.root
        body = encode_body(keyset, root.id)
        return Record(keyset=keyset, root=root.id, mac=root.record_mac(body), body=body)

    def _told(self, records: Sequence[Record]) -> None:
        _, damage = self._watch.check_all(records)
        if damage is not None:
            for record in records:
                log.warning("keyset=%s revision=%d event=witness-not-told", record.keyset.name, record.keyset.revision)


def _complete(gone: Sequence[StaleError]) -> None:
    if gone:
        raise gone[0]


def _conforms(store: SealedStore) -> Source:
    return store
