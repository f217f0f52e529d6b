"""Combined queries: under one column of the result are the cells of one encrypted field, or no cells at all.

The rows of a union come through the converters of its first query. A cell of another field would not open there; and
where the first query has a plain column, a cell would be handed out as a value. An expression of one part never sees
the others, so the compiler that combines them is asked to look before it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import wraps
from typing import Any

from django.core.exceptions import FieldError
from django.db.models.sql.compiler import SQLCompiler

from strongroom.django.fields.expressions import SealedCol


def check_combined(compiler: Any) -> None:
    """FieldError where cells would come under a column that is not theirs."""
    first = [_field(expression) for expression, _, _ in compiler.select]
    for query in compiler.query.combined_queries:
        for mine, theirs in zip(first, _fields(compiler, query), strict=False):  # the database tells other lengths
            if mine is not theirs and mine != theirs:
                field, other = (mine, theirs) if mine is not None else (theirs, mine)
                beside = f"the cells of {other}" if other is not None else "a column that is not encrypted"
                raise FieldError(f"{field} is encrypted: its cells cannot be combined with {beside}")


def _fields(compiler: Any, query: Any) -> Iterator[Any]:
    """The encrypted field in each place of a part, as the compiler will select them; None for what is none."""
    part = query.clone()
    if (selected := compiler.query.selected) is not None and part.selected is None:
        part.set_values(selected)
    own = part.get_compiler(compiler.using, compiler.connection, compiler.elide_empty)
    own.setup_query()
    return (_field(expression) for expression, _, _ in own.select)


def _field(expression: Any) -> Any:
    return expression.target if isinstance(expression, SealedCol) else None


def install() -> None:
    """Have Django's compiler look. Once: what was made of it stays, and so does what others make of it."""
    combine = SQLCompiler.get_combinator_sql
    if hasattr(combine, "looks_at_cells"):
        return

    @wraps(combine)
    def checked(self: Any, combinator: str, all: bool) -> Any:  # noqa: A002  Django's own name
        check_combined(self)
        return combine(self, combinator, all)

    vars(checked)["looks_at_cells"] = True
    SQLCompiler.get_combinator_sql = checked  # type: ignore[method-assign]  # Django has no other place to stand in


install()
