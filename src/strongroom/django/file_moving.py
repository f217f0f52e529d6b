"""Encrypted files go to the primary version. No file that somebody saves meanwhile is lost, and none is half of one.

Where the storage is a directory, the new ciphertext takes the place of the old one in one step, under the same name.
Elsewhere nothing is replaced: the content is saved under a new name, the row is swapped from the one name to the other,
and only then is the old file deleted. A run that was stopped leaves at most a file that no row names.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.db import transaction

from strongroom.django import switching
from strongroom.django.cells import Key
from strongroom.django.connections import keystores
from strongroom.django.file_columns import FileColumn, all_file_columns
from strongroom.django.reencryption import SHOWN, Moved, Tell
from strongroom.django.storage import EncryptedStorage
from strongroom.django.tally import Tally
from strongroom.errors import ConflictError, DecryptionError, FormatError, StateError, StoreError
from strongroom.keystore.handles.streams import stream_version
from strongroom.model.types import KeyType

WINDOW = 500
_SPOOLED = 1024 * 1024


class Fate(Enum):
    """What became of one file."""

    THERE = auto()
    """It was under the primary already."""
    MOVED = auto()
    MISSED = auto()
    """Somebody else replaced or deleted it, or gave the row another one; that is his."""
    BROKEN = auto()
    """It does not open, or is no stream of the keyset."""
    ABSENT = auto()
    """There is no such file."""
    UNNAMED = auto()
    """It could be moved by its row only, and none names it."""


class FileVersions:
    """Which version of a storage's keyset made a file, told by its first bytes."""

    def __init__(self, storage: EncryptedStorage) -> None:
        snapshot = keystores[storage.keystore].current(storage.keyset, KeyType.AES256_GCM)
        self.keyset = snapshot.keyset.name
        self.primary = None if snapshot.primary is None else snapshot.primary.number
        self._by_start = {b"\x01" + v.key_id.to_bytes(4, "big"): v.number for v in snapshot.keyset.versions}

    def made(self, start: bytes) -> int | None:
        """The number of the version; None where no version of the keyset made what begins so."""
        return self._by_start.get(stream_version(start) or b"")

    def tallies(self, counted: Counter[int | None]) -> list[Tally]:
        """What was counted, as it is told of cells."""
        return [
            Tally(
                keyset=None if number is None else self.keyset,
                version=number,
                primary=number is not None and number == self.primary,
                count=count,
            )
            for number, count in sorted(counted.items(), key=lambda each: each[0] or 1 << 32)
        ]


@dataclass(frozen=True, slots=True)
class InItsRow:
    """The row that names a file: where the storage replaces nothing, the row is what is swapped."""

    swap: Callable[[str], bool]
    using: str
    max_length: int | None


@dataclass(frozen=True, slots=True)
class FileMover:
    """Moves the files of one storage. no_writers: whoever runs this says that nobody saves files meanwhile."""

    storage: EncryptedStorage
    compromised_too: bool = False
    no_writers: bool = False

    def move(self, name: str, versions: FileVersions, row: InItsRow | None) -> Fate:
        """Move one file. StateError where nothing protects, or the storage overwrites; StoreError."""
        start = self.start_of(name)
        if start is None:
            return Fate.ABSENT
        made = versions.made(start)
        if made is not None and made == versions.primary:
            return Fate.THERE
        if made is None:
            return Fate.BROKEN
        try:
            return self._moved(name, start, row)
        except (DecryptionError, FormatError):
            return Fate.BROKEN
        except FileNotFoundError:
            return Fate.MISSED

    def start_of(self, name: str) -> bytes | None:
        """What the file begins with; None where there is none."""
        try:
            return self.storage.start_of(name)
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001  storages of third parties have errors of their own for it
            if not self.storage.exists(name):
                return None
            raise StoreError(f"the file {name!r} cannot be read: {type(error).__name__}: {error}") from None

    def _moved(self, name: str, start: bytes, row: InItsRow | None) -> Fate:
        inner = self.storage.inner
        path = switching.directory_path(inner, name)
        if inner.get_available_name(name) == name:
            if self.start_of(name) != start:
                return Fate.MISSED  # the name was free for a moment
            # the file was there all the time: it would be written over in place, between a look and a step, unseen
            if not self.no_writers:
                raise StateError(
                    f"{type(inner).__name__} overwrites files of one name: what somebody saves meanwhile could be lost",
                    hint="stop whoever saves files, then: manage.py strongroom reencrypt --no-writers",
                )
            if path is None:
                return self._overwritten(name)
        if path is not None:
            return self._switched(name, path, start)
        return Fate.UNNAMED if row is None else self._renamed(name, start, row)

    def _switched(self, name: str, path: Path, start: bytes) -> Fate:
        try:
            with self.storage.opened(name, compromised_too=self.compromised_too) as plain:
                switched = switching.switch(path, self.storage.sealed(name, plain), instead_of=start)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"the directory of {name!r} takes no new file: {error}") from None
        return Fate.MOVED if switched else Fate.MISSED

    def _renamed(self, name: str, start: bytes, row: InItsRow) -> Fate:
        with self.storage.opened(name, compromised_too=self.compromised_too) as plain:
            new = self.storage.save(name, plain, max_length=row.max_length)
        # an error in here leaves both files: whether the row names the new one is not known then
        if not row.swap(new):
            self.storage.delete(new)
            return Fate.MISSED
        transaction.on_commit(lambda: self._delete_old(name, start), using=row.using)
        return Fate.MOVED

    def _delete_old(self, name: str, start: bytes) -> None:
        if not _is_named(self.storage, name) and self.start_of(name) == start:
            self.storage.delete(name)

    def _overwritten(self, name: str) -> Fate:
        with tempfile.SpooledTemporaryFile(_SPOOLED) as spool:  # of ciphertext: the old file is read until its end
            with self.storage.opened(name, compromised_too=self.compromised_too) as plain:
                for piece in self.storage.sealed(name, plain):
                    spool.write(piece)
            spool.seek(0)
            saved = self.storage.inner.save(name, File(spool, name))
        if saved != name:
            raise ConflictError(f"the file {name!r} was saved as {saved!r}: somebody saves files")
        return Fate.MOVED


def move_files(
    column: FileColumn,
    using: str,
    mover: FileMover,
    *,
    after: Key | None = None,
    upto: Key | None = None,
    tell: Tell = lambda moved: None,
) -> Moved:
    """Move the files that a range of rows names. Raises StateError where nothing protects, StoreError."""
    versions, names = FileVersions(column.storage), column.names(using)
    done = Moved()
    swept: set[Path] = set()
    for rows in names.windows(WINDOW, after=after, upto=upto):
        for row in rows:
            if row.name is None:
                now = Moved(read=1, broken=1, examples=[row.key])
            else:
                _sweep(mover.storage, row.name, swept)
                held = InItsRow(partial(names.swap, row), using, column.field.max_length)
                now = _counted(mover.move(row.name, versions, held), row.key)
            done.add(now)
            tell(now)  # of each: a file may be long
    return done


def move_listed(mover: FileMover, names: Iterable[str]) -> Moved:
    """Move files that a listing of the storage has, whether a row names them or not: only in a directory can they be.

    What no version of the keyset made is passed over: storages may share a directory. So is what is moved already.
    """
    versions = FileVersions(mover.storage)
    done = Moved()
    swept: set[Path] = set()
    for name in names:
        _sweep(mover.storage, name, swept)
        if versions.made(mover.start_of(name) or b"") not in {None, versions.primary}:
            done.add(_counted(mover.move(name, versions, None), (name,)))
    return done


def count_files(column: FileColumn, using: str) -> list[Tally]:
    """What protects the files that the rows of a column name, counted. A name with no file counts for nothing."""
    versions = FileVersions(column.storage)
    mover = FileMover(column.storage)
    counted: Counter[int | None] = Counter()
    for rows in column.names(using).windows(WINDOW):
        for row in rows:
            start = b"" if row.name is None else mover.start_of(row.name)
            if start is not None:
                counted[versions.made(start)] += 1
    return versions.tallies(counted)


def _counted(fate: Fate, key: tuple[Any, ...]) -> Moved:
    return Moved(
        read=1,
        moved=fate is Fate.MOVED,
        missed=fate is Fate.MISSED,
        broken=fate is Fate.BROKEN,
        examples=[key][:SHOWN] if fate is Fate.BROKEN else [],
    )


def _sweep(storage: EncryptedStorage, name: str, swept: set[Path]) -> None:
    path = switching.directory_path(storage.inner, name)
    if path is not None and path.parent not in swept:
        swept.add(path.parent)
        switching.sweep(path.parent)


def _is_named(storage: EncryptedStorage, name: str) -> bool:
    """Whether a row of any column over this storage names the file, or may."""
    for column in all_file_columns():
        if column.storage.inner is storage.inner:
            for using in column.databases():
                named = column.names(using).names(name)
                if named is None:
                    named = any(row.name == name for rows in column.names(using).windows(WINDOW) for row in rows)
                if named:
                    return True
    return False
