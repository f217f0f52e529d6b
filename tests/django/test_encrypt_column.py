"""EncryptColumn: plaintext becomes cells beside a site that goes on, with two of its releases side by side."""

from __future__ import annotations

import datetime
import decimal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import FieldError
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, migrations, models, transaction
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter
from django.test.utils import isolate_apps

from strongroom.django.cells import Cells
from strongroom.django.columns import Column
from strongroom.django.encrypted import BlindIndex, encrypted
from strongroom.django.operations import DropPlaintext, EncryptColumn, _begin
from strongroom.django.plaintext_guard import refuse_losing
from strongroom.django.reencryption import seal
from strongroom.django.testing import override_keystore
from strongroom.errors import SettingsError, StateError
from strongroom.keystore.facade import KeyStore
from tests.django.conftest import of_its_own
from tests.django.school.models import every_type
from tests.django.tables import APP, tables


def sealed_ssn(**also: Any) -> Any:
    return encrypted(models.CharField(max_length=11, db_column="ssn_sealed"), keyset="columns", **also)


ENCRYPT = EncryptColumn("Pupil", "ssn", sealed_ssn(plaintext="ssn"))
DROP = DropPlaintext("Pupil", "ssn")


class Releases:
    """The table of a model that was plaintext, and the model as each release has it."""

    def __init__(self, **fields: Any) -> None:
        named = [("id", models.BigAutoField(primary_key=True)), ("name", models.CharField(max_length=9, default=""))]
        start = ProjectState()
        start.add_model(ModelState(APP, "Pupil", [*named, *fields.items()]))
        self.states = [start]
        self.steps: list[Any] = []
        with connection.schema_editor() as editor:
            editor.create_model(self.old)

    def plan(self, *operations: Any) -> None:
        for operation in operations:
            state = self.states[-1].clone()
            operation.state_forwards(APP, state)
            self.states.append(state)
            self.steps.append(operation)

    def model(self, number: int) -> Any:
        return self.states[number].apps.get_model(APP, "Pupil")

    old = property(lambda self: self.model(0))
    beside = property(lambda self: self.model(1))
    new = property(lambda self: self.model(2))

    def forwards(self, number: int) -> None:
        with connection.schema_editor(atomic=False) as editor:
            self.steps[number].database_forwards(APP, editor, self.states[number], self.states[number + 1])

    def backwards(self, number: int) -> None:
        with connection.schema_editor(atomic=False) as editor:
            self.steps[number].database_backwards(APP, editor, self.states[number + 1], self.states[number])

    def close(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE strongroom_pupil")


@pytest.fixture
def keystore(tmp_path: Path) -> Iterator[KeyStore]:
    with tables(of_its_own(tmp_path)), override_keystore(["columns"]) as opened:
        yield opened


@pytest.fixture
def releases(keystore: KeyStore) -> Iterator[Releases]:
    with closing(Releases(ssn=models.CharField(max_length=11))) as made:
        made.plan(ENCRYPT, DROP)
        yield made


def pupils(releases: Releases, count: int = 20) -> list[Any]:
    made = [releases.old.objects.create(ssn=f"{n:09d}") for n in range(count)]
    return [pupil.pk for pupil in made]


def values(model: Any) -> list[str]:
    return list(model.objects.order_by("pk").values_list("ssn", flat=True))


def cells(model: Any) -> Cells:
    return Cells(Column(model._meta.get_field("ssn")), "default")


def columns_and_rows() -> tuple[set[str], list[Any]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM strongroom_pupil ORDER BY id")
        return {column[0] for column in cursor.description}, cursor.fetchall()


def test_in_the_end_there_are_cells_and_no_plaintext(releases: Releases) -> None:
    pupils(releases)
    before = values(releases.old)
    releases.forwards(0)
    assert values(releases.old) == values(releases.beside) == before
    assert cells(releases.beside).clear() == 0
    releases.forwards(1)
    assert values(releases.new) == before
    names, rows = columns_and_rows()
    assert names == {"id", "name", "ssn_sealed"}
    assert not any(b"0000000" in bytes(part) for row in rows for part in row if isinstance(part, (bytes, memoryview)))
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute("INSERT INTO strongroom_pupil (name) VALUES ('x')")  # it may not be NULL, as before


def test_old_and_new_processes_see_what_the_other_writes(releases: Releases) -> None:
    one, two, three, *_ = pupils(releases)
    releases.forwards(0)
    old, beside = releases.old.objects, releases.beside.objects
    old.filter(pk=one).update(ssn="old wrote")
    assert beside.get(pk=one).ssn == "old wrote"
    beside.filter(pk=two).update(ssn="new wrote")
    assert old.get(pk=two).ssn == "new wrote"
    pupil = beside.get(pk=three)
    pupil.ssn = "saved"
    pupil.save()
    assert old.get(pk=three).ssn == "saved"
    made_new, made_old = beside.create(ssn="born new"), old.create(ssn="born old")
    assert old.get(pk=made_new.pk).ssn == "born new"
    assert beside.get(pk=made_old.pk).ssn == "born old"
    assert beside.only("name").get(pk=made_old.pk).ssn == "born old"
    several = list(beside.filter(pk__in=[one, two]).order_by("pk"))
    for each in several:
        each.ssn = f"bulk {each.pk}"
    beside.bulk_update(several, ["ssn"])
    assert [pupil.ssn for pupil in old.filter(pk__in=[one, two]).order_by("pk")] == [f"bulk {one}", f"bulk {two}"]
    # an old process that saves a row which it has not changed takes nothing away
    old.get(pk=two).save()
    assert cells(releases.beside).clear() == 1  # the one that was born old
    # what case and blanks a collation takes for the same are changes
    old.filter(pk=one).update(ssn=f"BULK {one} ")
    assert beside.get(pk=one).ssn == f"BULK {one} "


def test_while_it_is_under_way_a_null_is_a_null_and_look_ups_say_where_to_ask(releases: Releases) -> None:
    pupils(releases, 3)
    releases.forwards(0)
    releases.old.objects.create(ssn="born old")
    assert not releases.beside.objects.filter(ssn__isnull=True).exists()
    assert releases.beside.objects.filter(ssn_plaintext="born old").count() == 1
    with pytest.raises(FieldError, match="ssn_plaintext"):
        releases.beside.objects.filter(ssn="born old").exists()


def test_the_command_encrypts_what_old_processes_left(releases: Releases) -> None:
    pupils(releases, 5)
    releases.forwards(0)
    releases.old.objects.update(ssn="again")
    apps.all_models[APP]["pupil"] = releases.beside
    apps.clear_cache()
    try:
        out = StringIO()
        with pytest.raises(SystemExit) as ended:
            call_command("strongroom", "reencrypt", "--dry-run", stdout=out)
        assert ended.value.code == 4
        assert "5 rows are in the clear" in out.getvalue()
        call_command("strongroom", "reencrypt", stdout=StringIO())
    finally:
        del apps.all_models[APP]["pupil"]
        apps.clear_cache()
    assert cells(releases.beside).clear() == 0
    assert values(releases.beside) == ["again"] * 5


def test_one_that_was_stopped_goes_on_at_every_step(releases: Releases) -> None:
    pupils(releases)
    before = values(releases.old)

    def stop(moved: object) -> None:
        raise KeyboardInterrupt

    old, beside = releases.old, releases.beside
    for _ in range(2):  # stopped between the columns and the rows, twice
        with connection.schema_editor(atomic=False) as editor:
            _begin(editor, old, old._meta.get_field("ssn"), beside._meta.get_field("ssn"))
        with pytest.raises(KeyboardInterrupt):
            seal(cells(beside), size=3, tell=stop)
    assert cells(beside).clear() == 14
    assert values(beside) == before
    for _ in range(2):  # stopped after the last step, before Django wrote it down
        releases.forwards(0)
    for _ in range(2):
        releases.forwards(1)
    assert values(releases.new) == before


def test_it_goes_back_with_what_was_written_since(releases: Releases) -> None:
    one, *_ = pupils(releases, 5)
    schema, _ = columns_and_rows()
    releases.forwards(0)
    releases.beside.objects.filter(pk=one).update(ssn="since")
    releases.forwards(1)
    releases.new.objects.create(ssn="since too")
    after = values(releases.new)
    for _ in range(2):
        releases.backwards(1)
    assert values(releases.beside) == values(releases.old) == after
    releases.beside.objects.filter(pk=one).update(ssn="again")
    releases.old.objects.filter(pk=one + 1).update(ssn="old again")
    for _ in range(2):
        releases.backwards(0)
    assert values(releases.old) == ["again", "old again", *after[2:]]
    assert columns_and_rows()[0] == schema
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute("INSERT INTO strongroom_pupil (name) VALUES ('x')")
    releases.forwards(0)  # and forwards again
    assert values(releases.beside) == ["again", "old again", *after[2:]]


def test_a_site_that_goes_on_writing_loses_nothing(releases: Releases) -> None:
    keys = pupils(releases, 40)
    old, written, stop = releases.old, {}, threading.Event()
    with connection.schema_editor(atomic=False) as editor:
        _begin(editor, old, old._meta.get_field("ssn"), releases.beside._meta.get_field("ssn"))

    def write() -> None:
        turn = 0
        try:
            while not stop.is_set():
                pk = keys[turn * 7 % 40]
                old.objects.filter(pk=pk).update(ssn=f"w{turn}")
                written[pk] = f"w{turn}"
                turn += 1
                time.sleep(0.002)
        finally:
            connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            seal(cells(releases.beside), size=3)
    finally:
        stop.set()
        writer.join()
    releases.forwards(0)
    assert written
    assert {pk: releases.beside.objects.get(pk=pk).ssn for pk in written} == written


def test_nothing_is_dropped_that_would_be_lost(releases: Releases) -> None:
    one, *_ = pupils(releases, 3)
    releases.forwards(0)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strongroom_pupil SET ssn_sealed = %s WHERE id = %s", [b"\x01" + bytes(40), one])
    with pytest.raises(StateError, match="1 cells are under no version"):
        releases.forwards(1)
    assert "ssn" in columns_and_rows()[0]


def test_what_is_written_wrongly_is_refused_where_it_is_written(releases: Releases) -> None:
    pupils(releases, 1)
    with (
        pytest.raises(SettingsError) as caught,
        connection.schema_editor(atomic=True) as editor,  # as Django runs a migration that says nothing
        transaction.atomic(),
    ):
        ENCRYPT.database_forwards(APP, editor, releases.states[0], releases.states[1])
    assert "atomic = False" in caught.value.hint
    with pytest.raises(SettingsError, match="plaintext="):
        EncryptColumn("Pupil", "ssn", sealed_ssn())
    with pytest.raises(FieldError, match="ssn_sealed"):
        encrypted(models.CharField(max_length=11), keyset="columns", plaintext="ssn")
    with pytest.raises(FieldError, match="add index= when"):
        sealed_ssn(plaintext="ssn", index=BlindIndex("index"))


def test_a_squash_writes_what_can_be_run_again(keystore: KeyStore) -> None:
    """`squashmigrations` writes operations anew, into one migration that is one transaction."""
    writer = MigrationWriter(type("Squashed", (migrations.Migration,), {"operations": [ENCRYPT, DROP]})("0001", APP))
    written: dict[str, Any] = {}
    exec(writer.as_string(), written)  # noqa: S102  what Django imports
    with closing(Releases(ssn=models.CharField(max_length=11))) as fresh:
        fresh.plan(*written["Migration"].operations)
        for step, backwards in ((0, False), (1, False), (1, True), (0, True), (0, False), (1, False)):
            before, after = fresh.states[step], fresh.states[step + 1]
            with connection.schema_editor(atomic=True) as editor:
                if backwards:
                    fresh.steps[step].database_backwards(APP, editor, after, before)
                else:
                    fresh.steps[step].database_forwards(APP, editor, before, after)
        fresh.new.objects.create(ssn="078051120")
        assert values(fresh.new) == ["078051120"]
        assert columns_and_rows()[0] == {"id", "name", "ssn_sealed"}
        assert fresh.new._meta.get_field("ssn").field_id == f"{APP}.Pupil.ssn"


def test_makemigrations_has_nothing_to_add_to_either_operation(releases: Releases) -> None:
    for number, also in ((1, {"plaintext": "ssn"}), (2, {})):
        with isolate_apps():

            class Pupil(models.Model):
                id = models.BigAutoField(primary_key=True)
                name = models.CharField(max_length=9, default="")
                ssn = sealed_ssn(**also)

                class Meta:
                    app_label = APP

        wanted = ProjectState()
        wanted.add_model(ModelState.from_model(Pupil))
        changes = MigrationAutodetector(releases.states[number], wanted)._detect_changes()
        found = [each for migration in changes.get(APP, []) for each in migration.operations]
        assert [each for each in found if each.name != "id"] == []


def test_migrate_refuses_to_drop_plaintext_without_looking(releases: Releases) -> None:
    class Proposed(migrations.Migration):
        operations = [migrations.RemoveField("pupil", "ssn_plaintext")]  # noqa: RUF012  as migrations are written

    plan = [(Proposed("0003_proposed", APP), False)]
    with pytest.raises(StateError) as caught:
        refuse_losing(app_config=apps.get_app_config(APP), plan=plan, apps=releases.states[1].apps)
    assert "DropPlaintext('pupil', 'ssn')" in caught.value.hint
    refuse_losing(app_config=apps.get_app_config(APP), plan=plan, apps=releases.states[0].apps)


def test_a_check_says_that_it_is_under_way(releases: Releases) -> None:
    assert [each.id for each in releases.beside._meta.get_field("ssn").check()] == ["strongroom.W023"]
    assert releases.new._meta.get_field("ssn").check() == []


VALUES: dict[str, list[Any]] = {
    "char": ["", "Grüße\n", "\x01" + "a" * 38, "gAAAA" + "b" * 30],
    "text": ["x" * 5000],
    "integer": [0, -7],
    "big": [2**62],
    "boolean": [True, False],
    "floating": [0.1, -1.5e300, 1e-5],
    "decimal": [decimal.Decimal("12.50"), decimal.Decimal("0.00")],
    "date": [datetime.date(1999, 12, 31)],
    "time": [datetime.time(23, 59, 1, 2)],
    "moment": [datetime.datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=datetime.UTC)],
    "duration": [datetime.timedelta(days=-2, microseconds=3), datetime.timedelta(0)],
    "uuid": [uuid.UUID(int=7)],
    "binary": [b"", b"\x00\xff\x01"],
    "json": [{"a": [1, None, "ü"]}, "text", 0, False],
    "address": ["10.0.0.1", "::1"],
}


@pytest.mark.parametrize("kind", list(VALUES))
def test_every_type_is_read_from_its_plaintext_as_it_was(keystore: KeyStore, kind: str) -> None:
    with closing(Releases(value=every_type()[kind])) as releases:
        field = every_type()[kind]
        field.db_column = "value_sealed"
        releases.plan(EncryptColumn("Pupil", "value", encrypted(field, keyset="columns", plaintext="value")))
        for value in (*VALUES[kind], None):
            releases.old.objects.create(value=value)
        before = [_comparable(each.value) for each in releases.old.objects.order_by("pk")]
        old, beside = releases.old, releases.beside
        with connection.schema_editor(atomic=False) as editor:
            _begin(editor, old, old._meta.get_field("value"), beside._meta.get_field("value"))
        assert [_comparable(each.value) for each in beside.objects.order_by("pk")] == before
        releases.forwards(0)
        assert [_comparable(each.value) for each in beside.objects.order_by("pk")] == before
        releases.backwards(0)
        assert [_comparable(each.value) for each in old.objects.order_by("pk")] == before


def _comparable(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
