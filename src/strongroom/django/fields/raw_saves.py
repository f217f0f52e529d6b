"""Rows from fixtures. loaddata saves raw: no field is asked for its value, so what a field adds would be missing.

For the time of such a save the instance holds what the fields would have answered: values with their row, and marks.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.signals import post_save, pre_save

from strongroom.django.fields.binding import InRow
from strongroom.django.fields.blind_index import IndexColumn


def prepare(*, instance: models.Model, raw: bool = False, **_: Any) -> None:
    """Before a raw save: ask the fields after all."""
    if not raw:
        return
    held = vars(instance)
    for field in instance._meta.local_concrete_fields:  # a parent's are in a fixture of their own
        if isinstance(field, IndexColumn) or getattr(field, "context_names", None):
            held[field.attname] = field.pre_save(instance, add=True)


def put_back(*, instance: models.Model, raw: bool = False, **_: Any) -> None:
    """After it: the values themselves."""
    if not raw:
        return
    held = vars(instance)
    for name, value in list(held.items()):
        if type(value) is InRow:
            held[name] = value.value
    for field in instance._meta.concrete_fields:
        if isinstance(field, IndexColumn):
            held.pop(field.attname, None)


pre_save.connect(prepare, dispatch_uid="strongroom.fields.prepare")
post_save.connect(put_back, dispatch_uid="strongroom.fields.put_back")
