"""Encrypted fields of a parent's table, and under a proxy, are those of the row that has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.test.utils import isolate_apps

from strongroom.django import keystores
from strongroom.django.encrypted import BlindIndex, encrypted
from strongroom.django.fields.validating import UniqueInSerializer
from strongroom.django.testing import override_keystore
from tests.django.conftest import of_its_own
from tests.django.tables import APP, tables

with isolate_apps("strongroom.django"):

    class Person(models.Model):
        person_id = models.BigAutoField(primary_key=True)
        town = models.CharField(max_length=9, null=True)
        note = encrypted(models.TextField(blank=True), keyset="columns", context="town")

        class Meta:
            app_label = APP

    class Known(Person):
        class Meta:
            app_label = APP
            proxy = True

    class Account(models.Model):
        account_id = models.BigAutoField(primary_key=True)
        iban = encrypted(models.CharField(max_length=9, unique=True), keyset="columns", index=BlindIndex("index"))

        class Meta:
            app_label = APP

    class Holder(Person, Account):
        remark = encrypted(models.TextField(blank=True), keyset="columns")

        class Meta:
            app_label = APP

    class Guest(Person):
        person = models.OneToOneField(Person, models.CASCADE, parent_link=True, primary_key=True)
        wish = encrypted(models.TextField(blank=True), keyset="columns", context="person_id")

        class Meta:
            app_label = APP


@pytest.fixture(autouse=True)
def models_of_three_tables(tmp_path: Path) -> Iterator[None]:
    keysets = {"columns": "aes256-gcm", "index": "hmac-sha256"}
    with tables(of_its_own(tmp_path), Person, Account, Holder, Guest), override_keystore(keysets):
        yield


def test_a_child_with_a_link_of_its_own_has_the_fields_of_both() -> None:
    parent = Person.objects.create(town="a", note="told")
    guest = Guest(person=parent, wish="tea")
    guest.save_base(raw=True)
    read = Guest.objects.get()
    assert (read.town, read.note, read.wish) == ("a", "told", "tea")


@pytest.mark.parametrize("kind", [Known, Holder])
def test_a_bound_cell_opens_in_instances_of_other_classes_than_its_own(kind: Any) -> None:
    extra = {"iban": "mine"} if kind is Holder else {}
    made = kind.objects.create(town="a", note="told", **extra)
    read = kind.objects.get()
    assert read.note == "told"
    read.save()  # what was read is what is written
    made.refresh_from_db()
    assert (made.note, Person.objects.get().note) == ("told", "told")


def test_of_two_parents_each_is_asked_for_the_cells_of_its_own_row() -> None:
    others = [Account.objects.create(iban=f"other {n}") for n in range(3)]
    holder = Holder.objects.create(town="a", note="told", iban="mine", remark="x")
    assert holder.person_id in {each.account_id for each in others}
    assert Holder.objects.defer("iban").get().iban == "mine"
    late = Holder.objects.only("remark").get()
    assert (late.iban, late.note, late.remark) == ("mine", "told", "x")


def test_a_value_of_a_unique_index_that_is_the_rows_own_is_not_anothers() -> None:
    Account.objects.create(iban="other")
    holder = Holder.objects.create(town="a", iban="mine")
    assert holder.pk != holder.account_id
    keystore = keystores["default"]
    keystore.rotate("index", now=True)
    keystore.deactivate("index", 1, reason="replaced")
    holder.save()
    field: Any = Account._meta.get_field("iban")
    asked: Any = SimpleNamespace(parent=SimpleNamespace(instance=holder))
    UniqueInSerializer(field)("mine", asked)
    with pytest.raises(ValidationError):
        UniqueInSerializer(field)("other", asked)
    holder.iban = "other"
    with pytest.raises(IntegrityError), transaction.atomic():
        holder.save()


def test_a_fixture_of_a_child_has_nothing_of_its_parents() -> None:
    Holder.objects.create(town="a", note="told", iban="mine", remark="x")
    rows = [*Person.objects.all(), *Account.objects.all(), *Holder.objects.all()]
    kept = serializers.serialize("json", rows)
    for each in serializers.deserialize("json", kept):
        each.save()
    held = Holder.objects.get(iban="mine")
    assert (held.note, held.remark) == ("told", "x")
