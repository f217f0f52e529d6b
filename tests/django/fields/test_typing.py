"""The type checker, with the plugin of django-stubs, sees the inner field: the types of its values, and None."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONFIGURATION = """
[mypy]
strict = true
plugins = mypy_django_plugin.main
[mypy.plugins.django-stubs]
django_settings_module = "site_settings"
"""
PROGRAM = """
from django.db import models
from strongroom.django.encrypted import BlindIndex, encrypted

class Student(models.Model):
    number = encrypted(models.IntegerField(), keyset="columns")
    text = encrypted(models.CharField(max_length=3, null=True), keyset="columns", index=BlindIndex("index"))

reveal_type(Student().number)
reveal_type(Student().text)
encrypted("text", keyset="columns")
encrypted(models.CharField(max_length=3))
"""


@pytest.mark.slow
def test_encrypted_has_the_type_of_what_it_encrypts(tmp_path: Path) -> None:
    (tmp_path / "site_settings.py").write_text('SECRET_KEY = "x"\nINSTALLED_APPS = ["strongroom.django"]\n')
    (tmp_path / "mypy.ini").write_text(CONFIGURATION)
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--config-file", "mypy.ini", "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    told = [line.removeprefix("program.py:") for line in done.stdout.splitlines()]
    assert told[0] == '9: note: Revealed type is "int"', done.stdout + done.stderr
    assert told[1] == '10: note: Revealed type is "str | None"'
    assert told[2].startswith("11: error: Value of type variable")
    assert told[3].startswith('12: error: Missing named argument "keyset"')
