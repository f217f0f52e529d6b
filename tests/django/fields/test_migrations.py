"""Migrations write the field down whole, keep its id through renames, and have nothing to add the second time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, migrations, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.optimizer import MigrationOptimizer
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter

from strongroom.django.encrypted import encrypted, is_encrypted
from tests.django.school import models as school_models
from tests.django.school.models import Grade, Sealed, Student

ROOT = Path(__file__).parents[3]

SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["strongroom.django", "clinic"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STRONGROOM = {"default": {"STORE": "memory:?seed=tests"}}
USE_TZ = True
"""

MODELS = """
from django.db import models
from strongroom.django.encrypted import BlindIndex, encrypted

class Patient(models.Model):
    name = models.CharField(max_length=20)
    ssn = encrypted(
        models.CharField(max_length=11, unique=True, null=True), keyset="columns",
        index=BlindIndex("index", normalize="digits"),
    )
    notes = encrypted(models.JSONField(default=dict), keyset="columns", context="ward")
    ward = models.IntegerField(default=1)
"""

USE = """
import django
django.setup()
from strongroom.django import keystores
keystores["default"].create("columns", "aes256-gcm")
keystores["default"].create("index", "hmac-sha256")
from clinic import models
"""


class Site:
    """A small site in processes of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "clinic").mkdir()
        (place / "clinic" / "__init__.py").touch()
        (place / "settings.py").write_text(SETTINGS)
        self.models(MODELS)

    def models(self, text: str) -> None:
        (self.place / "clinic" / "models.py").write_text(text)

    def django(self, *arguments: str, exits: int = 0, typed: str = "") -> str:
        return self._run([sys.executable, "-m", "django", *arguments], exits, typed)

    def python(self, program: str, exits: int = 0) -> str:
        return self._run([sys.executable, "-c", USE + textwrap.dedent(program)], exits, "")

    def _run(self, arguments: list[str], exits: int, typed: str) -> str:
        done = subprocess.run(
            arguments,
            cwd=self.place,
            env={
                "PYTHONPATH": f"{self.place}:{ROOT / 'src'}",
                "DJANGO_SETTINGS_MODULE": "settings",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PATH": "/usr/bin:/bin",
            },
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return done.stdout + done.stderr

    def migration(self, number: int) -> str:
        (path,) = (self.place / "clinic" / "migrations").glob(f"{number:04}_*.py")
        return path.read_text()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_schools_models_are_written_down_whole() -> None:
    state = ProjectState()
    names = [value for value in vars(school_models).values() if isinstance(value, type) and hasattr(value, "_meta")]
    for model in names:
        if model._meta.app_label == "school" and not model._meta.abstract:
            state.add_model(ModelState.from_model(model))
    again = state.clone()
    found = MigrationAutodetector(state, again, MigrationQuestioner()).changes(graph=_Graph())
    assert found == {}


class _Graph:
    def leaf_nodes(self, app: str | None = None) -> list[tuple[str, str]]:
        return []


@pytest.mark.parametrize("model", [Sealed, Student, Grade])
def test_what_is_written_makes_the_same_field_again(model: type[Sealed]) -> None:
    for field in model._meta.local_fields:
        if not is_encrypted(field):
            continue
        text, imports = MigrationWriter.serialize(field)
        assert text.startswith("strongroom.django.encrypted.encrypted(")
        assert f"id='{model._meta.label}.{field.name}'" in text
        scope: dict[str, object] = {}
        exec("\n".join({"from django.db import models", *imports}), scope)  # noqa: S102  it is what a migration does
        made = eval(text, scope)  # noqa: S307  as above
        assert made.deconstruct()[1:3][0] == field.deconstruct()[1]
        assert MigrationWriter.serialize(made)[0] == text
        assert made.db_type(connection) == field.db_type(connection)


@pytest.mark.slow
def test_a_field_keeps_its_cells_through_renames(site: Site) -> None:
    site.django("makemigrations", "clinic")
    written = site.migration(1)
    assert "id='clinic.Patient.ssn'" in written
    assert "strongroom.django.encrypted.IndexColumn(" in written
    assert "No changes detected" in site.django("makemigrations", "--check")
    site.django("migrate")
    site.python("models.Patient.objects.create(name='Ada', ssn='078-05-1120', notes={'a': 1})")

    field = MODELS.replace("ssn =", "number =")
    site.models(field)
    # one question each: whether the field, and its index, were renamed
    site.django("makemigrations", "clinic", typed="y\ny\n")
    assert site.migration(2).count("RenameField") == 2
    site.models(field.replace("class Patient", "class Person"))
    site.django("makemigrations", "clinic", typed="y\n")
    assert "RenameModel" in site.migration(3)
    assert not any("RemoveField" in site.migration(n) or "DeleteModel" in site.migration(n) for n in (2, 3))
    told = site.django("check", exits=1)
    assert "(strongroom.E022)" in told
    assert "id='clinic.Patient.ssn'" in told
    assert "id='clinic.Patient.notes'" in told

    kept = MODELS.replace("ssn =", "number =").replace("class Patient", "class Person")
    kept = kept.replace("index=Blind", 'id="clinic.Patient.ssn", index=Blind')
    kept = kept.replace('context="ward"', 'context="ward", id="clinic.Patient.notes"')
    site.models(kept)
    site.django("check")
    assert "No changes detected" in site.django("makemigrations", "--check")
    site.django("migrate")
    told = site.python(
        "row = models.Person.objects.get(number='078 05 1120'); print(row.number, row.notes, row.number_index[:0])"
    )
    assert told.startswith("078-05-1120 {'a': 1}")


@pytest.mark.slow
def test_columns_are_added_altered_and_filled_by_migrations(site: Site) -> None:
    site.models(MODELS.split("    ssn", maxsplit=1)[0])
    site.django("makemigrations", "clinic")
    site.django("migrate")
    site.python("models.Patient.objects.create(name='Ada')")
    site.models(MODELS.replace("default=dict", "null=True").replace("max_length=11", "max_length=12"))
    site.django("makemigrations", "clinic")
    site.django("migrate", exits=0)
    (site.place / "clinic" / "migrations" / "0003_fill.py").write_text(
        textwrap.dedent("""
        from django.db import migrations

        def fill(apps, schema_editor):
            from strongroom.django import keystores
            keystore = keystores["default"]
            keystore.create("columns", "aes256-gcm")
            keystore.create("index", "hmac-sha256")
            Patient = apps.get_model("clinic", "Patient")
            row = Patient.objects.get()
            row.ssn = "1-2"
            row.save()
            assert Patient.objects.get(ssn="12").ssn == "1-2"
            Patient.objects.filter(ssn="12").update(ssn="1-3")
            assert Patient.objects.get(ssn="13").notes is None

        class Migration(migrations.Migration):
            dependencies = [("clinic", "0002_" + "NAME")]
            operations = [migrations.RunPython(fill)]
        """).replace('"0002_" + "NAME"', repr(next((site.place / "clinic/migrations").glob("0002_*")).stem))
    )
    site.django("migrate")
    assert "No changes detected" in site.django("makemigrations", "--check")
    with closing(sqlite3.connect(site.place / "db.sqlite3")) as raw:
        ((cell, mark),) = raw.execute("SELECT ssn, ssn_index FROM clinic_patient").fetchall()

    assert cell.startswith(b"\x01")
    assert len(mark) == 32
    assert site.python("print(models.Patient.objects.get(ssn='13').ssn)").startswith("1-3")


HISTORY = """
import copy

def with_history(model):
    fields = {"number": models.AutoField(primary_key=True)}
    for field in model._meta.concrete_fields:
        field = fields[field.name] = copy.copy(field)
        field.primary_key = field._unique = False
    fields["id"] = models.IntegerField()
    name = f"Historical{model.__name__}"
    globals()[name] = type(name, (models.Model,), {"__module__": model.__module__, **fields})

with_history(Patient)
"""


@pytest.mark.slow
def test_a_history_of_rows_has_cells_of_its_own_that_survive_renames(site: Site) -> None:
    """Packages that keep one copy each field into a second model, where nobody could write an id."""
    site.models(MODELS + HISTORY)
    site.django("makemigrations", "clinic")
    assert site.migration(1).count("id='clinic.Patient.ssn copy'") == 1
    site.django("migrate")
    site.python("""
        for model, more in ((models.Patient, {}), (models.HistoricalPatient, {"id": 1})):
            model.objects.create(name="Ada", ssn="1-2", notes={"a": 1}, **more)
            assert model.objects.get(ssn="12").notes == {"a": 1}
        """)
    assert "No changes detected" in site.django("makemigrations", "--check")
    assert "no issues" in site.django("check")
    with closing(sqlite3.connect(site.place / "db.sqlite3")) as raw:
        marks = [
            raw.execute(f"SELECT ssn_index FROM clinic_{name}").fetchone()  # noqa: S608  names of the test
            for name in ("patient", "historicalpatient")
        ]
    assert marks[0] != marks[1]
    renamed = (MODELS + HISTORY).replace("Patient", "Client")
    for name in ("ssn", "notes"):
        place = renamed.index('keyset="columns"', renamed.index(f"{name} = "))
        renamed = f'{renamed[:place]}id="clinic.Patient.{name}", {renamed[place:]}'
    site.models(renamed)
    site.django("makemigrations", "clinic", typed="y\ny\n")
    assert "RenameModel" in site.migration(2)
    assert "encrypted" not in site.migration(2)


@pytest.mark.slow
def test_two_fields_of_one_id_are_told(site: Site) -> None:
    site.models(MODELS.replace('keyset="columns", context="ward"', 'keyset="columns", id="clinic.Patient.ssn"'))
    assert "(strongroom.E023)" in site.django("check", exits=1)


UNMANAGED = """
class Visitor(models.Model):
    ssn = encrypted(
        models.CharField(max_length=11, unique=True, null=True), keyset="columns", id="clinic.Patient.ssn",
        index=BlindIndex("index", normalize="digits"),
    )
    class Meta:
        managed = False
        db_table = "clinic_patient"
"""


@pytest.mark.slow
def test_an_unmanaged_model_over_the_same_column_reads_it_by_its_id(site: Site) -> None:
    site.models(MODELS + UNMANAGED)
    site.django("makemigrations", "clinic")
    site.django("migrate")
    assert "no issues" in site.django("check")
    site.python("""
        models.Patient.objects.create(name="Ada", ssn="1-2", notes={})
        assert models.Visitor.objects.get(ssn="12").ssn == "1-2"
        models.Visitor.objects.update(ssn="3-4")
        assert models.Patient.objects.get(ssn="34").ssn == "3-4"
        """)
    site.models(MODELS + UNMANAGED.replace('id="clinic.Patient.ssn",', ""))
    assert "(strongroom.W026)" in site.django("check", exits=1)  # with E022: its migration has the id


def test_a_squash_keeps_the_id_and_the_last_form_of_a_field() -> None:
    def sealed(field: models.Field[Any, Any], **also: Any) -> Any:
        return encrypted(field, keyset="columns", **also)

    steps = [
        migrations.CreateModel("Patient", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddField("Patient", "ssn", sealed(models.CharField(max_length=9), id="clinic.Patient.ssn")),
        migrations.RenameField("Patient", "ssn", "number"),
        migrations.AlterField("Patient", "number", sealed(models.IntegerField(), id="clinic.Patient.ssn")),
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.AlterField("Patient", "number", sealed(models.TextField(), id="x"))]
        ),
    ]
    created, separate = MigrationOptimizer().optimize(steps, "clinic")
    field = dict(created.fields)["number"]
    assert isinstance(separate, migrations.SeparateDatabaseAndState)
    assert is_encrypted(field)
    assert isinstance(field, models.IntegerField)
    assert field.given_id == "clinic.Patient.ssn"
    state = ProjectState()
    for step in (created, separate):
        step.state_forwards("clinic", state)
    last: Any = state.apps.get_model("clinic", "Patient")._meta.get_field("number")
    assert isinstance(last, models.TextField)
    assert last.field_id == "x"
