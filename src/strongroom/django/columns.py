"""Which encrypted columns this site has. Found in its models; no database is asked, and no store opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from django.apps import apps
from django.db import connections, models, router

from strongroom.django.encrypted import is_encrypted
from strongroom.errors import SettingsError


@dataclass(frozen=True, slots=True)
class ModelColumn:
    """One field of one concrete model, and where its table is."""

    field: Any

    @property
    def model(self) -> type[models.Model]:
        """The model whose table it is in."""
        return self.field.model  # type: ignore[no-any-return]  # a field's model is one

    @property
    def label(self) -> str:
        """`school.Student.ssn`: what people and the command line call it."""
        return f"{self.model._meta.label}.{self.field.name}"

    def databases(self) -> list[str]:
        """The databases that have its table, as the site's routers say."""
        return [alias for alias in connections if router.allow_migrate_model(alias, self.model)]

    def place(self, using: str) -> str:
        """What people call it in one of them."""
        return self.label if using == "default" else f"{self.label} in {using!r}"


class Column(ModelColumn):
    """One encrypted field: a SealedField (strongroom.django.fields.sealed_field)."""

    __slots__ = ()

    @property
    def keyset(self) -> str | None:
        """The keyset of all its cells, None where each row has its own."""
        return self.field.keyset if isinstance(self.field.keyset, str) else None

    @property
    def store(self) -> str:
        """The alias of STRONGROOM."""
        return self.field.using  # type: ignore[no-any-return]  # text


def all_columns() -> Iterator[Column]:
    """Every encrypted column, in the order of the installed apps."""
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if is_encrypted(field):
                yield Column(field)


C = TypeVar("C", bound=ModelColumn)


def matching(every: Iterable[C], target: str) -> list[C]:
    """Those of the columns that `app`, `app.Model` or `app.Model.field` names. SettingsError for what is no such name.

    Models are named in any case, as Django has it.
    """
    parts = target.split(".")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise SettingsError(f"{target!r} names no column", hint="app, app.Model or app.Model.field")
    said = (parts[0], *(part.lower() for part in parts[1:2]), *parts[2:])
    found = []
    for column in every:
        app, model, field = column.label.rsplit(".", 2)
        if (app, model.lower(), field)[: len(said)] == said:
            found.append(column)
    return found
