"""What is unique by an index is told by validation as of a plain field: on every path, by value, under its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import models
from django.test.utils import isolate_apps
from rest_framework import serializers

from django import forms
from strongroom.django.encrypted import BlindIndex, encrypted
from strongroom.django.testing import override_keystore
from tests.django.conftest import of_its_own
from tests.django.tables import APP, tables

with isolate_apps():

    class Code(models.Model):
        code = encrypted(
            models.CharField(max_length=10, unique=True, blank=True),
            keyset="columns",
            index=BlindIndex("index", normalize="casefold"),
        )

        class Meta:
            app_label = APP

    class Place(models.Model):
        """Unique in its room, and among those that are taken."""

        room = models.IntegerField(default=1)
        taken = models.BooleanField(default=True)
        number = encrypted(models.IntegerField(), keyset="columns", index=BlindIndex("index"))

        class Meta:
            app_label = APP
            constraints = (
                models.UniqueConstraint(fields=["room", "number_index"], name="one_place"),
                models.UniqueConstraint(fields=["number_index"], condition=models.Q(taken=True), name="one_taken"),
            )


class CodeForm(forms.ModelForm):
    class Meta:
        model = Code
        fields = ("code",)


class PlaceForm(forms.ModelForm):
    class Meta:
        model = Place
        fields = ("room", "taken", "number")


class CodeSerializer(serializers.ModelSerializer[Code]):
    class Meta:
        model = Code
        fields = ("code",)


@pytest.fixture(autouse=True)
def rows(tmp_path: Path) -> Iterator[None]:
    kinds = {"columns": "aes256-gcm", "index": "hmac-sha256"}
    with tables(of_its_own(tmp_path), Code, Place), override_keystore(kinds):
        Code.objects.create(code="")
        Code.objects.create(code="Ada")
        Place.objects.create(number=7)
        yield


@pytest.mark.parametrize("value", ["", "ADA"])
def test_a_second_row_is_told_by_the_instance_a_form_and_a_formset(value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Code(code=value).validate_unique()
    assert list(caught.value.message_dict) == ["code"]
    Code(code=value).full_clean(exclude={"code"})
    assert list(CodeForm({"code": value}).errors) == ["code"]
    assert CodeForm({"code": value}, instance=Code.objects.get(code=value)).is_valid()
    many: Any = forms.modelformset_factory(Code, form=CodeForm, extra=2)
    sent = {"form-TOTAL_FORMS": "2", "form-INITIAL_FORMS": "0", "form-0-code": "Bob", "form-1-code": "Bob"}
    assert "duplicate" in many(sent, queryset=Code.objects.none()).non_form_errors()[0]


def test_a_serializer_tells_it_as_of_a_plain_field() -> None:
    taken = CodeSerializer(data={"code": "ada"})
    assert not taken.is_valid()
    assert [each.code for each in taken.errors["code"]] == ["unique"]
    assert CodeSerializer(Code.objects.get(code="ada"), data={"code": "ADA"}).is_valid()
    assert CodeSerializer(data={"code": "Bob"}).is_valid()


def test_a_copy_with_another_value_is_not_taken_for_its_original() -> None:
    code, place = Code.objects.get(code="Ada"), Place.objects.get()
    code.code, place.number = "Bob", 8
    for each in (code, place):
        each.pk, each._state.adding = None, True
        each.full_clean()
        each.save()
    assert Place.objects.get(number=8).pk == place.pk


def test_constraints_over_an_index_are_told_with_their_conditions() -> None:
    assert not PlaceForm({"room": "1", "number": "7"}).is_valid()
    assert not PlaceForm({"room": "2", "number": "7", "taken": "on"}).is_valid()
    assert PlaceForm({"room": "2", "number": "7"}).is_valid()
    assert PlaceForm({"room": "1", "number": "7", "taken": "on"}, instance=Place.objects.get()).is_valid()
    with pytest.raises(ValidationError, match="Number already exists"):
        Place(room=1, number=7, taken=False).validate_constraints()
