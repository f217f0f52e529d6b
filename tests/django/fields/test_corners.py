"""The corners of Django's ORM: each is right, or refused with a word on why; and no plaintext gets into a column."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import FieldError, ValidationError
from django.db import NotSupportedError, connection, connections, models, transaction
from django.db.models import Case, Count, Exists, F, FilteredRelation, Max, OuterRef, Q, Subquery, Value, When, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Concat, Lag, Lower, Rank, Trunc, Upper
from django.test.utils import isolate_apps

from strongroom.django.encrypted import BlindIndex, encrypted
from strongroom.django.testing import override_keystore
from strongroom.keystore.facade import KeyStore
from tests.django.conftest import of_its_own
from tests.django.fields.test_binding import cell_of
from tests.django.school.models import Call, Enrolled, Pupil, School, Student, Visit
from tests.django.tables import APP, tables

ADA, BOB = "078-05-1120", "219-09-9999"
ROWS = Student.objects


@pytest.fixture
def two(school: KeyStore) -> KeyStore:
    hill = School.objects.create(name="Hill")
    Student.objects.create(name="Ada", ssn=ADA, nickname="Countess", born=datetime.date(1815, 12, 10), school=hill)
    Student.objects.create(name="Bob", ssn=BOB, nickname="Countess")
    return school


def first(rows: Any) -> Any:
    return rows.order_by("pk").first()


RIGHT: dict[str, tuple[Callable[[], Any], Any]] = {
    "iterator": (lambda: [row.ssn for row in ROWS.order_by("pk").iterator(chunk_size=1)], [ADA, BOB]),
    "named values": (lambda: [row.ssn for row in ROWS.order_by("pk").values_list("ssn", "pk", named=True)], [ADA, BOB]),
    "distinct instances": (lambda: ROWS.distinct().count(), 2),
    "union of instances": (lambda: sorted(row.ssn for row in ROWS.all().union(ROWS.all())), [ADA, BOB]),
    "union of all values": (lambda: len(ROWS.values("ssn").union(ROWS.values("ssn"), all=True)), 4),
    "in_bulk": (lambda: [row.ssn for row in ROWS.in_bulk().values()], [ADA, BOB]),
    "get_or_create finds": (lambda: ROWS.get_or_create(ssn="078051120")[0].name, "Ada"),
    "get_or_create makes": (lambda: ROWS.get_or_create(ssn="1", defaults={"name": "Eve"})[1], True),
    "update_or_create": (lambda: ROWS.update_or_create(ssn="078051120", defaults={"name": "A."})[0].name, "A."),
    "Q over a join": (lambda: School.objects.get(Q(students__ssn=ADA) | Q(name="no")).name, "Hill"),
    "a join and not": (lambda: School.objects.exclude(students__ssn=ADA).count(), 0),
    "FilteredRelation": (
        lambda: (
            School.objects.annotate(one=FilteredRelation("students", condition=Q(students__ssn=ADA)))
            .filter(one__isnull=False)
            .count()
        ),
        1,
    ),
    "Exists": (lambda: School.objects.filter(Exists(ROWS.filter(ssn=ADA, school=OuterRef("pk")))).count(), 1),
    "When": (lambda: ROWS.annotate(is_ada=Case(When(ssn=ADA, then=1), default=0)).order_by("pk")[0].is_ada, 1),
    "Count of what was found": (lambda: ROWS.aggregate(n=Count("pk", filter=Q(ssn=ADA)))["n"], 1),
    "alias": (lambda: ROWS.alias(number=F("ssn")).get(number=ADA).name, "Ada"),
    "contains": (lambda: ROWS.contains(first(ROWS)), True),
    "earliest by another": (lambda: ROWS.earliest("pk").ssn, ADA),
    "a window over others": (lambda: ROWS.annotate(r=Window(Rank(), order_by="pk")).order_by("pk")[1].ssn, BOB),
    "proxy": (lambda: Enrolled.objects.get(ssn=ADA).nickname, "Countess"),
    "JSON's own look-up is none": (lambda: ROWS.filter(remarks__isnull=False).count(), 2),
    "update to a Value": (lambda: ROWS.filter(name="Bob").update(nickname=Value("x")), 1),
    "select_for_update": (lambda: len(_locked()), 2),
}


def _locked() -> list[Student]:
    with transaction.atomic():
        return list(ROWS.select_for_update())


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_right(two: KeyStore, name: str) -> None:
    ask, answer = RIGHT[name]
    assert ask() == answer


REFUSED: dict[str, Callable[[], Any]] = {
    "order_by": lambda: list(ROWS.order_by("ssn")),
    "order_by an expression": lambda: list(ROWS.order_by(F("ssn").desc(nulls_last=True))),
    "order_by an alias": lambda: list(ROWS.annotate(number=F("ssn")).order_by("number")),
    "order_by an alias, descending": lambda: list(ROWS.annotate(number=F("ssn")).order_by("-number")),
    "order_by an expression of an alias": lambda: list(ROWS.annotate(number=F("ssn")).order_by(F("number").asc())),
    "order_by a joined one": lambda: list(School.objects.order_by("students__ssn")),
    "order_by the values": lambda: list(ROWS.values("ssn").order_by("ssn")),
    "order_by in a union": lambda: list(ROWS.values("ssn").union(ROWS.values("ssn"), all=True).order_by("ssn")),
    "order_by in a union of instances": lambda: list(ROWS.all().union(ROWS.all()).order_by("ssn")),
    "union of values": lambda: list(ROWS.values("ssn").union(ROWS.values("ssn"))),
    "intersection of values": lambda: list(ROWS.values("ssn").intersection(ROWS.values("ssn"))),
    "distinct values": lambda: list(ROWS.values_list("ssn").distinct()),
    "Count": lambda: ROWS.aggregate(n=Count("ssn")),
    "Max": lambda: ROWS.aggregate(n=Max("ssn")),
    "groups": lambda: list(ROWS.values("ssn").annotate(n=Count("pk"))),
    "latest": lambda: ROWS.latest("ssn"),
    "dates": lambda: list(ROWS.dates("born", "year")),
    "Trunc": lambda: list(ROWS.annotate(year=Trunc("born", "year"))),
    "Lower": lambda: list(ROWS.annotate(low=Lower("nickname"))),
    "Concat": lambda: list(ROWS.annotate(both=Concat("name", "nickname")).values("both")),
    "Coalesce": lambda: list(ROWS.annotate(some=Coalesce("nickname", Value("x"))).values("some")),
    "then F": lambda: list(ROWS.annotate(some=Case(When(pk=1, then=F("ssn")))).values("some")),
    "window order": lambda: list(ROWS.annotate(r=Window(Rank(), order_by="ssn"))),
    "window partition": lambda: list(ROWS.annotate(r=Window(Rank(), partition_by="ssn", order_by="pk"))),
    "window of values": lambda: list(ROWS.annotate(r=Window(Lag("ssn"), order_by="pk")).values("r")),
    "Subquery": lambda: list(ROWS.annotate(one=Subquery(ROWS.values("ssn")[:1])).values("one")),
    "in a subquery": lambda: list(ROWS.filter(name__in=ROWS.values("ssn"))),
    "looked up by a column": lambda: list(ROWS.filter(ssn=F("name"))),
    "Exists by a column": lambda: list(ROWS.filter(Exists(ROWS.filter(ssn=OuterRef("name"))))),
    "a column compared": lambda: list(ROWS.filter(Exists(ROWS.filter(name=OuterRef("ssn"))))),
    "update from it": lambda: ROWS.update(name=F("ssn")),
    "update to a column": lambda: ROWS.update(ssn=F("name")),
    "update to a function": lambda: ROWS.update(nickname=Upper(Value("x"))),
    "create with a function": lambda: ROWS.create(name="x", nickname=Lower(Value("X"))),
    "create with SQL": lambda: ROWS.create(name="x", nickname=RawSQL("'x'", [])),
    "bulk_update to a column": lambda: ROWS.bulk_update([_with(first(ROWS), F("name"))], ["nickname"]),
    "startswith": lambda: list(ROWS.filter(ssn__startswith="0")),
    "range": lambda: list(ROWS.filter(ssn__range=("0", "9"))),
    "a transform": lambda: list(ROWS.filter(born__year=1815)),
    "a key of JSON": lambda: list(ROWS.filter(remarks__a=1)),
}


def _with(row: Student, nickname: Any) -> Student:
    row.nickname = nickname
    return row


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(two: KeyStore, name: str) -> None:
    before = [(cell_of(row, "ssn"), cell_of(row, "nickname")) for row in ROWS.order_by("pk")]
    with pytest.raises(FieldError, match=r"school\.Student\.\w+.* is encrypted") as caught, transaction.atomic():
        REFUSED[name]()
    assert ADA not in str(caught.value)
    assert [(cell_of(row, "ssn"), cell_of(row, "nickname")) for row in ROWS.order_by("pk")] == before


def test_what_django_refuses_by_itself(two: KeyStore) -> None:
    with pytest.raises(ValueError, match="must be a unique field"):
        ROWS.in_bulk([ADA], field_name="ssn")  # the unique column is the index's
    wanted = FieldError if connection.vendor == "postgresql" else NotSupportedError
    with pytest.raises(wanted), transaction.atomic():
        list(ROWS.distinct("ssn"))


def test_the_asynchronous_orm(tmp_path: Path) -> None:
    model = made("Note", value=encrypted(models.TextField(), keyset="columns", index=BlindIndex("index")))

    async def use() -> list[Any]:
        one = await model.objects.acreate(value="a")
        await model.objects.abulk_create([model(value="b")])
        await model.objects.filter(value="b").aupdate(value="c")
        got = await model.objects.aget(value="a")
        await one.arefresh_from_db()
        seen = [row.value async for row in model.objects.order_by("pk")]
        there = await model.objects.filter(value="c").aexists()
        await sync_to_async(connections.close_all)()
        return [got.pk == one.pk, one.value, seen, there]

    with placed(tmp_path, model):
        assert asyncio.run(use()) == [True, "a", ["a", "c"], True]


def test_children_of_one_abstract_model_have_ids_of_their_own(two: KeyStore) -> None:
    Visit.objects.create(secret="a")
    assert Call.objects.filter(secret="a").count() == 0
    fields: list[Any] = [model._meta.get_field("secret") for model in (Visit, Call)]
    assert len({field.field_id for field in fields}) == 2
    child = Pupil.objects.create(name="P", ssn="3", desk=4)
    assert Pupil.objects.get(ssn="3", desk=4).pk == child.pk
    parent: Any = Student.objects.get(ssn="3")
    assert parent.pupil.desk == 4
    Pupil.objects.filter(desk=4).update(ssn="5", desk=6)
    assert Pupil.objects.get(desk=6).ssn == "5"


# --- fields


def made(name: str, **attributes: Any) -> Any:
    meta = type("Meta", (), {"app_label": APP})
    with isolate_apps():
        return type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **attributes})


@contextmanager
def placed(directory: Path, model: Any) -> Iterator[None]:
    kinds = {"columns": "aes256-gcm", "index": "hmac-sha256"}
    with tables(of_its_own(directory), model), override_keystore(kinds):
        yield


def postgres() -> dict[str, tuple[Any, Any]]:
    fields: Any = pytest.importorskip("django.contrib.postgres.fields")  # it wants psycopg, as the tests do
    ranges: Any = pytest.importorskip("psycopg.types.range")
    day, number = datetime.date(2020, 1, 1), models.IntegerField()
    return {
        "ArrayField": (fields.ArrayField(number), [1, 2, None]),
        "ArrayField of dates": (fields.ArrayField(models.DateField()), [day]),
        "ArrayField of arrays": (fields.ArrayField(fields.ArrayField(number)), [[1, 2], [3, 4]]),
        "HStoreField": (fields.HStoreField(), {"a": "b", "c": None}),
        "IntegerRangeField": (fields.IntegerRangeField(), ranges.Range(1, 5)),
        "DateRangeField": (fields.DateRangeField(), ranges.Range(day, None)),
    }


PLAIN: dict[str, tuple[Any, Any]] = {
    "ImageField": (models.ImageField(), "faces/ada.png"),
    "db_comment": (models.CharField(max_length=9, db_comment="not the value"), "x"),
    "db_collation": (models.CharField(max_length=9, db_collation="nocase"), "x"),
}


@pytest.mark.parametrize("name", [*PLAIN, *postgres()])
def test_fields_of_postgresql_and_others_hold_cells_on_every_database(tmp_path: Path, name: str) -> None:
    field, value = (PLAIN | postgres())[name]
    model = made("Corner", value=encrypted(field, keyset="columns"))
    with placed(tmp_path, model):
        model.objects.create(value=value)
        assert model.objects.get().value == value
        assert cell_of(model.objects.get(), "value").startswith(b"\x01")


@pytest.mark.parametrize(
    "field",
    [
        models.CharField(max_length=9, primary_key=True),
        models.CharField(max_length=9, db_default="x"),
        models.ForeignKey(School, models.CASCADE),
        models.OneToOneField(School, models.CASCADE),
        models.ManyToManyField(School),
        models.BigAutoField(),
        models.GeneratedField(expression=F("a"), output_field=models.IntegerField(), db_persist=True),
    ],
    ids=lambda field: type(field).__name__,
)
def test_what_the_database_makes_or_joins_by_is_refused_where_it_is_written(field: Any) -> None:
    with pytest.raises(FieldError, match=r"encrypted|use default"):
        encrypted(field, keyset="columns")


def test_search_vectors_are_refused() -> None:
    search: Any = pytest.importorskip("django.contrib.postgres.search")
    with pytest.raises(FieldError, match="the database makes its words"):
        encrypted(search.SearchVectorField(), keyset="columns")


def test_a_generated_column_cannot_compute_with_cells(tmp_path: Path) -> None:
    generated = models.GeneratedField(expression=Upper("value"), output_field=models.TextField(), db_persist=True)
    model = made("Generated", value=encrypted(models.TextField(), keyset="columns"), other=generated)
    with pytest.raises(FieldError, match="cannot compute"), placed(tmp_path, model):
        pass


def test_validation_for_a_date_goes_by_the_index(tmp_path: Path) -> None:
    field = encrypted(
        models.CharField(max_length=9, unique_for_date="day"), keyset="columns", index=BlindIndex("index")
    )
    model = made("Daily", value=field, day=models.DateField())
    day = datetime.date(2020, 1, 1)
    with placed(tmp_path, model):
        model.objects.create(value="x", day=day)
        model(value="y", day=day).full_clean()
        with pytest.raises(ValidationError, match="must be unique for"):
            model(value="x", day=day).full_clean()
