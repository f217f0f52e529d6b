"""EncryptColumn in processes that are killed, or that meet one another: nothing is lost, and it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from strongroom.keystore.opening import open_store
from tests.django.conftest import ROOT
from tests.support.databases import SERVERS

ROWS = 2_000

SETTINGS = """
import json, os
if "mysql" in os.environ["CLINIC_DATABASE"]:
    import pymysql
    pymysql.version_info = (2, 2, 8, "final", 0)  # the version of mysqlclient whose interface Django asks for
    pymysql.install_as_MySQLdb()
SECRET_KEY = "x"
INSTALLED_APPS = ["strongroom.django", "clinic"]
DATABASES = {"default": json.loads(os.environ["CLINIC_DATABASE"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STRONGROOM = {"default": {"STORE": os.environ["CLINIC_STORE"]}}
USE_TZ = True

# the process ends itself, as kill -9 would, at the statement of this number: before it, or after it
from django.db.backends.signals import connection_created
left = int(os.environ.get("CLINIC_KILLED_AT", "0"))

def count(execute, sql, params, many, context):
    global left
    if "clinic_patient" not in sql or sql.startswith(("PRAGMA table", "SELECT name")):
        return execute(sql, params, many, context)
    left -= 1
    if left == 0 and os.environ["CLINIC_KILLED"] == "before":
        os.kill(os.getpid(), 9)
    done = execute(sql, params, many, context)
    if left == 0:
        os.kill(os.getpid(), 9)
    return done

def follow(connection, **_):
    if left and count not in connection.execute_wrappers:
        connection.execute_wrappers.append(count)

connection_created.connect(follow, weak=False)
"""

MODELS = """
from django.db import models
from strongroom.django.encrypted import encrypted

class Patient(models.Model):
    inner = models.CharField(max_length=20, db_column="ssn_sealed")
    ssn = encrypted(inner, keyset="columns", id="clinic.Patient.ssn", plaintext="ssn")
    del inner
"""

FIRST = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel("Patient", [
        ("id", models.BigAutoField(primary_key=True)), ("ssn", models.CharField(max_length=20)),
    ])]
"""

SECOND = """
from django.db import migrations, models
from strongroom.django.encrypted import encrypted
from strongroom.django.operations import EncryptColumn

class Migration(migrations.Migration):
    atomic = False
    dependencies = [("clinic", "0001_initial")]
    inner = models.CharField(max_length=20, db_column="ssn_sealed")
    operations = [EncryptColumn("Patient", "ssn", encrypted(
        inner, keyset="columns", id="clinic.Patient.ssn", plaintext="ssn"
    ))]
"""

THIRD = """
from django.db import migrations
from strongroom.django.operations import DropPlaintext

class Migration(migrations.Migration):
    atomic = False
    dependencies = [("clinic", "0002_encrypt")]
    operations = [DropPlaintext("Patient", "ssn")]
"""

COUNT = """
import django
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    names = [c.name for c in connection.introspection.get_table_description(cursor, "clinic_patient")]
    cursor.execute("SELECT COUNT(*) FROM clinic_patient" + " WHERE ssn_sealed IS NOT NULL" * ("ssn_sealed" in names))
    print(cursor.fetchone()[0] if "ssn_sealed" in names else 0, "ssn" in names)
"""

FILL = """
import django
django.setup()
from django.db import connection, transaction
with transaction.atomic(), connection.cursor() as cursor:
    rows = [(n, f"{n:09d}") for n in range(1, ROWS + 1)]
    cursor.executemany("INSERT INTO clinic_patient (id, ssn) VALUES (%s, %s)", rows)
"""

READ = """
import django, json
django.setup()
from clinic.models import Patient
print(json.dumps(dict(Patient.objects.values_list("pk", "ssn"))))
"""


class Clinic:
    """A small site whose every step is a process of its own."""

    def __init__(self, place: Path, store: Path, database: dict[str, Any]) -> None:
        self.place = place
        migrations = place / "clinic" / "migrations"
        migrations.mkdir(parents=True)
        for package in (place / "clinic", migrations):
            (package / "__init__.py").touch()
        (place / "settings.py").write_text(SETTINGS)
        (place / "clinic" / "models.py").write_text(MODELS)
        (migrations / "0001_initial.py").write_text(FIRST)
        (migrations / "0002_encrypt.py").write_text(SECOND)
        self.environ = {
            "PYTHONPATH": f"{place}:{ROOT / 'src'}",
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": "/usr/bin:/bin",
            "STRONGROOM_DEVELOPMENT": "1",
            "CLINIC_DATABASE": json.dumps(database),
            "CLINIC_STORE": str(store),
        }

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.place,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0, out
        return out

    def migrate(self) -> int:
        process = self.migrating()
        out, _ = process.communicate(timeout=300)
        assert process.returncode in {0, -9}, out
        return process.returncode

    def migrating(self, **environ: str) -> subprocess.Popen[str]:
        return self.start("-m", "django", "migrate", "-v", "0", **environ)

    def killed_at(self, number: int, when: str) -> bool:
        """Whether it was: there are not so many statements else."""
        process = self.migrating(CLINIC_KILLED_AT=str(number), CLINIC_KILLED=when)
        out, _ = process.communicate(timeout=300)
        assert process.returncode in {0, -9}, out
        return process.returncode == -9

    def sealed(self) -> int:
        return int(self.run("-c", COUNT).split()[0])

    def fill(self) -> None:
        self.run("-m", "django", "migrate", "-v", "0", "clinic", "0001")
        self.run("-c", FILL.replace("ROWS", str(ROWS)))

    def read(self) -> dict[str, str]:
        held: dict[str, str] = json.loads(self.run("-c", READ))
        return held


WANTED = {str(n): f"{n:09d}" for n in range(1, ROWS + 1)}


@pytest.fixture(params=["sqlite", *(pytest.param(name, marks=pytest.mark.machine) for name in SERVERS)])
def clinic(request: pytest.FixtureRequest, tmp_path: Path, development: Path) -> Iterator[Clinic]:
    with open_store(development) as keystore:
        keystore.create("columns", "aes256-gcm")
    wait = {"timeout": 60}
    file = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3"), "OPTIONS": wait}
    with nullcontext() if request.param == "sqlite" else SERVERS[request.param]() as server:
        yield Clinic(tmp_path / "site", development, file if server is None else server.settings)


@pytest.mark.slow
def test_killed_at_any_statement_it_goes_on_and_nothing_is_lost(clinic: Clinic) -> None:
    clinic.fill()
    turns = [clinic.killed_at(number, when) for number in (1, 2, 3, 5, 8) for when in ("before", "after")]
    assert turns.count(True) >= 6
    assert clinic.migrate() == 0
    assert clinic.read() == WANTED
    assert clinic.sealed() == ROWS
    (clinic.place / "clinic" / "migrations" / "0003_drop.py").write_text(THIRD)
    (clinic.place / "clinic" / "models.py").write_text(MODELS.replace(', plaintext="ssn"', ""))
    assert True in [clinic.killed_at(number, when) for number in (1, 2, 3) for when in ("before", "after")]
    assert clinic.migrate() == 0
    assert clinic.run("-c", COUNT).split() == [str(ROWS), "False"]
    assert clinic.read() == WANTED


@pytest.mark.slow
def test_two_processes_that_migrate_at_once_lose_nothing(clinic: Clinic) -> None:
    clinic.fill()
    both = [clinic.migrating() for _ in range(2)]
    for process in both:
        process.communicate(timeout=300)  # one may be told that the other has done a step; it is started again
    assert clinic.migrate() == 0
    assert clinic.read() == WANTED
    assert clinic.sealed() == ROWS
