"""What can be asked of an encrypted column: whether it is NULL, and, by a blind index, which rows have a value.

Everything else is refused. A look-up that compared cells would find nothing, in silence: no two cells are equal.
"""

from __future__ import annotations

from typing import Any, NoReturn

from django.core.exceptions import EmptyResultSet, FieldError
from django.db.models.expressions import Col
from django.db.models.lookups import IsNull

from strongroom.django.fields.blind_index import MAX_BITS, IndexColumn
from strongroom.django.fields.types import AnyField, AnyLookup


class SealedIsNull(IsNull):
    """IS NULL, which is as true of a cell as of a value."""

    def process_lhs(self, compiler: Any, connection: Any, lhs: Any = None) -> tuple[str, Any]:
        column: Any = self.lhs if lhs is None else lhs
        sql, _ = Col.as_sql(Col(column.alias, column.target), compiler, connection)
        return column.or_plaintext(sql, connection), ()


class _ByMark(AnyLookup):
    """Looks the marks of values up in the index column: old and new ones while its keyset is being rotated."""

    lookup_name: str
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        lhs: Any = self.lhs
        column: IndexColumn = lhs.target.index
        marks = dict.fromkeys(mark for value in self._values() for mark in column.marks_of(value, connection))
        if not marks:
            raise EmptyResultSet
        sql, _ = Col.as_sql(Col(lhs.alias, column), compiler, connection)
        params = [connection.Database.Binary(mark) for mark in marks]
        if len(params) == 1:
            return f"{sql} = %s", params
        return f"{sql} IN ({', '.join(['%s'] * len(params))})", params

    def _values(self) -> list[Any]:
        return [self.rhs]

    def _wants(self, *, exact: bool, values: list[Any]) -> None:
        field = self.lhs.output_field
        column = field.index
        if column is None:
            refuse_lookup(field, self.lookup_name)
        if exact and column.bits != MAX_BITS:
            raise FieldError(
                f"{field} has a blind index of {column.bits} bits, which finds rows of other values, too:"
                f" ask {field.name}__candidates, and compare the values that you get"
            )
        if any(hasattr(value, "resolve_expression") for value in values):
            raise FieldError(f"{field} is encrypted: it is looked up by values, not by what the database computes")


class SealedExact(_ByMark):
    """`filter(field=value)`. With None, Django makes it IS NULL."""

    lookup_name = "exact"

    def get_prep_lookup(self) -> Any:
        if self.rhs is not None:
            self._wants(exact=True, values=[self.rhs])
        return self.rhs


class SealedIn(_ByMark):
    """`filter(field__in=values)`; None among them finds nothing, as elsewhere in Django."""

    lookup_name = "in"

    def get_prep_lookup(self) -> Any:
        if hasattr(self.rhs, "resolve_expression"):
            self._wants(exact=True, values=[self.rhs])
        values = [value for value in self.rhs if value is not None]
        self._wants(exact=True, values=values)
        return values

    def _values(self) -> list[Any]:
        return list(self.rhs)


class Candidates(_ByMark):
    """`filter(field__candidates=value)`: the rows that may have the value. An index of few bits answers this alone."""

    lookup_name = "candidates"

    def get_prep_lookup(self) -> Any:
        self._wants(exact=False, values=[self.rhs])
        return self.rhs


_LOOKUPS: dict[str, type[AnyLookup]] = {
    "isnull": SealedIsNull,
    "exact": SealedExact,
    "in": SealedIn,
    "candidates": Candidates,
}


def lookup_of(field: AnyField, name: str) -> type[AnyLookup]:
    """The lookup of a name. FieldError for those that cells cannot answer."""
    return _LOOKUPS.get(name) or refuse_lookup(field, name)


def refuse_lookup(field: Any, name: str) -> NoReturn:
    """Say that there is no such look-up, and why."""
    able = "isnull, exact and in work" if field.index else "isnull works; exact and in want index=BlindIndex(…)"
    if field.plain_column is not None:
        able = f"while EncryptColumn is under way, ask {field.plain_column.name}"
    raise FieldError(
        f"{field} is encrypted and has no look-up {name!r}: no two cells are equal, and they keep no order; {able}"
    )
