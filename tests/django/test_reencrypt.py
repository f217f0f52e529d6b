"""manage.py strongroom reencrypt: every cell under the primary, nobody's write lost, and a truth told by the cells."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, models
from django.test.utils import CaptureQueriesContext, isolate_apps

from strongroom.django.cells import Cells, Row
from strongroom.django.columns import Column
from strongroom.django.encrypted import BlindIndex, encrypted
from strongroom.django.reencryption import move
from strongroom.django.testing import override_keystore
from strongroom.errors import StrongroomError
from strongroom.exitcodes import DONE, REFUSED, USAGE, WORK_REMAINS
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.in_use import Use
from tests.django.conftest import of_its_own
from tests.django.tables import APP, tables

COLUMNS, TOKENS = "columns", "tokens"


NAMES: dict[int, Any] = {}
"""What the function below gives for a school instead, or raises."""


def keyset_of(context: Any) -> str:
    name: Any = NAMES.get(context["school"], f"school-{context['school']}")
    if isinstance(name, Exception):
        raise name
    return name  # type: ignore[no-any-return]  # some tests want it to be no text


with isolate_apps():

    class Student(models.Model):
        name = models.CharField(max_length=30)
        ssn = encrypted(models.CharField(max_length=11, null=True), keyset=COLUMNS)
        note = encrypted(models.TextField(null=True), keyset=TOKENS)

        class Meta:
            app_label = APP

    class Account(models.Model):
        email = encrypted(models.EmailField(null=True), keyset=COLUMNS, index=BlindIndex("index", normalize="casefold"))

        class Meta:
            app_label = APP

    class Grade(models.Model):
        code = models.CharField(max_length=20, primary_key=True)
        school = models.IntegerField()
        mark = encrypted(models.CharField(max_length=3), keyset=keyset_of, context="school")

        class Meta:
            app_label = APP


@pytest.fixture
def keystore(tmp_path: Path) -> Iterator[KeyStore]:
    kinds = {
        COLUMNS: "aes256-gcm",
        TOKENS: "fernet",
        "school-1": "aes256-gcm",
        "school-2": "fernet",
        "index": "hmac-sha256",
    }
    with tables(of_its_own(tmp_path), Student, Account, Grade), override_keystore(kinds) as opened:
        yield opened


def students(count: int) -> list[Student]:
    return Student.objects.bulk_create(
        Student(name=str(n), ssn=None if n % 10 == 9 else f"{n:09d}", note=f"note {n}") for n in range(count)
    )


def said(*arguments: str, status: int = DONE) -> str:
    out = StringIO()
    with nullcontext() if status == DONE else pytest.raises(SystemExit) as ended:
        call_command("strongroom", "reencrypt", *arguments, stdout=out, stderr=StringIO())
    assert ended is None or ended.value.code == status, out.getvalue()
    return out.getvalue()


def cells(model: type[models.Model], name: str) -> Cells:
    return Cells(Column(model._meta.get_field(name)), "default")


def raw(model: type[models.Model], name: str) -> dict[Any, bytes]:
    return {row.key[0]: row.cell for rows in cells(model, name).windows(1000) for row in rows}


def start(keystore: KeyStore, name: str) -> bytes:
    primary = keystore.current(name).primary
    assert primary is not None
    return b"\x01" + primary.key_id.to_bytes(4, "big")


def test_every_cell_goes_to_the_primary_and_none_changes_its_value(keystore: KeyStore) -> None:
    students(50)
    before = list(Student.objects.order_by("pk").values_list("name", "ssn", "note"))
    for name in (COLUMNS, TOKENS):
        keystore.rotate(name, now=True)
    told = said("--batch-size", "7")
    assert "Student.ssn: 45 cells moved, 0 remain" in told
    assert "Student.note: 50 cells moved, 0 remain" in told
    assert list(Student.objects.order_by("pk").values_list("name", "ssn", "note")) == before
    assert {cell[:5] for cell in raw(Student, "ssn").values()} == {start(keystore, COLUMNS)}
    second = keystore.show(TOKENS).version(2).key_id
    assert {keystore.fernet(TOKENS).key_id_of(cell) for cell in raw(Student, "note").values()} == {second}
    assert Student.objects.filter(ssn=None).count() == 5
    # the first version is needed for nothing any more
    for name in (COLUMNS, TOKENS):
        keystore.compromise(name, 1, reason="a test")
    assert list(Student.objects.order_by("pk").values_list("name", "ssn", "note")) == before


def test_a_second_run_moves_nothing_and_reads_no_cell_that_is_done(keystore: KeyStore) -> None:
    students(20)
    keystore.rotate(COLUMNS, now=True)
    said()
    before = raw(Student, "ssn"), raw(Student, "note")
    with CaptureQueriesContext(connection) as queries:
        assert "Student.ssn: 0 cells moved, 0 remain" in said("strongroom.Student.ssn")
    assert (raw(Student, "ssn"), raw(Student, "note")) == before
    assert not any(query["sql"].startswith("UPDATE") for query in queries)


def test_one_that_was_stopped_goes_on_where_it_stopped(keystore: KeyStore) -> None:
    students(50)
    keystore.rotate(COLUMNS, now=True)
    windows = 0

    def stop(moved: object) -> None:
        nonlocal windows
        windows += 1
        if windows == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(cells(Student, "ssn"), size=5, tell=stop)
    assert "30 cells would be moved; 15 are under the primary" in said("--dry-run", "strongroom", status=WORK_REMAINS)
    assert "Student.ssn: 30 cells moved, 0 remain" in said("strongroom.student.ssn")


def test_a_write_between_the_reading_and_the_swap_is_never_lost(keystore: KeyStore) -> None:
    """The row that was changed meanwhile keeps the newer value; it is looked at again, and is under the primary."""
    students(10)
    keystore.rotate(COLUMNS, now=True)
    ours = cells(Student, "ssn")
    (rows,) = ours.windows(100)
    victim = rows[3]
    Student.objects.filter(pk=victim.key[0]).update(ssn="newer")
    swapped = ours.swap([(row, b"\x01" + bytes(40), None) for row in rows])
    assert swapped == len(rows) - 1
    assert Student.objects.get(pk=victim.key[0]).ssn == "newer"


def test_a_site_that_goes_on_writing_loses_nothing(keystore: KeyStore) -> None:
    made = students(60)
    written: dict[Any, str] = {}
    stop = threading.Event()

    def write() -> None:
        turn = 0
        try:
            while not stop.is_set():
                pk = made[turn * 7 % 60].pk
                Student.objects.filter(pk=pk).update(ssn=f"w{turn}")
                written[pk] = f"w{turn}"
                turn += 1
                time.sleep(0.002)  # SQLite has one lock, and no queue for it
        finally:
            connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            keystore.rotate(COLUMNS, now=True)
            move(cells(Student, "ssn"), size=5)
    finally:
        stop.set()
        writer.join()
    assert written
    said("strongroom.Student.ssn")  # what was on its way under an old version when it was gone through
    assert dict(Student.objects.filter(pk__in=written).values_list("pk", "ssn")) == written


@pytest.mark.parametrize("processes", ["1", "3"])
def test_several_processes_share_the_work(keystore: KeyStore, processes: str) -> None:
    students(100)
    keystore.rotate(COLUMNS, now=True)
    keystore.rotate(TOKENS, now=True)
    told = json.loads(said("--processes", processes, "--batch-size", "8", "--json"))
    assert [(each["column"], each["moved"], each["remaining"]) for each in told] == [
        ("strongroom.Student.ssn", 90, 0),
        ("strongroom.Student.note", 100, 0),
        ("strongroom.Account.email", 0, 0),
        ("strongroom.Grade.mark", 0, 0),
    ]
    assert Student.objects.order_by("pk")[42].ssn == "000000042"


def test_what_does_not_open_is_told_and_left_and_remains(keystore: KeyStore) -> None:
    made = students(10)
    keystore.rotate(COLUMNS, now=True)
    with connection.cursor() as cursor:
        cell = bytearray(raw(Student, "ssn")[made[2].pk])
        cell[-1] ^= 1
        cursor.execute("UPDATE strongroom_student SET ssn = %s WHERE id = %s", [bytes(cell), made[2].pk])
        cursor.execute("UPDATE strongroom_student SET ssn = %s WHERE id = %s", [b"in the clear", made[4].pk])
    told = said("strongroom.Student.ssn", status=WORK_REMAINS)
    assert "7 cells moved, 2 remain" in told
    assert f"2 cells do not open; the first have the primary keys {made[2].pk}, {made[4].pk}" in told
    assert "columns version 1: 1 cells remain" in told
    assert "no cells of ours, perhaps plaintext" in told
    assert raw(Student, "ssn")[made[2].pk] == bytes(cell)


def test_one_broken_token_does_not_hold_up_its_batch(keystore: KeyStore) -> None:
    made = students(10)
    keystore.rotate(TOKENS, now=True)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strongroom_student SET note = %s WHERE id = %s", [b"gAAAA" + b"A" * 95, made[2].pk])
    told = said("strongroom.Student.note", status=WORK_REMAINS)
    assert "9 cells moved, 1 remain" in told
    assert "under no version of this store: 1 cells remain" in told


def test_cells_of_a_compromised_version_move_only_when_told_to(keystore: KeyStore) -> None:
    students(10)
    for name in (COLUMNS, TOKENS):
        keystore.compromise(name, 1, reason="it was in a log")
    assert "0 cells moved, 9 remain" in said("strongroom.Student.ssn", status=WORK_REMAINS)
    told = said("strongroom.Student", "--compromised-too")
    assert "ssn: 9 cells moved, 0 remain" in told
    assert "note: 10 cells moved, 0 remain" in told
    assert Student.objects.order_by("pk")[3].ssn == "000000003"


def test_each_row_may_have_its_keyset_and_its_cells_stay_bound_to_the_row(keystore: KeyStore) -> None:
    Grade.objects.bulk_create(Grade(code=f"g{n:03d}", school=1 + n % 2, mark=str(n)) for n in range(20))
    keystore.rotate("school-1", now=True)
    assert "10 cells would be moved; 10 are under the primary" in said("--dry-run", "strongroom.Grade", status=4)
    assert "10 cells moved, 0 remain" in said("strongroom.Grade", "--processes", "2", "--batch-size", "3")
    keystore.rotate("school-2", now=True)
    assert "10 cells moved, 0 remain" in said("strongroom.Grade.mark")
    assert [grade.mark for grade in Grade.objects.order_by("code")] == [str(n) for n in range(20)]


@pytest.mark.parametrize("given", [None, 5, b"school-1", "School 1", "school-9", KeyError("no such school")])
def test_a_row_whose_keyset_nobody_names_hides_no_other(
    keystore: KeyStore, monkeypatch: pytest.MonkeyPatch, given: Any
) -> None:
    """A list is still read, what is wrong is told where the cell is read, and re-encryption goes on with the rest."""
    for code, school in (("a", 1), ("b", 2), ("c", 1)):
        Grade.objects.create(code=code, school=school, mark=code)
    keystore.rotate("school-1", now=True)
    monkeypatch.setitem(NAMES, 2, given)
    rows = {row.code: row for row in Grade.objects.all()}
    assert (rows["a"].mark, rows["c"].mark) == ("a", "c")
    with pytest.raises(StrongroomError, match=r"strongroom\.Grade\.mark") as told:
        rows["b"].mark  # noqa: B018  it is read
    assert told.value.hint
    with pytest.raises(StrongroomError, match=r"strongroom\.Grade\.mark"):
        Grade.objects.create(code="d", school=2, mark="d")
    out = said("strongroom.Grade", status=WORK_REMAINS)
    assert "2 cells moved, 1 remain" in out
    assert "do not open; the first have the primary keys b" in out
    said("strongroom.Grade", "--report")


def test_a_report_counts_what_each_version_still_protects(keystore: KeyStore) -> None:
    students(10)
    keystore.rotate(COLUMNS, now=True)
    keystore.rotate(TOKENS, now=True)
    Student.objects.create(name="new", ssn="1", note="2")
    told = said("--report")
    assert "strongroom.Student.ssn: columns version 1: 9 cells" in told
    assert "strongroom.Student.ssn: columns version 2 (primary): 1 cells" in told
    assert "strongroom.Student.note: tokens version 1: 10 cells" in told
    assert "strongroom.Grade.mark: no cells" in told


def test_the_keystore_knows_what_its_versions_protect(keystore: KeyStore) -> None:
    students(10)
    Grade.objects.create(code="a", school=1, mark="A")
    Grade.objects.create(code="b", school=2, mark="B")
    keystore.rotate(COLUMNS, now=True)
    Student.objects.create(name="new", ssn="1")
    place = "strongroom.Student.ssn"
    assert keystore.uses(COLUMNS) == (Use(place=place, version=1, count=9), Use(place=place, version=2, count=1))
    assert keystore.uses(TOKENS) == (Use(place="strongroom.Student.note", version=1, count=10),)
    assert keystore.uses("school-1") == (Use(place="strongroom.Grade.mark", version=1, count=1),)
    assert keystore.uses("school-2") == (Use(place="strongroom.Grade.mark", version=1, count=1),)
    said("strongroom.Student.ssn")
    assert keystore.uses(COLUMNS) == (Use(place=place, version=2, count=10),)


def test_marks_of_a_blind_index_go_to_the_primary_of_its_keyset(keystore: KeyStore) -> None:
    Account.objects.bulk_create(Account(email=f"Person{n}@school.example" if n else None) for n in range(10))
    keystore.rotate("index", now=True)
    Account.objects.create(email="new@school.example")
    place = "the blind index of strongroom.Account.email"
    assert keystore.uses("index") == (Use(place=place, version=1, count=9), Use(place=place, version=2, count=1))
    assert "9 marks of its blind index are not under the primary of index" in said(
        "--dry-run", "strongroom.Account", status=4
    )
    before = raw(Account, "email")
    assert "9 cells moved, 0 remain" in said("strongroom.Account", "--batch-size", "4")
    assert raw(Account, "email") == before  # the cells were under their primary already
    assert keystore.uses("index") == (Use(place=place, version=2, count=10),)
    keystore.deactivate("index", 1, reason="all are moved")
    assert Account.objects.get(email="person3@school.example").email == "Person3@school.example"
    keystore.rotate(COLUMNS, now=True)
    assert "10 cells moved, 0 remain" in said("strongroom.Account")
    assert keystore.uses(COLUMNS) == (Use(place="strongroom.Account.email", version=2, count=10),)


def test_marks_of_other_rules_or_of_another_row_are_put_right(keystore: KeyStore) -> None:
    for name in ("Ada@x.org", "bob@x.org"):
        Account.objects.create(email=name)
    ada, bob = Account.objects.order_by("pk")
    marks = [account.email_index for account in (ada, bob)]
    with connection.cursor() as cursor:  # somebody who can write to the database exchanges the marks
        for account, mark in ((ada, marks[1]), (bob, marks[0])):
            cursor.execute("UPDATE strongroom_account SET email_index = %s WHERE id = %s", [mark, account.pk])
    assert Account.objects.get(email="ada@x.org").email == "bob@x.org"
    assert "2 cells moved, 0 remain" in said("strongroom.Account")
    assert Account.objects.get(email="ada@x.org").email == "Ada@x.org"
    column = Account._meta.get_field("email").index
    column.rules = ()  # the model has other rules from this release on
    try:
        assert not Account.objects.filter(email="Ada@x.org").exists()
        assert "1 cells moved, 0 remain" in said("strongroom.Account")
        assert Account.objects.get(email="Ada@x.org").pk == ada.pk
    finally:
        column.rules = ("casefold",)


def test_marks_that_are_missing_are_made(keystore: KeyStore) -> None:
    """An index that is added to a column with rows begins empty."""
    Account.objects.bulk_create(Account(email=f"{n}@school.example") for n in range(5))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strongroom_account SET email_index = NULL")
    assert not Account.objects.filter(email="3@school.example").exists()
    assert "5 cells moved, 0 remain" in said("strongroom.Account")
    assert Account.objects.filter(email="3@school.example").count() == 1


def test_a_suspended_primary_moves_nothing(keystore: KeyStore) -> None:
    students(3)
    keystore.rotate(COLUMNS, now=True)
    keystore.suspend(COLUMNS, 2, reason="a test")
    before = raw(Student, "ssn")
    with pytest.raises(CommandError) as caught:
        said("strongroom.Student.ssn")
    assert caught.value.returncode == REFUSED
    assert raw(Student, "ssn") == before


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["nothing"], 1),
        (["strongroom.Student.name"], 1),
        (["a.b.c.d"], USAGE),
        (["--database", "other"], USAGE),
        (["strongroom.Student", "--keystore", "other"], 1),
    ],
)
def test_what_is_not_there_is_told(keystore: KeyStore, arguments: list[str], status: int) -> None:
    with pytest.raises(CommandError) as caught:
        said(*arguments)
    assert caught.value.returncode == status
    assert "strongroom: hint: " in str(caught.value)


def test_a_window_is_a_range_of_keys_and_the_ranges_of_several_processes_are_all_rows(keystore: KeyStore) -> None:
    made = students(23)
    ours = cells(Student, "note")
    found: list[Row] = []
    for after, upto in ours.bounds(4):
        for rows in ours.windows(2, after=after, upto=upto):
            assert len(rows) <= 2
            found += rows
    assert [row.key[0] for row in found] == [student.pk for student in made]


def test_who_marks_a_version_compromised_learns_which_rows_it_protected(keystore: KeyStore) -> None:
    students(20)
    told = StringIO()
    call_command("strongroom", "compromise", COLUMNS, "1", "--reason", "leaked", stdout=told)
    assert "strongroom.Student.ssn: 18 under version 1 of columns, to be encrypted again" in told.getvalue()
    told = StringIO()
    call_command("strongroom", "compromise", COLUMNS, "2", "--reason", "leaked", "--json", stdout=told)
    said_of = json.loads(told.getvalue())
    assert (said_of["compromised"], said_of["protected"], said_of["problem"]) == (2, [], None)
    assert [each.state.value for each in keystore.show(COLUMNS).versions] == ["compromised", "compromised", "active"]
