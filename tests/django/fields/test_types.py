"""Every type of field, encrypted, gives back what the same field gives back without encryption."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import FieldError, ValidationError
from django.db import connection, models
from django.db.models import Value
from django.utils import timezone

from strongroom.django.encrypted import Cell, encrypted
from strongroom.keystore.facade import KeyStore
from tests.django.school.models import Plain, Sealed, SealedLonger, Student, Tokens, every_type
from tests.django.school.tenants import Level

UTC = datetime.UTC
VALUES: dict[str, list[Any]] = {
    "char": ["", "a", "Zoë Ω 字 🗝", "'; DROP TABLE", " blanks ", "gAAAAAB", "x" * 40],
    "text": ["", "line\nline\r\n\ttab", "long " * 2000],
    "slug": ["", "a-slug"],
    "email": ["ada@example.org"],
    "url": ["https://example.org/?q=1"],
    "file_path": ["/srv/a"],
    "file": ["papers/a.pdf"],
    "image_name": ["good"],
    "integer": [0, 1, -1, 2**31 - 1, -(2**31)],
    "small": [0, -32768, 32767],
    "big": [0, 2**63 - 1, -(2**63)],
    "positive": [0, 2**31 - 1],
    "positive_small": [0, 32767],
    "positive_big": [0, 2**63 - 1],
    "boolean": [True, False],
    "floating": [0.0, 0.1, -1e300, 5e-324, 1 / 3],
    "decimal": [Decimal(0), Decimal("0.10"), Decimal("-999999.99"), Decimal("1.5"), 3, "2.25"],
    "date": [datetime.date(1, 1, 1), datetime.date(1999, 12, 31), datetime.date(9999, 12, 31)],
    "time": [datetime.time(0, 0), datetime.time(23, 59, 59, 999999)],
    "moment": [
        datetime.datetime(2026, 11, 27, 12, 0, 0, 123456, tzinfo=UTC),
        datetime.datetime(2026, 11, 27, 1, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=45))),
    ],
    "duration": [datetime.timedelta(0), datetime.timedelta(days=-3, microseconds=1), datetime.timedelta(weeks=500)],
    "uuid": [uuid.UUID(int=0), uuid.UUID("12345678-1234-5678-1234-567812345678")],
    "binary": [b"", b"\x00\x01\xff", b"\x01\x00\x00\x00\x05" + bytes(40), memoryview(b"view")],
    "json": [{}, [], {"a": [1, 2.5, None, True, "ü"]}, "text", 0, False, {"at": Decimal("1.5")}],
    "address": ["192.0.2.1", "2001:db8::1"],
    "level": [Level.ONE],
    "reversed": ["", "abc"],
    "point": [(1, -2)],
}
CASES = [(name, value) for name, values in VALUES.items() for value in values]


def read_back(model: type[models.Model], name: str, value: Any) -> Any:
    model._base_manager.create(pk=1, **{name: value})
    return getattr(model._base_manager.get(pk=1), name)


def comparable(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def test_every_type_of_field_is_tried() -> None:
    assert set(VALUES) == set(every_type())


@pytest.mark.parametrize(("name", "value"), CASES)
@pytest.mark.parametrize("model", [Sealed, Tokens])
def test_what_is_read_is_what_a_plain_column_gives(
    school: KeyStore, model: type[models.Model], name: str, value: Any
) -> None:
    wanted, found = comparable(read_back(Plain, name, value)), comparable(read_back(model, name, value))
    assert found == wanted
    assert type(found) is type(wanted)
    (listed,) = model._base_manager.values_list(name, flat=True)
    assert comparable(listed) == comparable(Plain._base_manager.values_list(name, flat=True).get())


@pytest.mark.parametrize("name", VALUES)
def test_xaes_cells_too(school: KeyStore, name: str) -> None:
    value = VALUES[name][-1]
    assert comparable(read_back(SealedLonger, name, value)) == comparable(read_back(Plain, name, value))


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("model", [Sealed, Tokens])
def test_none_stays_null(school: KeyStore, model: type[models.Model], name: str) -> None:
    assert read_back(model, name, None) == read_back(Plain, name, None)
    if name == "file":
        return  # Django's FileField itself makes "" of None
    assert model._base_manager.values_list(Cell(name), flat=True).get() is None
    assert model._base_manager.filter(**{f"{name}__isnull": True}).count() == 1
    assert model._base_manager.filter(**{name: None}).count() == 1
    assert model._base_manager.exclude(**{name: None}).count() == 0


@pytest.mark.parametrize(("name", "value"), [("char", ""), ("integer", 0), ("boolean", False), ("json", {})])
def test_what_is_empty_is_encrypted_like_anything_else(school: KeyStore, name: str, value: Any) -> None:
    read_back(Sealed, name, value)
    cell = Sealed._base_manager.values_list(Cell(name), flat=True).get()
    assert len(cell) >= 33
    assert cell.startswith(b"\x01")


@pytest.mark.parametrize(("model", "overhead"), [(Sealed, 33), (SealedLonger, 45)])
def test_a_cell_is_its_text_and_tinks_overhead(school: KeyStore, model: type[models.Model], overhead: int) -> None:
    model._base_manager.create(pk=1, char="078-05-1120", integer=1234, uuid=uuid.UUID(int=5))
    cells = model._base_manager.values_list(Cell("char"), Cell("integer"), Cell("uuid")).get()
    assert [len(cell) - overhead for cell in cells] == [11, 4, 36]


def test_a_cell_under_a_fernet_keyset_is_a_token_that_cryptography_reads(school: KeyStore) -> None:
    Tokens._base_manager.create(pk=1, char="x", moment=datetime.datetime(2026, 1, 2, tzinfo=UTC))
    box = school.fernet("tokens")
    cells = Tokens._base_manager.values_list(Cell("char"), Cell("moment")).get()
    assert [box.decrypt(cell) for cell in cells] == [b"x", b"2026-01-02T00:00:00+00:00"]


def test_the_column_holds_nothing_of_the_value(school: KeyStore) -> None:
    secret = "a very long and very secret value"
    Sealed._base_manager.create(pk=1, char=secret, json={"k": secret})
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM school_sealed")
        assert all(secret.encode() not in cell for cell in cursor.fetchone() if isinstance(cell, bytes))


def test_jsons_null_is_a_value(school: KeyStore) -> None:
    for model in (Plain, Sealed):
        model._base_manager.create(pk=1, json=Value(None, models.JSONField()))
        assert model._base_manager.get(pk=1).json is None
        assert model._base_manager.filter(json__isnull=True).count() == 0


def test_a_moment_without_a_zone_becomes_one_with(school: KeyStore) -> None:
    with pytest.warns(RuntimeWarning, match="naive datetime"):
        Sealed._base_manager.create(pk=1, moment=datetime.datetime(2026, 1, 2))  # noqa: DTZ001  what is tested
    assert Sealed._base_manager.get().moment == datetime.datetime(2026, 1, 2, tzinfo=timezone.get_default_timezone())


@pytest.mark.parametrize(
    ("name", "value"),
    [("integer", "seven"), ("decimal", "x"), ("date", "tomorrow"), ("uuid", "x"), ("moment", "noon")],
)
def test_a_value_that_the_field_cannot_take_fails_as_it_does_plain(school: KeyStore, name: str, value: Any) -> None:
    errors = []
    for model in (Plain, Sealed):
        with pytest.raises((ValueError, ValidationError, ArithmeticError)) as caught:
            model._base_manager.create(**{name: value})
        errors.append(type(caught.value))
    assert errors[0] is errors[1]


def test_a_decimal_with_too_many_digits_is_refused_on_every_database(school: KeyStore) -> None:
    with pytest.raises(ArithmeticError):
        Sealed._base_manager.create(decimal="1234567.00")


def test_a_value_that_is_of_another_type_by_now_is_an_error_and_no_value(school: KeyStore) -> None:
    from strongroom.errors import FormatError

    Sealed._base_manager.create(pk=1, char="seven")
    cell = Sealed._base_manager.values_list(Cell("char"), flat=True).get()
    field: Any = encrypted(models.IntegerField(), keyset="columns", id="school.Sealed.char")
    field.set_attributes_from_name("char")
    with pytest.raises(FormatError, match="no value of a IntegerField") as caught:
        field.open_cell(cell, context=None)
    assert "seven" not in str(caught.value)


@pytest.mark.parametrize(
    "field",
    [
        models.AutoField(primary_key=True),
        models.CharField(max_length=3, primary_key=True),
        models.ForeignKey(Student, models.CASCADE),
        models.ManyToManyField(Student),
        models.CharField(max_length=3, db_default="abc"),
        "a string",
    ],
    ids=lambda field: type(field).__name__,
)
def test_what_the_database_must_make_or_join_by_is_refused_at_once(field: Any) -> None:
    with pytest.raises(FieldError):
        encrypted(field, keyset="columns")
