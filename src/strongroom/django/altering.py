"""No column changes between plaintext and cells under the values that are in it: AlterField is refused there.

What `makemigrations` writes when a field is wrapped in `encrypted`, or unwrapped, is AlterField. A database does as it
is told: the plaintext stays, and is taken for cells; or the cells stay, and are taken for values. `migrate` is refused
before it does anything, and a schema editor before it alters the column. One with no value in it may be altered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldDoesNotExist
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AlterField, SeparateDatabaseAndState
from django.db.models.signals import pre_migrate

from strongroom.django.encrypted import is_encrypted
from strongroom.errors import StateError

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor as _Editor
else:
    _Editor = object  # a database's own comes behind it

_guarded: dict[type[Any], type[Any]] = {}


def follow() -> None:
    """Look at every plan of `migrate`, and at what every schema editor alters."""
    pre_migrate.connect(refuse_plan, dispatch_uid="strongroom.altering")
    connection_created.connect(guard_editor, dispatch_uid="strongroom.altering")


def refuse_plan(*, app_config: Any, plan: Any, apps: Any, using: str, **_: object) -> None:
    """StateError for a plan that would alter a column with values in it."""
    loader = cache(lambda: MigrationLoader(connections[using]))  # it reads every migration there is
    for migration, backwards in plan or ():
        if migration.app_label != app_config.label:
            continue
        for operation in _alterations(migration.operations):
            model, field = _as_it_is(apps, migration.app_label, operation)
            if field is None or not model._meta.can_migrate(connections[using]):
                continue  # made in this very plan: the schema editor looks
            target = _as_it_was(loader(), migration, operation) if backwards else operation.field
            if target is not None and is_encrypted(target) != is_encrypted(field):
                _refuse_values(connections[using], model, field, target)


def guard_editor(*, connection: Any, **_: object) -> None:
    """Have the connection's schema editors look before they alter a column."""
    kind = connection.SchemaEditorClass
    if kind is not None and not hasattr(kind, "refuses_plaintext"):
        connection.SchemaEditorClass = _guarded.get(kind) or _guarded.setdefault(kind, _guard(kind))


class _Refusing(_Editor):
    """In front of a database's own schema editor."""

    refuses_plaintext = True

    def alter_field(self, model: Any, old_field: Any, new_field: Any, strict: bool = False) -> None:
        if is_encrypted(old_field) != is_encrypted(new_field):
            _refuse_values(self.connection, model, old_field, new_field)
        super().alter_field(model, old_field, new_field, strict)


def _guard(kind: type[Any]) -> type[Any]:
    return type(kind.__name__, (_Refusing, kind), {"__module__": kind.__module__})


def _alterations(operations: Iterable[Any]) -> Iterator[AlterField]:
    for operation in operations:
        if isinstance(operation, AlterField):
            yield operation
        elif isinstance(operation, SeparateDatabaseAndState):
            yield from _alterations(operation.database_operations)


def _as_it_is(apps: Any, label: str, operation: AlterField) -> tuple[Any, Any]:
    try:
        model = apps.get_model(label, operation.model_name)
        return model, model._meta.get_field(operation.name)
    except (LookupError, FieldDoesNotExist):
        return None, None


def _as_it_was(loader: Any, migration: Any, operation: AlterField) -> Any:
    """The field before the migration: what going backwards makes of it."""
    state = loader.project_state((migration.app_label, migration.name), at_end=False)
    known = state.models.get((migration.app_label, operation.model_name_lower))
    return None if known is None else known.fields.get(operation.name)


def _refuse_values(connection: Any, model: Any, old: Any, new: Any) -> None:
    if not _has_values(connection, model, old):
        return
    name, model_name = old.name, model._meta.object_name
    if is_encrypted(new):
        raise refusal(
            f"{old} has values in the clear, and AlterField would leave them so, in a column that is read as cells",
            hint=f"write EncryptColumn({model_name!r}, {name!r}, …) in its place (strongroom.django.operations);"
            " docs/how-to/encrypt-an-existing-column.md has the whole of it",
        )
    raise refusal(
        f"{old} holds cells, and AlterField would leave them so, in a column whose values are read as they are",
        hint="add a plain field of another name beside it (manage.py makemigrations), copy the values in RunPython,"
        f" and remove {name!r} in a later release; docs/how-to/encrypt-an-existing-column.md shows it",
    )


def refusal(what: str, *, hint: str) -> StateError:
    """The error of a migration. Nobody catches it there: the traceback ends with the hint."""
    error = StateError(what, hint=hint)
    error.add_note(f"hint: {hint}")
    return error


def _has_values(connection: Any, model: Any, field: Any) -> bool:
    """Whether a row has something there. A table that is not there yet has no rows."""
    table, quote = model._meta.db_table, connection.ops.quote_name
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return False
        described = connection.introspection.get_table_description(cursor, table)
        if field.column not in {column.name for column in described}:
            return False
        cursor.execute(
            f"SELECT 1 FROM {quote(table)} WHERE {quote(field.column)} IS NOT NULL LIMIT 1"  # noqa: S608  names of the model, quoted
        )
        return cursor.fetchone() is not None
