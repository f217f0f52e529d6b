"""What can be asked of an encrypted column: whether it is NULL. Everything else is refused, never answered wrongly."""

from __future__ import annotations

from typing import Any, NoReturn

from django.core.exceptions import FieldError
from django.db.models.expressions import Col
from django.db.models.lookups import IsNull

from strongroom.django.fields.types import AnyField, AnyLookup


class SealedIsNull(IsNull):
    """IS NULL, which is as true of a cell as of a value."""

    def process_lhs(self, compiler: Any, connection: Any, lhs: Any = None) -> tuple[str, Any]:
        column: Any = self.lhs if lhs is None else lhs
        sql, _ = Col.as_sql(Col(column.alias, column.target), compiler, connection)
        return sql, ()


class SealedExact(AnyLookup):
    """`filter(field=None)`, which Django turns into IS NULL."""

    lookup_name = "exact"
    prepare_rhs = False

    def __init__(self, lhs: Any, rhs: Any) -> None:
        if rhs is not None:
            refuse_lookup(lhs.output_field, self.lookup_name)
        super().__init__(lhs, rhs)


_LOOKUPS: dict[str, type[AnyLookup]] = {"isnull": SealedIsNull, "exact": SealedExact}


def lookup_of(field: AnyField, name: str) -> type[AnyLookup]:
    """The lookup of a name. FieldError for those that cells cannot answer."""
    return _LOOKUPS.get(name) or refuse_lookup(field, name)


def refuse_lookup(field: AnyField, name: str) -> NoReturn:
    """Say that there is no such look-up, and why."""
    raise FieldError(
        f"{field} is encrypted and has no look-up {name!r}: no two cells are equal, and no order is kept;"
        " isnull works, and so do exact and in where the field has index=BlindIndex(…)"
    )
