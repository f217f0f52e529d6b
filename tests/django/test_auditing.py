"""django-auditlog and django-easy-audit, as they are, keep no plaintext of an encrypted field unless told to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.django.conftest import ROOT

SETTINGS = """
from pathlib import Path
SECRET_KEY = "not from the store"
DJANGO = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
INSTALLED_APPS = [*DJANGO, PACKAGE, "strongroom.django", "school"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parent / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STRONGROOM = {"default": {"STORE": "memory:?seed=x"}}
AUDITLOG_INCLUDE_ALL_MODELS = True
MORE
"""
MODELS = """
from django.db import models
from strongroom.django.encrypted import encrypted

class Student(models.Model):
    name = models.CharField(max_length=30)
    ssn = encrypted(models.CharField(max_length=30, null=True), keyset="columns")
    points = encrypted(models.IntegerField(default=0), keyset="columns")
    file = encrypted(models.JSONField(default=dict), keyset="columns")
"""
STORY = """
import django, sys
django.setup()
from django.core import checks, serializers
from django.core.management import call_command
from django.db import connection
from strongroom.django import keystores

call_command("migrate", run_syncdb=True, verbosity=0)
keystores["default"].create("columns", "aes256-gcm")
from school.models import Student
if "auditlog" in sys.argv:
    from auditlog.registry import auditlog
    if auditlog.contains(Student):
        auditlog.unregister(Student)
    auditlog.register(Student, serialize_data=True)
ada = Student.objects.create(name="Ada Lovelace", ssn="SECRET-NUMBER-ONE", points=7654321, file={"note": "SECRET-NOTE"})
ada.ssn, ada.points, ada.name = "SECRET-NUMBER-TWO", 1234567, "Ada King"
ada.save()
again = Student.objects.get()
again.ssn = None
again.save()
print("SERIALIZED", serializers.serialize("json", [Student.objects.get()]))
again.delete()
for message in checks.run_checks():
    if message.id and message.id.startswith("strongroom.W03"):
        print("CHECK", message.id)
tables = [name for name in connection.introspection.table_names() if name.startswith(("auditlog", "easyaudit"))]
with connection.cursor() as cursor:
    for table in tables:
        cursor.execute(f"SELECT * FROM {table}")
        for row in cursor.fetchall():
            print("ROW", table, row)
"""


def told(tmp_path: Path, package: str, more: str = "") -> str:
    (tmp_path / "school").mkdir()
    (tmp_path / "settings.py").write_text(SETTINGS.replace("PACKAGE", repr(package)).replace("MORE", more))
    (tmp_path / "school" / "__init__.py").write_text("")
    (tmp_path / "school" / "models.py").write_text(MODELS)
    (tmp_path / "story.py").write_text(STORY)
    done = subprocess.run(
        [sys.executable, "story.py", package],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}",
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", ["auditlog", "easyaudit"])
def test_it_keeps_that_a_value_changed_and_not_the_value(tmp_path: Path, package: str) -> None:
    out = told(tmp_path, package)
    rows = [line for line in out.splitlines() if line.startswith("ROW")]
    assert len(rows) >= 4, out  # created, changed, changed, deleted
    kept = "\n".join(rows)
    assert "Ada King" in kept  # plain fields are kept as ever
    assert "ssn" in kept
    assert "********" in kept
    for secret in ("SECRET", "7654321", "1234567"):
        assert secret not in kept
    assert '"points": 1234567' in out  # serializers and fixtures are as they were
    assert "CHECK" not in out


@pytest.mark.slow
@pytest.mark.parametrize("package", ["auditlog", "easyaudit"])
def test_it_keeps_values_where_it_is_told_to_and_a_check_says_so(tmp_path: Path, package: str) -> None:
    out = told(tmp_path, package, 'STRONGROOM_AUDIT_PLAINTEXT = ["school.Student.points"]')
    kept = "\n".join(line for line in out.splitlines() if line.startswith("ROW"))
    assert "1234567" in kept
    assert "SECRET" not in kept
    assert "CHECK strongroom.W030" in out


@pytest.mark.slow
def test_a_backend_that_saves_no_rows_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text("class Backend:\n    request = crud = login = lambda self, info: None\n")
    out = told(tmp_path, "easyaudit", 'DJANGO_EASY_AUDIT_LOGGING_BACKEND = "elsewhere.Backend"')
    assert "CHECK strongroom.W031" in out
