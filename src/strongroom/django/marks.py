"""Which version each mark of a blind index is under. A mark does not say: the cell beside it must be opened to know."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.exceptions import FieldError

from strongroom.django.cells import Cells, Row
from strongroom.django.columns import Column
from strongroom.django.connections import keystores
from strongroom.django.fields.binding import associated_data
from strongroom.errors import DecryptionError, NotFoundError, SettingsError
from strongroom.model.version import Version

WINDOW = 2_000


def marking(column: Column) -> tuple[Version, ...]:
    """The versions of the index's keyset that may have made marks, in the order in which marks are looked for."""
    keystore = keystores[column.store]
    snapshot = keystore.current(column.field.index.keyset)
    return snapshot.keyset.processing(snapshot.now, compromised_too=True)


def versions_of_marks(cells: Cells) -> Counter[int | None]:
    """How many marks each version made; None for cells that have none, or one that belongs to another value."""
    versions = marking(cells.column)
    counted: Counter[int | None] = Counter()
    if len(versions) == 1:
        total = sum(cells.starts().values())
        missing = cells.unmarked()
        counted.update({versions[0].number: total - missing, None: missing})
    else:
        for rows in cells.windows(WINDOW):
            counted.update(_maker(cells.column.field, row, versions) for row in rows)
    return +counted


def outdated_marks(cells: Cells) -> int:
    """How many cells have no mark under the primary of the index's keyset. Those that do not open are not counted."""
    if cells.column.field.index is None:
        return 0
    primary = keystores[cells.column.store].current(cells.column.field.index.keyset).primary
    counted = versions_of_marks(cells)
    return sum(count for version, count in counted.items() if primary is None or version != primary.number)


def _maker(field: Any, row: Row, versions: tuple[Version, ...]) -> int | None:
    try:
        context = None if row.context is None else field.context_of(row.context)
        plain = field.box(context).decrypt(row.cell, associated_data(field.field_id, context), compromised_too=True)
    except (DecryptionError, NotFoundError, SettingsError, FieldError):
        return None
    marks = field.index.remarks(plain)
    return next((version.number for version, mark in zip(versions, marks, strict=True) if mark == row.index), None)
