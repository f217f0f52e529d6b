"""From the database's cells to values, row after row: the hot path. A cell that does not open is never a value.

In a model's instance a broken cell leaves its attribute unloaded, so that a list of rows still comes, and saving the
row leaves the cell alone; whoever reads the attribute gets the error. Anywhere else it raises at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import FieldError
from django.db import connections, models
from django.db.models import DEFERRED, F
from django.db.models.expressions import Col
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import class_prepared, post_init

from strongroom.django.fields.binding import associated_data
from strongroom.django.fields.plaintext import START
from strongroom.django.fields.raw_cells import as_bytes
from strongroom.django.fields.sealing import Sealing
from strongroom.errors import StrongroomError


def converter(field: Sealing, *, for_model: bool) -> Callable[[Any, Any, Any], Any]:
    """What Django calls for each cell of a query's result."""
    if field.plain_column is not None:
        return _plain_too(field, for_model=for_model)
    if field.context_names is not None:
        return _for_row if for_model else _no_row(field)
    decode = field.codec.decode
    binding = associated_data(field.field_id, None)
    try:
        decrypt = field.box().decrypt
    except StrongroomError:
        if for_model:
            return lambda cell, expression, connection: None if cell is None else DEFERRED
        return lambda cell, expression, connection: (
            None if cell is None else field.open_cell(cell, context=None, connection=connection)
        )

    def opened(cell: Any, expression: Any, connection: Any) -> Any:
        if cell is None:
            return None
        try:
            return decode(decrypt(cell if type(cell) is bytes else as_bytes(cell), binding), connection)
        except StrongroomError:
            if for_model:
                return DEFERRED
            return field.open_cell(cell, context=None, connection=connection)  # raises, and says of which field

    return opened


def _plain_too(field: Sealing, *, for_model: bool) -> Callable[[Any, Any, Any], Any]:
    """While EncryptColumn is under way: what has no cell comes as START and the plaintext (`as_cell`)."""

    def opened(cell: Any, expression: Any, connection: Any) -> Any:
        if cell is None:
            return None
        try:
            raw = as_bytes(cell)
            if raw.startswith(START):
                return field.codec.decode(raw[len(START) :], connection)
            if field.context_names is not None:
                return UnopenedCell(raw)  # a query that wants no model has refused it
            return field.open_cell(raw, context=None, connection=connection)
        except StrongroomError:
            if for_model:
                return DEFERRED
            raise

    return opened


class UnopenedCell:
    """A cell on its way to the row that it is bound to."""

    __slots__ = ("cell",)

    def __init__(self, cell: bytes) -> None:
        self.cell = cell

    def __repr__(self) -> str:
        return "<a cell that opens with its row only>"


def _for_row(cell: Any, expression: Any, connection: Any) -> Any:
    return None if cell is None else UnopenedCell(as_bytes(cell))


def _no_row(field: Sealing) -> Callable[[Any, Any, Any], Any]:
    def refuse(cell: Any, expression: Any, connection: Any) -> Any:
        if cell is None:
            return None
        raise FieldError(f"{field} is encrypted and opens with its row only: read it from an instance")

    return refuse


def open_in_row(*, instance: models.Model, **_: Any) -> None:
    """After an instance was made: open the cells that are bound to their row. Those that do not open stay unloaded."""
    held = vars(instance)
    field: Any
    for field in instance._meta.concrete_fields:
        value = held.get(field.attname)
        if type(value) is UnopenedCell:
            try:
                connection = connections[instance._state.db or "default"]
                held[field.attname] = field.open_cell(
                    value.cell,
                    context=field.context_of(instance),
                    connection=connection,
                )
            except (StrongroomError, FieldError):
                del held[field.attname]


def open_rows_of(*, sender: type[models.Model], **_: Any) -> None:
    """Do so for a model that has such cells, be they of a model that it is a proxy or a child of."""
    if any(getattr(field, "context_names", None) for field in sender._meta.concrete_fields):
        post_init.connect(open_in_row, sender=sender)


class_prepared.connect(open_rows_of, dispatch_uid="strongroom.fields.open_rows_of")


class Cell(F):
    """`annotate(cell=Cell("ssn"))`: the bytes of an encrypted column as they are in the database."""

    def resolve_expression(self, *args: Any, **kwargs: Any) -> Any:
        column: Any = super().resolve_expression(*args, **kwargs)
        return _CellCol(column.alias, column.target, models.BinaryField())


class _CellCol(Col):
    def get_db_converters(self, connection: Any) -> list[Any]:
        return [lambda cell, expression, connection: None if cell is None else as_bytes(cell)]


class SealedAttribute(DeferredAttribute):
    """Where a model's attribute is looked for when it was not loaded: deferred, or a cell that does not open."""

    field: Any  # a Sealing, and a Field as well

    def __get__(self, instance: models.Model | None, cls: type[models.Model] | None = None) -> Any:
        if instance is None:
            return self
        held = vars(instance)
        name = self.field.attname
        if name not in held:
            mode = getattr(instance._state, "fetch_mode", None)  # Django 6.1: it may forbid, or fetch for all peers
            (self.fetch_one(instance) if mode is None else mode.fetch(self, instance))
            if name not in held:
                self.fetch_one(instance)
        return held[name]

    def fetch_one(self, instance: models.Model) -> None:
        """Ask the database for one cell and open it: raises what hinders that."""
        self._fetch([instance])

    def fetch_many(self, instances: Iterable[models.Model]) -> None:
        """The same for all instances of a query; whose cell does not open is left alone."""
        self._fetch(list(instances), skip=True)

    def _fetch(self, instances: list[models.Model], *, skip: bool = False) -> None:
        field = self.field
        alias = instances[0]._state.db or "default"
        # the key of the row that has the column: with two parents, only one of them has the instance's own
        key = field.model._meta.pk.attname
        missing = {getattr(each, key): each for each in instances if field.attname not in vars(each)}
        rows = field.model._base_manager.using(alias).filter(pk__in=missing)
        beside = field.plain_column
        # a cell is bound to what its row has in the database, whatever the instance has by now
        names = field.context_names or ()
        cells = {pk: (cell, context) for pk, cell, *context in rows.values_list("pk", Cell(field.name), *names)}
        plain = {} if beside is None else dict(rows.values_list("pk", beside.name))
        for pk, instance in missing.items():
            if pk not in cells:
                if skip:
                    continue
                raise type(instance).DoesNotExist(f"{type(instance).__name__} matching query does not exist.")
            cell, said = cells[pk]
            try:
                value = plain.get(pk)
                if cell is not None:
                    context = field.context_of(dict(zip(names, said, strict=True)))
                    value = field.open_cell(cell, context=context, connection=connections[alias])
            except (StrongroomError, FieldError):
                if not skip:
                    raise
            else:
                vars(instance)[field.attname] = value
