"""Encrypted columns, for `models.py`: `encrypted(models.CharField(max_length=11), keyset="student-columns")`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

from django.db import models

from strongroom.django.fields import combining, raw_saves  # noqa: F401  they look at unions, and listen for fixtures
from strongroom.django.fields.blind_index import BlindIndex, IndexColumn
from strongroom.django.fields.plaintext import plaintext_column
from strongroom.django.fields.reading import Cell
from strongroom.django.fields.sealed_field import SealedField, seal

__all__ = ["BlindIndex", "Cell", "IndexColumn", "encrypted", "encrypted_fields", "is_encrypted", "plaintext_column"]

F = TypeVar("F", bound="models.Field[Any, Any]")


def encrypted(
    field: F,
    *,
    keyset: str | Callable[[Mapping[str, Any]], str],
    context: str | Sequence[str] | None = None,
    index: BlindIndex | None = None,
    plaintext: str | None = None,
    using: str = "default",
    id: str | None = None,  # noqa: A002  what it is called where it is written down, and what people say
) -> F:
    """The same field, whose column holds its values encrypted.

    keyset: the name of the keyset, whose type decides the cipher (aes256-gcm is recommended); or a function at module
        level that is given the row's context, as a mapping, and returns a name: one keyset a tenant.
    context: the attribute, or attributes, of the row that each cell is bound to: moved to a row that differs there, it
        does not open. A primary key will do where the client makes it (a UUID).
    index: a BlindIndex makes the field searchable: exact, in, and unique=True on the inner field.
    plaintext: the column of plaintext that this field takes the place of, while the migration's EncryptColumn is under
        way. The cells stand in a column of their own, the inner field's db_column.
    using: the alias of STRONGROOM.
    id: what all cells of the field are bound to. By default app.Model.field as it was when its migration was written.
    """
    made: F = seal(field, keyset=keyset, context=context, using=using, id=id, index=index, plaintext=plaintext)
    return made


def is_encrypted(field: object) -> TypeGuard[SealedField]:
    """Whether a model's field was made by `encrypted`."""
    return isinstance(field, SealedField)


def encrypted_fields(model: type[models.Model]) -> list[SealedField]:
    """The encrypted fields whose columns stand in the model's own table."""
    return [field for field in model._meta.local_concrete_fields if is_encrypted(field)]
