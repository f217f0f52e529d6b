"""Every way of Django's into and out of a column: right, or refused with a FieldError that says why."""

from __future__ import annotations

import copy
import io
import json
import pickle
from functools import wraps
from typing import Any

import pytest
from django.core import serializers
from django.core.exceptions import FieldError
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import Case, CharField, Count, F, Max, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Cast, Coalesce, Concat, Length, Upper
from django.db.models.sql.compiler import SQLCompiler

from strongroom.django.encrypted import Cell, is_encrypted
from strongroom.django.fields import combining
from strongroom.keystore.facade import KeyStore
from tests.django.school.models import Call, Enrolled, Pupil, School, Student, Visit

ADA, BOB = "078-05-1120", "219-09-9999"


def student(name: str = "Ada", ssn: str | None = ADA, **others: Any) -> Student:
    return Student.objects.create(name=name, ssn=ssn, **others)


def cells() -> list[bytes]:
    return list(Student.objects.order_by("pk").values_list(Cell("ssn"), flat=True))


def no_plaintext() -> None:
    """What lies in the column is cells, all of them different."""
    held = [cell for cell in cells() if cell is not None]
    assert all(cell.startswith(b"\x01") and len(cell) > 33 for cell in held)
    assert len(set(held)) == len(held)


def test_create_get_save(school: KeyStore) -> None:
    made = student()
    assert made.ssn == ADA
    read = Student.objects.get(pk=made.pk)
    assert read.ssn == ADA
    read.ssn = BOB
    read.save()
    assert Student.objects.get().ssn == BOB
    no_plaintext()


def test_saving_again_makes_another_cell_of_the_same_value(school: KeyStore) -> None:
    made = student()
    (before,) = cells()
    made.save()
    assert cells() != [before]
    assert Student.objects.get().ssn == ADA


def test_bulk_create_and_upsert(school: KeyStore) -> None:
    made = Student.objects.bulk_create([Student(name=str(n), ssn=f"{n:09}") for n in range(7)], batch_size=3)
    no_plaintext()
    assert {row.ssn for row in Student.objects.all()} == {row.ssn for row in made}
    kept = Student.objects.order_by("pk").first()
    assert kept is not None
    unique = [] if connection.vendor == "mysql" else ["id"]
    Student.objects.bulk_create(
        [Student(pk=kept.pk, name="new", ssn=ADA)],
        update_conflicts=True,
        update_fields=["ssn"],
        unique_fields=unique or None,
    )
    assert Student.objects.get(ssn=ADA).name == "0"
    no_plaintext()


def test_an_upsert_finds_its_row_by_the_index(school: KeyStore) -> None:
    student(nickname="A")
    unique = None if connection.vendor == "mysql" else ["ssn"]
    Student.objects.bulk_create(
        [Student(name="other", ssn="078051120")], update_conflicts=True, update_fields=["name"], unique_fields=unique
    )
    assert Student.objects.get().name == "other"


def test_bulk_update_writes_each_row_its_own_value(school: KeyStore) -> None:
    rows = [student(str(n), f"{n:09}") for n in range(5)]
    for row in rows:
        row.ssn = None if row.name == "3" else f"9{row.name}"
        row.remarks = {"n": row.name}
        row.nickname = f"nick {row.name}"
    assert Student.objects.bulk_update(rows, ["ssn", "remarks", "nickname"], batch_size=2) in (5, 0)
    no_plaintext()
    for row in Student.objects.all():
        assert row.ssn == (None if row.name == "3" else f"9{row.name}")
        assert row.remarks == {"n": row.name}
    assert [row.name for row in Student.objects.filter(ssn__in=["90", "94"]).order_by("pk")] == ["0", "4"]
    assert Student.objects.get(nickname="NICK 2").name == "2"
    assert not Student.objects.filter(ssn="000000001").exists()


def test_update(school: KeyStore) -> None:
    student()
    student("Bob", BOB)
    assert Student.objects.filter(name="Ada").update(ssn="1", nickname="one", remarks=[1]) == 1
    assert Student.objects.get(ssn="1").nickname == "one"
    assert not Student.objects.filter(ssn=ADA).exists()
    Student.objects.filter(name="Ada").update(ssn=Value("2"))
    assert Student.objects.get(ssn="2").ssn == "2"
    Student.objects.update(ssn=None)
    assert Student.objects.filter(ssn=None, ssn_index=None).count() == 2
    no_plaintext()


def test_update_by_cases_of_values(school: KeyStore) -> None:
    student()
    student("Bob", BOB)
    field = Student._meta.get_field("ssn")
    chosen = Case(
        When(name="Ada", then=Value("1", output_field=field)),
        default=Value("2", output_field=field),
        output_field=field,
    )
    Student.objects.update(ssn=chosen)
    assert [Student.objects.get(ssn="1").name, Student.objects.get(ssn="2").name] == ["Ada", "Bob"]
    no_plaintext()


def test_save_of_some_fields_takes_the_index_along(school: KeyStore) -> None:
    made = student()
    made.ssn = BOB
    made.save(update_fields=["ssn"])
    assert Student.objects.get(ssn=BOB).pk == made.pk
    assert not Student.objects.filter(ssn=ADA).exists()


def test_get_or_create_and_update_or_create(school: KeyStore) -> None:
    made, created = Student.objects.get_or_create(ssn=ADA, defaults={"name": "Ada"})
    assert created
    assert Student.objects.get_or_create(ssn="078 05 1120") == (made, False)
    assert Student.objects.update_or_create(ssn=ADA, defaults={"nickname": "countess"}) == (made, False)
    assert Student.objects.update_or_create(name="Ada", defaults={"ssn": BOB}) == (made, False)
    assert Student.objects.get(ssn=BOB).nickname == "countess"
    assert not Student.objects.filter(ssn=ADA).exists()


def test_values_only_defer_and_raw(school: KeyStore) -> None:
    student(remarks={"a": 1})
    assert list(Student.objects.values("ssn", "remarks")) == [{"ssn": ADA, "remarks": {"a": 1}}]
    assert list(Student.objects.values_list("ssn", flat=True)) == [ADA]
    assert [row.ssn for row in Student.objects.values_list("name", "ssn", named=True)] == [ADA]
    assert Student.objects.only("ssn").get().ssn == ADA
    assert Student.objects.only("name").get().ssn == ADA
    assert Student.objects.defer("ssn").get().ssn == ADA
    assert Student.objects.raw("SELECT * FROM school_student")[0].ssn == ADA
    assert Student.objects.raw("SELECT id, name FROM school_student")[0].ssn == ADA
    assert next(Student.objects.iterator(chunk_size=1)).ssn == ADA
    assert Student.objects.annotate(number=F("ssn")).values_list("number", flat=True).get() == ADA
    assert Student.objects.annotate(number=F("ssn")).get().number == ADA
    assert Student.objects.union(Student.objects.filter(name="x"), all=True).values_list("ssn", flat=True)[0] == ADA


def test_a_deferred_value_is_left_alone_by_save(school: KeyStore) -> None:
    student()
    before = cells()
    row = Student.objects.defer("ssn").get()
    row.name = "other"
    row.save()
    assert cells() == before
    assert Student.objects.get(ssn=ADA).name == "other"


def test_refresh_and_relations(school: KeyStore) -> None:
    place = School.objects.create(name="Hill")
    made = student(school=place)
    Student.objects.update(ssn=BOB)
    made.refresh_from_db()
    assert made.ssn == BOB
    assert place.students.get().ssn == BOB
    assert School.objects.prefetch_related("students").get().students.all()[0].ssn == BOB
    assert Student.objects.select_related("school").get().ssn == BOB
    assert School.objects.filter(students__ssn=BOB).values_list("students__ssn", flat=True).get() == BOB
    assert not School.objects.filter(students__ssn=ADA).exists()
    assert School.objects.filter(students__ssn__isnull=True).count() == 0
    assert School.objects.annotate(count=Count("students", filter=Q(students__ssn=BOB))).get().count == 1


def test_parents_children_and_proxies(school: KeyStore) -> None:
    Pupil.objects.create(name="Ada", ssn=ADA, desk=7)
    assert Pupil.objects.get(ssn=ADA, desk=7).ssn == ADA
    assert Pupil.objects.update(ssn=BOB, desk=8) == 1
    assert Pupil.objects.get(ssn=BOB).desk == 8
    assert Enrolled.objects.get(ssn=BOB).name == "Ada"
    assert Student.objects.get(pupil__desk=8).ssn == BOB


def test_fields_of_an_abstract_model_are_each_bound_to_their_own_model(school: KeyStore) -> None:
    Visit.objects.create(secret="x")
    Call.objects.create(secret="x")
    assert Visit.objects.get(secret="x").secret == "x"
    ids = [model._meta.get_field("secret").field_id for model in (Visit, Call)]
    assert ids == ["school.Visit.secret", "school.Call.secret"]


COMPUTED = {
    "from another column": lambda: F("name"),
    "from itself": lambda: F("ssn"),
    "from another encrypted column": lambda: F("nickname"),
    "concatenated": lambda: Concat("ssn", Value("x")),
    "cast": lambda: Cast("name", CharField()),
    "a case with a column": lambda: Case(When(name="Ada", then=F("name")), default=Value(None)),
    "a case with a bare value": lambda: Case(When(name="Ada", then=Value("plaintext"))),
    "a subquery": lambda: Subquery(Student.objects.values("name")[:1]),
    "upper": lambda: Upper("name"),
}


@pytest.mark.parametrize("expression", COMPUTED.values(), ids=COMPUTED)
def test_what_the_database_computes_is_not_written_into_the_column(school: KeyStore, expression: Any) -> None:
    made = student()
    with pytest.raises(FieldError, match=r"school\.Student\.(ssn|nickname) is encrypted"), transaction.atomic():
        Student.objects.update(ssn=expression())
    made.ssn = expression()
    with pytest.raises(FieldError, match="is encrypted"), transaction.atomic():
        made.save()
    with pytest.raises(FieldError, match="is encrypted"), transaction.atomic():
        Student.objects.bulk_update([made], ["ssn"])
    no_plaintext()
    assert Student.objects.get().ssn == ADA


READ = {
    "another column from it": lambda: Student.objects.update(name=F("ssn")),
    "a comparison with it": lambda: list(Student.objects.filter(name=F("ssn"))),
    "a comparison in an annotation": lambda: list(Student.objects.annotate(x=Q(name=F("ssn")))),
    "its length": lambda: list(Student.objects.annotate(x=Length("ssn"))),
    "its upper case": lambda: list(Student.objects.annotate(x=Upper("ssn"))),
    "a cast": lambda: list(Student.objects.annotate(x=Cast("ssn", CharField()))),
    "a concatenation": lambda: list(
        Student.objects.annotate(x=Concat("ssn", Value("x"), output_field=CharField())).values("x")
    ),
    "a coalescence": lambda: list(Student.objects.values_list(Coalesce("ssn", Value("")))),
    "its greatest": lambda: Student.objects.aggregate(x=Max("ssn")),
    "a case": lambda: list(Student.objects.annotate(x=Case(When(name="Ada", then=F("ssn"))))),
    "its order": lambda: list(Student.objects.order_by("ssn")),
    "its order, descending": lambda: list(Student.objects.order_by(F("ssn").desc())),
    "its distinct values": lambda: list(Student.objects.values("ssn").distinct()),
    "groups of it": lambda: list(Student.objects.values("ssn").annotate(Count("pk"))),
    "a subquery of it": lambda: list(Student.objects.filter(name__in=Student.objects.values("ssn"))),
    "an annotated subquery": lambda: list(Student.objects.annotate(x=Subquery(Student.objects.values("ssn")[:1]))),
    "an outer reference": lambda: list(
        School.objects.annotate(x=Subquery(Student.objects.values("ssn")[:1])).filter(name="x")
    ),
    "a correlation": lambda: list(
        Student.objects.annotate(x=Subquery(School.objects.filter(name=OuterRef("ssn")).values("name")[:1]))
    ),
    "dates of it": lambda: list(Student.objects.dates("born", "year")),
    "the latest": lambda: Student.objects.latest("born"),
    "a path into JSON": lambda: list(Student.objects.filter(remarks__a=1)),
    "a year": lambda: list(Student.objects.filter(born__year=1999)),
}


@pytest.mark.parametrize("query", READ.values(), ids=READ)
def test_what_cells_cannot_answer_is_refused(school: KeyStore, query: Any) -> None:
    student()
    with pytest.raises(FieldError, match=r"school\.Student\.\w+ is encrypted"), transaction.atomic():
        query()
    no_plaintext()


COMBINED = {
    "a plain column first": lambda: School.objects.values_list("name").union(Student.objects.values_list("ssn")),
    "a plain column first, all": lambda: School.objects.values_list("name", flat=True).union(
        Student.objects.values_list("ssn", flat=True), all=True
    ),
    "an alias": lambda: School.objects.values_list("name").union(
        Student.objects.annotate(x=F("ssn")).values_list("x"), all=True
    ),
    "a plain column second": lambda: Student.objects.values_list("ssn").union(
        School.objects.values_list("name"), all=True
    ),
    "two encrypted ones": lambda: Student.objects.values_list("ssn", "nickname").union(
        Student.objects.values_list("nickname", "ssn"), all=True
    ),
    "rows of two models": lambda: Visit.objects.union(Call.objects.all(), all=True),
    "a part of a part": lambda: School.objects.values_list("name").union(
        School.objects.values_list("name").union(Student.objects.values_list("ssn"), all=True), all=True
    ),
}


@pytest.mark.parametrize("query", COMBINED.values(), ids=COMBINED)
def test_cells_are_combined_with_those_of_their_own_field_alone(school: KeyStore, query: Any) -> None:
    student(nickname="n")
    School.objects.create(name="Hill")
    with pytest.raises(FieldError, match=r"school\.\w+\.\w+ is encrypted: its cells cannot be combined"):
        list(query())


def test_they_are_refused_too_where_another_package_has_its_own_look_at_combined_queries(
    school: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    django: Any = vars(SQLCompiler)["get_combinator_sql"].__wrapped__
    seen: list[str] = []

    def before_us(inner: Any) -> Any:
        @wraps(inner)
        def looked(self: Any, combinator: str, all: bool) -> Any:  # noqa: A002  Django's own name
            seen.append(combinator)
            return inner(self, combinator, all)

        return looked

    student()
    School.objects.create(name="Hill")
    monkeypatch.setattr(SQLCompiler, "get_combinator_sql", before_us(django))
    combining.install()
    with pytest.raises(FieldError, match="its cells cannot be combined"):
        list(COMBINED["a plain column first"]())
    names = School.objects.values_list("name")
    assert (list(names.union(names)), seen) == ([("Hill",)], ["union"])
    monkeypatch.setattr(SQLCompiler, "get_combinator_sql", after_us := before_us(SQLCompiler.get_combinator_sql))
    combining.install()
    assert SQLCompiler.get_combinator_sql is after_us


def test_queries_of_the_same_columns_are_combined(school: KeyStore) -> None:
    student()
    student("Bob", BOB)
    mine = Student.objects.values_list("name", "ssn")
    both = mine.filter(name="Ada").union(mine.filter(name="Bob"), mine.none(), all=True)
    assert sorted(both) == [("Ada", ADA), ("Bob", BOB)]
    assert both.count() == 2
    assert Student.objects.filter(name="Ada").union(Student.objects.filter(ssn=BOB)).count() == 2
    assert {row.ssn for row in Student.objects.union(Enrolled.objects.all(), all=True)} == {ADA, BOB}
    assert len(School.objects.values_list("name").union(Student.objects.values_list("name"))) == 2


def test_counting_rows_is_no_use_of_the_cells(school: KeyStore) -> None:
    student()
    student("Bob", BOB)
    assert Student.objects.count() == 2
    assert Student.objects.filter(ssn__isnull=False).count() == 2
    assert Student.objects.distinct().count() == 2
    assert len(Student.objects.annotate(count=Count("school")).distinct()) == 2
    assert Student.objects.exclude(ssn=None).exists()
    assert Student.objects.filter(ssn=ADA).delete()[0] == 1


def test_fixtures_go_out_and_come_in_as_the_inner_field_has_them(school: KeyStore) -> None:
    student(nickname="A", remarks={"a": [1]}, phone="555-0100", born="1815-12-10")
    written = serializers.serialize("json", Student.objects.all())
    (fields,) = [each["fields"] for each in json.loads(written)]
    assert fields["ssn"] == ADA
    assert fields["remarks"] == {"a": [1]}
    assert not any(name.endswith("_index") for name in fields)
    Student.objects.all().delete()
    for each in serializers.deserialize("json", written):
        each.save()  # as loaddata does: raw, with none of the fields' hooks
    assert Student.objects.get(ssn=ADA).remarks == {"a": [1]}
    assert Student.objects.get(nickname="a").phone == "555-0100"
    no_plaintext()


def test_dumpdata_writes_plaintext_only_where_it_is_told_to(school: KeyStore) -> None:
    from django.core.management import CommandError

    student()
    with pytest.raises(CommandError, match=r"school\.Student\.ssn") as caught:
        call_command("dumpdata", "school.Student", stdout=io.StringIO())
    assert "--decrypt" in str(caught.value)
    out = io.StringIO()
    call_command("dumpdata", "school.Student", decrypt=True, stdout=out)
    assert ADA in out.getvalue()
    other = io.StringIO()
    call_command("dumpdata", "school.School", stdout=other)
    assert other.getvalue().strip() == "[]"


def test_fields_and_rows_can_be_copied_and_pickled(school: KeyStore) -> None:
    made = student()
    for other in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):  # noqa: S301  our own
        assert other.ssn == ADA
    field = Student._meta.get_field("ssn")
    for same in (copy.copy(field), copy.deepcopy(field), pickle.loads(pickle.dumps(field))):  # noqa: S301  as above
        assert is_encrypted(same)
        assert same.field_id == "school.Student.ssn"
    free = pickle.loads(pickle.dumps(field.clone()))  # noqa: S301  as above
    assert is_encrypted(free)
    assert isinstance(free, models.CharField)
    query = pickle.loads(pickle.dumps(Student.objects.all().query))  # noqa: S301  as above
    again = Student.objects.all()
    again.query = query
    assert again.get().ssn == ADA
