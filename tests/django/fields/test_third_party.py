"""Fields of other packages: their values come back as they were, and the table of the reference is what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.test.utils import isolate_apps
from django_countries.fields import Country, CountryField
from djmoney.models.fields import MoneyField
from djmoney.money import Money
from phonenumber_field.modelfields import PhoneNumberField
from phonenumber_field.phonenumber import PhoneNumber
from timezone_field import TimeZoneField

from strongroom.django.encrypted import BlindIndex, encrypted
from strongroom.django.testing import override_keystore
from tests.django.conftest import of_its_own
from tests.django.fields.test_binding import cell_of
from tests.django.tables import APP, tables

NUMBER = PhoneNumber.from_string("+12125552368")


def made(name: str, **attributes: Any) -> Any:
    meta = type("Meta", (), {"app_label": APP})
    with isolate_apps():
        return type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **attributes})


def test_values_of_other_packages_fields_come_back_as_they_were(tmp_path: Path) -> None:
    person = made(
        "Person",
        phone=encrypted(PhoneNumberField(), keyset="columns", index=BlindIndex("index")),
        country=encrypted(CountryField(), keyset="columns"),
        zone=encrypted(TimeZoneField(), keyset="columns"),
        fee=encrypted(MoneyField(max_digits=9, decimal_places=2, default_currency="EUR"), keyset="columns"),
    )
    kinds = {"columns": "aes256-gcm", "index": "hmac-sha256"}
    with tables(of_its_own(tmp_path), person), override_keystore(kinds):
        row = person(phone="+1 212 555 2368", country="NL", zone="Europe/Amsterdam", fee=Money("12.50", "USD"))
        row.full_clean()
        row.save()
        row = person.objects.get()
        assert (row.phone, row.country, row.zone) == (NUMBER, Country("NL"), ZoneInfo("Europe/Amsterdam"))
        assert (type(row.phone), row.country.name, row.fee) == (PhoneNumber, "Netherlands", Money("12.50", "USD"))
        for wanted in (NUMBER, "+12125552368", "+1 212-555-2368"):
            assert person.objects.get(phone=wanted).pk == row.pk
        with pytest.raises(ValidationError):
            person(phone="12", country="NL", zone="Europe/Amsterdam", fee=1).full_clean()
        for name, plain in (("phone", b"5552368"), ("country", b"NL"), ("zone", b"Amsterdam"), ("fee", b"12.50")):
            assert plain not in cell_of(row, name)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT fee_currency FROM {person._meta.db_table}")  # noqa: S608  a name of the model
            assert cursor.fetchone() == ("USD",), "the page says that the currency stays in the clear"
