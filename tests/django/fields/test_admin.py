"""Forms and the admin meet the inner field; a list with a broken cell opens, and shows which it is."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from django import forms
from strongroom.django.admin import SealedAdmin
from strongroom.keystore.facade import KeyStore
from tests.django.fields.test_binding import cell_of, put
from tests.django.school.models import Plain, Sealed, Student, every_type

ADA, BOB = "078-05-1120", "219-09-9999"


class StudentAdmin(SealedAdmin):
    list_display = ("name", "ssn", "born", "nickname", "note")
    list_editable = ("nickname", "note")
    list_display_links = ("ssn",)
    search_fields = ("name", "ssn__exact")


@pytest.fixture
def client(school: KeyStore) -> Iterator[Client]:
    admin.site.register(Student, StudentAdmin)
    user = User.objects.create_superuser("ada", password="x")
    client = Client()
    client.force_login(user)
    urls = ModuleType("urls_with_the_student")  # Django reads a module of URLs once, perhaps before there was a page
    urls.urlpatterns = [path("admin/", admin.site.urls)]  # type: ignore[attr-defined]  # a module takes any name
    with override_settings(ROOT_URLCONF=urls):
        yield client
    admin.site.unregister(Student)


@pytest.mark.filterwarnings("ignore:The default scheme will be changed")  # of Django 5.2, for any URLField
@pytest.mark.parametrize("name", sorted(set(every_type()) - {"point"}))
def test_form_fields_are_the_inner_fields(name: str) -> None:
    plain: Any = Plain._meta.get_field(name)
    sealed: Any = Sealed._meta.get_field(name)
    assert isinstance(sealed, type(plain))
    one, other = plain.formfield(), sealed.formfield()
    assert type(one) is type(other)
    assert len(one.validators) == len(other.validators)
    assert type(one.widget) is type(other.widget)
    assert [type(each) for each in plain.validators] == [type(each) for each in sealed.validators]
    overrides = admin.ModelAdmin(Sealed, admin.site)
    request = RequestFactory().get("/")
    assert type(overrides.formfield_for_dbfield(plain, request)) is type(
        overrides.formfield_for_dbfield(sealed, request)
    )


def test_validation_is_the_inner_fields(school: KeyStore) -> None:
    class Form(forms.ModelForm):
        class Meta:
            model = Sealed
            fields = ("char", "email", "positive", "image_name", "json", "date")

    sent = {"char": "x" * 41, "email": "nobody", "positive": "-1", "image_name": "best", "json": "{", "date": "x"}
    form = Form(sent)
    assert not form.is_valid()
    assert set(form.errors) == set(sent)
    good = Form(
        {
            "char": "a",
            "email": "a@example.org",
            "positive": "0",
            "image_name": "good",
            "json": "[1]",
            "date": "1999-01-02",
        }
    )
    assert good.is_valid(), good.errors
    saved = good.save()
    read: Any = Sealed._base_manager.get(pk=saved.pk)
    assert (read.char, read.positive, read.json, read.get_image_name_display()) == ("a", 0, [1], "In good standing")
    again = Form(instance=read)
    assert again.initial["json"] == [1]
    # and a form that failed has changed nothing for anybody
    assert Sealed._base_manager.get(pk=saved.pk).char == "a"


def test_a_form_does_not_show_the_index(school: KeyStore) -> None:
    form = forms.modelform_factory(Student, fields="__all__")
    assert not any(name.endswith("_index") for name in form.base_fields)


def test_a_list_shows_which_cell_is_broken(client: Client) -> None:
    good = Student.objects.create(name="Ada", ssn=ADA)
    bad = Student.objects.create(name="Bob", ssn=BOB)
    put("school_student", "ssn", bad.pk, cell_of(good, "ssn")[:-1])
    page = client.get("/admin/school/student/").content.decode()
    assert ADA in page
    assert "does not open: school.Student.ssn" in page
    assert "strongroom show columns" in page
    assert client.get(f"/admin/school/student/{good.pk}/change/").status_code == 200
    answer = client.get(f"/admin/school/student/{bad.pk}/change/", follow=True)
    assert answer.redirect_chain[-1][0] == "/admin/school/student/"
    assert "does not open" in answer.content.decode()


def test_the_admin_searches_by_the_index_and_saves(client: Client) -> None:
    Student.objects.create(name="Ada", ssn=ADA)
    Student.objects.create(name="Bob", ssn=BOB)
    page = client.get("/admin/school/student/", {"q": "219099999"}).content.decode()
    assert BOB in page
    assert ADA not in page
    sent = {"name": "Eve", "ssn": ADA, "nickname": "e", "remarks": "{}", "phone": "1", "note": "x", "school": ""}
    refused = client.post("/admin/school/student/add/", sent)
    assert "already exists" in refused.content.decode()


def test_the_list_is_not_sorted_by_cells(client: Client) -> None:
    Student.objects.create(name="Ada", ssn=ADA)
    assert client.get("/admin/school/student/", {"o": "2"}).status_code == 200


def test_values_of_models_are_shown_by_their_choices(school: KeyStore) -> None:
    row: Any = Sealed._base_manager.create(image_name="good")
    assert row.get_image_name_display() == "In good standing"
    assert isinstance(Sealed._meta.get_field("image_name"), models.CharField)


def test_what_cannot_be_looked_up_or_encrypted_leads_back_to_the_list_with_the_reason(
    school: KeyStore, client: Client
) -> None:
    Student.objects.create(name="Ada", ssn=ADA, born=None)
    school.suspend("index", 1, reason="a look")
    answer = client.get("/admin/school/student/?q=078-05-1120", follow=True)
    assert answer.redirect_chain == [("/admin/school/student/", 302)]
    assert b"ersion 1 of &#x27;index&#x27; is suspended" in answer.content
    assert b"strongroom resume index 1" in answer.content
    form = {"name": "Bob", "ssn": BOB, "note": "", "nickname": "", "phone": "", "remarks": "{}", "born": ""}
    for page in ("add/", f"{Student.objects.get(name='Ada').pk}/change/"):
        told = client.post(f"/admin/school/student/{page}", form, follow=True)
        assert told.redirect_chain == [("/admin/school/student/", 302)]
        assert b"suspended" in told.content
    assert [row.name for row in Student.objects.all()] == ["Ada"]


def test_a_list_that_is_for_editing_has_encrypted_columns_in_its_form(school: KeyStore, client: Client) -> None:
    rows = [Student.objects.create(name=name, nickname=name[:1], note="n") for name in ("Ada", "Bob")]
    page = "/admin/school/student/"
    shown = client.get(page).content.decode()
    sent: dict[str, Any] = {"form-TOTAL_FORMS": 2, "form-INITIAL_FORMS": 2, "_save": "Save"}
    for number, row in enumerate(reversed(rows)):
        prefix = f"form-{number}"
        sent |= {f"{prefix}-id": row.pk, f"{prefix}-nickname": row.nickname, f"{prefix}-note": row.note}
        assert f'name="{prefix}-nickname" value="{row.nickname}"' in shown
    assert client.post(page, {**sent, "form-0-nickname": "Z"}).status_code == 302
    assert [each.nickname for each in Student.objects.order_by("pk")] == ["A", "Z"]
    put("school_student", "nickname", rows[0].pk, b"broken")
    told = client.post(page, {**sent, "form-0-note": "other"}).content.decode()
    assert "This list is not for editing: cells of nickname do not open" in told
    assert "does not open: school.Student.nickname" in told
    assert "other" not in Student.objects.values_list("note", flat=True)
