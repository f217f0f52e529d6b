"""Which OpenPGP engine this process has. It asks nobody and starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from strongroom.openpgp.engine import Engine
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.secret import SecretBytes


def find_engine(
    *,
    identity: SecretBytes | None = None,
    passphrase: SecretBytes | None = None,
    home: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Engine:
    """The engine for this user's keyring, or for an identity (a transferable secret key) alone.

    EngineMissingError, with the way to get one, if there is none. `home` and `environ` default to the process's own.
    """
    if identity is not None:
        return GnuPG.from_identity(identity, passphrase, environ=environ)
    return GnuPG(home=home, passphrase=passphrase, environ=environ)
