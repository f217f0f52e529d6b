"""Words for the type checker: Django's classes take no type arguments while they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from django.db import models

if TYPE_CHECKING:
    AnyField: TypeAlias = models.Field[Any, Any]
    AnyLookup: TypeAlias = models.Lookup[Any]
    BinaryColumn: TypeAlias = models.BinaryField[Any, Any]
else:
    AnyField = models.Field
    AnyLookup = models.Lookup
    BinaryColumn = models.BinaryField
