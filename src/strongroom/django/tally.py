"""How many cells each version still protects: the cells tell it, in SQL; Fernet's, which name no version, by trial.

It is also what a keystore asks before a version is destroyed (strongroom.keystore.in_use).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldError
from django.db import DatabaseError

from strongroom.django.cells import START, TOKEN_START, Cells, Row
from strongroom.django.columns import Column, all_columns
from strongroom.django.connections import keystores
from strongroom.django.fields.binding import associated_data
from strongroom.django.marks import versions_of_marks
from strongroom.errors import DecryptionError, NotFoundError, SettingsError, StoreError
from strongroom.keystore.in_use import InUse, Use
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId
from strongroom.model.types import KeyType, Prefix

WINDOW = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """So many cells are under this version. keyset and version are None for cells that no version of the store made."""

    keyset: str | None
    version: int | None
    primary: bool
    count: int
    sealed: bool = True
    """False for what is no cell at all: plaintext that came into the column past the field."""


class Versions:
    """The versions that may have made a column's cells, by the five bytes that they write."""

    def __init__(self, column: Column, *, only: Keyset | None = None) -> None:
        keystore = keystores[column.store]
        now = keystore.clock.now()
        keysets = (only,) if only is not None else self._keysets(column, keystore)
        self.by_start: dict[bytes, tuple[str, int, bool]] = {}
        self.by_name: dict[str, Keyset] = {keyset.name: keyset for keyset in keysets}
        self.bare: dict[str, KeyId] = {}
        """The newest version without a prefix of each keyset that has one: its cells are told by trial, as Fernet's."""
        self._primaries: dict[str, KeyId | None] = {}
        for keyset in keysets:
            primary = keyset.primary_at(now)
            self._primaries[keyset.name] = None if primary is None else primary.key_id
            for version in keyset.versions:
                start = b"\x01" + version.key_id.to_bytes(4, "big")
                if keyset.type is not KeyType.FERNET and version.prefix is Prefix.NONE:
                    self.bare[keyset.name] = version.key_id
                else:
                    self.by_start[start] = (keyset.name, version.number, version is primary)

    @staticmethod
    def _keysets(column: Column, keystore: Any) -> tuple[Keyset, ...]:
        if column.keyset is not None:
            return (keystore.show(column.keyset),)
        return tuple(keystore.list())

    def primary(self, name: str) -> KeyId | None:
        """The key id of a keyset's primary."""
        return self._primaries[name]

    @property
    def tried(self) -> bool:
        """Whether some cells can be told by trial only."""
        return bool(self.bare) or any(keyset.type is KeyType.FERNET for keyset in self.by_name.values())


def tally(cells: Cells, versions: Versions) -> list[Tally]:
    """What protects the cells of a column, counted."""
    counted: Counter[tuple[str | None, int | None, bool]] = Counter()
    others = clear = 0
    for start, count in cells.starts().items():
        made_by = versions.by_start.get(start)
        if made_by is None and not versions.bare and not _begins_as_cell(start):
            clear += count
        elif made_by is None:
            others += count
        else:
            counted[made_by] += count
    if others and versions.tried:
        counted.update(_tried(cells, versions))
    elif others:
        counted[None, None, False] += others
    told = [
        Tally(keyset=name, version=number, primary=primary, count=count)
        for (name, number, primary), count in sorted(
            counted.items(), key=lambda each: (each[0][0] or "~", each[0][1] or 0)
        )
    ]
    if clear:
        told.append(Tally(keyset=None, version=None, primary=False, count=clear, sealed=False))
    return told


def _begins_as_cell(start: bytes) -> bool:
    return start[:1] == b"\x01" or start == TOKEN_START


def _tried(cells: Cells, versions: Versions) -> Iterator[tuple[str | None, int | None, bool]]:
    """The makers of those cells that begin as no version's do."""
    field = cells.column.field
    for rows in cells.windows(WINDOW):
        for row in rows:
            start = row.cell[:START]
            if start in versions.by_start or not (versions.bare or _begins_as_cell(start)):
                continue
            yield _maker(field, row, versions)


def _maker(field: Any, row: Row, versions: Versions) -> tuple[str | None, int | None, bool]:
    try:
        context = field.context_of(row.context) if row.context is not None else None
        name = field.keyset_name(context)
    except (FieldError, SettingsError):
        return None, None, False  # its row does not say what it is bound to
    keyset = versions.by_name.get(name)
    if keyset is None:
        return None, None, False
    if keyset.type is KeyType.FERNET and not row.cell.startswith(TOKEN_START):
        return None, None, False
    try:
        key_id = field.cell_version(row.cell, context=context)
        if key_id is None and name in versions.bare:
            field.box(context).decrypt(row.cell, associated_data(field.field_id, context), compromised_too=True)
            key_id = versions.bare[name]
    except (NotFoundError, DecryptionError):
        key_id = None
    if key_id is None:
        return None, None, False
    return name, keyset.by_key_id(key_id).number, key_id == versions.primary(name)


class InColumns:
    """What the encrypted columns of the site still hold under a keyset of the store with this alias."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InColumns) and other._alias == self._alias

    def __hash__(self) -> int:
        return hash(self._alias)

    def uses(self, keyset: Keyset) -> Sequence[Use]:
        """Every column, database and version with at least one cell. StoreError where a database does not answer."""
        found: list[Use] = []
        for column in all_columns():
            if column.store != self._alias:
                continue
            index = column.field.index
            if index is not None and index.keyset == keyset.name:
                found += self._marks(column)
            if column.keyset not in {None, keyset.name}:
                continue
            versions = Versions(column, only=keyset)
            for using in column.databases():
                with answering(column.label, using):
                    counted = tally(Cells(column, using), versions)
                found += uses_at(column.place(using), counted)
        return found

    def _marks(self, column: Column) -> list[Use]:
        found: list[Use] = []
        for using in column.databases():
            with answering(column.label, using):
                counted = versions_of_marks(Cells(column, using))
            place = f"the blind index of {column.place(using)}"
            found += [
                Use(place=place, version=version, count=count)
                for version, count in sorted(counted.items(), key=lambda each: each[0] or 0)
                if version is not None
            ]
        return found


def uses_at(place: str, counted: Iterable[Tally]) -> list[Use]:
    """What was counted, as uses of versions."""
    return [Use(place=place, version=each.version, count=each.count) for each in counted if each.version is not None]


@contextmanager
def answering(label: str, using: str) -> Iterator[None]:
    """Have a database's failure be a StoreError."""
    try:
        yield
    except DatabaseError as error:
        raise StoreError(
            f"the database {using!r} failed at {label}: {error}",
            hint=f"manage.py migrate --database {using}; where no such table belongs, a router's allow_migrate says so"
            " (DATABASE_ROUTERS); what was moved stays moved",
        ) from None


def _conforms(columns: InColumns) -> InUse:
    return columns
