"""The store in git of the merge tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.merging.scenes import Clone, new_clone


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return new_clone(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def here(_made: Clone, tmp_path: Path) -> Clone:
    """A store that opens with one identity file, with the keysets `box` and `columns`."""
    top = shutil.copytree(_made.top, tmp_path / "repo")
    return Clone(top=top, identity=_made.identity, state=tmp_path / "state")
