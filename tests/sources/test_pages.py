"""The pages of django-environ and pydantic-settings: their own lines, in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.django.sites import making


def python(program: str, directory: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=directory,
        env=making.environment(directory, **more),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


ENVIRON = """
import sys
import settings
assert settings.DEBUG is False
assert settings.PAYMENTS_API_KEY == "p w"
assert settings.DATABASES["default"]["PASSWORD"] == "p@ss"
assert len(settings.SECRET_KEY) == 64
from django.conf import settings
import django
django.setup()
from django.core.management import call_command
call_command("check")
"""


def test_the_page_of_django_environ_does_what_it_says(tmp_path: Path) -> None:
    making.make("environ.md", tmp_path, payments_api_key=b"p w", database_url=b"postgres://site:p%40ss@127.0.0.1/site")
    done = python(ENVIRON, tmp_path, DJANGO_SETTINGS_MODULE="settings")
    assert done.returncode == 0, done.stderr
    built = python(
        "import settings as s; assert s.DATABASES['default']['NAME'] == ':memory:'; print(s.PAYMENTS_API_KEY)",
        tmp_path,
        DATABASE_URL_KEYSET="",
        DATABASE_URL="sqlite://:memory:",
        STRONGROOM_BUILD="1",
        STRONGROOM_DEVELOPMENT="",
    )
    assert built.returncode == 0, built.stderr
    assert "p w" not in built.stdout


PYDANTIC = """
from configuration import Settings, settings
assert settings.smtp_password.get_secret_value() == "p w"
assert settings.payments_key.get_secret_value() == b"key"
assert "p w" not in repr(settings)
"""


def test_the_page_of_pydantic_settings_does_what_it_says(tmp_path: Path) -> None:
    making.make("pydantic-settings.md", tmp_path, smtp_password=b"p w", payments_api_key=b"key")
    done = python(PYDANTIC, tmp_path)
    assert done.returncode == 0, done.stderr
    overridden = python(
        "from configuration import settings; print(settings.smtp_password.get_secret_value())",
        tmp_path,
        SMTP_PASSWORD="own",
        PAYMENTS_KEY="own",
        STRONGROOM_DEVELOPMENT="",
    )
    assert (overridden.stdout, overridden.returncode) == ("own\n", 0), overridden.stderr
