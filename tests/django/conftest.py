"""Django as a site has it, once for the process; each test says what differs with override_settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings

from django import setup
from strongroom.django import keystores
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from tests.support.gpg import GpgHome

ROOT = Path(__file__).parents[2]
REGISTRAR = ROOT / "examples" / "registrar"

DATABASE: dict[str, Any] = json.loads(
    os.environ.get("STRONGROOM_TEST_DATABASE", '{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}')
)
"""Where the tests' own models are: SQLite in memory, or what test_databases.py starts and names."""

if "mysql" in DATABASE["ENGINE"]:
    import pymysql

    pymysql.version_info = (2, 2, 8, "final", 0)  # the version of mysqlclient whose interface Django asks for
    pymysql.install_as_MySQLdb()

APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.admin",
    "strongroom.django",
    "tests.django.school",
]

if not settings.configured:
    settings.configure(
        SECRET_KEY="the tests' own, and nobody else's",
        INSTALLED_APPS=APPS,
        DATABASES={"default": DATABASE},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        MIGRATION_MODULES={app.rpartition(".")[2]: None for app in APPS},  # tables come from the models
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        ROOT_URLCONF="tests.django.school.urls",
        STATIC_URL="/static/",
        ALLOWED_HOSTS=["testserver"],
        USE_TZ=True,
    )
    setup()


def of_its_own(directory: Path) -> dict[str, Any]:
    """A database that a second connection sees, too: a file, or the server that DATABASE names."""
    if "sqlite3" not in DATABASE["ENGINE"]:
        return DATABASE
    fast = {"init_command": "PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL"}
    return {"ENGINE": DATABASE["ENGINE"], "NAME": directory / "db.sqlite3", "OPTIONS": fast}


@pytest.fixture(scope="session")
def _tables() -> None:
    """The tables of all apps, made once for the process."""
    call_command("migrate", run_syncdb=True, verbosity=0)


@pytest.fixture
def database(_tables: None) -> Iterator[None]:
    """The database with nothing in it but the tables; whatever a test writes is taken back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


KEYSETS = {
    "columns": "aes256-gcm",
    "columns-x": "xaes256-gcm",
    "tokens": "fernet",
    "index": "hmac-sha256",
    "schools/1": "aes256-gcm",
    "schools/2": "aes256-gcm",
}


@pytest.fixture
def school(database: None) -> Iterator[KeyStore]:
    """The database, and an open keystore in memory with the keysets that the school's models name."""
    with override_settings(STRONGROOM={"default": {"STORE": "memory:"}}):
        keystore = keystores["default"]
        for name, kind in KEYSETS.items():
            keystore.create(name, kind)
        yield keystore


@pytest.fixture
def development(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose root is public, with a Fernet key and a secret in it, which this process may open."""
    monkeypatch.setenv("STRONGROOM_DEVELOPMENT", "1")
    directory = tmp_path / "development" / ".strongroom"
    directory.parent.mkdir()
    found(directory, development=True)
    with open_store(directory) as keystore:
        keystore.create("student-records", "fernet")
        keystore.create("django-secret-key", "secret")
    return directory


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory, alice: GpgHome) -> Path:
    """A store that is sealed to Alice's OpenPGP key: opening it starts gpg."""
    directory = tmp_path_factory.mktemp("sealed") / ".strongroom"
    environ = {**os.environ, **alice.env}
    found(directory, environ=environ)
    with open_store(directory, environ=environ) as keystore:
        keystore.create("student-records", "fernet")
        keystore.create("django-secret-key", "secret")
    return directory


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A directory for the front of PATH with a gpg that writes down that it was started, and does nothing else."""
    directory = tmp_path / "stand-in"
    directory.mkdir()
    for name in ("gpg", "gpg2", "gpgconf", "gpg-agent", "gpg-connect-agent"):
        program = directory / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{directory}/started"\nexit 2\n')
        program.chmod(0o755)
    return directory


def watched(stand_in: Path) -> dict[str, str]:
    """The environment of a process whose gpg is the stand-in, and whose GnuPG home is there and empty."""
    home = stand_in / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    return {"PATH": f"{stand_in}:{Path(sys.executable).parent}:/usr/bin:/bin", "GNUPGHOME": str(home)}


def started(stand_in: Path) -> str:
    """What the stand-in wrote down; empty where it was never started."""
    log = stand_in / "started"
    return log.read_text() if log.exists() else ""


def python(*arguments: str, environ: Mapping[str, str], cwd: Path = REGISTRAR) -> subprocess.CompletedProcess[str]:
    """Run this Python in a process of its own."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1", **environ},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
