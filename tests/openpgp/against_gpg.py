"""The contract of engines with real gpg on the other side, and the engines that pass it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.support.gpg import GpgHome

from strongroom.openpgp.engine import Engine
from strongroom.openpgp.gnupg import GnuPG
from strongroom.openpgp.sequoia import Sequoia
from strongroom.primitives.secret import SecretBytes
from strongroom.testing.engine_contract import EngineContract


class AgainstGpg(EngineContract):
    alice: GpgHome
    bob: GpgHome

    @pytest.fixture(autouse=True)
    def _people(self, alice: GpgHome, bob: GpgHome) -> None:
        self.alice, self.bob = alice, bob

    @contextmanager
    def peer_with(self, secret_key: bytes) -> Iterator[GpgHome]:
        home = GpgHome.of_key(secret_key)
        try:
            yield home
        finally:
            home.close()


ENGINES = ("gnupg", "sequoia")


def engine_of(home: GpgHome, name: str) -> Engine:
    """The engine of this name, with the secret keys of a real user: in the user's home, or as an identity."""
    if name == "gnupg":
        return GnuPG(environ=home.env)
    return Sequoia(SecretBytes(home.export_secret()))
