"""Migration operations for a column that is plaintext today. A step is looked for before it is done, and can be undone.

    class Migration(migrations.Migration):
        atomic = False                      # rows are encrypted in small transactions, beside a site that goes on
        operations = [
            EncryptColumn("student", "ssn", encrypted(
                models.CharField(max_length=11, db_column="ssn_sealed"), keyset="student-columns", plaintext="ssn")),
        ]

docs/how-to/encrypt-an-existing-column.md says what is deployed when.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import connections, transaction
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

from strongroom.django import triggers
from strongroom.django.cells import Cells
from strongroom.django.columns import Column
from strongroom.django.encrypted import is_encrypted
from strongroom.django.fields.plaintext import START, SUFFIX, plaintext_column
from strongroom.django.reencryption import counted, seal
from strongroom.errors import SettingsError, StateError

WINDOW = 500
_PASSES = 20


class EncryptColumn(Operation):
    """Give a column of plaintext a column of cells beside it, fill that, and keep both in step until DropPlaintext.

    field: the field as the model has it now, with `plaintext=` and a `db_column` of its own. After a run that was
    stopped, `migrate` goes on where it stopped. Backwards, what was written since goes into the plaintext.
    plaintext: the same column, where a squash wrote the operation; fields stand in migrations without it.
    """

    reduces_to_sql = False
    reversible = True

    def __init__(self, model_name: str, name: str, field: Any, plaintext: str | None = None) -> None:
        self.model_name = model_name
        self.name = name
        self.field = field
        self.plaintext = plaintext or getattr(field, "plaintext", None)
        if not is_encrypted(field) or self.plaintext is None:
            raise SettingsError(
                f"EncryptColumn wants {name!r} as the model has it: encrypted(…, plaintext='COLUMN')",
                hint="docs/how-to/encrypt-an-existing-column.md has the whole of it",
            )

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """As a migration writes it."""
        said = {"model_name": self.model_name, "name": self.name, "field": self.field, "plaintext": self.plaintext}
        return type(self).__name__, [], said

    def state_forwards(self, app_label: str, state: Any) -> None:
        """The field is encrypted, and its plaintext stands beside it."""
        model = self.model_name.lower()
        field: Any = self.field.clone()
        if field.given_id is None:
            field.given_id = f"{app_label}.{state.models[app_label, model].name}.{self.name}"
        beside = plaintext_column(field.plain.clone())
        beside.db_column = self.plaintext
        state.alter_field(app_label, model, self.name, field, preserve_default=True)
        state.add_field(app_label, model, self.name + SUFFIX, beside, preserve_default=True)

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Add the column and the trigger, and encrypt in windows."""
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        _check_not_atomic(schema_editor, model)
        before = from_state.apps.get_model(app_label, self.model_name)
        _begin(schema_editor, before, before._meta.get_field(self.name), model._meta.get_field(self.name))
        _seal_all(schema_editor.connection.alias, model._meta.get_field(self.name))

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Write into the plaintext what is in cells only, and take column and trigger away."""
        model = from_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        _check_not_atomic(schema_editor, model)
        after = to_state.apps.get_model(app_label, self.model_name)
        sealed, plain = model._meta.get_field(self.name), after._meta.get_field(self.name)
        if sealed.column in _columns_of(schema_editor.connection, model):
            _reveal_all(schema_editor.connection.alias, sealed)
            with _at_once(schema_editor.connection):
                _execute(
                    schema_editor.connection,
                    triggers.drop(schema_editor.connection, model._meta.db_table, plain.column),
                )
                schema_editor.remove_field(model, _loose(sealed, model))
        if not plain.null and _may_be_null(schema_editor.connection, after, plain):
            with _at_once(schema_editor.connection):
                schema_editor.alter_field(after, _loose(plain, after), plain)

    def describe(self) -> str:
        """For `migrate` and `showmigrations`."""
        return f"Encrypt field {self.name} of {self.model_name}, beside its plaintext"

    @property
    def migration_name_fragment(self) -> str:
        """For a migration that has no name."""
        return f"encrypt_{self.model_name.lower()}_{self.name.lower()}"


class DropPlaintext(Operation):
    """End what EncryptColumn began: encrypt what is left, make sure of it, and drop the column of plaintext.

    It runs when no process of the former release is left, for those name the column.
    """

    reduces_to_sql = False
    reversible = True

    def __init__(self, model_name: str, name: str) -> None:
        self.model_name = model_name
        self.name = name

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """As a migration writes it."""
        return type(self).__name__, [], {"model_name": self.model_name, "name": self.name}

    def state_forwards(self, app_label: str, state: Any) -> None:
        """The plaintext is gone from the model."""
        state.remove_field(app_label, self.model_name.lower(), self.name + SUFFIX)

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Encrypt the rest, and drop. StateError where a row would be lost."""
        model = from_state.apps.get_model(app_label, self.model_name)
        connection = schema_editor.connection
        if not self.allow_migrate_model(connection.alias, model):
            return
        _check_not_atomic(schema_editor, model)
        sealed, plain = model._meta.get_field(self.name), model._meta.get_field(self.name + SUFFIX)
        if plain.column in _columns_of(connection, model):
            _seal_all(connection.alias, sealed)
            _check_nothing_is_lost(connection.alias, sealed)
            with _at_once(connection):
                _execute(connection, triggers.drop(connection, model._meta.db_table, plain.column))
                schema_editor.remove_field(model, plain)
        after = to_state.apps.get_model(app_label, self.model_name)
        final = after._meta.get_field(self.name)
        if not final.null and _may_be_null(connection, after, final):
            with _at_once(connection):
                schema_editor.alter_field(after, _loose(final, after), final)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Have the plaintext again, with what is in the cells, and the trigger."""
        model = to_state.apps.get_model(app_label, self.model_name)
        connection = schema_editor.connection
        if not self.allow_migrate_model(connection.alias, model):
            return
        _check_not_atomic(schema_editor, model)
        before = from_state.apps.get_model(app_label, self.model_name)
        final = before._meta.get_field(self.name)
        sealed, plain = model._meta.get_field(self.name), model._meta.get_field(self.name + SUFFIX)
        if not final.null and not _may_be_null(connection, before, final):
            with _at_once(connection):
                schema_editor.alter_field(before, final, _loose(final, before))
        if plain.column not in _columns_of(connection, model):
            with _at_once(connection):
                schema_editor.add_field(before, plain)
        _reveal_all(connection.alias, sealed)
        _set_trigger(connection, model, plain.column, sealed.column)

    def describe(self) -> str:
        """For `migrate` and `showmigrations`."""
        return f"Drop the plaintext of {self.name} of {self.model_name}"

    @property
    def migration_name_fragment(self) -> str:
        """For a migration that has no name."""
        return f"drop_{self.model_name.lower()}_{self.name.lower()}{SUFFIX}"


# --- the steps, each of which looks for what is there


def _begin(editor: Any, before: Any, plain: Any, sealed: Any) -> None:
    connection = editor.connection
    if sealed.plain_column is None or plain.column != sealed.plain_column.column:
        raise SettingsError(
            f"{plain} stands in the column {plain.column!r}", hint=f"write plaintext={plain.column!r} in EncryptColumn"
        )
    if sealed.column not in _columns_of(connection, before):
        # the next release inserts rows without it. On SQLite this copies the table, so that it comes first
        if not plain.null and not _may_be_null(connection, before, plain):
            with _at_once(connection):
                editor.alter_field(before, plain, _loose(plain, before))
        with _at_once(connection):
            editor.add_field(sealed.model, _loose(sealed, sealed.model))
    _set_trigger(connection, before, plain.column, sealed.column)


def _set_trigger(connection: Any, model: Any, plain: str, cell: str) -> None:
    with _at_once(connection):
        _execute(connection, triggers.put(connection, model._meta.db_table, plain, cell))


def _at_once(connection: Any) -> AbstractContextManager[Any]:
    """One step, done or not done: SQLite copies the table for some, in statements that a kill could fall between."""
    return transaction.atomic(using=connection.alias) if connection.features.can_rollback_ddl else nullcontext()


def _seal_all(using: str, field: Any) -> None:
    cells = Cells(Column(field), using)
    for _ in range(_PASSES):
        done = seal(cells, size=WINDOW)
        if done.broken:
            keys = ", ".join("/".join(map(str, key)) for key in done.examples)
            raise StateError(
                f"{field}: {done.broken} rows cannot be encrypted; the first have the primary keys {keys}",
                hint="mend them, and run manage.py migrate again: it goes on where it stopped",
            )
        if not cells.clear():
            return
    raise StateError(
        f"{field}: {cells.clear()} rows are still in the clear, because others write faster",
        hint="run manage.py migrate again: it goes on where it stopped",
    )


def _check_nothing_is_lost(using: str, field: Any) -> None:
    lost = sum(each.count for each in counted(Cells(Column(field), using)) if each.keyset is None)
    if lost:
        raise StateError(
            f"{field}: {lost} cells are under no version of the store, and their plaintext would be dropped",
            hint="manage.py strongroom reencrypt --report",
        )


def _reveal_all(using: str, field: Any) -> None:
    """Write what the cells hold into the plaintext beside them, where that is something else."""
    cells = Cells(Column(field), using)
    connection: Any = connections[using]
    beside = field.plain_column
    for rows in cells.windows(WINDOW):
        for row in rows:
            context = None if row.context is None else field.context_of(row.context)
            value = field.open_cell(row.cell, context=context, connection=connection)
            beside_it = cells.plaintext_of(row.key)
            if beside_it is not None and field.codec.decode(beside_it[len(START) :], connection) == value:
                continue
            cells.reveal(row, beside.get_db_prep_save(value, connection), column=beside.column)


def _execute(connection: Any, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _columns_of(connection: Any, model: Any) -> dict[str, Any]:
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(cursor, model._meta.db_table)
    return {column.name: column for column in described}


def _may_be_null(connection: Any, model: Any, field: Any) -> bool:
    return bool(_columns_of(connection, model)[field.column].null_ok)


def _loose(field: Any, model: Any) -> Any:
    """The same field, which may be NULL and brings no default into rows that are there."""
    made = field.clone()
    made.set_attributes_from_name(field.name)
    made.model = model
    vars(made).pop("_get_default", None)
    made.null, made.default = True, NOT_PROVIDED
    if is_encrypted(made):
        made.given_id = field.given_id
    return made


def _check_not_atomic(editor: Any, model: Any) -> None:
    if not (editor.atomic_migration or editor.connection.in_atomic_block):
        return
    if model._base_manager.using(editor.connection.alias).exists():  # a squash is for databases that have no rows yet
        raise SettingsError(
            "a column is encrypted in many small transactions, and this migration is one large one",
            hint="write atomic = False in the class Migration",
        )
