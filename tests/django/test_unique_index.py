"""A unique index lets no second row of a value in, at no stage of a rotation, in whatever order that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, models, transaction
from django.test.utils import CaptureQueriesContext, isolate_apps

from strongroom.django.encrypted import BlindIndex, encrypted
from strongroom.django.testing import override_keystore
from strongroom.errors import StateError
from strongroom.keystore.facade import KeyStore
from tests.django.conftest import of_its_own
from tests.django.tables import APP, tables

A, B = "078-05-1120", "219-09-9999"

with isolate_apps():

    class Person(models.Model):
        name = models.CharField(max_length=20, default="")
        ssn = encrypted(
            models.CharField(max_length=11, unique=True, null=True),
            keyset="columns",
            index=BlindIndex("index", normalize="digits"),
        )

        class Meta:
            app_label = APP

    class Seat(models.Model):
        """Unique in its school only."""

        school = models.IntegerField(null=True)
        number = encrypted(models.IntegerField(), keyset="columns", index=BlindIndex("index"))

        class Meta:
            app_label = APP
            constraints = (models.UniqueConstraint(fields=["school", "number_index"], name="one_seat"),)


@pytest.fixture
def keystore(tmp_path: Path) -> Iterator[KeyStore]:
    kinds = {"columns": "aes256-gcm", "index": "hmac-sha256"}
    with tables(of_its_own(tmp_path), Person, Seat), override_keystore(kinds) as opened:
        yield opened


def deactivated(keystore: KeyStore) -> None:
    keystore.deactivate("index", 1, reason="too early")


def compromised(keystore: KeyStore) -> None:
    keystore.compromise("index", 1, reason="known")


def ways() -> dict[str, Callable[[], Any]]:
    return {
        "create": lambda: Person.objects.create(ssn="078051120"),
        "bulk_create": lambda: Person.objects.bulk_create([Person(ssn="1"), Person(ssn="078 05 1120")]),
        "save": lambda: _save(Person.objects.get(ssn=B), A),
        "update": lambda: Person.objects.filter(name="b").update(ssn=A),
        "bulk_update": lambda: Person.objects.bulk_update([_with(Person.objects.get(ssn=B), A)], ["ssn"]),
    }


def _with(row: Person, ssn: str) -> Person:
    row.ssn = ssn
    return row


def _save(row: Person, ssn: str) -> None:
    _with(row, ssn).save()


@pytest.mark.parametrize("way", sorted(ways()))
@pytest.mark.parametrize("ended", [deactivated, compromised])
def test_with_the_old_version_ended_and_no_row_moved_no_second_one_comes_in(
    keystore: KeyStore, way: str, ended: Callable[[KeyStore], None]
) -> None:
    Person.objects.bulk_create([Person(name="a", ssn=A), Person(name="b", ssn=B)])
    keystore.rotate("index", now=True)
    ended(keystore)
    with pytest.raises((IntegrityError, StateError)) as caught, transaction.atomic():
        ways()[way]()
    assert "older version of 'index'" in str(caught.value)
    assert isinstance(caught.value, StateError) == (way in {"update", "bulk_update"})
    assert [row.name for row in Person.objects.filter(ssn=A)] == ["a"]
    call_command("strongroom", "reencrypt", stdout=StringIO())
    with pytest.raises(IntegrityError), transaction.atomic():
        ways()[way]()  # now the database itself says so


def test_other_values_and_a_rows_own_go_on(keystore: KeyStore) -> None:
    Person.objects.bulk_create([Person(name="a", ssn=A), Person(name="b", ssn=B)])
    keystore.rotate("index", now=True)
    deactivated(keystore)
    Person.objects.create(name="c", ssn="987-65-4320")
    assert Person.objects.filter(name="b").update(ssn="987-65-4321") == 1
    row: Any = Person.objects.get(ssn=A)
    before = row.ssn_index
    row.save()
    assert Person.objects.filter(ssn_index=before).count() == 0  # its mark went along
    assert Person.objects.get_or_create(ssn="078051120")[0].pk == row.pk
    with pytest.raises(ValidationError, match="already exists"):
        Person(name="d", ssn="078 05 1120").full_clean()


def test_the_database_is_asked_only_where_older_marks_may_be(keystore: KeyStore) -> None:
    with CaptureQueriesContext(connection) as queries:
        Person.objects.create(ssn=A)
    assert not any("SELECT" in each["sql"] for each in queries)
    keystore.rotate("index", now=True)
    call_command("strongroom", "reencrypt", stdout=StringIO())
    keystore.deactivate("index", 1, reason="all marks are moved")
    with CaptureQueriesContext(connection) as queries:
        Person.objects.create(ssn=B)
    assert sum("SELECT" in each["sql"] for each in queries) == 1


def test_a_constraint_over_the_index_and_others_is_kept_too(keystore: KeyStore) -> None:
    Seat.objects.create(school=1, number=7)
    Seat.objects.create(school=None, number=7)
    keystore.rotate("index", now=True)
    with pytest.raises(StateError, match="two versions"):
        Seat.objects.create(school=1, number=7)
    deactivated(keystore)
    with pytest.raises(IntegrityError, match="older version"), transaction.atomic():
        Seat.objects.create(school=1, number=7)
    Seat.objects.create(school=2, number=7)
    Seat.objects.create(school=None, number=7)  # NULLs are equal to nothing
    Seat.objects.create(school=1, number=8)


def test_while_a_version_is_suspended_nothing_new_comes_in(keystore: KeyStore) -> None:
    Person.objects.create(name="a", ssn=A)
    keystore.rotate("index", now=True)
    keystore.suspend("index", 1, reason="a look")
    with pytest.raises(StateError, match="suspended"), transaction.atomic():
        Person.objects.create(ssn=A)
