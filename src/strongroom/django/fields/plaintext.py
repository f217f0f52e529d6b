"""The column of plaintext beside an encrypted one, while EncryptColumn is under way. It is read where there is no cell.

`encrypted(…, plaintext="ssn")` adds the column that has been there to the model, as `<field>_plaintext`. Whatever is
written goes to both, so that processes of the former release, which know the plaintext alone, go on; and where they
write, a trigger takes the cell away, so that nobody reads an older value from it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import NOT_PROVIDED
from django.db.models.expressions import Value

from strongroom.django.fields.binding import InRow
from strongroom.django.fields.blind_index import ToMark
from strongroom.django.fields.classes import class_of, empty
from strongroom.django.fields.types import AnyField

SUFFIX = "_plaintext"
START = b"\x02plain:"
"""What stands before plaintext where a cell would be. No cell begins so: they begin with 01, or g, or by chance."""

if TYPE_CHECKING:
    _Base = AnyField
else:
    _Base = object  # the class of the inner field comes behind it


class PlainColumn(_Base):
    """What `plaintext_column` adds to the class of the inner field."""

    plain_class: type[AnyField]

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        inner: Any = copy.copy(self)
        inner.__class__ = self.plain_class
        return self.name, "strongroom.django.encrypted.plaintext_column", [inner], {}

    def clone(self) -> Any:
        _, _, (inner,), _ = self.deconstruct()
        return plaintext_column(inner.clone())

    def __reduce__(self) -> Any:
        if hasattr(self, "model"):
            return super().__reduce__()
        state = {name: value for name, value in vars(self).items() if name != "_get_default"}
        return _empty, (self.plain_class,), state

    def contribute_to_class(self, cls: type[models.Model], name: str, *args: Any, **kwargs: Any) -> None:
        # as of a blind index: one that a migration names stands in place of the one that its field has just brought
        for other in [each for each in cls._meta.local_fields if each.name == name and isinstance(each, PlainColumn)]:
            cls._meta.local_fields.remove(other)
        super().contribute_to_class(cls, name, *args, **kwargs)

    @property
    def source(self) -> Any:
        """The encrypted field that takes this column's place."""
        return self.model._meta.get_field(self.name.removesuffix(SUFFIX))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        held = vars(model_instance)
        source = self.source
        if source.attname not in held and self.attname in held:
            return held[self.attname]  # a cell that was not loaded, or does not open, stays; so does what is beside it
        return getattr(model_instance, source.attname)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if type(value) is ToMark:
            value = value.value
        if type(value) is InRow:
            value = value.value
        if isinstance(value, Value) and not isinstance(self, models.JSONField):
            value = value.value
        return super().get_db_prep_save(value, connection)


def plaintext_column(field: AnyField) -> Any:
    """The column of the plaintexts of this field: of its type, seen by nobody, and NULL where there is none."""
    made: Any = copy.copy(field)
    made.__class__ = _class_of(type(field))
    vars(made).update(null=True, blank=True, editable=False, serialize=False, default=NOT_PROVIDED)
    vars(made).pop("_get_default", None)
    return made


def _class_of(kind: type[AnyField]) -> type[Any]:
    return class_of(PlainColumn, kind, _subclass)


def _subclass(kind: type[AnyField]) -> type[Any]:
    return type(f"Plaintext{kind.__name__}", (PlainColumn, kind), {"__module__": __name__, "plain_class": kind})


def _empty(kind: type[AnyField]) -> Any:
    return empty(_class_of(kind))


def as_cell(field: AnyField, quoted: str, connection: Any) -> str:
    """SQL for START and the plaintext as the bytes that a cell would hold; NULL where the column is NULL."""
    text = _TEXTS.get((connection.vendor, field.get_internal_type()), _as_it_is)(quoted)
    start = START.hex()
    if connection.vendor == "postgresql":
        inner = text if field.get_internal_type() == "BinaryField" else f"convert_to(({text})::text, 'UTF8')"
        return f"('\\x{start}'::bytea || {inner})"
    if connection.vendor == "sqlite":
        return f"CAST(x'{start}' || {text} AS BLOB)"
    if field.get_internal_type() == "BinaryField":
        return f"CONCAT(x'{start}', {text})"
    return f"CONCAT(x'{start}', CAST(CAST({text} AS CHAR CHARACTER SET utf8mb4) AS BINARY))"


def _as_it_is(quoted: str) -> str:
    return quoted


# where the database's text is not one that a cell's reader (strongroom.django.fields.values) knows
_TEXTS: dict[tuple[str, str], Callable[[str], str]] = {
    ("postgresql", "BooleanField"): lambda column: f"CASE WHEN {column} THEN '1' WHEN NOT {column} THEN '0' END",
    ("postgresql", "DurationField"): lambda column: f"(EXTRACT(EPOCH FROM {column}) * 1000000)::bigint",
    ("postgresql", "GenericIPAddressField"): lambda column: f"host({column})",
    ("sqlite", "FloatField"): lambda column: f"CASE WHEN {column} IS NOT NULL THEN printf('%!.17g', {column}) END",
}
