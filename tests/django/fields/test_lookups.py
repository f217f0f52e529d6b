"""A blind index finds equal values and tells nothing else, before, during and after a rotation of its keyset."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import FieldError, ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from strongroom.django.encrypted import BlindIndex, encrypted
from strongroom.errors import NotFoundError, PurposeError, SettingsError, StateError
from strongroom.keystore.facade import KeyStore
from tests.django.school.models import Pupil, Student

ADA, BOB = "078-05-1120", "219-09-9999"


@pytest.fixture
def two(school: KeyStore) -> KeyStore:
    Student.objects.create(
        name="Ada", ssn=ADA, nickname=" Countess ", born=datetime.date(1815, 12, 10), phone="555-0100"
    )
    Student.objects.create(name="Bob", ssn=BOB, nickname="bobby", phone="555-0199")
    return school


def names(**asked: Any) -> list[str]:
    return list(Student.objects.filter(**asked).order_by("pk").values_list("name", flat=True))


def marks(field: str = "ssn") -> list[bytes]:
    return [bytes(mark) for mark in Student.objects.order_by("pk").values_list(f"{field}_index", flat=True) if mark]


def test_exact_in_isnull_and_exclude(two: KeyStore) -> None:
    assert names(ssn=ADA) == ["Ada"]
    assert names(ssn__exact=BOB) == ["Bob"]
    assert names(ssn="0") == []
    assert names(ssn__in=[ADA, BOB, None, "0"]) == ["Ada", "Bob"]
    assert names(ssn__in=[]) == names(ssn__in=[None]) == []
    assert names(born=None) == ["Bob"]
    assert names(born__isnull=False) == ["Ada"]
    assert names(born=datetime.date(1815, 12, 10)) == names(born="1815-12-10") == ["Ada"]
    assert list(Student.objects.exclude(ssn=ADA).values_list("name", flat=True)) == ["Bob"]
    assert list(Student.objects.exclude(born="1815-12-10").values_list("name", flat=True)) == ["Bob"]


def test_normalisers_say_what_is_equal(two: KeyStore) -> None:
    assert names(ssn="078 05 1120") == names(ssn="078051120") == ["Ada"]
    assert names(nickname="COUNTESS") == ["Ada"]
    assert names(nickname="Countess!") == []
    assert names(phone__candidates="0100") == ["Ada"]


def test_rows_of_one_value_have_one_mark_and_different_cells(two: KeyStore) -> None:
    Student.objects.create(name="Eve", nickname="countess")
    assert names(nickname="countess") == ["Ada", "Eve"]
    assert marks("nickname")[0] == marks("nickname")[2] != marks("nickname")[1]


def test_equal_values_of_two_fields_have_different_marks(school: KeyStore) -> None:
    Student.objects.create(ssn="7", nickname="7", phone="7")
    assert len({marks("ssn")[0], marks("nickname")[0], marks("phone")[0]}) == 3


def test_the_database_uses_the_index(two: KeyStore) -> None:
    plan = Student.objects.filter(ssn__in=[ADA, BOB]).explain()
    if connection.vendor == "sqlite":
        assert "USING INDEX" in plan
        assert "ssn_index" in plan
    constraints = connection.introspection.get_constraints(connection.cursor(), "school_student")
    indexed = {
        tuple(each["columns"]): each["unique"] for each in constraints.values() if each["index"] or each["unique"]
    }
    assert indexed["ssn_index",] is True
    assert indexed["nickname_index",] is False
    assert ("ssn",) not in indexed


def test_few_bits_answer_candidates_only(two: KeyStore) -> None:
    assert [len(mark) for mark in marks("phone")] == [3, 3]
    assert all(mark[2] & 0x0F == 0 for mark in marks("phone"))
    for asked in ({"phone": "555-0100"}, {"phone__in": ["555-0100"]}):
        with pytest.raises(FieldError, match="phone__candidates"):
            names(**asked)


def test_unique_is_kept_by_the_database_and_told_by_validation(two: KeyStore) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Student.objects.create(name="Eve", ssn="078051120")
    with pytest.raises(ValidationError) as caught:
        Student(name="Eve", note="x", nickname="e", ssn="078051120").full_clean()
    assert "ssn_index" not in caught.value.message_dict
    assert "already exists" in caught.value.message_dict["ssn"][0]
    Student.objects.get(ssn=ADA).clean_fields(exclude=["note", "school", "remarks"])  # its own value is no other's
    Student.objects.create(name="none", ssn=None)
    Student.objects.create(name="none either", ssn=None)


def test_look_ups_find_old_and_new_marks_while_the_keyset_is_rotated(two: KeyStore) -> None:
    before = marks("nickname")
    two.add("index")
    assert names(nickname="countess") == ["Ada"]
    two.promote("index", 2)
    Student.objects.create(name="Eve", nickname="countess")
    assert names(nickname="countess") == ["Ada", "Eve"]
    row = Student.objects.get(name="Ada")
    row.nickname = "countess"
    row.save(update_fields=["nickname"])
    assert marks("nickname")[0] != before[0]
    assert names(nickname="countess") == ["Ada", "Eve"]


def test_a_unique_index_takes_no_new_value_while_two_versions_are_active(two: KeyStore) -> None:
    two.rotate("index", now=True)
    assert names(ssn=ADA) == ["Ada"]
    with pytest.raises(StateError, match="unique") as caught, transaction.atomic():
        Student.objects.create(name="Eve", ssn=ADA)  # whose mark the database would not know
    assert "reencrypt" in caught.value.hint
    with pytest.raises(StateError), transaction.atomic():
        Student.objects.filter(name="Bob").update(ssn="1")
    row = Student.objects.get(ssn=ADA)
    row.name = "Ada Lovelace"
    row.save()
    assert names(ssn=ADA) == ["Ada Lovelace"]


def test_when_the_older_version_is_deactivated_a_unique_index_goes_on(two: KeyStore) -> None:
    two.rotate("index", now=True)
    Student.objects.filter(name="Ada").update(note="x")  # a write that brings no value of the field
    two.deactivate("index", 1, reason="all marks are moved")
    Student.objects.create(name="Eve", ssn="1")
    assert names(ssn__in=[ADA, "1"]) == ["Ada", "Eve"]


def test_a_suspended_version_makes_look_ups_an_error_and_not_empty(two: KeyStore) -> None:
    two.rotate("index", now=True)
    two.suspend("index", 1, reason="a look")
    with pytest.raises(StateError, match="version 1 of 'index' is suspended") as caught:
        names(nickname="countess")
    assert caught.value.hint == "strongroom resume index 1"
    two.resume("index", 1)
    assert names(nickname="countess") == ["Ada"]


def test_marks_of_a_compromised_version_are_still_found(two: KeyStore) -> None:
    two.rotate("index", now=True)
    two.compromise("index", 1, reason="known")
    assert names(nickname="countess") == ["Ada"]


def changed(**values: Any) -> Student:
    row = Student.objects.get(name="Ada")
    for name, value in values.items():
        setattr(row, name, value)
    return row


@pytest.mark.parametrize(
    "write",
    [
        lambda: Student.objects.update(ssn_index=None),
        lambda: Student.objects.update(ssn="1", ssn_index=None),
        lambda: Student.objects.update(ssn_index=b"x" * 32),
        lambda: Student.objects.update(ssn_index=F("nickname_index")),
        lambda: Student.objects.bulk_update([changed(ssn_index=None)], ["ssn_index"]),
        lambda: Student.objects.bulk_update([changed(ssn="1", ssn_index=None)], ["ssn", "ssn_index"]),
        lambda: changed(ssn="1").save(update_fields=["ssn_index"]),
        lambda: Student.objects.bulk_create(
            [changed(ssn="1")],
            update_conflicts=True,
            update_fields=["ssn_index"],
            unique_fields=None if connection.vendor == "mysql" else ["id"],
        ),
    ],
)
def test_no_statement_parts_a_mark_from_its_value(two: KeyStore, write: Callable[[], object]) -> None:
    """A row whose mark is gone, or another value's, is found no more, and a second one of its value could come in."""
    before = marks()
    with pytest.raises(FieldError, match=r"filled by school\.Student\.ssn alone"), transaction.atomic():
        write()
    assert marks() == before
    assert names(ssn=ADA) == ["Ada"]


def test_the_column_is_filled_by_its_field_alone(two: KeyStore) -> None:
    with pytest.raises(FieldError, match=r"filled by school\.Student\.ssn alone"), transaction.atomic():
        Student.objects.update(ssn_index=b"x")
    row = Student.objects.get(ssn=ADA)
    row.ssn_index = b"x"
    row.save()
    assert names(ssn=ADA) == ["Ada"]


def test_a_column_that_is_named_with_others_stays(two: KeyStore) -> None:
    """update_or_create names each column that fills itself, whatever the defaults are."""
    changed(name="Ada L.").save(update_fields=["name", "ssn_index", "born_index", "phone_index"])
    Student.objects.only("name").get(ssn=BOB).save(update_fields=["ssn_index", "born_index"])
    assert names(ssn=ADA) == names(born="1815-12-10") == ["Ada L."]
    assert names(ssn=BOB) == ["Bob"]


def test_a_child_is_found_by_its_own_field_and_its_parents(school: KeyStore) -> None:
    Pupil.objects.create(name="Ada", ssn=ADA, desk=7)
    assert Pupil.objects.filter(desk=7, ssn=ADA).count() == Pupil.objects.filter(desk__in=[7, 8]).count() == 1


@pytest.mark.parametrize(
    "asked", ["contains", "icontains", "iexact", "startswith", "gt", "lt", "range", "regex", "search", "year", "date"]
)
def test_every_other_look_up_is_refused(two: KeyStore, asked: str) -> None:
    with pytest.raises(FieldError, match=rf"has no look-up '{asked}'.*isnull, exact and in work"):
        names(**{f"ssn__{asked}": ADA})
    with pytest.raises(FieldError, match=r"want index=BlindIndex"):
        names(remarks={})


@pytest.mark.parametrize("asked", [{"ssn_index": ADA}, {"ssn_index__in": [ADA]}])
def test_text_is_not_looked_for_among_marks(two: KeyStore, asked: dict[str, Any]) -> None:
    with pytest.raises(FieldError, match="look 'ssn' up"):
        Student.objects.filter(**asked)


def test_a_keyset_of_another_kind_or_none_is_told(school: KeyStore) -> None:
    school.create("nick", "aes256-gcm")
    from strongroom.django.fields.boxes import marker_of

    with pytest.raises(PurposeError, match="gives no blind index"):
        marker_of("default", "nick", "scope")
    with pytest.raises(NotFoundError, match="there is no keyset 'nothing'"):
        marker_of("default", "nothing", "scope")


@pytest.mark.parametrize(
    "wrong", [{"bits": 7}, {"bits": 257}, {"normalize": "lowercase"}, {"normalize": lambda text: text}]
)
def test_an_index_that_cannot_be_is_refused_where_it_is_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        BlindIndex("index", **wrong)


def test_a_name_that_is_taken_is_refused(school: KeyStore) -> None:
    from django.db import models
    from django.test.utils import isolate_apps

    with isolate_apps("tests.django.school"), pytest.raises(FieldError, match="wants the name 'code_index'"):

        class Clash(models.Model):
            code_index = models.IntegerField()
            code = encrypted(models.CharField(max_length=3), keyset="columns", index=BlindIndex("index"))

            class Meta:
                app_label = "school"


def test_values_of_which_normalizing_leaves_nothing_are_not_taken_for_each_other(school: KeyStore) -> None:
    for name, ssn in (("none", ""), ("asked", "unknown"), ("declined", "declined")):
        Student.objects.create(name=name, ssn=ssn)
    assert names(ssn="unknown") == ["asked"]
    assert names(ssn="") == names(ssn=" ") == ["none"]
    assert names(ssn="Unknown") == []
    assert names(ssn__in=["declined", "unknown"]) == ["asked", "declined"]
    with pytest.raises(IntegrityError), transaction.atomic():
        Student.objects.create(name="again", ssn="unknown")
