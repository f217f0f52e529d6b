"""What the models of the school name at module level, as a migration must be able to."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models


def keyset_of_school(context: Mapping[str, Any]) -> str:
    """One keyset a school."""
    return f"schools/{context['school_id']}"


def last_four(text: str) -> str:
    """What some look-ups go by."""
    return text[-4:]


class Standing(models.TextChoices):
    GOOD = "good", "In good standing"
    POOR = "poor", "On probation"


class Encoder(DjangoJSONEncoder):
    """An encoder of a site's own."""


class Level(enum.Enum):
    ONE = "one"
    TWO = "two"


class LevelField(models.CharField):
    """A field of a third party: an enumeration in Python, its value in the column."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 10)
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Level | None:
        return None if value is None else Level(value)

    def to_python(self, value: Any) -> Any:
        return value if value is None or isinstance(value, Level) else Level(value)

    def get_prep_value(self, value: Any) -> Any:
        return value.value if isinstance(value, Level) else value

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.get_prep_value(self.value_from_object(obj)))


class ReversedField(models.TextField):
    """A field of a third party that prepares its values where few do: for the database, reversed."""

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        value = super().get_db_prep_value(value, connection, prepared)
        return None if value is None else value[::-1]

    def from_db_value(self, value: str | None, expression: object, connection: object) -> str | None:
        return None if value is None else value[::-1]


class PointField(models.Field):
    """A field of a third party whose column Django knows nothing of; its fixtures have x;y."""

    def db_type(self, connection: Any) -> str:
        return "varchar(40)"

    def get_internal_type(self) -> str:
        return "PointField"

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str):
            x, y = value.split(";")
            return int(x), int(y)
        return value

    def value_to_string(self, obj: models.Model) -> str:
        return ";".join(map(str, self.value_from_object(obj)))

    def get_prep_value(self, value: Any) -> Any:
        return value

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return None if value is None else ";".join(map(str, value))

    def from_db_value(self, value: Any, expression: object, connection: object) -> Any:
        return self.to_python(value)
