"""Classes made for classes of fields: ours in front, the inner field's behind it. One for each, in each process."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from django.db import models

from strongroom.django.fields.types import AnyField

_made: dict[tuple[type[Any], type[AnyField]], type[Any]] = {}


def class_of(base: type[Any], kind: type[AnyField], make: Callable[[type[AnyField]], type[Any]]) -> type[Any]:
    """The class of our kind of field over this class of fields, made by `make` when it is first asked for."""
    found = _made.get((base, kind))
    return found or _made.setdefault((base, kind), make(kind))  # of two threads one's is kept by both


def empty(made: type[Any]) -> Any:
    """An instance with nothing in it, for pickle and copy, which fill it."""
    field: Any = copy.copy(models.Field())
    field.__class__ = made
    vars(field).clear()
    return field
