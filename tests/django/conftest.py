"""Django as a site has it, once for the process; each test says what differs with override_settings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from django.conf import settings

from django import setup
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from tests.support.gpg import GpgHome

ROOT = Path(__file__).parents[2]
REGISTRAR = ROOT / "examples" / "registrar"

if not settings.configured:
    settings.configure(
        SECRET_KEY="the tests' own, and nobody else's",
        INSTALLED_APPS=["strongroom.django"],
        DATABASES={},
        USE_TZ=True,
    )
    setup()


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
