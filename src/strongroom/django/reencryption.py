"""Moving the cells of a column to the primary version: in windows, resumable, and never over somebody's newer value.

What was moved already is left out by the database, so a run that was stopped is simply started again. Where there is a
blind index every cell is opened, for only what is in it tells whether its mark is the right one. Every row is a compare
and swap, so several processes may run at once, and the site may go on writing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from django.core.exceptions import FieldError
from django.db import connections

from strongroom.django.cells import Cells, Key, Row
from strongroom.django.connections import keystores
from strongroom.django.fields.binding import associated_data
from strongroom.django.fields.plaintext import START
from strongroom.django.tally import Tally, Versions, tally
from strongroom.errors import DecryptionError, FormatError, InvalidNameError, NotFoundError, SettingsError
from strongroom.model.names import KeyId
from strongroom.model.types import KeyType, Prefix
from strongroom.model.version import Version

Change = tuple[Row, bytes, bytes | None]
SHOWN = 10
"""Keys of broken cells that are kept to be shown."""
PASSES = 3
"""How often a column is gone through where others write at the same time."""


@dataclass(slots=True)
class Moved:
    """What was done to a range of rows."""

    read: int = 0
    moved: int = 0
    missed: int = 0
    """Rows that somebody else changed between the reading and the swap; they are his."""
    broken: int = 0
    examples: list[Key] = field(default_factory=list)
    """Keys of the first cells that do not open."""

    def add(self, other: Moved) -> None:
        """Count what another range had."""
        self.read += other.read
        self.moved += other.moved
        self.missed += other.missed
        self.broken += other.broken
        self.examples = [*self.examples, *other.examples][:SHOWN]


Tell = Callable[[Moved], None]
"""Is told what was done to each range of rows, when it is done."""


def move(
    cells: Cells,
    *,
    size: int,
    after: Key | None = None,
    upto: Key | None = None,
    compromised_too: bool = False,
    tell: Tell = lambda moved: None,
) -> Moved:
    """Bring a range of rows under the primary of their keysets. Raises StateError where nothing protects."""
    done = Moved()
    for rows in cells.windows(size, after=after, upto=upto, without=_done_already(cells)):
        changes, broken = _changes(cells, rows, compromised_too=compromised_too)
        moved = cells.swap(changes)
        now = Moved(len(rows), moved, len(changes) - moved, len(broken), [row.key for row in broken[:SHOWN]])
        done.add(now)
        tell(now)
    return done


def seal(cells: Cells, *, size: int, tell: Tell = lambda moved: None) -> Moved:
    """Give a cell to every row that is still in the clear, while EncryptColumn is under way."""
    field, connection = cells.column.field, connections[cells.using]
    done = Moved()
    for rows in cells.clear_windows(size):
        changes: list[tuple[Row, Any]] = []
        broken: list[Row] = []
        for row in rows:
            try:
                context = None if row.context is None else field.context_of(row.context)
                value = field.codec.decode(row.cell[len(START) :], connection)
            except (FieldError, FormatError):
                broken.append(row)  # its row does not say what it is to be bound to, or it is no value of the field
            else:
                changes.append((row, field.seal_value(value, connection=connection, context=context)))
        put = cells.fill(changes)
        now = Moved(len(rows), put, len(changes) - put, len(broken), [row.key for row in broken[:SHOWN]])
        done.add(now)
        tell(now)
    return done


def remaining(counted: Iterable[Tally]) -> int:
    """How many cells are not under the primary of their keyset."""
    return sum(each.count for each in counted if not each.primary)


def counted(cells: Cells) -> list[Tally]:
    """What protects the cells of a column now."""
    return tally(cells, Versions(cells.column))


def _done_already(cells: Cells) -> bytes | None:
    """What the cells begin with that need not be read, where one beginning says it for the whole column."""
    column = cells.column
    if column.keyset is None or column.field.index is not None:
        return None  # a mark may be old, of other rules, or another row's, which only an opened cell can tell
    keyset = keystores[column.store].current(column.keyset, KeyType.AES256_GCM)
    if keyset.keyset.type is KeyType.FERNET or keyset.primary is None or keyset.primary.prefix is Prefix.NONE:
        return None
    return b"\x01" + keyset.primary.key_id.to_bytes(4, "big")


def _changes(cells: Cells, rows: Sequence[Row], *, compromised_too: bool) -> tuple[list[Change], list[Row]]:
    field = cells.column.field
    changes: list[Change] = []
    broken: list[Row] = []
    placed: list[tuple[str, Row, Any]] = []
    for row in rows:
        try:
            context = None if row.context is None else field.context_of(row.context)
            placed.append((field.keyset_name(context), row, context))
        except (FieldError, SettingsError):
            broken.append(row)
    placed.sort(key=lambda each: each[0])
    for name, mine in groupby(placed, key=lambda each: each[0]):
        _under(cells, name, [(row, context) for _, row, context in mine], changes, broken, compromised_too)
    return changes, broken


def _under(
    cells: Cells,
    name: str,
    rows: list[tuple[Row, Any]],
    changes: list[Change],
    broken: list[Row],
    compromised_too: bool,
) -> None:
    """What becomes of the rows whose keyset is this one."""
    keystore = keystores[cells.column.store]
    try:
        snapshot = keystore.current(name, KeyType.AES256_GCM)
    except (NotFoundError, InvalidNameError):
        broken += [row for row, _ in rows]  # shredded, or never there: those cells open for nobody
        return
    primary = None if snapshot.primary is None else snapshot.primary.key_id
    if cells.column.field.index is not None:
        for row, context in rows:
            change = _marked(cells, row, context, compromised_too)
            if change is None:
                broken.append(row)
            elif change[1:] != (row.cell, row.index):
                changes.append(change)
        return
    if snapshot.keyset.type is KeyType.FERNET:
        fernet = keystore.fernet(name)
        old = [row for row, _ in rows if fernet.key_id_of(row.cell) != primary]
        for row, token in zip(old, _rotated(fernet, old, compromised_too), strict=True):
            if token is None:
                broken.append(row)
            else:
                changes.append((row, token, None))
        return
    aead = keystore.aead(name)
    bare = snapshot.primary is not None and snapshot.primary.prefix is Prefix.NONE
    for row, context in rows:
        made_by = aead.key_id_of(row.cell)
        if made_by == primary or (bare and made_by is None):
            continue  # cells of a version without a prefix name none: taken for the primary's, if that is such a one
        binding = associated_data(cells.column.field.field_id, context)
        try:
            plain = aead.decrypt(row.cell, binding, compromised_too=compromised_too)
        except DecryptionError:
            broken.append(row)
            continue
        changes.append((row, aead.encrypt(plain, binding), None))


def _marked(cells: Cells, row: Row, context: Any, compromised_too: bool) -> Change | None:
    """The row under the primaries of its keyset and of its index's; None where its cell does not open."""
    field = cells.column.field
    box, binding = field.box(context), associated_data(field.field_id, context)
    primary = keystores[field.using].current(field.keyset_name(context)).primary
    try:
        plain = box.decrypt(row.cell, binding, compromised_too=compromised_too)
    except DecryptionError:
        return None
    old = primary is None or box.key_id_of(row.cell) not in {primary.key_id, _own_of(primary)}
    return row, box.encrypt(plain, binding) if old else row.cell, field.index.remark(plain)


def _own_of(primary: Version) -> KeyId | None:
    """What cells say that a primary without a prefix made; of any other they always say its key id."""
    return None if primary.prefix is Prefix.NONE else primary.key_id


def _rotated(fernet: Any, rows: list[Row], compromised_too: bool) -> list[bytes | None]:
    """The tokens under the primary, None for one that does not open. All at once, which is several times faster."""
    if not rows:
        return []
    if not compromised_too:
        try:
            return list(fernet.rotate_many([row.cell for row in rows]))
        except DecryptionError:
            pass  # one of them does not open: one by one, to see which
    found: list[bytes | None] = []
    for row in rows:
        try:
            if compromised_too:
                found.append(fernet.encrypt(fernet.decrypt(row.cell, compromised_too=True)))
            else:
                found.append(fernet.rotate(row.cell))
        except (DecryptionError, FormatError):
            found.append(None)
    return found
