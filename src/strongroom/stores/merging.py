"""Files of a store that git merges. Each copy is verified under its root first, and the result is under the newest.

Records under an older root are read here, and else in a rotation only: that is what an older root is kept for. A
removed admin could have written them, so what comes in under it promotes nothing, and is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from msgspec.structs import replace as with_fields

from strongroom._encoding import Timestamp, b64encode
from strongroom.errors import ConflictError, FormatError, IntegrityError
from strongroom.model.codec import decode, encode_body, join
from strongroom.model.keyset import Keyset
from strongroom.model.merging import moved_by, subdued, unite
from strongroom.model.names import KeyId, KeysetName, Revision, RootId, format_key_id
from strongroom.model.record import Record
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import decode_header, encode_header
from strongroom.sealing.header_merging import unite_headers
from strongroom.sealing.lineage import lineage
from strongroom.sealing.root import Root
from strongroom.stores.workers_codec import Grant, Group, GroupRecord, decode_group, encode_group_body, join_group


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedFile:
    """The bytes of the file, and what a person should know, a sentence each."""

    raw: bytes
    notes: tuple[str, ...]


class Lineage:
    """The newest root of a merge, and the older ones that lead up to it. IntegrityError for a broken chain."""

    __slots__ = ("_by_id", "newest")

    def __init__(self, header: Header, newest: Root) -> None:
        self.newest = newest
        self._by_id: Mapping[RootId, Root] = {each.id: each for each in (newest, *lineage(header, newest))}

    def __contains__(self, root: RootId) -> bool:
        return root in self._by_id

    def of(self, root: RootId, what: str) -> Root:
        """The root that `what` names. IntegrityError for one that is not ours."""
        found = self._by_id.get(root)
        if found is None:
            raise IntegrityError(
                f"{what} is under root {b64encode(root)}, which does not lead to root {self.newest.number}",
                hint="see 'git log' for who changed it",
            )
        return found

    def record(self, raw: bytes, name: KeysetName) -> Record:
        """A record, verified under whichever root of these it names."""
        record = decode(raw, name=name)
        self.of(record.root, f"keyset {name!r}").check_record(record.body, record.mac)
        return record

    def group(self, raw: bytes, name: str) -> GroupRecord:
        """A worker group, verified likewise."""
        record = decode_group(raw, name=name)
        self.of(record.root, f"worker group {name!r}").check_record(record.body, record.mac)
        return record

    def number(self, root: RootId) -> int:
        """The number of a root that a verified file names."""
        return self._by_id[root].number

    def rewrapped(self, record: Record) -> Keyset:
        """The keyset of a verified record with its material under the newest root; the same one if it is there."""
        keyset = record.keyset
        if record.root == self.newest.id:
            return keyset
        old = self.of(record.root, f"keyset {keyset.name!r}")
        versions = []
        for version in keyset.versions:
            sealed = version.sealed
            if sealed is not None:
                place = {
                    "name": keyset.name,
                    "key_id": version.key_id,
                    "type": keyset.type,
                    "purpose": keyset.purpose,
                }
                sealed = self.newest.seal(old.open(sealed, **place), **place)  # type: ignore[arg-type]  # the five words of a place
            versions.append(with_fields(version, sealed=sealed))
        return with_fields(keyset, versions=tuple(versions))

    def written(self, keyset: Keyset) -> bytes:
        """The record of a keyset whose material is under the newest root."""
        body = encode_body(keyset, self.newest.id)
        return join(body, self.newest.record_mac(body))


def merge_record(
    name: KeysetName, base: bytes, ours: bytes, theirs: bytes, *, roots: Lineage, now: Timestamp
) -> MergedFile:
    """One record of two branches. ConflictError for what no rule unites; FormatError, IntegrityError."""
    records = roots.record(ours, name), roots.record(theirs, name)
    mine, other = (roots.rewrapped(record) for record in records)
    _check_material(mine, other, roots.newest)
    before, notes = _base(base, name, roots), _brought_in(records, roots)
    order = roots.number(records[0].root) - roots.number(records[1].root)
    if order < 0:
        notes += _moved(mine, other, roots.number(records[0].root))
        mine = subdued(mine, other)
    elif order > 0:
        notes += _moved(other, mine, roots.number(records[1].root))
        other = subdued(other, mine)
    merged = unite(before, mine, other, now=now)
    return MergedFile(raw=roots.written(merged.keyset), notes=(*notes, *merged.notes))


def merge_group(name: str, base: bytes, ours: bytes, theirs: bytes, *, roots: Lineage) -> MergedFile:
    """One worker group of two branches: what was granted or revoked on either since the base.

    Without a base only what both grant is granted. ConflictError where both changed the group's public key.
    """
    records = roots.group(ours, name), roots.group(theirs, name)
    mine, other = (record.group for record in records)
    order = roots.number(records[0].root) - roots.number(records[1].root)
    notes: tuple[str, ...]
    if order:
        # a removed admin could have put a key of his own there
        lead, old = (mine, other) if order > 0 else (other, mine)
        public, issuer, grants = lead.public, lead.issuer, lead.grants
        same = (old.public, old.issuer, old.grants) == (public, issuer, grants)
        told = f"worker group {name!r} stays as the branch with the newest root has it; the other branch changed it too"
        notes = () if same else (told,)
    else:
        try:
            before = roots.group(base, name).group if base else None
        except (FormatError, IntegrityError):  # two merge bases that git could not merge
            before = None
        public, issuer = _identity(name, before, mine, other)
        grants, notes = _grants(name, before, mine, other)
    merged = replace(
        mine,
        revision=Revision(max(mine.revision, other.revision) + 1),
        public=public,
        issuer=issuer,
        changed=max(mine.changed, other.changed),
        grants=grants,
    )
    body = encode_group_body(merged, roots.newest.id)
    return MergedFile(raw=join_group(body, roots.newest.record_mac(body)), notes=notes)


def merge_header(base: bytes, ours: bytes, theirs: bytes, *, roots: Lineage) -> MergedFile:
    """One header of two branches. ConflictError as `unite_headers`."""
    mine, other = (_header(raw, roots) for raw in (ours, theirs))
    try:
        before = _header(base, roots) if base else None
    except (FormatError, IntegrityError):
        before = None
    merged, notes = unite_headers(before, mine, other)
    return MergedFile(raw=encode_header(merged, roots.newest), notes=notes)


def _header(raw: bytes, roots: Lineage) -> Header:
    unverified = decode_header(raw)
    return unverified.verify(roots.of(unverified.claims.newest.id, "the header"))


def _base(raw: bytes, name: KeysetName, roots: Lineage) -> Keyset | None:
    """What both come from; None where it is unknown: two branches made the keyset, or git has two merge bases that it
    could not merge."""
    try:
        return roots.record(raw, name).keyset if raw else None
    except (FormatError, IntegrityError):
        return None


def _check_material(ours: Keyset, theirs: Keyset, root: Root) -> None:
    """ConflictError where one key id stands for two materials. Equal wrappings are equal material."""
    wrapped = {version.key_id: version.sealed for version in ours.versions}
    for version in theirs.versions:
        mine, other = wrapped.get(version.key_id), version.sealed
        if mine is None or other is None or mine == other:
            continue
        opened: list[SecretBytes] = [
            root.open(sealed, name=ours.name, key_id=version.key_id, type=ours.type, purpose=ours.purpose)
            for sealed in (mine, other)
        ]
        if opened[0] != opened[1]:
            raise ConflictError(
                f"key id {format_key_id(version.key_id)} of {ours.name!r} stands for two keys",
                hint="see 'git log' for who made the second one",
            )


def _brought_in(records: tuple[Record, Record], roots: Lineage) -> tuple[str, ...]:
    """The versions that only a record under an older root has: whoever knew that root could have made them."""
    notes = []
    for record, other in (records, records[::-1]):
        fresh = record.keyset.key_ids - other.keyset.key_ids
        if record.root != roots.newest.id and fresh:
            added = ", ".join(map(format_key_id, sorted(fresh)))
            notes.append(
                f"{record.keyset.name!r} gets key ids {added} from a branch under root {roots.number(record.root)},"
                " which was replaced: whoever knew it could have made or read them, so they are deactivated"
            )
    return tuple(notes)


def _moved(old: Keyset, lead: Keyset, number: int) -> tuple[str, ...]:
    """The states that only a record under an older root has."""
    return tuple(
        f"{each}: so it is on a branch under root {number}, which was replaced: whoever knew it could do that"
        for each in moved_by(old, lead)
    )


def _identity(name: str, base: Group | None, ours: Group, theirs: Group) -> tuple[bytes, KeyId | None]:
    """The public key, and the issuer that the identity with its private half names."""
    before, mine, other = (None if each is None else (each.public, each.issuer) for each in (base, ours, theirs))
    if mine == other or (before is not None and other == before):
        return ours.public, ours.issuer
    if before is not None and mine == before:
        return theirs.public, theirs.issuer
    raise ConflictError(
        f"both branches changed the public key of worker group {name!r}",
        hint="take one with 'git checkout --ours' or '--theirs', and 'git add' it",
    )


def _grants(name: str, base: Group | None, ours: Group, theirs: Group) -> tuple[tuple[Grant, ...], tuple[str, ...]]:
    before, mine, other = (
        {} if each is None else {grant.keyset: grant for grant in each.grants} for each in (base, ours, theirs)
    )
    kept: list[Grant] = []
    notes: list[str] = []
    for keyset in sorted({*mine, *other}):
        pair = mine.get(keyset), other.get(keyset)
        known = before.get(keyset)
        changed = [each for each in pair if each != known]
        if pair[0] == pair[1]:
            grant = pair[0]
        elif base is None or len(changed) == 2:
            # nobody knows which came last: the one that lets out less
            grant = None if None in pair else Grant(keyset=keyset, public=True)
            notes.append(f"{keyset!r} is granted otherwise to {name!r} on each branch: the lesser grant stays")
        else:
            grant = changed[0]
            if pair[1] is grant and grant is not None:
                notes.append(f"{keyset!r} is granted to {name!r} by the other branch")
        if grant is not None:
            kept.append(grant)
    return tuple(kept), tuple(notes)
