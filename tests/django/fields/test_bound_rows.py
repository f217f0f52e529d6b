"""What cells are bound to is written together with them: every path that has one alone is refused, or harmless."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db import DatabaseError, connection, connections, models, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Upper
from django.test.utils import CaptureQueriesContext, isolate_apps

from strongroom.django.encrypted import Cell, encrypted
from strongroom.django.fields import bound_rows
from strongroom.django.testing import override_keystore
from strongroom.keystore.facade import KeyStore
from tests.django.conftest import of_its_own
from tests.django.fields.test_binding import put
from tests.django.school.models import Grade, Letter, School
from tests.django.tables import APP, tables

MYSQL = connection.vendor == "mysql"
BY_ID: Any = None if MYSQL else ["id"]


@pytest.fixture
def grade(school: KeyStore) -> Grade:
    for number in (1, 2):
        School.objects.create(id=number, name=str(number))
    return Grade.objects.create(school_id=1, points=5, remark="r1")


def other() -> School:
    return School.objects.get(id=2)


def save_some(grade: Grade) -> None:
    grade.school = other()
    grade.save(update_fields=["school"])


def save_deferred(grade: Grade) -> None:
    row = Grade.objects.only("school").get()
    row.school = other()
    row.save()


def bulk_update(grade: Grade) -> None:
    grade.school_id = 2
    Grade.objects.bulk_update([grade], ["school"])


def upsert(*names: str) -> Callable[[Grade], Any]:
    return lambda grade: Grade.objects.bulk_create(
        [Grade(pk=grade.pk, school_id=2, points=6, remark="r2")],
        update_conflicts=True,
        update_fields=list(names),
        unique_fields=BY_ID,
    )


def save_a_cell_of_another_row(grade: Grade) -> None:
    grade.school = other()
    grade.save(update_fields=["remark"])


def save_a_stale_instance(grade: Grade) -> None:
    stale = Grade.objects.get()
    grade.school = other()
    grade.save()
    stale.remark = "written by one who has not seen it"
    stale.save(update_fields=["remark"])


ALONE: dict[str, Callable[[Grade], Any]] = {
    "add": lambda grade: other().grade_set.add(grade),
    "set": lambda grade: other().grade_set.set([grade]),
    "save(update_fields)": save_some,
    "save of a deferred row": save_deferred,
    "update": lambda grade: Grade.objects.update(school=other()),
    "update by number": lambda grade: Grade.objects.filter(school__name="1").update(school_id=2),
    "update by F": lambda grade: Grade.objects.update(school=F("school_id") + 1),
    "update by Value": lambda grade: Grade.objects.update(school=Value(2)),
    "update by Case": lambda grade: Grade.objects.update(school=Case(When(pk=grade.pk, then=Value(2)))),
    "update with a cell that is NULL": lambda grade: Grade.objects.update(school=2, points=None),
    "bulk_update": bulk_update,
    "upsert": upsert("school"),
    "upsert with one cell": upsert("school", "points"),
    "upsert of a cell": upsert("points"),
    "update_or_create": lambda grade: Grade.objects.defer("remark").update_or_create(
        pk=grade.pk, defaults={"school": other(), "points": None}
    ),
    "a cell alone": save_a_cell_of_another_row,
}


@pytest.mark.parametrize("write", ALONE.values(), ids=ALONE)
def test_neither_is_written_without_the_other(grade: Grade, write: Callable[[Grade], Any]) -> None:
    try:
        with transaction.atomic():
            write(copy.copy(grade))
    except FieldError as error:
        assert "school.Grade." in str(error)  # noqa: PT017  some may as well do it right
        assert Grade.objects.get().school_id == 1
    read = Grade.objects.get()
    assert read.remark in ("r1", "r2")
    assert read.points in (5, 6, None)


@pytest.mark.parametrize("name", [name for name in ALONE if name != "update_or_create"])
def test_it_is_refused_by_name(grade: Grade, name: str) -> None:
    with pytest.raises(FieldError, match=r"school\.Grade\.\w+ is bound to '?school"), transaction.atomic():
        ALONE[name](grade)


def test_a_stale_instance_does_not_write_a_cell_into_a_row_that_was_moved(grade: Grade) -> None:
    with pytest.raises(FieldError, match=r"refresh_from_db\(\)"), transaction.atomic():
        save_a_stale_instance(grade)
    assert Grade.objects.get().remark == "r1"


def test_what_writes_both_or_changes_nothing_is_done(grade: Grade) -> None:
    grade.school = other()
    grade.save()
    assert Grade.objects.get().remark == "r1"
    grade.school_id, grade.remark = 1, "again"
    grade.save(update_fields=["school", "remark", "points"])
    assert Grade.objects.get().remark == "again"
    Grade.objects.update_or_create(pk=grade.pk, defaults={"school": other()})
    row = Grade.objects.only("school").get()
    row.school_id = 1
    assert row.remark == "again"  # asked for, as the row is
    Grade.objects.update(school=2)
    Grade.objects.update(school=F("school_id"))
    Grade.objects.bulk_update(list(Grade.objects.all()), ["school"])
    Grade.objects.get().save(update_fields=["school"])
    Grade.objects.only("school").get().save()
    Grade.objects.only("remark").get().save()
    other().grade_set.add(grade)
    read = Grade.objects.get()
    assert (read.school_id, read.remark, read.points) == (2, "again", 5)
    upsert("school", "points", "remark")(grade)
    assert Grade.objects.get().points == 6
    Grade.objects.update(points=None)
    with pytest.raises(FieldError, match=r"school\.Grade\.remark"), transaction.atomic():
        Grade.objects.update(school=1)


def test_the_rows_are_read_only_where_one_is_written_alone(grade: Grade) -> None:
    def reads(write: Callable[[], Any]) -> int:
        with CaptureQueriesContext(connection) as queries:
            write()
        return sum(each["sql"].startswith("SELECT") for each in queries)

    assert reads(grade.save) == 0
    assert reads(lambda: grade.save(update_fields=["school", "points", "remark"])) == 0
    assert reads(lambda: Grade.objects.create(school_id=1, remark="new")) == 0
    assert reads(lambda: grade.save(update_fields=["points", "remark"])) == 1


def test_an_upsert_is_looked_at_once_however_many_rows_it_has(grade: Grade) -> None:
    rows = [Grade(pk=number, school_id=2, points=6, remark="r2") for number in range(1, 101)]
    seen = 0

    def count(frame: Any, event: str, _: Any) -> None:
        nonlocal seen
        seen += event == "call" and frame.f_code is bound_rows._check_upsert.__code__

    sys.setprofile(count)
    try:
        Grade.objects.bulk_create(
            rows, update_conflicts=True, update_fields=["school", "points", "remark"], unique_fields=BY_ID
        )
    finally:
        sys.setprofile(None)
    assert Grade.objects.filter(school_id=2).count() == len(rows)
    assert 1 <= seen < len(rows)  # a statement for as many rows as the database takes


def test_a_row_with_a_broken_cell_is_saved_where_it_is(grade: Grade) -> None:
    put("school_grade", "remark", grade.pk, b"\x01" + bytes(40))
    row = Grade.objects.get()
    row.points = 7
    row.save()
    assert Grade.objects.get().points == 7
    row.school = other()
    with pytest.raises(FieldError, match=r"school\.Grade\.remark"), transaction.atomic():
        row.save()


def test_a_cell_bound_to_its_primary_key_is_saved_alone_and_upserted(school: KeyStore) -> None:
    letter = Letter.objects.create(text="one")
    letter.text = "two"
    letter.save(update_fields=["text"])
    Letter.objects.bulk_create(
        [Letter(pk=letter.pk, text="three")], update_conflicts=True, update_fields=["text"], unique_fields=BY_ID
    )
    assert Letter.objects.get().text == "three"
    with pytest.raises(FieldError, match=r"school\.Letter\.text"), transaction.atomic():
        Letter.objects.update(id="00000000-0000-0000-0000-000000000001")


with isolate_apps("strongroom.django"):

    class Ward(models.Model):
        code = models.CharField(max_length=9, unique=True)

        class Meta:
            app_label = APP

    class Bed(models.Model):
        ward = models.ForeignKey(Ward, models.SET_NULL, null=True, to_field="code")
        tag = models.CharField(max_length=9, default="x")
        moved = models.ForeignKey(Ward, models.SET(lambda: Ward.objects.get(code="b")), null=True, related_name="+")
        note = encrypted(models.CharField(max_length=9, null=True), keyset="columns", context=("ward", "tag"))
        plan = encrypted(models.CharField(max_length=9, null=True), keyset="columns", context="moved_id")
        patients: models.ManyToManyField[Any, Any] = models.ManyToManyField(Ward, through="Stay", related_name="+")

        class Meta:
            app_label = APP

    class Stay(models.Model):
        bed = models.ForeignKey(Bed, models.CASCADE)
        ward = models.ForeignKey(Ward, models.CASCADE, related_name="+")
        why = encrypted(models.CharField(max_length=9, null=True), keyset="columns", context=("bed", "ward"))

        class Meta:
            app_label = APP


@pytest.fixture
def wards(tmp_path: Path) -> Iterator[list[Ward]]:
    with tables(of_its_own(tmp_path), Ward, Bed, Stay), override_keystore(["columns"]):
        yield [Ward.objects.create(code=code) for code in ("a", "b")]


def test_a_deleted_parent_does_not_take_the_context_of_cells_along(wards: list[Ward]) -> None:
    a, b = wards
    bed = Bed.objects.create(ward=a, note="x")
    with pytest.raises(FieldError, match=r"Bed\.note is bound to 'ward'"):
        a.delete()
    assert Bed.objects.get().note == "x"
    with pytest.raises(FieldError, match=r"Bed\.note"):
        a.bed_set.clear()
    with pytest.raises(FieldError, match=r"Bed\.note"):
        a.bed_set.remove(bed)
    with pytest.raises(FieldError, match=r"Bed\.note"):
        Bed.objects.update(tag="X")  # what a collation takes for the same is another one
    with pytest.raises(FieldError, match=r"Bed\.note"):
        Bed.objects.update(tag=Upper("tag"))
    other = Bed.objects.create(ward=b, moved=a, plan="p")
    Bed.objects.filter(pk=bed.pk).update(note=None)
    with pytest.raises(FieldError, match=r"Bed\.plan is bound to 'moved'"):
        a.delete()
    other.moved = b
    other.save()
    a.delete()
    assert Bed.objects.get(pk=bed.pk).ward is None
    Bed.objects.filter(pk=bed.pk).update(ward=b, tag="y")  # no cell is there
    assert b.bed_set.count() == 2


def test_rows_of_a_through_model_are_made_with_their_cells(wards: list[Ward]) -> None:
    a, b = wards
    bed = Bed.objects.create()
    bed.patients.add(a, through_defaults={"why": "rest"})
    bed.patients.set([a, b], through_defaults={"why": "more"})
    assert sorted(str(stay.why) for stay in Stay.objects.all()) == ["more", "rest"]
    bed.patients.remove(a)
    assert Stay.objects.get().why == "more"
    with pytest.raises(FieldError, match=r"Stay\.why"):
        Stay.objects.update(ward=a)
    assert Stay.objects.filter(ward=b).values_list(Cell("why"), flat=True).get()


def meanwhile(act: Callable[[], object]) -> Any:
    """Have another process's write come between what a statement looks at and the statement itself."""
    acts = [act]

    def write() -> None:
        try:
            acts.pop()()
        finally:
            connections.close_all()

    def execute(run: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if sql.startswith("UPDATE") and acts:
            writer = threading.Thread(target=write)
            writer.start()
            writer.join()
        return run(sql, *arguments)

    return connection.execute_wrapper(execute)


def test_a_cell_that_comes_in_after_the_look_keeps_its_context(wards: list[Ward]) -> None:
    bed, other = Bed.objects.create(tag="x"), Bed.objects.create(tag="x")

    def put_cell() -> None:
        row = Bed.objects.get(pk=bed.pk)
        row.ward, row.note = wards[0], "note"
        row.save()

    with meanwhile(put_cell):
        assert Bed.objects.update(ward=wards[1], tag="y") == 1
    again = Bed.objects.get(pk=bed.pk)
    assert (again.ward, again.tag, again.note) == (wards[0], "x", "note")
    assert Bed.objects.get(pk=other.pk).tag == "y"


def test_a_cell_is_not_written_into_a_row_that_moved_after_the_look(wards: list[Ward]) -> None:
    made = Bed.objects.create(ward=wards[0], note="old")

    def move() -> None:
        row = Bed.objects.get(pk=made.pk)
        row.ward, row.note = wards[1], "moved"
        row.save()

    made.note = "new"
    with meanwhile(move), pytest.raises(DatabaseError, match="did not affect any rows"):
        made.save(update_fields=["note"])
    assert Bed.objects.get().note == "moved"
    made.refresh_from_db()
    made.note = "new"
    made.save(update_fields=["note"])
    assert Bed.objects.get().note == "new"


def test_a_row_whose_cell_goes_from_it_after_the_look_is_written(wards: list[Ward]) -> None:
    """What is there is compared again, and not whether there was a change."""
    bed = Bed.objects.create(ward=wards[0], note="n", tag="x")
    with meanwhile(lambda: Bed.objects.filter(pk=bed.pk).update(note=None)):
        assert Bed.objects.update(tag="x") == 1
