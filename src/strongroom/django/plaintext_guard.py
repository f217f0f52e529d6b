"""A column of plaintext is not dropped by a migration that makemigrations wrote: rows may have nothing else.

When `plaintext=` goes from a model, makemigrations proposes RemoveField. DropPlaintext belongs there: it encrypts what
is left and makes sure of it. `migrate` is refused before it does anything.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.migrations.operations import RemoveField
from django.db.models.signals import pre_migrate

from strongroom.django.altering import refusal
from strongroom.django.fields.plaintext import SUFFIX, PlainColumn


def follow() -> None:
    """Look at every plan of `migrate`."""
    pre_migrate.connect(refuse_losing, dispatch_uid="strongroom.plaintext")


def refuse_losing(*, app_config: Any, plan: Any, apps: Any, **_: object) -> None:
    """StateError for a plan that drops plaintext without looking."""
    for migration, backwards in plan or ():
        if backwards or migration.app_label != app_config.label:
            continue
        for operation in migration.operations:
            if isinstance(operation, RemoveField) and _is_plaintext(apps, migration.app_label, operation):
                name = operation.name.removesuffix(SUFFIX)
                raise refusal(
                    f"{migration}: RemoveField drops the plaintext of {name!r}, which rows may have no cell for",
                    hint=f"write DropPlaintext({operation.model_name!r}, {name!r}) in its place"
                    " (strongroom.django.operations)",
                )


def _is_plaintext(apps: Any, label: str, operation: RemoveField) -> bool:
    try:
        field = apps.get_model(label, operation.model_name)._meta.get_field(operation.name)
    except (LookupError, FieldDoesNotExist):  # made in this very plan: there are no rows
        return False
    return isinstance(field, PlainColumn)
