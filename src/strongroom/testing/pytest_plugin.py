"""pytest fixtures for sites that keep keys. Say `pytest_plugins = ["strongroom.testing.pytest_plugin"]` in conftest.py.

    def test_enrolment(strongroom_keystore, client):
        ...

Nothing loads because it is installed: there is no entry point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from strongroom.django.testing import override_keystore
from strongroom.keystore.facade import KeyStore


@pytest.fixture
def strongroom_keysets() -> Mapping[str, str] | None:
    """Which keysets there are, name → type; override it. None: whatever the site's fields and storages name."""
    return None


@pytest.fixture
def strongroom_keystore(strongroom_keysets: Mapping[str, str] | None) -> Iterator[KeyStore]:
    """A fresh keystore in memory in place of STRONGROOM["default"], with equal keys in every process."""
    override = override_keystore(strongroom_keysets)
    keystore = override.enable()
    yield keystore
    override.disable()
