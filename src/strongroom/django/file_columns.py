"""Which columns name encrypted files, and the names in their rows: read in windows, swapped where they still are.

A FileField whose storage is an EncryptedStorage is one; its column may itself be encrypted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from django.apps import apps
from django.core.exceptions import FieldError
from django.core.files.storage import InvalidStorageError
from django.db import connections, models

from strongroom.django.cells import Cells, Key, Row
from strongroom.django.columns import Column, ModelColumn
from strongroom.django.encrypted import is_encrypted
from strongroom.django.fields.binding import associated_data
from strongroom.django.storage import EncryptedStorage
from strongroom.errors import StrongroomError


class FileColumn(ModelColumn):
    """One FileField that names files of an EncryptedStorage."""

    __slots__ = ()

    @property
    def storage(self) -> EncryptedStorage:
        """Where its files lie."""
        return self.field.storage  # type: ignore[no-any-return]  # `all_file_columns` looked

    @property
    def store(self) -> str:
        """The alias of STRONGROOM."""
        return self.storage.keystore

    def names(self, using: str) -> Names:
        """The names in the rows of one database."""
        if is_encrypted(self.field):
            return _SealedNames(Column(self.field), using)
        return _PlainNames(self.field, using)


def all_file_columns() -> Iterator[FileColumn]:
    """Every column that names encrypted files, in the order of the installed apps."""
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if isinstance(field, models.FileField) and _is_encrypted_storage(field):
                yield FileColumn(field)


def _is_encrypted_storage(field: Any) -> bool:
    try:
        return isinstance(field.storage, EncryptedStorage)
    except InvalidStorageError:  # STORAGES has no default: the field has no files
        return False


@dataclass(frozen=True, slots=True)
class Named:
    """A row and the file that it names. `name` is None where the cell of the name does not open."""

    key: tuple[Any, ...]
    name: str | None
    held: Any
    """What lies in the row: the name, or a cell."""


class Names(Protocol):
    """The names of files in the rows of a table."""

    def windows(self, size: int, *, after: Key | None = None, upto: Key | None = None) -> Iterator[list[Named]]:
        """Rows that name a file, in the order of their keys, `size` at a time; above the one, not above the other."""
        ...

    def bounds(self, parts: int) -> list[tuple[Key | None, Key | None]]:
        """So many ranges (after, upto] of keys with about as many rows each, which together are all keys."""
        ...

    def swap(self, row: Named, new: str) -> bool:
        """Have the row name another file, if it names the same one as before; whether it did."""
        ...

    def names(self, name: str) -> bool | None:
        """Whether some row names this file; None where that cannot be asked, as the names are encrypted."""
        ...


class _PlainNames:
    def __init__(self, field: Any, using: str) -> None:
        self._rows = field.model._base_manager.using(using)
        self._name = field.name

    def windows(self, size: int, *, after: Key | None = None, upto: Key | None = None) -> Iterator[list[Named]]:
        rows = self._named()
        if upto is not None:
            rows = rows.filter(pk__lte=_pk(upto))
        while True:
            found = rows if after is None else rows.filter(pk__gt=_pk(after))
            window = [Named(_key(pk), str(name), str(name)) for pk, name in found.values_list("pk", self._name)[:size]]
            if window:
                yield window
            if len(window) < size:
                return
            after = window[-1].key

    def bounds(self, parts: int) -> list[tuple[Key | None, Key | None]]:
        pks = self._named().values_list("pk", flat=True)
        total = pks.count()
        marks = [_key(pk) for part in range(1, parts) for pk in pks[total * part // parts :][:1]]
        marks = list(dict.fromkeys(marks))
        return list(zip([None, *marks], [*marks, None], strict=True))

    def _named(self) -> Any:
        return self._rows.order_by("pk").exclude(**{self._name: ""}).exclude(**{self._name: None})

    def swap(self, row: Named, new: str) -> bool:
        return bool(self._rows.filter(pk=_pk(row.key), **{self._name: row.held}).update(**{self._name: new}))

    def names(self, name: str) -> bool | None:
        return bool(self._rows.filter(**{self._name: name}).exists())


class _SealedNames:
    def __init__(self, column: Column, using: str) -> None:
        self._field = column.field
        self._cells = Cells(column, using)
        self._connection = connections[using]

    def windows(self, size: int, *, after: Key | None = None, upto: Key | None = None) -> Iterator[list[Named]]:
        for rows in self._cells.windows(size, after=after, upto=upto):
            window = [Named(row.key, self._opened(row), row) for row in rows]
            yield [row for row in window if row.name != ""]

    def bounds(self, parts: int) -> list[tuple[Key | None, Key | None]]:
        return self._cells.bounds(parts)

    def _opened(self, row: Row) -> str | None:
        try:
            context = None if row.context is None else self._field.context_of(row.context)
            return str(self._field.open_cell(row.cell, context=context, connection=self._connection))
        except (StrongroomError, FieldError):
            return None

    def swap(self, row: Named, new: str) -> bool:
        field = self._field
        context = None if row.held.context is None else field.context_of(row.held.context)
        data = field.codec.encode(new, self._connection)
        cell = field.box(context).encrypt(data, associated_data(field.field_id, context))
        mark = None if field.index is None else field.index.remark(data)
        return bool(self._cells.swap([(row.held, cell, mark)]))

    def names(self, name: str) -> bool | None:
        return None


def _key(pk: Any) -> Key:
    return pk if isinstance(pk, tuple) else (pk,)


def _pk(key: Key) -> Any:
    """The key as the ORM has it: a composite one is a tuple."""
    return key if len(key) > 1 else key[0]
