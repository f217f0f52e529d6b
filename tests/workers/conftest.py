"""A site with one group, `web`, under a clock that the test moves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.sealing.identities import WorkerIdentity
from tests.workers.scenes import HandClock, Site


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory with a short name."""
    made = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def site(place: Path, clock: HandClock) -> Iterator[Site]:
    made = Site.make(place / ".strongroom", clock)
    yield made
    made.keystore.close()


@pytest.fixture
def web(site: Site) -> WorkerIdentity:
    """The group `web`, to which the keyset `box` (fernet) is granted."""
    from strongroom.keystore.workers import grant

    identity = site.group("web")
    site.keystore.create("box", "fernet")
    grant(site.keystore, "web", ["box"])
    return identity
