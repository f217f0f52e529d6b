"""Keysets that a branch from before a rotation of the root brought along. They count once a person has named them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from strongroom.errors import NotFoundError, PolicyError, StrongroomError
from strongroom.keystore import acts
from strongroom.keystore.facade import KeyStore
from strongroom.model.codec import decode
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName, Revision, parse_name
from strongroom.model.record import Record
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.merging import Lineage


def adoptable(keystore: KeyStore) -> tuple[KeysetName, ...]:
    """The keysets whose record is authentic under a root before the newest, and does not count there."""
    found = _Found(keystore)
    return tuple(name for name in keystore.sealed.names() if found.record(name) is not None)


def adopt(keystore: KeyStore, names: Sequence[str]) -> tuple[Keyset, ...]:
    """Put these under the newest root. Whoever knew the older one, a removed admin too, could have made them.

    NotFoundError for one that needs no adopting; as every write ExposedRootError, StaleError, StoreError.
    """
    found = _Found(keystore)
    wanted = {parse_name(name, reserved=True): None for name in names}
    records: list[Record] = []
    for name in wanted:
        record = found.record(name)
        if record is None:
            raise NotFoundError(f"keyset {name!r} is not under an older root", hint=f"strongroom show {name}")
        records.append(record)
    keystore.sealed.check_writable()
    adopted = []
    for record in records:
        old = found.roots.rewrapped(record)
        keyset = old.as_revision(Revision(old.revision + 1))
        found.store.write(keyset.name, found.roots.written(keyset), replaces=old.revision)
        acts.record("adopted", keyset=keyset.name, revision=keyset.revision)
        adopted.append(keystore.show(keyset.name))
    keystore.changed()
    return tuple(adopted)


class _Found:
    """The records of the store, each under whichever root it is."""

    def __init__(self, keystore: KeyStore) -> None:
        sealed = keystore.sealed
        self.store = DirectoryStore(_directory(keystore))
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


def _directory(keystore: KeyStore) -> Path:
    if keystore.base is None:
        raise PolicyError(f"{keystore.source.location!r} is no directory, and has no branches", hint="strongroom list")
    return keystore.base
