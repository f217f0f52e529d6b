"""Which fields can be encrypted at all. What a model could not even be made with is refused where it is written."""

from __future__ import annotations

from django.core.exceptions import FieldError
from django.db import models

from strongroom.django.fields.types import AnyField


def check_possible(field: AnyField) -> None:
    """FieldError for a field whose values the database itself must make, compare or join."""
    what = f"a {type(field).__name__}"
    if not isinstance(field, models.Field):
        raise FieldError(f"encrypted() takes a model field, not {what}: write encrypted(models.CharField(…), …)")
    if field.is_relation:
        raise FieldError(f"{what} cannot be encrypted: the database joins by it")
    if field.generated or isinstance(field, models.AutoField) or not _has_column(field):
        raise FieldError(f"{what} cannot be encrypted: the database makes its values")
    if any(kind.__name__ == "SearchVectorField" for kind in type(field).__mro__):
        raise FieldError(f"{what} cannot be encrypted: the database makes its words, and searches by them")
    if field.primary_key:
        raise FieldError("a primary key cannot be encrypted: every row is found and joined by it")
    if field.has_db_default():
        raise FieldError(
            "db_default stands in the database in the clear: use default, which is encrypted like any value"
        )


def check_replacing(field: AnyField, plaintext: str, *, indexed: bool) -> None:
    """FieldError where a field cannot take the place of a column of plaintext."""
    if field.db_column in {None, plaintext}:
        raise FieldError(
            f"the cells want a column of their own beside the plaintext in {plaintext!r}:"
            f" write db_column={plaintext + '_sealed'!r} in the inner field"
        )
    if indexed:
        raise FieldError(
            "a blind index would not find rows that are in the clear: add index= when plaintext= has gone, and then run"
            " manage.py strongroom reencrypt"
        )


def _has_column(field: AnyField) -> bool:
    return not isinstance(field, getattr(models, "CompositePrimaryKey", ()))
