"""Between a field's Python value and the bytes inside a cell: one spelling a value, by the field's own conversions.

No pickle, no repr, no eval. What a cell holds is what a plain column would have kept (text as UTF-8, numbers in
decimal, dates as ISO 8601 in UTC, JSON as the field's encoder writes it, binary as it is), on every database alike;
what comes out is what a plain column would have given back. None never gets here: it is NULL.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, TypeAlias
from uuid import UUID

from django.conf import settings
from django.db.backends.utils import format_number
from django.db.models import CharField, TextField
from django.utils import timezone

from strongroom.django.fields.types import AnyField
from strongroom.errors import FormatError

_EPOCH_STEP = datetime.timedelta(microseconds=1)


class Codec:
    """The conversions of one field. `encode` takes a value that is not None; `decode` raises FormatError."""

    __slots__ = ("_field", "_from_db", "_is_text", "_prepare", "_read", "_reads_text", "_write")

    def __init__(self, field: AnyField) -> None:
        self._field = field
        self._write, self._read = _PAIRS.get(field.get_internal_type(), (_write_any, _read_any))
        self._prepare = _own(field, "get_db_prep_value")
        # text that its field takes as it is needs no asking
        self._is_text = self._write is _write_text and all(
            getattr(type(field), each) in (getattr(CharField, each), getattr(TextField, each))
            for each in ("get_prep_value", "get_db_prep_value", "to_python")
        )
        self._from_db: Callable[..., Any] | None = getattr(field, "from_db_value", None)
        if _is_djangos(type(field), "from_db_value"):
            self._from_db = None  # JSONField's: _read_json does the same, and does not hide what is no JSON
        self._reads_text = self._read is _read_text and self._from_db is None

    def encode(self, value: Any, connection: Any) -> bytes:
        """The bytes of a value that is not None. Raises as the field itself does for a value that it cannot take."""
        if self._is_text and type(value) is str:
            return value.encode("utf-8")
        field = self._field
        if self._prepare:  # a field of a third party that prepares its values there and nowhere else
            prepared = field.get_db_prep_value(value, connection, prepared=False)
            # a list (PostgreSQL's arrays) is for the driver: its items are written as the field's fixtures have them
            value = value if isinstance(prepared, list) else prepared
        else:
            value = field.get_prep_value(value)
        written: bytes = self._write(field, value)
        return written

    def decode(self, raw: bytes, connection: Any) -> Any:
        """The value of the bytes, as a plain column would have given it."""
        try:
            if self._reads_text:  # as in `encode`: by far the most, and nothing special
                return raw.decode("utf-8")
            value = self._read(self._field, raw)
        except (ValueError, ArithmeticError):
            value = _UNREADABLE
        if value is _UNREADABLE:  # outside the handler: the chained error would quote the value
            raise FormatError(f"what is in the cell is no value of a {type(self._field).__name__}")
        return value if self._from_db is None else self._from_db(value, None, connection)


_UNREADABLE = object()


def _own(field: AnyField, method: str) -> bool:
    return not _is_djangos(type(field), method)


def _is_djangos(kind: type[Any], method: str) -> bool:
    """Whether the method that a class has is written in Django's own fields."""
    for each in kind.__mro__:
        if method in vars(each):
            return each.__module__.startswith("django.db.models.")
    return False


# --- text


def _write_text(field: AnyField, value: Any) -> bytes:
    return str(value).encode("utf-8")


def _read_text(field: AnyField, raw: bytes) -> str:
    return raw.decode("utf-8")


# --- numbers


def _write_int(field: AnyField, value: Any) -> bytes:
    return b"%d" % int(value)


def _read_int(field: AnyField, raw: bytes) -> int:
    return int(raw)


def _write_bool(field: AnyField, value: Any) -> bytes:
    return b"1" if value else b"0"


def _read_bool(field: AnyField, raw: bytes) -> bool:
    return _BOOLS[raw] if raw in _BOOLS else _fail(raw)


_BOOLS = {b"1": True, b"0": False}


def _write_float(field: AnyField, value: Any) -> bytes:
    return float.__repr__(float(value)).encode("ascii")  # the shortest text that reads back as the same number


def _read_float(field: AnyField, raw: bytes) -> float:
    return float(raw)


def _write_decimal(field: Any, value: Any) -> bytes:
    # as a plain column does it: so many places, and an error where there are too many digits
    text = format_number(field.to_python(value), field.max_digits, field.decimal_places)
    return str(text).encode("ascii")


def _read_decimal(field: AnyField, raw: bytes) -> Decimal:
    return Decimal(raw.decode("ascii"))


# --- times


def _write_date(field: AnyField, value: Any) -> bytes:
    return str(field.to_python(value).isoformat()).encode("ascii")


def _read_date(field: AnyField, raw: bytes) -> datetime.date:
    return datetime.date.fromisoformat(raw.decode("ascii"))


def _read_time(field: AnyField, raw: bytes) -> datetime.time:
    return datetime.time.fromisoformat(raw.decode("ascii"))


def _write_datetime(field: AnyField, value: Any) -> bytes:
    value = field.to_python(value)
    if timezone.is_aware(value):
        value = value.astimezone(datetime.UTC)
    return str(value.isoformat()).encode("ascii")


def _read_datetime(field: AnyField, raw: bytes) -> datetime.datetime:
    value = datetime.datetime.fromisoformat(raw.decode("ascii"))
    if settings.USE_TZ and timezone.is_naive(value):
        return timezone.make_aware(value, datetime.UTC)
    if not settings.USE_TZ and timezone.is_aware(value):
        return timezone.make_naive(value)
    return value


def _write_duration(field: AnyField, value: Any) -> bytes:
    return b"%d" % (field.to_python(value) // _EPOCH_STEP)


def _read_duration(field: AnyField, raw: bytes) -> datetime.timedelta:
    return datetime.timedelta(microseconds=int(raw))


# --- the others


def _write_uuid(field: AnyField, value: Any) -> bytes:
    return str(field.to_python(value)).encode("ascii")


def _read_uuid(field: AnyField, raw: bytes) -> UUID:
    return UUID(raw.decode("ascii"))


def _write_binary(field: AnyField, value: Any) -> bytes:
    return value.encode("ascii") if value == "" else bytes(value)


def _read_binary(field: AnyField, raw: bytes) -> bytes:
    return raw


def _write_json(field: Any, value: Any) -> bytes:
    return json.dumps(value, cls=field.encoder).encode("utf-8")


def _read_json(field: Any, raw: bytes) -> Any:
    return json.loads(raw.decode("utf-8"), cls=field.decoder)


def _write_any(field: Any, value: Any) -> bytes:
    """A type that Django does not know: as it prepares itself, if that is text; else as its fixtures have it."""
    if not isinstance(value, str):
        value = field.value_to_string(SimpleNamespace(**{field.attname: value}))
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8")


def _read_any(field: AnyField, raw: bytes) -> Any:
    text = raw.decode("utf-8")
    return text if hasattr(field, "from_db_value") else field.to_python(text)


def _fail(raw: bytes) -> Any:
    raise ValueError(len(raw))


_Pair: TypeAlias = tuple[Callable[[Any, Any], bytes], Callable[[Any, bytes], Any]]
_TEXT: _Pair = (_write_text, _read_text)
_INT: _Pair = (_write_int, _read_int)
_PAIRS: dict[str, _Pair] = {
    **dict.fromkeys(
        ("CharField", "TextField", "SlugField", "FileField", "FilePathField", "GenericIPAddressField", "URLField"),
        _TEXT,
    ),
    **dict.fromkeys(
        (
            "IntegerField",
            "BigIntegerField",
            "SmallIntegerField",
            "PositiveIntegerField",
            "PositiveBigIntegerField",
            "PositiveSmallIntegerField",
        ),
        _INT,
    ),
    "BooleanField": (_write_bool, _read_bool),
    "FloatField": (_write_float, _read_float),
    "DecimalField": (_write_decimal, _read_decimal),
    "DateField": (_write_date, _read_date),
    "TimeField": (lambda field, value: str(field.to_python(value).isoformat()).encode("ascii"), _read_time),
    "DateTimeField": (_write_datetime, _read_datetime),
    "DurationField": (_write_duration, _read_duration),
    "UUIDField": (_write_uuid, _read_uuid),
    "BinaryField": (_write_binary, _read_binary),
    "JSONField": (_write_json, _read_json),
}
