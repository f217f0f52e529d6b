"""What a cell is bound to: its field's id, and its row's context. A cell that was moved elsewhere does not open.

associated data = fields("strongroom/1 cell", field id, one text for each part of the context)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import FieldError
from django.db import models

from strongroom._encoding import encode_fields
from strongroom.django.fields.types import AnyField
from strongroom.errors import SettingsError, StrongroomError

Context = Mapping[str, Any]
"""The values of the attributes that `context=` names, as the row has them."""

Row = models.Model | Mapping[str, Any]


class DefaultId(str):
    """A field id that nobody wrote down: the place where the field stands now.

    A migration freezes it as plain text. When the field moves (a rename), this id changes and the frozen one does not;
    they compare as equal all the same, so that Django sees a rename where there is one, and not a column that went
    and another that came. strongroom.E022 then asks for the frozen id to be written into the model.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    def __ne__(self, other: object) -> bool:
        return not isinstance(other, str)

    __hash__ = str.__hash__


def context_of(names: tuple[str, ...], row: Row, *, field: AnyField) -> Context:
    """The context of a row: its values of these attributes. FieldError where one is None, or is not there."""
    found = {}
    for name in names:
        # a concrete field of the same model: strongroom.E024 says where it is not
        named: Any = field.model._meta.get_field(name)
        value = row.get(name) if isinstance(row, Mapping) else getattr(row, named.attname)
        if value is None:
            raise FieldError(
                f"{field} is bound to {name!r} of its row, which is None here: give the row its {name!r} first"
            )
        found[name] = context_value(named, value)
    return found


def keyset_of(function: Callable[[Context], str], context: Context, *, field: AnyField) -> str:
    """The keyset that a function names for a row. SettingsError where it fails or names none: a list that has such a
    row is still read, as with a cell that does not open."""
    hint = f"{getattr(function, '__qualname__', function)} is to return a name for every row, such as 'schools/1'"
    try:
        name: object = function(context)
    except (StrongroomError, FieldError):
        raise
    except Exception as error:
        raise SettingsError(
            f"{field}: the function that names its keyset failed: {type(error).__name__}: {error}", hint=hint
        ) from error
    if not isinstance(name, str):
        raise SettingsError(f"{field}: the function that names its keyset gave {name!r}", hint=hint)
    return name


def context_value(field: Any, value: Any) -> Any:
    """A value of a column that cells are bound to, as it is written into their binding."""
    return (field.target_field if field.is_relation else field).to_python(value)


def associated_data(field_id: str, context: Context | None) -> bytes:
    """What the cell of a field and row is authenticated with."""
    parts = () if context is None else tuple(as_text(value) for value in context.values())
    return encode_fields(b"strongroom/1 cell", field_id.encode("utf-8"), *parts)


def as_text(value: Any) -> bytes:
    """One part of a context in the binding."""
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else str(value).encode("utf-8")


class InRow:
    """A value on its way into a row whose cells are bound to it."""

    __slots__ = ("context", "value")

    def __init__(self, value: Any, context: Context | None) -> None:
        self.value = value
        self.context = context
