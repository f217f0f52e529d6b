"""Expressions that meet an encrypted column. What the database cannot do with cells is a FieldError that says why.

A database can carry a cell and see whether it is NULL; whatever else it computed with one would be wrong in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from django.core.exceptions import FieldError
from django.db.models import F
from django.db.models.expressions import Case, Col, Value
from django.db.models.functions import Cast

from strongroom.django.fields.plaintext import as_cell
from strongroom.django.fields.reading import converter
from strongroom.django.fields.types import AnyField


class SealedCol(Col):
    """An encrypted column in a query. It may stand in a SELECT list by itself; nothing may be computed with it.

    A compiler asks each item of a SELECT or GROUP BY list for its SQL and then, by `select_format`, for the form that
    it takes there. No other place does the second. So the first answer comes with parameters that cannot be used, and
    the second takes them away.
    """

    target: Any
    for_model = True
    """Whether the value goes into a model's instance, where a cell that does not open is told when it is read."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        sql, _ = super().as_sql(compiler, connection)
        return sql, _Unusable(self.target)

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        query = compiler.query
        annotated = any(each is self for each in query.annotation_select.values())
        self.for_model = query.default_cols and not annotated
        if items := query.order_by or (query.get_meta().ordering if query.default_ordering else ()):
            self._check_order(query, items)
        if not self.for_model:
            field = self.target
            if query.combinator and not (query.combinator == "union" and query.combinator_all):
                _refuse(field, "no two cells are equal, so rows cannot be told apart: union(…, all=True) goes")
            if query.subquery:
                _refuse(field, "a subquery would hand its cells to the database, where no two are equal")
            if query.distinct or query.group_by is not None:
                _refuse(field, "no two cells are equal, so they cannot be told apart or grouped by")
            if field.context_names is not None:
                _refuse(field, f"its cells open only with their row's {', '.join(field.context_names)}; read instances")
        return self.or_plaintext(sql, compiler.connection), ()

    def _check_order(self, query: Any, items: Sequence[Any]) -> None:
        # by an alias, or by its place in the list, the database would sort cells without this being asked
        mine = {name for name, each in query.annotation_select.items() if each is self}
        for name in {name for item in items for name in _ordered_by(item)}:
            if name in mine or (name not in query.annotations and self._is_reached(query, name)):
                _refuse(self.target, "the database sees cells only, and cannot sort by what is in them")

    def _is_reached(self, query: Any, name: str) -> bool:
        try:
            _, field, targets, _ = query.names_to_path(name.split("__"), query.get_meta())
        except FieldError:  # a transform, or a name of something else
            return False
        return field is self.target or self.target in targets

    def or_plaintext(self, sql: str, connection: Any) -> str:
        """The cell or, where there is none and EncryptColumn is under way, what the column before it holds."""
        beside = self.target.plain_column
        if beside is None:
            return sql
        column = connection.ops.quote_name(beside.column)
        table = sql.removesuffix(connection.ops.quote_name(self.target.column))
        return f"COALESCE({sql}, {as_cell(beside, table + column, connection)})"

    def get_db_converters(self, connection: Any) -> list[Any]:
        return [converter(self.target, for_model=self.for_model)]


def _ordered_by(item: Any) -> Iterator[str]:
    """The names in an item of ORDER BY."""
    if isinstance(item, str):
        yield item.lstrip("-+")
    elif isinstance(item, F):
        yield str(vars(item)["name"])
    else:
        for each in item.get_source_expressions():
            if each is not None:
                yield from _ordered_by(each)


class _Unusable(list[Any]):
    """Parameters that raise when somebody takes them into a statement."""

    def __init__(self, field: AnyField) -> None:
        self._field = field

    def __iter__(self) -> Iterator[Any]:
        _refuse(self._field, "the database sees cells only, and cannot compute, compare or sort what is in them")


def check_saved(expression: Any, field: AnyField) -> None:
    """What may be written into an encrypted column beside values: Cases of Values, as bulk_update makes them.

    Anything else would bring plaintext, or another field's cells, into the column: FieldError.
    """
    if isinstance(expression, Case):
        for case in expression.cases:
            check_saved(case.result, field)
        check_saved(expression.default, field)
    elif isinstance(expression, Cast) and expression.output_field == field:
        check_saved(expression.get_source_expressions()[0], field)
    elif isinstance(expression, Value):
        if expression.value is not None and getattr(expression, "_output_field_or_none", None) != field:
            _refuse(
                field, "a Value in an expression wants output_field to be this field, or it would be written as it is"
            )
    else:
        _refuse(field, f"{type(expression).__name__} is computed by the database, which has no key")


def _refuse(field: Any, why: str) -> NoReturn:
    raise FieldError(f"{field} is encrypted: {why}")
