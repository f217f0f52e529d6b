"""The helpers for a site's own tests: fresh keys, equal in every process, and a look at what is at rest."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.django.conftest import ROOT

SETTINGS = """
SECRET_KEY = "not from the store"
INSTALLED_APPS = ["strongroom.django", "school"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STRONGROOM = {"default": {"STORE": "/nowhere/.strongroom"}}   # the tests never open it
TEST_RUNNER = "strongroom.django.testing.Runner"
"""
MODELS = """
from django.db import models
from strongroom.django.encrypted import encrypted

class Student(models.Model):
    name = models.CharField(max_length=30)
    ssn = encrypted(models.CharField(max_length=11, null=True), keyset="columns")
"""
MANAGE = """
import multiprocessing, os, sys

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv.pop(1))
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
TESTS = """
import multiprocessing, os
from django.test import SimpleTestCase, TestCase
from strongroom.django import keystores
from strongroom.django.testing import AtRest, override_keystore
from .models import Student

TOKEN = b"one message, one key"

class Keys:
    def key_id(self):
        return keystores["default"].show("columns").version(1).key_id

class One(Keys, AtRest, TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.student = Student.objects.create(name="Ada", ssn="078-05-1120")

    def test_what_was_made_for_the_class_opens(self):
        self.assertEqual(Student.objects.get().ssn, "078-05-1120")
        self.assertEncryptedAtRest(Student, "ssn", "078-05-1120")
        self.assertEncryptedAtRest(Student.objects.filter(name="Ada"), "ssn", "078-05-1120")

    def test_what_is_not_there_or_not_encrypted_is_told(self):
        for field, value, why in (("ssn", "none", "none of 1 rows"), ("name", "Ada", "in the clear")):
            with self.assertRaisesRegex(AssertionError, why):
                self.assertEncryptedAtRest(Student, field, value)

    def test_which_process(self):
        os.write(1, f"process {multiprocessing.parent_process() is not None} {self.key_id()}\\n".encode())

@override_keystore()
class Two(Keys, TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.student = Student.objects.create(name="Ada", ssn="078-05-1120")

    def test_a_rotation_is_gone_with_its_test(self):
        keystores["default"].rotate("columns", now=True)
        Student.objects.create(ssn="x")

    def test_each_test_has_fresh_keys_and_rows_of_the_class_open(self):
        self.assertEqual(len(keystores["default"].show("columns").versions), 1)
        self.assertEqual(Student.objects.get().ssn, "078-05-1120")

    def test_which_process(self):
        os.write(1, f"process {multiprocessing.parent_process() is not None} {self.key_id()}\\n".encode())

class Three(Keys, SimpleTestCase):
    @override_keystore({"other": "fernet"}, seed="another")
    def test_a_function_may_name_its_keysets(self):
        self.assertEqual(keystores["default"].names(), ("other",))

    def test_a_block_may_and_has_it(self):
        before = self.key_id()
        with override_keystore(["columns"], seed="another") as keystore:
            self.assertIs(keystore, keystores["default"])
            self.assertNotEqual(self.key_id(), before)
        self.assertEqual(self.key_id(), before)

    def test_which_process(self):
        os.write(1, f"process {multiprocessing.parent_process() is not None} {self.key_id()}\\n".encode())
"""
PYTEST = """
import os, sys
import django, pytest

pytest_plugins = ["strongroom.testing.pytest_plugin"]
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    files = {
        "settings.py": SETTINGS,
        "manage.py": MANAGE,
        "school/__init__.py": "",
        "school/models.py": MODELS,
        "school/tests.py": TESTS,
        "school/migrations/__init__.py": "",
        "school/migrations/0001_initial.py": MIGRATION,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    return tmp_path


MIGRATION = """
from django.db import migrations, models
from strongroom.django.encrypted import encrypted

def encrypt_in_a_migration(apps, schema_editor):
    Student = apps.get_model("school", "Student")
    student = Student.objects.create(name="made by a migration", ssn="1")
    assert Student.objects.get().ssn == "1"
    student.delete()

class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Student", [
            ("id", models.BigAutoField(primary_key=True)),
            ("name", models.CharField(max_length=30)),
            ("ssn", encrypted(models.CharField(max_length=11, null=True), keyset="columns")),
        ]),
        migrations.RunPython(encrypt_in_a_migration),
    ]
"""


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=site,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{site}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_parallel_processes_have_equal_keys_however_they_were_started(site: Path, method: str) -> None:
    done = run(site, "manage.py", method, "test", "--parallel", "2")
    assert done.returncode == 0, done.stderr
    told = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("process ")]
    assert len(told) == 3, done.stdout
    assert len({key for _, key in told}) == 1
    assert {child for child, _ in told} == {"True"}  # made in child processes


def test_a_pytest_fixture_gives_fresh_keys_and_the_keysets_that_are_asked_for(site: Path) -> None:
    (site / "conftest.py").write_text(PYTEST)
    (site / "test_keys.py").write_text(
        textwrap.dedent(
            """
            import pytest
            from strongroom.django import keystores

            def test_the_keysets_of_the_models(strongroom_keystore):
                assert strongroom_keystore is keystores["default"]
                assert strongroom_keystore.names() == ("columns",)
                strongroom_keystore.rotate("columns", now=True)

            class TestOthers:
                @pytest.fixture
                def strongroom_keysets(self):
                    return {"columns": "aes256-gcm", "tokens": "fernet"}

                def test_others(self, strongroom_keystore):
                    assert strongroom_keystore.names() == ("columns", "tokens")
                    assert len(strongroom_keystore.show("columns").versions) == 1

            def test_without_it_the_settings_hold():
                with pytest.raises(Exception, match="nowhere"):
                    keystores["default"]
            """
        )
    )
    done = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_keys.py")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
