"""A cell opens in its field and its row, and nowhere else. What does not open is an error, and never a value."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db import connection, models, transaction
from django.template import Context, Template
from django.test import override_settings
from django.test.utils import isolate_apps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.django.encrypted import Cell
from strongroom.errors import DecryptionError, NotFoundError, SettingsError, StateError, StrongroomError
from strongroom.keystore.facade import KeyStore
from tests.django.school.models import Grade, Letter, School, Sealed, Student, Tokens

ADA, BOB = "078-05-1120", "219-09-9999"


def put(table: str, column: str, pk: Any, cell: bytes | None) -> None:
    """What somebody who can write to the database does."""
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {quote(table)} SET {quote(column)} = %s WHERE id = %s",  # noqa: S608  names of the tests' own
            [None if cell is None else connection.Database.Binary(cell), pk],
        )


def cell_of(row: Any, name: str) -> bytes:
    cell: bytes = type(row)._base_manager.filter(pk=row.pk).values_list(Cell(name), flat=True).get()
    return cell


def test_a_cell_moved_to_another_field_does_not_open(school: KeyStore) -> None:
    row = Sealed._base_manager.create(char="x", text="y")
    put("school_sealed", "text", row.pk, cell_of(row, "char"))
    with pytest.raises(DecryptionError, match=r"school\.Sealed\.text"):
        Sealed._base_manager.get().text  # noqa: B018  it is read


def test_a_copy_of_a_field_in_another_model_is_another_field(school: KeyStore) -> None:
    """As in a history of rows: what is put back from there by SQL is no value of the row."""
    with isolate_apps():
        fields = {name: copy.copy(Student._meta.get_field(name)) for name in ("ssn", "ssn_index", "nickname")}
        history: Any = type("History", (models.Model,), {"__module__": Student.__module__, **fields})
    assert history._meta.get_field("ssn").field_id == "school.Student.ssn copy"
    assert Student._meta.get_field("ssn").field_id == "school.Student.ssn"  # type: ignore[attr-defined]  # ours
    row, kept = Student(ssn=ADA), history._meta.get_field("ssn")
    cell = kept.box().encrypt(ADA.encode(), kept.bound_to_id)
    assert kept.open_cell(cell, context=None) == ADA
    row.save()
    put("school_student", "ssn", row.pk, cell)
    with pytest.raises(DecryptionError):
        Student.objects.get(pk=row.pk).ssn  # noqa: B018  it is read


def test_a_cell_moved_to_another_row_does_not_open_where_the_field_is_bound_to_rows(school: KeyStore) -> None:
    hill, lake = School.objects.create(id=1, name="Hill"), School.objects.create(id=2, name="Lake")
    mine, theirs = Grade.objects.create(school=hill, points=1), Grade.objects.create(school=lake, points=6)
    put("school_grade", "points", mine.pk, cell_of(theirs, "points"))
    read = Grade.objects.get(pk=mine.pk)
    assert read.school_id == hill.pk
    with pytest.raises(DecryptionError, match=r"school\.Grade\.points.*'columns'"):
        read.points  # noqa: B018  as above
    one, other = Letter.objects.create(text="one"), Letter.objects.create(text="other")
    assert Letter.objects.get(pk=one.pk).text == "one"
    with connection.cursor() as cursor:
        table = connection.ops.quote_name("school_letter")
        cursor.execute(
            f"UPDATE {table} SET text = %s WHERE id = %s",  # noqa: S608  as above
            [connection.Database.Binary(cell_of(one, "text")), Letter._meta.pk.get_db_prep_value(other.pk, connection)],
        )
    with pytest.raises(DecryptionError):
        Letter.objects.get(pk=other.pk).text  # noqa: B018  as above


def test_bound_cells_on_every_path(school: KeyStore) -> None:
    hill = School.objects.create(id=1, name="Hill")
    Grade.objects.bulk_create([Grade(school=hill, points=n, remark=f"r{n}") for n in range(3)])
    rows = list(Grade.objects.order_by("pk"))
    assert [(row.points, row.remark) for row in rows] == [(0, "r0"), (1, "r1"), (2, "r2")]
    rows[0].points = 9
    rows[0].save()
    assert Grade.objects.order_by("pk").only("points")[0].points == 9
    assert Grade.objects.order_by("pk").defer("points")[0].points == 9
    assert Grade.objects.raw("SELECT * FROM school_grade ORDER BY id")[0].points == 9
    assert hill.grade_set.order_by("pk")[0].points == 9
    assert Grade.objects.select_related("school").order_by("pk")[0].points == 9
    assert Grade.objects.filter(points=None).count() == 0
    rows[0].refresh_from_db()
    assert rows[0].points == 9
    for refused in (
        lambda: Grade.objects.update(points=1),
        lambda: Grade.objects.bulk_update(rows, ["points"]),
        lambda: list(Grade.objects.values("points")),
        lambda: list(Grade.objects.values_list("points", flat=True)),
    ):
        with pytest.raises(FieldError, match=r"school\.Grade\.points"), transaction.atomic():
            refused()
    Grade.objects.update(points=None)
    assert Grade.objects.filter(points__isnull=True).count() == 3


def test_a_row_moved_by_the_application_takes_its_values_along(school: KeyStore) -> None:
    hill, lake = School.objects.create(id=1, name="Hill"), School.objects.create(id=2, name="Lake")
    row = Grade.objects.create(school=hill, points=3, remark="well")
    row = Grade.objects.get(pk=row.pk)
    row.school = lake
    row.save()
    again = Grade.objects.get(pk=row.pk)
    assert (again.school_id, again.points, again.remark) == (2, 3, "well")
    assert school.aead("schools/2").key_id_of(cell_of(again, "remark")) is not None


def test_fixtures_of_bound_cells(school: KeyStore) -> None:
    from django.core import serializers

    Grade.objects.create(school=School.objects.create(id=1, name="Hill"), points=3, remark="well")
    written = serializers.serialize("json", Grade.objects.all())
    Grade.objects.all().delete()
    (back,) = serializers.deserialize("json", written)
    back.save()
    assert back.object.points == 3
    assert Grade.objects.get().remark == "well"


def test_a_row_without_its_context_is_refused(school: KeyStore) -> None:
    with pytest.raises(FieldError, match="bound to 'school_id'"), transaction.atomic():
        Grade(points=1).save()


def test_a_keyset_a_tenant_and_one_that_is_closed(school: KeyStore) -> None:
    for pk in (1, 2):
        Grade.objects.create(school=School.objects.create(id=pk, name=str(pk)), remark=f"of {pk}")
    school.rotate("schools/1", now=True)
    school.compromise("schools/1", 1, reason="the school has left")
    first, second = Grade.objects.order_by("school_id")
    assert second.remark == "of 2"
    with pytest.raises(StateError, match="version 1 of 'schools/1', which is compromised"):
        first.remark  # noqa: B018  as above
    with pytest.raises(NotFoundError, match="'schools/3'") as caught, transaction.atomic():
        Grade.objects.create(school=School.objects.create(id=3, name="3"), remark="x")
    assert caught.value.hint


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
@pytest.mark.parametrize("model", [Sealed, Tokens])
def test_a_changed_cell_does_not_open(school: KeyStore, model: Any, position: int, flip: int) -> None:
    row = model._base_manager.create(char="a value of some length")
    cell = bytearray(cell_of(row, "char"))
    cell[position % len(cell)] ^= flip
    put(model._meta.db_table, "char", row.pk, bytes(cell))
    with pytest.raises(StrongroomError):
        model._base_manager.get(pk=row.pk).char  # noqa: B018  as above
    with pytest.raises(StrongroomError):
        list(model._base_manager.filter(pk=row.pk).values_list("char"))
    row.delete()


@pytest.mark.parametrize("cut", [0, 1, 5, 20, -1])
def test_a_cut_cell_does_not_open(school: KeyStore, cut: int) -> None:
    row = Sealed._base_manager.create(char="x")
    put("school_sealed", "char", row.pk, cell_of(row, "char")[:cut])
    with pytest.raises(DecryptionError):
        Sealed._base_manager.get().char  # noqa: B018  as above


def test_plaintext_in_the_column_is_no_value(school: KeyStore) -> None:
    row = Sealed._base_manager.create(char="x")
    put("school_sealed", "char", row.pk, b"plaintext that somebody wrote")
    with pytest.raises(DecryptionError) as caught:
        Sealed._base_manager.get().char  # noqa: B018  as above
    assert "plaintext" not in str(caught.value)


def test_a_list_comes_with_a_broken_cell_in_it_and_saving_leaves_the_cell_alone(school: KeyStore) -> None:
    good, bad = Student.objects.create(name="Ada", ssn=ADA), Student.objects.create(name="Bob", ssn=BOB)
    broken = cell_of(good, "ssn")[:-1]
    put("school_student", "ssn", bad.pk, broken)
    rows = list(Student.objects.order_by("pk"))
    assert [row.name for row in rows] == ["Ada", "Bob"]
    assert rows[0].ssn == ADA
    with pytest.raises(DecryptionError, match=r"school\.Student\.ssn: the cell names version 1 of 'columns'") as caught:
        rows[1].ssn  # noqa: B018  as above
    assert caught.value.hint == "strongroom show columns"
    rows[1].name = "Robert"
    rows[1].save()
    assert cell_of(bad, "ssn") == broken
    assert Student.objects.get(name="Robert").ssn_index == Student.objects.get(ssn=BOB).ssn_index
    rows[1].ssn = BOB  # and writing it heals it
    rows[1].save()
    assert Student.objects.get(name="Robert").ssn == BOB
    with pytest.raises(DecryptionError):
        Template("{{ row.ssn }}").render(Context({"row": broken_row(bad, broken)}))


def broken_row(row: Student, cell: bytes) -> Student:
    put("school_student", "ssn", row.pk, cell)
    return Student.objects.get(pk=row.pk)


def test_a_suspended_version_is_named_and_heals_when_it_is_resumed(school: KeyStore) -> None:
    Student.objects.create(name="Ada", ssn=ADA)
    school.rotate("columns", now=True)
    school.suspend("columns", 1, reason="a look")
    (row,) = Student.objects.all()
    with pytest.raises(StateError, match=r"school\.Student\.ssn: .* version 1 of 'columns', which is suspended"):
        row.ssn  # noqa: B018  as above
    with pytest.raises(StateError, match="which is suspended"):
        list(Student.objects.values("ssn"))
    school.resume("columns", 1)
    assert row.ssn == ADA


def test_a_missing_keyset_and_a_store_that_does_not_open_are_told_by_name(school: KeyStore) -> None:
    Student.objects.create(name="Ada", ssn=ADA)
    with override_settings(STRONGROOM={"default": {"STORE": "memory:"}}):
        (row,) = Student.objects.all()
        with pytest.raises(NotFoundError, match=r"school\.Student\.ssn, keyset 'columns'") as caught:
            row.ssn  # noqa: B018  as above
        assert caught.value.hint
        with pytest.raises(NotFoundError, match=r"school\.Student\.ssn"), transaction.atomic():
            Student.objects.create(name="Bob", ssn=BOB)
        with pytest.raises(NotFoundError, match=r"school\.Student\.ssn"), transaction.atomic():
            Student.objects.update(ssn=BOB)
    with override_settings(STRONGROOM={"default": {"STORE": "/nonexistent/.strongroom"}}):
        (row,) = Student.objects.all()
        with pytest.raises(StrongroomError, match=r"school\.Student\.ssn, keyset 'columns'"):
            row.ssn  # noqa: B018  as above
    with override_settings(STRONGROOM={}):
        (row,) = Student.objects.all()
        assert row.name == "Ada"
        with pytest.raises(SettingsError, match=r"school\.Student\.ssn"):
            row.ssn  # noqa: B018  as above


def test_rotation_is_seen_by_the_field_and_old_cells_open(school: KeyStore) -> None:
    old = Student.objects.create(name="Ada", ssn=ADA)
    school.rotate("columns", now=True)
    new = Student.objects.create(name="Bob", ssn=BOB)
    field: Any = Student._meta.get_field("ssn")
    versions = [field.cell_version(cell_of(row, "ssn")) for row in (old, new)]
    assert versions == [version.key_id for version in school.show("columns").versions]
    assert {row.ssn for row in Student.objects.all()} == {ADA, BOB}


def test_what_a_form_sends_is_no_cell(school: KeyStore) -> None:
    """Somebody pastes another row's cell from a dump: it is stored as the text that it is."""
    row = Tokens._base_manager.create(text="secret")
    pasted = cell_of(row, "text").decode()
    field: Any = Tokens._meta.get_field("text")
    assert field.to_python(pasted) == pasted
    assert field.clean(pasted, None) == pasted
    other = Tokens._base_manager.create(text=pasted)
    assert Tokens._base_manager.get(pk=other.pk).text == pasted


@pytest.mark.skipif(not hasattr(models, "FETCH_PEERS"), reason="Django 6.1 has fetch modes")
def test_fetch_modes_are_honoured(school: KeyStore) -> None:
    from django.core.exceptions import FieldFetchBlocked
    from django.test.utils import CaptureQueriesContext

    good, bad = Student.objects.create(name="Ada", ssn=ADA), Student.objects.create(name="Bob", ssn=BOB)
    Student.objects.create(name="Eve", ssn="3")
    put("school_student", "ssn", bad.pk, cell_of(good, "ssn")[:-1])
    rows = list(Student.objects.fetch_mode(models.FETCH_PEERS).defer("ssn").order_by("pk"))
    with CaptureQueriesContext(connection) as asked:
        assert [rows[0].ssn, rows[2].ssn] == [ADA, "3"]
    assert len(asked) == 1
    with pytest.raises(DecryptionError):
        rows[1].ssn  # noqa: B018  it is read
    (blocked, *_) = Student.objects.fetch_mode(models.FETCH_RAISE).defer("ssn").order_by("pk")
    with pytest.raises(FieldFetchBlocked):
        blocked.ssn  # noqa: B018  as above
