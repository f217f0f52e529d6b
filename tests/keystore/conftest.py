"""Scenes: a fresh git repository, and ones with a store that Alice made; those are made once and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.keystore.clocks import HandClock
from tests.keystore.scenes import Scene, copied, repository
from tests.support.gpg import GpgHome

from strongroom.keystore.admins import create_role


@pytest.fixture
def scene(tmp_path: Path, alice: GpgHome) -> Scene:
    """A git repository with nothing in it yet, and Alice."""
    return Scene(top=repository(tmp_path / "repo"), state=tmp_path / "state", user=alice)


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory, alice: GpgHome) -> Scene:
    """A store that Alice made. Copy it."""
    place = tmp_path_factory.mktemp("made")
    made = Scene(top=repository(place / "repo"), state=place / "state", user=alice)
    made.found()
    return made


@pytest.fixture(scope="session")
def made_role(tmp_path_factory: pytest.TempPathFactory, made_store: Scene) -> Scene:
    """The same, with a keyset `box` and a role account, whose identity is in `web.identity` beside `top`. Copy it."""
    made = copied(made_store, tmp_path_factory.mktemp("role"))
    with made.open() as keystore:
        keystore.create("box", "fernet")
        create_role(keystore, "web-deploy", made.top.parent / "web.identity", environ=made.environ)
    return made


@pytest.fixture
def store(tmp_path: Path, made_store: Scene) -> Scene:
    """A repository with a store that Alice made and has opened here."""
    return copied(made_store, tmp_path)


@pytest.fixture
def role(store: Scene, made_role: Scene) -> Path:
    """The identity file of a role account of the store, which has a keyset `box` then."""
    shutil.rmtree(store.top)
    shutil.copytree(made_role.top, store.top)
    return Path(shutil.copy2(made_role.top.parent / "web.identity", store.top.parent))


@pytest.fixture
def hand_clock() -> HandClock:
    return HandClock()
