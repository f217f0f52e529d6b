"""Checks of encrypted fields among the models and in the admin. They import migrations, and ask no database.

strongroom.E022  a field that was renamed, without the id that its cells are bound to
strongroom.E023  two fields of one id, whose cells would open in each other
strongroom.E025  ordering, indexes or constraints over cells
strongroom.W024  a field that was wrapped in encrypted(), or unwrapped, and whose migration is not written yet
strongroom.W025  an admin page, no SealedAdmin, that lists an encrypted column
strongroom.W026  two models over one column, with two ids: none opens what the other wrote
strongroom.E026  an admin page that searches, filters or sorts by cells
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.core import checks
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.migrations.exceptions import BadMigrationError, NodeNotFoundError
from django.db.migrations.loader import MigrationLoader

from strongroom.django.fields.binding import DefaultId
from strongroom.django.fields.blind_index import MAX_BITS
from strongroom.django.fields.sealed_field import SealedField

Message = checks.CheckMessage


def register() -> None:
    """Register them with Django."""
    checks.register(check_ids, checks.Tags.models)
    checks.register(check_models, checks.Tags.models)
    checks.register(check_admin, "admin")


def check_ids(app_configs: Any, **kwargs: Any) -> list[Message]:
    """E022, E023, W024, W026."""
    fields = [field for model in apps.get_models(include_auto_created=True) for field in _sealed(model)]
    found = [*_of_one_id(fields), *_of_one_column(fields)]
    state = _migrated() if fields else None
    if state is None:
        return found
    for field, frozen in _frozen(state, [field for field in fields if isinstance(field.given_id, DefaultId)]):
        if frozen != field.field_id:
            found.append(
                checks.Error(
                    f"its cells are bound to {frozen!r}, the id in its migrations: under its new name none would open",
                    hint=f"write id={frozen!r} into encrypted(…)",
                    obj=field,
                    id="strongroom.E022",
                )
            )
    return [*found, *_altered(state)]


def _of_one_id(fields: list[Any]) -> Iterator[Message]:
    same: dict[tuple[str, str], list[SealedField]] = defaultdict(list)
    for field in fields:
        same[field.using, field.field_id].append(field)
    for (_, name), several in same.items():
        if len(set(map(_column, several))) > 1:
            hint = "give each its own id, or none; an abstract model's field with an id has it in every child"
            who = ", ".join(map(str, several))
            yield checks.Error(f"{who} have one id, {name!r}", hint=hint, id="strongroom.E023")


def _of_one_column(fields: list[Any]) -> Iterator[Message]:
    """An unmanaged model over another's table. It may be another database's, which no check can know."""
    same: dict[tuple[str, str], list[SealedField]] = defaultdict(list)
    for field in fields:
        same[_column(field)].append(field)
    for several in same.values():
        first, *others = several
        if any(other.field_id != first.field_id for other in others):
            who = ", ".join(f"{field} ({field.field_id})" for field in several)
            yield checks.Warning(
                f"{who} are one column, and none opens what another wrote",
                hint="write the same id into encrypted(…) of each, unless they are in different databases",
                id="strongroom.W026",
            )


def _column(field: Any) -> tuple[str, str]:
    return field.model._meta.db_table, field.column


def check_models(app_configs: Any, **kwargs: Any) -> list[Message]:
    """E025."""
    found: list[Message] = []
    for model in apps.get_models(include_auto_created=True):
        meta: Any = model._meta
        named: list[tuple[str, Iterable[str]]] = [
            ("Meta.ordering", [_plain(name) for name in meta.ordering]),
            ("Meta.unique_together", [name for names in meta.unique_together for name in names]),
            (
                "Meta.get_latest_by",
                [meta.get_latest_by] if isinstance(meta.get_latest_by, str) else meta.get_latest_by or (),
            ),
            *(("Meta.indexes", _of_index(index)) for index in meta.indexes),
            *(("Meta.constraints", _of_constraint(each)) for each in meta.constraints),
            ("the primary key", [field.name for field in getattr(meta, "pk_fields", ())]),
            *(_unique_for(field) for field in meta.local_fields),
        ]
        for option, names in named:
            for name in names:
                field = _reached(model, name.removeprefix("-"))
                if field is not None:
                    hint = (
                        f"use {field.name}_index, which holds equal marks for equal values"
                        if field.index
                        else "leave it out"
                    )
                    found.append(
                        checks.Error(
                            f"{option} goes by {field}, whose cells have no order and are never equal",
                            hint=hint,
                            obj=model,
                            id="strongroom.E025",
                        )
                    )
    return found


def check_admin(app_configs: Any, **kwargs: Any) -> list[Message]:
    """E026, W025."""
    if not apps.is_installed("django.contrib.admin"):
        return []
    from django.contrib.admin.sites import all_sites  # it wants its app installed

    pages = [(model, admin) for site in all_sites for model, admin in site._registry.items()]
    errors = [
        checks.Error(
            f"{option} names {name!r}, an encrypted column that cannot be {done}",
            hint=hint,
            obj=type(admin),
            id="strongroom.E026",
        )
        for model, admin in pages
        for option, name, done, hint in _in_admin(model, admin)
    ]
    return [*errors, *(warning for model, admin in pages for warning in _listed(model, admin))]


def _listed(model: type[models.Model], admin: Any) -> Iterator[Message]:
    from strongroom.django.admin import SealedAdmin

    listed = [] if isinstance(admin, SealedAdmin) else [name for name in admin.list_display if isinstance(name, str)]
    sealed = [name for name in listed if _reached(model, name) is not None]
    if sealed:
        yield checks.Warning(
            f"list_display names {', '.join(map(repr, sealed))}: a click on the column's head sorts by cells, which"
            " ends in a FieldError, and a cell that does not open ends the page",
            hint="derive from strongroom.django.admin.SealedAdmin",
            obj=type(admin),
            id="strongroom.W025",
        )


def _in_admin(model: type[models.Model], admin: Any) -> Iterator[tuple[str, str, str, str]]:
    for name in admin.search_fields:
        field = _reached(model, name.lstrip("^=@"))
        if field is not None and not (name.endswith("__exact") and field.index and field.index.bits == MAX_BITS):
            hint = f"'{field.name}__exact' searches by the blind index" if field.index else "leave it out"
            yield "search_fields", name, "searched", hint
    for item in admin.list_filter:
        name = item[0] if isinstance(item, (list, tuple)) else item
        if isinstance(name, str) and _reached(model, name) is not None:
            yield "list_filter", name, "filtered by its values", "leave it out, or write a SimpleListFilter"
    for name in (*map(_plain, admin.ordering or ()), admin.date_hierarchy or ""):
        if name and _reached(model, name.removeprefix("-")) is not None:
            yield "ordering" if name != admin.date_hierarchy else "date_hierarchy", name, "sorted by", "leave it out"


def _sealed(model: type[models.Model]) -> list[Any]:
    return [field for field in model._meta.local_concrete_fields if isinstance(field, SealedField)]


def _migrated() -> Any:
    """The models as the migrations make them; None where that cannot be told."""
    try:
        return MigrationLoader(None, ignore_no_migrations=True).project_state()
    except (BadMigrationError, NodeNotFoundError, LookupError, ValueError, ImportError):
        return None  # migrate and makemigrations tell what is wrong with them


def _altered(state: Any) -> Iterator[Message]:
    for model in apps.get_models(include_auto_created=True):
        known = state.models.get((model._meta.app_label, model._meta.model_name or ""))
        for field in model._meta.local_concrete_fields if known is not None else ():
            written = known.fields.get(field.name)
            if written is None or isinstance(written, SealedField) == isinstance(field, SealedField):
                continue
            wrapped = isinstance(field, SealedField)
            held, not_done = ("plaintext", "encrypts nothing") if wrapped else ("cells", "opens none")
            yield checks.Warning(
                f"in its migrations the column holds {held}, and the AlterField of makemigrations {not_done}",
                hint="where rows have values, migrate refuses it: docs/how-to/encrypt-an-existing-column.md",
                obj=field,
                id="strongroom.W024",
            )


def _frozen(state: Any, fields: list[SealedField]) -> Iterator[tuple[SealedField, str]]:
    """The id of each field that stands in a migration. One whose migration is not written yet has none."""
    for field in fields:
        meta = field.model._meta
        known = state.models.get((meta.app_label, meta.model_name or ""))
        written = None if known is None else known.fields.get(field.name)
        if isinstance(written, SealedField) and written.given_id is not None:
            yield field, str(written.given_id)


def _reached(model: type[models.Model], path: str) -> SealedField | None:
    """The encrypted field that a path of names comes by."""
    for name in path.split("__"):
        try:
            field: Any = model._meta.get_field(name)
        except FieldDoesNotExist:
            return None
        if isinstance(field, SealedField):
            return field
        if field.related_model is None or isinstance(field.related_model, str):
            return None
        model = field.related_model
    return None


def _plain(ordering: Any) -> str:
    """The name in an item of `ordering`, which may be an expression."""
    if isinstance(ordering, str):
        return ordering
    inner = getattr(ordering, "expression", ordering)
    return str(getattr(inner, "name", ""))


def _of_index(index: models.Index) -> list[str]:
    names = [*index.fields, *getattr(index, "include", ())]
    return [*names, *(_plain(each) for each in index.expressions), *_in_condition(index.condition)]


def _of_constraint(constraint: Any) -> list[str]:
    names = list(getattr(constraint, "fields", ()))
    names += [_plain(each) for each in getattr(constraint, "expressions", ())]
    return [*names, *_in_condition(getattr(constraint, "condition", None))]


def _unique_for(field: Any) -> tuple[str, list[str]]:
    """What validation looks up for unique_for_date and its like: the field's value (by its index), and the date."""
    dates = [name for name in (field.unique_for_date, field.unique_for_month, field.unique_for_year) if name]
    findable = not isinstance(field, SealedField) or (field.index is not None and field.index.bits == MAX_BITS)
    return f"unique_for_date of {field.name}", [*dates, *([] if findable or not dates else [field.name])]


def _in_condition(condition: Any) -> list[str]:
    """The columns that a Q compares; whether one is NULL may be asked."""
    if not isinstance(condition, models.Q):
        return []
    found: list[str] = []
    for child in condition.children:
        if isinstance(child, models.Q):
            found += _in_condition(child)
        elif isinstance(child, tuple) and not child[0].endswith("__isnull"):
            found.append(child[0])
    return found
