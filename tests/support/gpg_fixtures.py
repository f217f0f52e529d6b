"""Fixtures over real gpg, for the root conftest to import: a factory of users, three of the session, a terminal."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator

import pytest

from tests.support.gpg import GpgHome, GpgHomes


@pytest.fixture(scope="session")
def gpg_homes() -> Iterator[GpgHomes]:
    """`gpg_homes("Dan <dan@example.org>")` makes a user; all are closed at the end of the session."""
    homes = GpgHomes()
    yield homes
    homes.close()


@pytest.fixture(scope="session")
def alice(gpg_homes: GpgHomes) -> GpgHome:
    """Alice: ed25519/cv25519, no passphrase."""
    return gpg_homes("Alice <alice@example.org>")


@pytest.fixture(scope="session")
def bob(gpg_homes: GpgHomes) -> GpgHome:
    """Bob: ed25519/cv25519, no passphrase."""
    return gpg_homes("Bob <bob@example.org>")


@pytest.fixture(scope="session")
def carol(gpg_homes: GpgHomes) -> GpgHome:
    """Carol: RSA-3072, no passphrase."""
    return gpg_homes("Carol <carol@example.org>", kind="rsa3072")


@pytest.fixture
def terminal() -> Iterator[str]:
    """The name of a terminal, at which nobody sits."""
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)
