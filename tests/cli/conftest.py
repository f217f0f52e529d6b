"""Places for the command line: a development store, which opens with no slot to pay for, and short temporary paths."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import within


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory, the current one, with a state directory of its own."""
    base = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
    (base / "work").mkdir()
    monkeypatch.chdir(base / "work")
    monkeypatch.setenv("STRONGROOM_STATE", str(base / "state"))
    yield base / "work"
    os.chdir("/")
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def store(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A development store in the current directory: every verb works in it, and opening it is cheap."""
    monkeypatch.setenv("STRONGROOM_DEVELOPMENT", "1")
    made = within("init", "--development")
    assert made.status == 0, made.stderr
    return place / ".strongroom"
