"""Teams of real gpg users, and repositories of theirs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strongroom.blackbox import Repository
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.openpgp.gnupg import GnuPG
from tests.support.blackbox_fixtures import git
from tests.support.gpg import GpgHome

EngineOf = Callable[[GpgHome], Engine]


@pytest.fixture(scope="session")
def engine_of() -> Iterator[EngineOf]:
    """The engine of a user; all are closed at the end of the session."""
    made: dict[Path, GnuPG] = {}

    def engine_of(user: GpgHome) -> Engine:
        if user.home not in made:
            made[user.home] = GnuPG(home=user.home)
        return made[user.home]

    yield engine_of
    for engine in made.values():
        engine.close()


@pytest.fixture
def as_alice(engine_of: EngineOf, alice: GpgHome) -> Engine:
    return engine_of(alice)


@pytest.fixture
def alice_key(as_alice: Engine, alice: GpgHome) -> Certificate:
    return as_alice.certificate(alice.fingerprint)


@pytest.fixture
def work_tree(tmp_path: Path) -> Path:
    """An empty git work tree."""
    root = (tmp_path / "repo").resolve()
    root.mkdir()
    git(root, "init", "--quiet")
    return root


@pytest.fixture
def repo(work_tree: Path, as_alice: Engine, alice_key: Certificate) -> Repository:
    """A BlackBox repository of alice alone, as she sees it."""
    return Repository.create(work_tree, admin=alice_key, label="alice@example.org", engine=as_alice)


@pytest.fixture
def only_alice(alice: GpgHome) -> tuple[str, ...]:
    """What approves alice and nobody else."""
    return (alice.fingerprint,)


@pytest.fixture
def bob_key(engine_of: EngineOf, bob: GpgHome) -> Certificate:
    return engine_of(bob).certificate(bob.fingerprint)


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of the work tree, git's own and our lock apart: content and mode."""
    return {
        os.fsdecode(os.fsencode(path.relative_to(root))): (path.read_bytes(), path.stat().st_mode)
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }
