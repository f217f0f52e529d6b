"""A column does not change between plaintext and cells under its values: AlterField is refused, and strays are told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, migrations, models
from django.db.migrations.state import ModelState, ProjectState

from strongroom.django.altering import refuse_plan
from strongroom.django.encrypted import Cell, encrypted
from strongroom.django.testing import override_keystore
from strongroom.errors import DecryptionError, StateError
from strongroom.keystore.facade import KeyStore
from tests.django.conftest import of_its_own
from tests.django.fields.test_migrations import MODELS, Site
from tests.django.tables import APP, tables

PLAIN: dict[str, Any] = {
    "text": models.CharField(max_length=40),
    "number": models.IntegerField(null=True),
    "binary": models.BinaryField(),
}
VALUES: dict[str, Any] = {"text": "078-05-1120", "number": 5_000_000_000 // 7, "binary": b"\x01 plain"}


@pytest.fixture
def keystore(tmp_path: Path) -> Iterator[KeyStore]:
    with tables(of_its_own(tmp_path)), override_keystore({"columns": "aes256-gcm", "tokens": "fernet"}) as opened:
        yield opened


def sealed(field: Any) -> Any:
    return encrypted(field.clone(), keyset="columns", id="x.Pupil.value")


class Altered:
    """A table with one column, before an AlterField and after it."""

    def __init__(self, before: Any, after: Any) -> None:
        start = ProjectState()
        start.add_model(ModelState(APP, "Pupil", [("id", models.BigAutoField(primary_key=True)), ("value", before)]))
        self.operation = migrations.AlterField("Pupil", "value", after)
        end = start.clone()
        self.operation.state_forwards(APP, end)
        self.start, self.end = start, end
        self.before, self.after = start.apps.get_model(APP, "Pupil"), end.apps.get_model(APP, "Pupil")
        with connection.schema_editor() as editor:
            editor.create_model(self.before)

    def alter(self) -> None:
        with connection.schema_editor() as editor:
            self.operation.database_forwards(APP, editor, self.start, self.end)

    def plan(self, *, inside: bool = False) -> list[Any]:
        made: Any = migrations.Migration("0002_altered", APP)
        alone = [self.operation]
        made.operations = [migrations.SeparateDatabaseAndState(database_operations=alone)] if inside else alone
        return [(made, False)]

    def close(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE strongroom_pupil")


def raw() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM strongroom_pupil ORDER BY id")
        return [bytes(v) if isinstance(v, memoryview) else v for (v,) in cursor.fetchall()]


@pytest.mark.parametrize("kind", list(PLAIN))
@pytest.mark.parametrize("wrapped", [True, False], ids=["wrapped", "unwrapped"])
def test_a_column_with_values_is_not_altered(keystore: KeyStore, kind: str, wrapped: bool) -> None:
    plain, cells = PLAIN[kind].clone(), sealed(PLAIN[kind])
    with closing(Altered(plain, cells) if wrapped else Altered(cells, plain)) as column:
        column.before.objects.create(value=VALUES[kind])
        held = raw()
        names = "EncryptColumn('Pupil', 'value'" if wrapped else "RunPython"
        with pytest.raises(StateError) as caught:
            column.alter()
        assert names in caught.value.hint
        assert names in caught.value.__notes__[0]  # a migration's traceback shows it
        for inside in (True, False):
            with pytest.raises(StateError, match=r"Pupil\.value"):
                refuse_plan(
                    app_config=apps.get_app_config(APP),
                    plan=column.plan(inside=inside),
                    apps=column.start.apps,
                    using="default",
                )
        assert raw() == held
        assert column.before.objects.get().value == VALUES[kind]


@pytest.mark.parametrize("wrapped", [True, False], ids=["wrapped", "unwrapped"])
def test_a_column_with_no_values_is_altered(keystore: KeyStore, wrapped: bool) -> None:
    plain, cells = models.CharField(max_length=9, null=True), sealed(models.CharField(max_length=9, null=True))
    with closing(Altered(plain, cells) if wrapped else Altered(cells, plain)) as column:
        column.before.objects.create(value=None)
        refuse_plan(app_config=apps.get_app_config(APP), plan=column.plan(), apps=column.start.apps, using="default")
        column.alter()
        column.after.objects.update(value="x")
        assert column.after.objects.get().value == "x"
        assert (raw()[0] == "x") != wrapped


def test_a_field_that_stays_encrypted_is_altered(keystore: KeyStore) -> None:
    with closing(
        Altered(sealed(models.CharField(max_length=9)), sealed(models.CharField(max_length=20, null=True)))
    ) as column:
        column.before.objects.create(value="x")
        column.alter()
        assert column.after.objects.get().value == "x"


@contextmanager
def installed(model: Any) -> Iterator[None]:
    apps.all_models[APP]["pupil"] = model
    apps.clear_cache()
    try:
        yield
    finally:
        del apps.all_models[APP]["pupil"]
        apps.clear_cache()


def told(*arguments: str, exits: int) -> str:
    out = StringIO()
    with nullcontext() if exits == 0 else pytest.raises(SystemExit, match=str(exits)):
        call_command("strongroom", "reencrypt", *arguments, stdout=out)
    return out.getvalue()


def write(value: str | int) -> None:
    """What an import script does, or an AlterField before there was this test."""
    connection.cursor().execute("UPDATE strongroom_pupil SET value = %s WHERE id = 1", [value])


STRAYS: dict[str, Any] = {"text": "078-05-1120 ü", "number": 5_000_000_000}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="other databases keep no text in a column of bytes")
@pytest.mark.parametrize("kind", list(STRAYS))
def test_what_is_no_cell_is_told_and_hinders_nobody_else(keystore: KeyStore, kind: str) -> None:
    with closing(Altered(sealed(models.CharField(max_length=9)), models.TextField())) as column:
        rows = column.before.objects
        rows.bulk_create([column.before(value=str(n)) for n in range(3)])
        write(STRAYS[kind])
        first, second, _ = rows.order_by("pk")
        assert second.value == "1"
        with pytest.raises(DecryptionError, match=r"Pupil\.value"):
            first.value  # noqa: B018  it is read
        with pytest.raises(DecryptionError, match=r"Pupil\.value"):
            list(rows.values_list("value"))
        assert rows.values_list(Cell("value"), flat=True).get(pk=1) == str(STRAYS[kind]).encode()
        keystore.rotate("columns", now=True)
        with installed(column.before):
            assert "no cells of ours, perhaps plaintext" in told("--report", exits=0)
            out = told(exits=4)
            assert "2 cells moved, 1 remain" in out
            assert "no cells of ours, perhaps plaintext" in out
            assert json.loads(told("--dry-run", "--json", exits=4))[0]["no_cells"] == 1
        assert rows.get(pk=2).value == "1"
        first.value = "mended"
        first.save()
        assert rows.get(pk=1).value == "mended"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="as above")
def test_a_token_that_other_software_wrote_as_text_opens_and_is_moved(keystore: KeyStore) -> None:
    field = encrypted(models.CharField(max_length=9), keyset="tokens", id="x.Pupil.value")
    with closing(Altered(field, models.TextField())) as column:
        column.before.objects.create(value="")
        write(keystore.fernet("tokens").encrypt(b"theirs").decode())
        assert column.before.objects.get().value == "theirs"
        keystore.rotate("tokens", now=True)
        with installed(column.before):
            assert "1 cells moved, 0 remain" in told(exits=0)
        assert column.before.objects.get().value == "theirs"


@pytest.mark.slow
def test_a_newcomer_who_wraps_a_field_is_told_what_to_do(tmp_path: Path) -> None:
    site = Site(tmp_path)
    plain = "from django.db import models\n\nclass Patient(models.Model):\n    ssn = models.CharField(max_length=11)\n"
    wrapped = (
        MODELS[: MODELS.index("    name")] + '    ssn = encrypted(models.CharField(max_length=11), keyset="columns")\n'
    )
    site.models(plain)
    site.django("makemigrations", "clinic")
    site.django("migrate")
    site.python("models.Patient.objects.create(ssn='078-05-1120')")
    site.models(wrapped)
    assert "(strongroom.W024)" in site.django("makemigrations", "clinic")
    assert "W024" not in site.django("check")
    refused = site.django("migrate", exits=1)
    assert "hint: write EncryptColumn('Patient', 'ssn'" in refused
    database = tmp_path / "db.sqlite3"
    with closing(sqlite3.connect(database)) as raw:
        assert raw.execute("SELECT ssn FROM clinic_patient").fetchall() == [("078-05-1120",)]
        raw.execute("DELETE FROM clinic_patient")
        raw.commit()
    site.django("migrate")  # nothing is left to be hurt
    site.python("models.Patient.objects.create(ssn='078-05-1120')")
    assert "holds cells" in site.django("migrate", "clinic", "0001", exits=1)
    # a site without any encrypted field is not asked for its migrations
    site.models(wrapped.replace("ssn =", "note =") + plain[plain.index("    ssn") :])
    assert "the column holds cells" in site.django("check")
    site.models(wrapped)
    assert site.python("print(models.Patient.objects.get().ssn)") == "078-05-1120\n"
