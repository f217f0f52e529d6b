"""What validation asks of a unique index is asked of its field: by its value, and told under its name.

Django compares what an instance holds. The attribute of an index column holds the mark that was read, or none yet; the
value may be another one by now, as in a copy of a row. So the methods of a model that say what has to be unique are
surrounded: where they name the index column, they name the encrypted field, which is looked up by its marks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from strongroom.django.fields.blind_index import MAX_BITS, IndexColumn
from strongroom.django.fields.sealing import Sealing


def ask_by_value(model: type[models.Model]) -> None:
    """Do so for a model, once."""
    kind: Any = model
    checks: Callable[..., Any] = kind._get_unique_checks  # formsets ask it as well as validate_unique
    constraints: Callable[..., Any] = kind.get_constraints
    if hasattr(checks, "asks_by_value"):
        return

    @wraps(checks)
    def _get_unique_checks(self: models.Model, exclude: Any = None, *args: Any, **kwargs: Any) -> Any:
        unique, dated = checks(self, _with_indexes(self, exclude or ()), *args, **kwargs)
        return [(owner, _by_value(owner, names)) for owner, names in unique], dated

    @wraps(constraints)
    def get_constraints(self: models.Model) -> Any:
        return [(owner, [_constraint(owner, each) for each in said]) for owner, said in constraints(self)]

    for method in (_get_unique_checks, get_constraints):
        vars(method)["asks_by_value"] = True
        setattr(model, method.__name__, method)


def _with_indexes(instance: models.Model, exclude: Iterable[str]) -> set[str]:
    """What is left out, with the index of a field where that is left out, and without it where it is not: no form has
    one."""
    indexes = [field for field in instance._meta.concrete_fields if isinstance(field, IndexColumn)]
    rest = set(exclude) - {column.name for column in indexes}
    return rest | {column.name for column in indexes if column.source.name in rest}


def _by_value(owner: type[models.Model], names: Iterable[str]) -> tuple[str, ...]:
    fields = [owner._meta.get_field(name) for name in names]
    return tuple(
        # a mark of few bits is no value: check says of a unique one that it cannot be (strongroom.E021)
        field.source.name if isinstance(field, IndexColumn) and field.bits == MAX_BITS else field.name
        for field in fields
    )


def _constraint(owner: type[models.Model], constraint: Any) -> Any:
    if not isinstance(constraint, models.UniqueConstraint):
        return constraint
    names = _by_value(owner, constraint.fields)
    if names == constraint.fields:
        return constraint
    made = copy.copy(constraint)
    made.fields = names
    return made


class UniqueInSerializer:
    """The same for serializers (Django REST framework's), which ask a field's validators and no instance.

    Django calls a validator with the value alone; who knows `requires_context` gives the serializer's field, too.
    """

    requires_context = True

    def __init__(self, field: Sealing) -> None:
        self._field = field

    def __call__(self, value: Any, serializer_field: Any = None) -> None:
        if serializer_field is None or value is None:
            return
        model = self._field.model
        rows = model._default_manager.filter(**{self._field.name: value})
        instance = getattr(serializer_field.parent, "instance", None)
        if isinstance(instance, models.Model):
            rows = rows.exclude(pk=getattr(instance, model._meta.pk.attname))
        if rows.exists():
            error: ValidationError = model().unique_error_message(model, (self._field.name,))
            raise error
