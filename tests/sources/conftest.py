"""A development store with secrets of known text."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store

PASSWORD = "correct horse battery staple"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRONGROOM_DEVELOPMENT", "1")
    directory = tmp_path / ".strongroom"
    found(directory, development=True)
    with open_store(directory) as keystore:
        keystore.import_key("smtp-password", PASSWORD.encode(), "secret")
        keystore.import_key("dollars", b"$SECRET", "secret")
        keystore.import_key("url", b"postgres://site:p%40ss@127.0.0.1:5432/site", "secret")
        keystore.import_key("bytes", b"\xff\xfe", "secret")
        keystore.create("box", "fernet")
    return directory
