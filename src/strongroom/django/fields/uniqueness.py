"""That no two rows of a unique index have one value, though two versions marked them. The database compares marks only.

While two versions are active, which of them another process marks with is not known: a unique index takes no new value.
Afterwards all new marks are the primary's, and a row that still has an older one is looked for before each new value:
so a version may be deactivated, or even marked compromised, before its rows were moved, and no second row comes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, models

from strongroom.errors import StateError


def unique_with(column: Any) -> tuple[tuple[str, ...], ...]:
    """The other fields of each rule that makes an index unique: `()` for the index by itself. Empty where none does."""
    meta = column.model._meta
    rules: list[Sequence[str]] = list(meta.unique_together)
    rules += [each.fields for each in meta.constraints if isinstance(each, models.UniqueConstraint)]
    named = [tuple(name for name in rule if name != column.name) for rule in rules if column.name in rule]
    return ((), *named) if column.unique else tuple(named)


def check_older(column: Any, older: Sequence[bytes], row: models.Model | None, connection: Any) -> None:
    """Refuse a value that another row has under one of these marks, of versions other than the primary.

    IntegrityError where the row that gets it is known; StateError in a statement over several rows (`update`,
    `bulk_update`), of which the one that was found may be one.
    """
    if not older:
        return
    rows = column.model._base_manager.using(connection.alias).filter(**{f"{column.name}__in": list(older)})
    if row is None:
        if rows.exists():
            raise StateError(
                f"{column.source}: a unique index takes no value that a row has under an older version of"
                f" {column.keyset!r}",
                hint=f"manage.py strongroom reencrypt {column.source}",
            )
        return
    key = getattr(row, column.model._meta.pk.attname)  # an instance with two parents has a key in each
    if key is not None:
        rows = rows.exclude(pk=key)
    for others in column.unique_with:
        named: list[Any] = [row._meta.get_field(name) for name in others]
        beside = {field.name: getattr(row, field.attname) for field in named}
        if None not in beside.values() and rows.filter(**beside).exists():
            raise IntegrityError(
                f"{column.source}: another row has this value, marked under an older version of {column.keyset!r}"
            )
