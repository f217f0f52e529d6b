"""What cells are bound to in their row, and the cells, are written together. Either alone would leave cells unopened.

Whatever writes a column goes through a compiler, which asks the column's field for a placeholder: save(), update(),
bulk_update, upserts, related managers, SET_NULL. There a field that is somebody's context looks at the statement, and
so does the one that is bound to it. Where there is one without the other the rows are read: what leaves all cells as
they are is not refused. What was found there becomes a condition of the statement: another process may write between
the two, and a row of which it is not true any more is left as that one has it. (The database compares then: where its
collation takes one context for another, so does that condition.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db.models import Model, Q, QuerySet, UniqueConstraint
from django.db.models.constants import OnConflict
from django.db.models.signals import class_prepared
from django.db.models.sql import Query
from django.db.models.sql.subqueries import InsertQuery, UpdateQuery

from strongroom.django.fields.binding import InRow, as_text, context_value
from strongroom.django.fields.types import AnyField

_NEW = "strongroom_new_context"


def watch(*, sender: type[Model], **_: Any) -> None:
    """Have the fields that a model's cells are bound to look at what is written."""
    for name in {name for field in _bound(sender) for name in field.context_names}:
        try:
            field: Any = sender._meta.get_field(name)
        except FieldDoesNotExist:
            continue  # strongroom.E024 tells
        if field.model is sender and field.concrete and not hasattr(field, "context_names"):
            own = vars(field)
            # Django 5.2 and 6.0 ask for the first, from 6.1 on for the second
            own["get_placeholder"] = partial(_placeholder, getattr(field, "get_placeholder", None))
            own["get_placeholder_sql"] = partial(_placeholder_sql, getattr(field, "get_placeholder_sql", None))


class_prepared.connect(watch, dispatch_uid="strongroom.fields.watch")


def _placeholder(before: Any, value: Any, compiler: Any, connection: Any) -> Any:
    check_together(compiler)
    return "%s" if before is None else before(value, compiler, connection)


def _placeholder_sql(before: Any, value: Any, compiler: Any, connection: Any) -> Any:
    check_together(compiler)
    if before is not None:
        return before(value, compiler, connection)
    return compiler.compile(value) if hasattr(value, "as_sql") else ("%s", [value])


def check_together(compiler: Any) -> None:
    """FieldError for a statement after which cells would be bound to what their row does not have."""
    query = None if compiler is None else compiler.query
    if not isinstance(query, (InsertQuery, UpdateQuery)) or vars(compiler).get("strongroom_checked"):
        return
    compiler.strongroom_checked = True  # each value that is written asks, in every row
    if isinstance(query, UpdateQuery):
        _check_update(query, compiler.using)
    elif vars(query)["on_conflict"] == OnConflict.UPDATE:
        _check_upsert(query)


def _check_update(query: UpdateQuery, using: str) -> None:
    written: dict[str, Any] = {field.name: value for field, _, value in vars(query)["values"]}
    model = query.get_meta().model
    known = model._meta.pk.name  # what a row is saved by
    bound: dict[str, tuple[Any, Any]] = {}
    found: list[Q] = []
    for field in _bound(model):
        names = _names(field)
        if field.name not in written:
            moved = {name: written[name] for name in names.values() if name in written}
            if moved:
                no_cell = Q(**{f"{field.name}__isnull": True})
                with_cells = _check_unmoved(_rows(query, model, using), field, moved)
                found.append(no_cell | Q(**moved) if with_cells else no_cell)
        elif type(value := written[field.name]) is InRow:
            context: Any = value.context
            loose = {said: name for said, name in names.items() if name not in written and name != known}
            bound |= {name: (field, context[said]) for said, name in loose.items()}
    if bound:
        _check_bound(_rows(query, model, using), bound)
        found.append(Q(**{name: value for name, (_, value) in bound.items()}))
    for each in found:
        query.add_q(each)  # the conditions are compiled after the values, of which this one is being written


def _check_unmoved(rows: QuerySet[Any], field: Any, moved: Mapping[str, Any]) -> int:
    """A context is written without the cells: no row with a cell may get another one by it. How many have cells."""
    rows = rows.filter(**{f"{field.name}__isnull": False})
    cells = 0
    for name, value in moved.items():
        named: Any = field.model._meta.get_field(name)
        pairs: Iterable[tuple[Any, Any]]
        if hasattr(value, "resolve_expression"):
            pairs = rows.annotate(**{_NEW: value}).values_list(name, _NEW).iterator()
        else:
            new = getattr(value, named.target_field.attname) if isinstance(value, Model) else value
            pairs = ((old, new) for old in rows.values_list(name, flat=True).iterator())
        cells = others = 0
        for old, new in pairs:  # to the end: a query that is left in the midst keeps its cursor
            cells += 1
            others += not _same(named, old, new)
        if others:
            raise FieldError(
                f"{field} is bound to {name!r} of its row: written without it, the cells that are there would not open"
                f" any more; load whole instances, change {name!r}, and save() them"
            )
    return cells


def _check_bound(rows: QuerySet[Any], bound: Mapping[str, tuple[Any, Any]]) -> None:
    """Cells are written without their context: the row must have the one that they were sealed for."""
    for row in rows.values(*bound):
        for name, (field, value) in bound.items():
            if not _same(field.model._meta.get_field(name), row[name], value):
                raise FieldError(
                    f"{field} is bound to {name!r} of its row, which is another one in the database than in this"
                    f" instance: name {name!r} in update_fields, too, or refresh_from_db() first"
                )


def _check_upsert(query: InsertQuery) -> None:
    """Of the row that is there already, either what cells are bound to is written with them, or it is what found it."""
    model = query.get_meta().model
    update = {field.name for field in vars(query)["update_fields"]}
    found_by = {field.name for field in vars(query)["unique_fields"]} or _in_every_key(model)
    for field in _bound(model):
        names = set(_names(field).values())
        loose = names - update - found_by if field.name in update else names & update
        if loose:
            listed = ", ".join(sorted(loose))
            raise FieldError(f"{field} is bound to {listed} of its row: name both in update_fields, or neither of them")


def _in_every_key(model: type[Model]) -> set[str]:
    """What two rows have in common that are in each other's way, whichever unique key says so (MySQL and MariaDB)."""
    meta = model._meta
    keys = [{field.name} for field in meta.local_concrete_fields if field.unique]
    keys += [set(names) for names in meta.unique_together]
    keys += [set(each.fields) for each in meta.constraints if isinstance(each, UniqueConstraint)]
    return set.intersection(*keys) if keys else set()


def _rows(query: UpdateQuery, model: type[Model], using: str) -> QuerySet[Any]:
    """The rows that the statement is about."""
    found: Any = query.chain(klass=Query)
    found.clear_ordering(force=True)
    return QuerySet(model=model, query=found, using=using)


def _bound(model: type[Model]) -> Iterator[Any]:
    return (field for field in model._meta.local_concrete_fields if getattr(field, "context_names", None))


def _names(field: Any) -> dict[str, str]:
    """The names that `context=` has, and those of the fields: `school_id` is `school`."""
    return {said: field.model._meta.get_field(said).name for said in field.context_names}


def _same(field: AnyField, one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return as_text(context_value(field, one)) == as_text(context_value(field, other))
