"""`sqlmigrate` prints what makes the columns, or says that it cannot; `inspectdb` shows what the columns are."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import override_settings

from strongroom.django.testing import override_keystore
from strongroom.errors import NotFoundError, StateError
from tests.django.conftest import of_its_own
from tests.django.tables import APP, tables

HEAD = """
from django.db import migrations, models
from strongroom.django.encrypted import IndexColumn, encrypted
from strongroom.django.operations import EncryptColumn

class Migration(migrations.Migration):
    atomic = False
"""
INITIAL = """
    operations = [
        migrations.CreateModel("Patient", [
            ("id", models.BigAutoField(primary_key=True)),
            ("name", models.CharField(max_length=20)),
            ("ssn", encrypted(models.CharField(max_length=11), keyset="columns", id="x.ssn")),
            ("ssn_index", IndexColumn(keyset="index", unique=True)),
            ("phone", encrypted(models.CharField(max_length=11, null=True), keyset="columns", id="x.phone")),
            ("phone_index", IndexColumn(keyset="index", bits=20)),
            ("notes", encrypted(models.JSONField(null=True), keyset="tokens", id="x.notes")),
        ]),
    ]
"""
ADDED = """
    dependencies = [("strongroom", "0001_initial")]
    operations = [
        migrations.AddField("patient", "ward", encrypted(models.CharField(max_length=9, default="w%s'\\\\"),
                            keyset="columns", id="x.ward")),
        migrations.RemoveField("patient", "notes"),
    ]
"""
ENCRYPTED = """
    dependencies = [("strongroom", "0002_added")]
    operations = [
        EncryptColumn("patient", "name", encrypted(models.CharField(max_length=20, db_column="name_cell"),
                      keyset="columns", id="x.name", plaintext="name")),
    ]
"""
ALTERED = """
    dependencies = [("strongroom", "0002_added")]
    operations = [
        migrations.AlterField("patient", "name", encrypted(models.CharField(max_length=20), keyset="columns")),
    ]
"""
KINDS = {"columns": "aes256-gcm", "tokens": "fernet", "index": "hmac-sha256"}


class Site:
    """An app whose migrations are text, and whose database has nothing in it."""

    def __init__(self, package: Path) -> None:
        self._package = package
        package.mkdir()
        (package / "__init__.py").touch()
        self.write("0001_initial", INITIAL)
        self.write("0002_added", ADDED)

    def write(self, name: str, text: str) -> None:
        (self._package / f"{name}.py").write_text(HEAD + text)

    def sql(self, name: str, *options: str) -> str:
        out = StringIO()
        call_command("sqlmigrate", APP, name, *options, stdout=out, no_color=True)
        out.getvalue().encode()  # a terminal and a file can take it
        return out.getvalue()

    def execute(self, sql: str) -> None:
        """As a database administrator does with what was printed."""
        lines = [line for line in sql.splitlines() if not line.startswith("--")]
        with connection.cursor() as cursor:
            for statement in "\n".join(lines).split(";\n"):
                if statement.strip():
                    cursor.execute(statement)

    def model(self, name: str) -> Any:
        return MigrationLoader(None).project_state((APP, name)).apps.get_model(APP, "Patient")

    def inspected(self) -> dict[str, str]:
        out = StringIO()
        call_command("inspectdb", "strongroom_patient", stdout=out)
        said = [line.strip().partition(" = models.") for line in out.getvalue().splitlines() if " = models." in line]
        return {name: kind for name, _, kind in said}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Site]:
    package = f"migrations_of_{abs(hash(tmp_path))}"
    monkeypatch.syspath_prepend(tmp_path)
    made = Site(tmp_path / package)
    with override_settings(MIGRATION_MODULES={APP: package}), tables(of_its_own(tmp_path)):
        yield made
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS strongroom_patient")


def test_the_sql_that_is_printed_makes_a_table_that_works(site: Site) -> None:
    first = site.sql("0001")  # no store is opened for it
    binary = {"sqlite": "BLOB", "postgresql": "bytea", "mysql": "longblob"}[connection.vendor]
    assert first.count(f" {binary} ") >= 3
    assert first.count("UNIQUE") == 1
    with override_keystore(KINDS):
        site.execute(first)
        before = site.model("0001_initial").objects
        before.create(name="Ada", ssn="078-05-1120", phone="1", notes={"a": 1})
        assert before.get(ssn="078-05-1120").notes == {"a": 1}
        site.execute(site.sql("0002"))
        after = site.model("0002_added").objects
        row = after.get(ssn="078-05-1120")
        assert (row.name, row.phone, row.ward) == ("Ada", "1", "w%s'\\")
        site.execute(site.sql("0002", "--backwards"))
        assert before.get(ssn="078-05-1120").notes is None
        site.execute(site.sql("0001", "--backwards"))
        assert site.inspected() == {}


def test_a_default_wants_the_keyset_that_seals_it(site: Site) -> None:
    with override_keystore({}), pytest.raises(NotFoundError, match=r"Patient\.ward, keyset 'columns'"):
        site.sql("0002")


def test_what_encrypts_rows_says_that_it_is_no_sql(site: Site) -> None:
    site.write("0003_encrypted", ENCRYPTED)
    for options in ((), ("--backwards",)):
        said = site.sql("0003", *options)
        assert "Encrypt field name of patient" in said
        assert "THIS OPERATION CANNOT BE WRITTEN AS SQL" in said
        assert "ALTER TABLE" not in said


def test_sql_that_would_take_plaintext_for_cells_is_not_printed(site: Site) -> None:
    site.write("0003_altered", ALTERED)
    with override_keystore(KINDS):
        site.execute(site.sql("0001"))
        site.model("0001_initial").objects.create(name="Ada", ssn="1")
        with pytest.raises(StateError, match="has values in the clear"):
            site.sql("0003")


def test_inspectdb_shows_columns_of_bytes_and_no_encryption(site: Site) -> None:
    """MySQL and MariaDB tell Django of bytes as of text."""
    site.execute(site.sql("0001"))
    shown = site.inspected()
    cell, mark, short = {
        "mysql": ("TextField()", "CharField(unique=True, max_length=32, ", "CharField(max_length=3, "),
    }.get(connection.vendor, ("BinaryField()", "BinaryField(unique=True, ", "BinaryField("))
    assert shown["ssn"] == cell
    assert shown["notes"] == cell.replace("()", "(blank=True, null=True)")
    assert shown["ssn_index"] == f"{mark}blank=True, null=True)"
    assert shown["phone_index"] == f"{short}blank=True, null=True)"
