"""`refresh_from_db` keeps no older value where the cell does not open: the attribute is unloaded; reading it raises.

Django passes over what it was not given, and takes it for not asked for: the instance would go on with a value that is
not the row's any more. So the method of a model that has encrypted fields is surrounded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import models

_ASKED = object()
"""Stands in an instance's attribute while it is asked for."""


def surround(model: type[models.Model]) -> None:
    """Do so for a model, once."""
    inner: Callable[..., None] = model.refresh_from_db
    if hasattr(inner, "surrounds"):
        return

    @wraps(inner)
    def refresh_from_db(self: models.Model, using: str | None = None, fields: Any = None, **others: Any) -> None:
        held = vars(self)
        fields = None if fields is None else list(fields)
        before = {name: held[name] for name in _sealed(self) if name in held and (fields is None or name in fields)}
        held.update(dict.fromkeys(before, _ASKED))
        try:
            inner(self, using, fields, **others)
        except BaseException:
            held.update({name: value for name, value in before.items() if held.get(name) is _ASKED})
            raise
        for name in before:
            if held.get(name) is _ASKED:
                del held[name]

    vars(refresh_from_db)["surrounds"] = inner
    setattr(model, inner.__name__, refresh_from_db)


def _sealed(instance: models.Model) -> list[str]:
    return [field.attname for field in instance._meta.concrete_fields if hasattr(field, "sealed_class")]
