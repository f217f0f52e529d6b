"""Each check of encrypted fields fires where a site would regret it, and is silent where it would not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.core import checks
from django.db import models
from django.test import override_settings
from django.test.utils import isolate_apps

from strongroom.django.admin import SealedAdmin
from strongroom.django.encrypted import BlindIndex, encrypted
from strongroom.django.fields import model_checks
from strongroom.keystore.opening import open_store
from tests.django.school.models import Student
from tests.django.school.tenants import Standing, keyset_of_school

INDEX = BlindIndex("index")


def model(**attributes: Any) -> Any:
    meta = attributes.pop("meta", {})
    made = {"__module__": __name__, "Meta": type("Meta", (), {"app_label": "school", **meta}), **attributes}
    with isolate_apps("tests.django.school"):
        return type("Made", (models.Model,), made)


def ids(**attributes: Any) -> set[str | None]:
    """What the fields of a new model say."""
    return {message.id for message in model(**attributes).check() if (message.id or "").startswith("strongroom")}


def char(**options: Any) -> models.CharField[Any, Any]:
    return models.CharField(max_length=10, **options)


def test_the_schools_models_are_content() -> None:
    told = [message for message in checks.run_checks() if message.id != "strongroom.W022"]
    assert told == []


def test_e020_names_that_cannot_be() -> None:
    assert ids(a=encrypted(char(), keyset="Student Columns")) == {"strongroom.E020"}
    assert ids(a=encrypted(char(), keyset="ok", index=BlindIndex("No"))) == {"strongroom.E020"}
    assert ids(a=encrypted(char(), keyset=lambda context: "x")) == {"strongroom.E020"}
    assert ids(a=encrypted(char(), keyset=7)) == {"strongroom.E020"}  # type: ignore[arg-type]  # what is tested
    assert ids(a=encrypted(char(), keyset=keyset_of_school)) == set()
    with override_settings(STRONGROOM={"default": {"STORE": "memory:"}}):
        assert ids(a=encrypted(char(), keyset="ok", using="other")) == {"strongroom.E020"}
        assert ids(a=encrypted(char(), keyset="ok")) == set()


def test_e021_unique_and_db_index() -> None:
    assert ids(a=encrypted(char(unique=True), keyset="columns")) == {"strongroom.E021"}
    assert ids(a=encrypted(char(db_index=True), keyset="columns")) == {"strongroom.E021"}
    assert ids(a=encrypted(char(unique=True), keyset="columns", index=BlindIndex("index", bits=20))) == {
        "strongroom.E021"
    }
    assert ids(a=encrypted(char(unique=True), keyset="columns", index=INDEX)) == set()


def test_e024_contexts() -> None:
    letter = encrypted(char(), keyset="columns", context="id")
    assert ids(a=letter) == {"strongroom.E024"}
    assert ids(a=encrypted(char(), keyset="columns", context="nowhere")) == {"strongroom.E024"}
    sealed = encrypted(char(), keyset="columns")
    assert ids(b=sealed, a=encrypted(char(), keyset="columns", context="b")) == {"strongroom.E024"}
    made = {"b": models.IntegerField(), "c": models.UUIDField()}
    assert ids(**made, a=encrypted(char(), keyset="columns", context=("b", "c"))) == set()
    if hasattr(models, "DB_SET_NULL"):
        by = models.ForeignKey(Student, models.DB_SET_NULL, null=True)
        told = model(b=by, a=encrypted(char(), keyset="columns", context="b_id")).check()
        assert "is changed by the database" in " ".join(message.msg for message in told)


def test_e027_and_w022_indexes_that_miss_or_show() -> None:
    assert ids(a=encrypted(models.JSONField(), keyset="columns", index=INDEX)) == {"strongroom.E027"}
    assert ids(a=encrypted(models.BooleanField(), keyset="columns", index=INDEX)) == {"strongroom.W022"}
    assert ids(a=encrypted(char(choices=Standing), keyset="columns", index=INDEX)) == {"strongroom.W022"}


def test_types_of_keysets_are_read_from_the_stores_files(development: Path) -> None:
    with open_store(development) as keystore:
        keystore.create("columns", "aes256-gcm")
        keystore.create("index", "hmac-sha256")
    with override_settings(STRONGROOM={"default": {"STORE": development}}):
        assert ids(a=encrypted(char(), keyset="student-records")) == {"strongroom.W021"}
        bound = encrypted(char(), keyset="student-records", context="b")
        assert ids(b=models.IntegerField(), a=bound) == {"strongroom.E028"}
        assert ids(a=encrypted(char(), keyset="index")) == {"strongroom.E029"}
        assert ids(a=encrypted(char(), keyset="columns", index=BlindIndex("columns"))) == {"strongroom.E029"}
        assert ids(a=encrypted(char(), keyset="columns", index=INDEX)) == set()


def meta_ids(fields: dict[str, Any] | None = None, **meta: Any) -> set[str | None]:
    made = model(
        **(fields or {}),
        name=char(),
        a=encrypted(char(null=True), keyset="columns", index=INDEX),
        b=encrypted(char(), keyset="columns"),
        meta=meta,
    )
    app_models = {"made": made}
    with_models = apps.all_models["school"]
    before = dict(with_models)
    with_models.clear()
    with_models.update(app_models)
    apps.clear_cache()
    try:
        return {message.id for message in model_checks.check_models(None)}
    finally:
        with_models.clear()
        with_models.update(before)
        apps.clear_cache()


@pytest.mark.parametrize(
    "meta",
    [
        {"ordering": ["b"]},
        {"ordering": ["-b"]},
        {"ordering": [models.F("b").desc()]},
        {"unique_together": [("name", "b")]},
        {"get_latest_by": "b"},
        {"indexes": [models.Index(fields=["b"], name="i")]},
        {"indexes": [models.Index(models.F("b"), name="i")]},
        {"indexes": [models.Index(fields=["name"], name="i", condition=models.Q(b="x"))]},
        {"constraints": [models.UniqueConstraint(fields=["a"], name="c")]},
        {"constraints": [models.CheckConstraint(condition=models.Q(b="x"), name="c")]},
    ],
    ids=str,
)
def test_e025_what_goes_by_cells(meta: dict[str, Any]) -> None:
    assert meta_ids(**meta) == {"strongroom.E025"}


def test_e025_a_primary_key_of_several_and_dates_that_validation_looks_up() -> None:
    for fields in (
        {"pk": models.CompositePrimaryKey("name", "b")},
        {"day": encrypted(models.DateField(), keyset="columns"), "c": char(unique_for_month="day")},
        {"day": models.DateField(), "c": encrypted(char(unique_for_date="day"), keyset="columns")},
    ):
        assert meta_ids(fields) == {"strongroom.E025"}
    indexed = encrypted(char(unique_for_year="day"), keyset="columns", index=INDEX)
    assert meta_ids({"day": models.DateField(), "c": indexed}) == set()


def test_e015_a_field_inside_another_one() -> None:
    fields: Any = pytest.importorskip("django.contrib.postgres.fields")
    found = fields.ArrayField(encrypted(char(), keyset="columns"))
    found.set_attributes_from_name("a")
    found.model = Student
    assert any("(strongroom.E015)" in message.msg for message in found.check())


@pytest.mark.parametrize(
    "meta",
    [
        {"ordering": ["name"]},
        {"unique_together": [("name", "a_index")]},
        {"constraints": [models.UniqueConstraint(fields=["name", "a_index"], name="c")]},
        {"constraints": [models.CheckConstraint(condition=models.Q(a__isnull=False), name="c")]},
    ],
    ids=str,
)
def test_e025_is_silent_where_it_goes_by_marks_or_null(meta: dict[str, Any]) -> None:
    assert meta_ids(**meta) == set()


@pytest.mark.parametrize(
    ("options", "fires"),
    [
        ({"search_fields": ["ssn"]}, True),
        ({"search_fields": ["=ssn"]}, True),
        ({"search_fields": ["phone__exact"]}, True),
        ({"list_filter": ["born"]}, True),
        ({"ordering": ["-ssn"]}, True),
        ({"date_hierarchy": "born"}, True),
        ({"search_fields": ["name", "ssn__exact"], "list_filter": ["name"], "ordering": ["name"]}, False),
    ],
    ids=str,
)
def test_e026_admin_pages(options: dict[str, Any], fires: bool) -> None:
    admin.site.register(Student, type("Page", (admin.ModelAdmin,), options))
    try:
        assert {message.id for message in model_checks.check_admin(None)} == ({"strongroom.E026"} if fires else set())
    finally:
        admin.site.unregister(Student)


@pytest.mark.parametrize(
    ("base", "listed", "fires"),
    [
        (admin.ModelAdmin, ["name", "ssn"], True),
        (admin.ModelAdmin, ["name", "ssn_index", lambda row: row.ssn], False),
        (SealedAdmin, ["name", "ssn"], False),
    ],
)
def test_w025_a_list_that_a_broken_cell_would_end(base: type, listed: list[Any], fires: bool) -> None:
    admin.site.register(Student, type("Page", (base,), {"list_display": listed}))
    try:
        assert {message.id for message in model_checks.check_admin(None)} == ({"strongroom.W025"} if fires else set())
    finally:
        admin.site.unregister(Student)
