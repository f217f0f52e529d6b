"""What a branch from before a rotation of the root brought along: it counts once a person has named it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from strongroom.errors import NotFoundError, PolicyError, StrongroomError
from strongroom.keystore import acts
from strongroom.keystore.exposures import EXPOSURES, note_of_adopted
from strongroom.keystore.facade import KeyStore
from strongroom.model.codec import decode
from strongroom.model.names import KeysetName, Revision, parse_name
from strongroom.model.record import Record
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.merging import Lineage
from strongroom.stores.seen import BESIDE
from strongroom.stores.workers_codec import GroupRecord, decode_group, place_of
from strongroom.stores.workers_records import WorkerGroups

_Read = TypeVar("_Read", Record, GroupRecord)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A keyset or a group that is under the newest root now; `look` is the command that shows it.

    `noted` is the record of exposures, where it had to say that somebody who left could read this keyset, too.
    """

    name: KeysetName
    path: Path | None
    look: str
    noted: Path | None = None


def adoptable(keystore: KeyStore) -> tuple[KeysetName, ...]:
    """The keysets whose record is authentic under a root before the newest, and does not count there; then the worker
    groups, each as `strongroom.workers/GROUP`."""
    found = _Found(keystore)
    return (
        *(name for name in keystore.sealed.names() if found.record(name) is not None),
        *(place_of(name) for name in found.groups.names() if found.group(name) is not None),
    )


def adopt(keystore: KeyStore, names: Sequence[str]) -> tuple[Adopted, ...]:
    """Put these under the newest root. Whoever knew the older one, a removed admin too, could have made them: a group's
    public key decides who reads what is published to it. Whoever that older root was exposed to could read the keyset,
    whenever it was made: it is noted as exposed.

    NotFoundError for one that needs no adopting; as every write ExposedRootError, StaleError, StoreError.
    """
    found = _Found(keystore)
    wanted = {parse_name(name, reserved=True): None for name in names}
    records: list[Record] = []
    groups: list[GroupRecord] = []
    for name in wanted:
        if name.startswith(BESIDE):
            groups.append(_needed(found.group(name.removeprefix(BESIDE)), f"worker group {name!r}", "worker list"))
        else:
            records.append(_needed(found.record(name), f"keyset {name!r}", f"show {name}"))
    keystore.sealed.check_writable()
    adopted = []
    for record in records:
        noted = _noted(keystore, found, record)
        old = found.roots.rewrapped(record)
        keyset = old.as_revision(Revision(old.revision + 1))
        found.store.write(keyset.name, found.roots.written(keyset), replaces=old.revision)
        acts.record("adopted", keyset=keyset.name, revision=keyset.revision)
        keystore.show(keyset.name)  # the witness learns of it
        path = keystore.path_of(keyset.name)
        adopted.append(Adopted(name=keyset.name, path=path, look=f"strongroom show {keyset.name}", noted=noted))
    for each in groups:
        group = found.groups.adopt(each)
        acts.record("adopted", group=group.name, revision=group.revision)
        path = found.groups.path_of(group.name)
        adopted.append(Adopted(name=place_of(group.name), path=path, look="strongroom worker list"))
    keystore.changed()
    return tuple(adopted)


def _noted(keystore: KeyStore, found: _Found, record: Record) -> Path | None:
    """Note it as exposed before it counts; the file where that was written."""
    if record.keyset.name == EXPOSURES:
        return None
    note = note_of_adopted(keystore.sealed, record.keyset, found.roots.number(record.root))
    if note is None:
        return None
    found.store.write(EXPOSURES, found.roots.written(note), replaces=Revision(note.revision - 1))
    keystore.show(EXPOSURES)
    return keystore.path_of(EXPOSURES)


def _needed(record: _Read | None, what: str, look: str) -> _Read:
    if record is None:
        raise NotFoundError(f"{what} is not under an older root", hint=f"strongroom {look}")
    return record


class _Found:
    """The records of the store, each under whichever root it is."""

    def __init__(self, keystore: KeyStore) -> None:
        sealed = keystore.sealed
        self.store = DirectoryStore(_directory(keystore))
        self.groups = WorkerGroups(sealed, keystore.base)
        self.roots = Lineage(sealed.header, sealed.root)
        self._pending = {(each.name, each.mac) for each in sealed.header.pending}

    def record(self, name: KeysetName) -> Record | None:
        """The record, if it is authentic under an older root alone. NotFoundError."""
        raw = self.store.read(name)
        try:
            record = decode(raw, name=name)
            if record.root == self.roots.newest.id or (name, record.mac) in self._pending:
                return None
            return self.roots.record(raw, name)
        except NotFoundError:
            raise
        except StrongroomError:  # what is wrong with it, 'strongroom doctor' says
            return None

    def group(self, name: str) -> GroupRecord | None:
        """The same of a worker group."""
        raw = self.groups.raw(name)
        try:
            record = decode_group(raw, name=name)
            if record.root == self.roots.newest.id or (place_of(name), record.mac) in self._pending:
                return None
            return self.roots.group(raw, name)
        except StrongroomError:  # publishing says what is wrong with it
            return None


def _directory(keystore: KeyStore) -> Path:
    if keystore.base is None:
        raise PolicyError(f"{keystore.source.location!r} is no directory, and has no branches", hint="strongroom list")
    return keystore.base
