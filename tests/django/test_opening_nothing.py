"""Checks, migrations, help and importing models open nothing. A stand-in for gpg writes down when it is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.django.conftest import REGISTRAR, ROOT, python, started, watched

FROM_STORE = 'strongroom.django_secret_key("django-secret-key", store=STORE)'


@pytest.fixture
def environ(sealed: Path, tmp_path: Path, stand_in: Path) -> dict[str, str]:
    # The example site, with a SECRET_KEY that does not come from the store: what is left is our own app and its checks.
    text = (REGISTRAR / "registrar" / "settings.py").read_text()
    assert FROM_STORE in text
    (tmp_path / "watched_settings.py").write_text(text.replace(FROM_STORE, '"not from the store", []'))
    return {
        "DJANGO_SETTINGS_MODULE": "watched_settings",
        "PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}",
        "REGISTRAR_STORE": str(sealed),
        "REGISTRAR_DATA": str(tmp_path),
        **watched(stand_in),
    }


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["check", "--deploy"],
        ["makemigrations", "--check", "--dry-run"],
        ["migrate", "-v", "0"],
        ["--help"],
        ["help", "runserver"],
        ["shell", "-v", "0", "-c", "import students.models, students.views, strongroom.django"],
    ],
    ids=" ".join,
)
def test_it_opens_nothing(command: list[str], environ: dict[str, str], stand_in: Path) -> None:
    done = python("manage.py", *command, environ=environ)
    assert done.returncode == 0, done.stderr
    assert started(stand_in) == ""


def test_the_first_use_of_a_key_does_so_that_the_stand_in_can_tell(environ: dict[str, str], stand_in: Path) -> None:
    use = "from strongroom.django import keystores; keystores['default'].fernet('student-records')"
    done = python("manage.py", "shell", "-v", "0", "-c", use, environ=environ)
    assert done.returncode != 0
    assert "gpg" in started(stand_in)


@pytest.mark.parametrize("command", [["check"], ["makemigrations", "--check", "--dry-run"], ["--help"]], ids=" ".join)
def test_the_example_site_as_it_is_opens_nothing_in_a_build(command: list[str], stand_in: Path, tmp_path: Path) -> None:
    environ = {
        "REGISTRAR_DATA": str(tmp_path),
        "STRONGROOM_BUILD": "1",
        **watched(stand_in),
    }
    done = python("manage.py", *command, environ=environ)
    assert done.returncode == 0, done.stderr
    assert started(stand_in) == ""


def test_importing_the_app_touches_no_cache_and_no_settings() -> None:
    program = (
        "import sys, strongroom.django, strongroom.django.serializers\n"
        "from django.conf import settings\n"
        "print(settings.configured, [name for name in ('django.core.cache', 'redis') if name in sys.modules])\n"
    )
    done = python("-c", program, environ={})
    assert (done.stdout, done.returncode) == ("False []\n", 0), done.stderr
