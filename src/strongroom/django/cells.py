"""The cells of one column as the database has them: read in windows of primary keys, swapped one by one, counted.

Nothing here goes through a field's values: what is moved or counted is what lies in the table. A swap writes only where
the cell is still the one that was read, so that whoever writes at the same time is never overwritten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connections, transaction

from strongroom.django.columns import Column
from strongroom.django.fields.plaintext import as_cell
from strongroom.django.fields.raw_cells import as_bytes

Key = tuple[Any, ...]
"""The primary key of a row, as the database has it: one value, or several of a composite key."""

START = 5
"""Bytes of a cell that name its version: 01 and the key id."""
TOKEN_START = b"gAAAA"
"""What every Fernet token of these centuries begins with: version 80, and a time below 2^36 s."""

_RETRIES = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One cell that is not NULL. `context` has what it is bound to in its row, None where it is bound to no row."""

    key: Key
    cell: bytes
    context: Mapping[str, Any] | None
    index: bytes | None = None
    is_text: bool = False
    """Whether SQLite has it as text, which it never finds equal to bytes."""


class Cells:
    """The cells of a column in one database."""

    def __init__(self, column: Column, using: str) -> None:
        self.column = column
        self.using = using
        self._connection: Any = connections[using]
        quote = self._connection.ops.quote_name
        meta: Any = column.model._meta
        self._table = quote(meta.db_table)
        self._cell = quote(column.field.column)
        self._keys = [quote(field.column) for field in getattr(meta, "pk_fields", None) or [meta.pk]]
        self._names = column.field.context_names
        # the related object's key stands in the column of a foreign key
        self._context: list[Any] = [meta.get_field(name) for name in self._names or ()]
        index = column.field.index
        self._index = None if index is None else quote(index.column)
        beside = column.field.plain_column
        self.plaintext: str | None = None
        """SQL for the plaintext as the bytes of a cell, where EncryptColumn is under way."""
        if beside is not None:
            self.plaintext = as_cell(beside, quote(beside.column), self._connection)

    # --- reading

    def windows(
        self, size: int, *, after: Key | None = None, upto: Key | None = None, without: bytes | None = None
    ) -> Iterator[list[Row]]:
        """Rows in the order of their keys, `size` at a time; those whose cell begins with `without` are left out.

        after, upto: only keys above the one, and not above the other.
        """
        while True:
            rows = self._window(size, after=after, upto=upto, without=without)
            if rows:
                yield rows
            if len(rows) < size:
                return
            after = rows[-1].key

    def clear_windows(self, size: int) -> Iterator[list[Row]]:
        """Rows with plaintext and no cell, while EncryptColumn is under way; their `cell` is START and the text."""
        after: Key | None = None
        while self.plaintext is not None:
            rows = self._window(size, after=after, upto=None, without=None, clear=True)
            if rows:
                yield rows
            if len(rows) < size:
                return
            after = rows[-1].key

    def _window(
        self, size: int, *, after: Key | None, upto: Key | None, without: bytes | None, clear: bool = False
    ) -> list[Row]:
        cell = self._cell if not clear else self.plaintext
        where = [f"{self._cell} IS NOT NULL" if not clear else f"{self._cell} IS NULL AND {cell} IS NOT NULL"]
        parameters: list[Any] = []
        for sign, bound in ((">", after), ("<=", upto)):
            if bound is not None:
                where.append(f"({', '.join(self._keys)}) {sign} ({', '.join(['%s'] * len(bound))})")
                parameters += bound
        if without is not None:
            where.append(f"substr({self._cell}, 1, {len(without)}) <> %s")
            parameters.append(without)
        quote = self._connection.ops.quote_name
        context = [quote(field.column) for field in self._context]
        wanted = ", ".join([*self._keys, str(cell), *context, *([self._index] if self._index else [])])
        order = ", ".join(self._keys)
        sql = (
            f"SELECT {wanted} FROM {self._table} WHERE {' AND '.join(where)}"  # noqa: S608  names of the model, quoted
            f" ORDER BY {order} LIMIT {int(size)}"
        )
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return [self._row(values) for values in cursor.fetchall()]

    def _row(self, values: Sequence[Any]) -> Row:
        keys = len(self._keys)
        context = None
        if self._names is not None:
            raw = values[keys + 1 : keys + 1 + len(self._context)]
            context = {
                name: self._converted(field, value)
                for name, field, value in zip(self._names, self._context, raw, strict=True)
            }
        index = None if self._index is None else values[-1]
        found = values[keys]
        return Row(
            key=tuple(values[:keys]),
            cell=as_bytes(found),
            context=context,
            index=None if index is None else as_bytes(index),
            is_text=isinstance(found, str),
        )

    def _converted(self, field: Any, value: Any) -> Any:
        column = field.cached_col
        for convert in (*self._connection.ops.get_db_converters(column), *column.get_db_converters(self._connection)):
            value = convert(value, column, self._connection)
        return value

    def bounds(self, parts: int) -> list[tuple[Key | None, Key | None]]:
        """So many ranges (after, upto] of keys with about as many rows each, which together are all keys."""
        total = self.count()
        order = ", ".join(self._keys)
        marks: list[Key] = []
        with self._connection.cursor() as cursor:
            for part in range(1, parts):
                cursor.execute(
                    f"SELECT {order} FROM {self._table} ORDER BY {order} LIMIT 1"  # noqa: S608  as above
                    f" OFFSET {total * part // parts}"
                )
                row = cursor.fetchone()
                if row is not None and (not marks or tuple(row) != marks[-1]):
                    marks.append(tuple(row))
        return list(zip([None, *marks], [*marks, None], strict=True))

    # --- counting

    def count(self) -> int:
        """How many rows there are."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {self._table}")  # noqa: S608  as above
            return int(cursor.fetchone()[0])

    def starts(self) -> dict[bytes, int]:
        """How many cells begin with which five bytes."""
        start = f"substr({self._cell}, 1, {START})"
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {start}, COUNT(*) FROM {self._table}"  # noqa: S608  as above
                f" WHERE {self._cell} IS NOT NULL GROUP BY {start}"
            )
            counted: Counter[bytes] = Counter()
            for found, count in cursor.fetchall():
                counted[as_bytes(found)] += int(count)  # text and bytes may begin alike
            return counted

    def unmarked(self) -> int:
        """How many cells have no mark in the index column."""
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT COUNT(*) FROM {self._table}"  # noqa: S608  as above
                f" WHERE {self._cell} IS NOT NULL AND {self._index} IS NULL"
            )
            return int(cursor.fetchone()[0])

    def clear(self) -> int:
        """How many rows have plaintext and no cell, while EncryptColumn is under way."""
        if self.plaintext is None:
            return 0
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT COUNT(*) FROM {self._table}"  # noqa: S608  as above
                f" WHERE {self._cell} IS NULL AND {self.plaintext} IS NOT NULL"
            )
            return int(cursor.fetchone()[0])

    # --- writing

    def swap(self, changes: Iterable[tuple[Row, bytes, bytes | None]]) -> int:
        """Put new cells (and index values) where the old ones still are, in one transaction; how many were put.

        A deadlock with another writer is tried again: nothing of it was written.
        """
        binary = self._connection.Database.Binary
        index = "" if self._index is None else f", {self._index} = %s"
        keys = " AND ".join(f"{key} = %s" for key in self._keys)
        sql = f"UPDATE {self._table} SET {self._cell} = %s{index} WHERE {keys} AND {self._cell} = %s"  # noqa: S608  as above
        parameters = [
            (
                binary(new),
                *(() if self._index is None else (None if value is None else binary(value),)),
                *row.key,
                row.cell.decode() if row.is_text else binary(row.cell),
            )
            for row, new, value in changes
        ]
        return self._written(sql, parameters)

    def fill(self, changes: Iterable[tuple[Row, Any]]) -> int:
        """Put cells beside plaintext that is still what was read of it, and has none; how many were put."""
        keys = " AND ".join(f"{key} = %s" for key in self._keys)
        sql = (
            f"UPDATE {self._table} SET {self._cell} = %s WHERE {keys}"  # noqa: S608  as above
            f" AND {self._cell} IS NULL AND {self.plaintext} = %s"
        )
        binary = self._connection.Database.Binary
        return self._written(sql, [(cell, *row.key, binary(row.cell)) for row, cell in changes])

    def plaintext_of(self, key: Key) -> bytes | None:
        """START and the plaintext of a row, None where it has none."""
        keys = " AND ".join(f"{each} = %s" for each in self._keys)
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT {self.plaintext} FROM {self._table} WHERE {keys}", key)  # noqa: S608  as above
            row = cursor.fetchone()
        return None if row is None or row[0] is None else as_bytes(row[0])

    def reveal(self, row: Row, value: Any, *, column: str) -> int:
        """Put plaintext beside a cell that is still this one; how many were put. A trigger takes the cell away."""
        keys = " AND ".join(f"{key} = %s" for key in self._keys)
        plain = self._connection.ops.quote_name(column)
        sql = f"UPDATE {self._table} SET {plain} = %s WHERE {keys} AND {self._cell} = %s"  # noqa: S608  as above
        return self._written(sql, [(value, *row.key, self._connection.Database.Binary(row.cell))])

    def _written(self, sql: str, parameters: list[tuple[Any, ...]]) -> int:
        if not parameters:
            return 0
        for attempt in range(_RETRIES):
            try:
                with transaction.atomic(using=self.using), self._connection.cursor() as cursor:
                    cursor.executemany(sql, parameters)
                    return int(cursor.rowcount)
            except OperationalError:
                if attempt == _RETRIES - 1 or self._connection.in_atomic_block:
                    raise
        return 0
