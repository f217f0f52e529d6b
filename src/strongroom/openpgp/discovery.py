"""Which OpenPGP engine this process has. It asks nobody and starts nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from strongroom.errors import EngineMissingError, SettingsError
from strongroom.openpgp import surroundings
from strongroom.openpgp.engine import Engine
from strongroom.primitives.secret import SecretBytes

CHOICE = "STRONGROOM_ENGINE"
"""The variable that forces an engine: `gnupg` or `sequoia`."""

_EXTRA = "pip install 'strongroom[sequoia]'"
_ANY = f"install GnuPG (apt-get install gnupg), or do without it: {_EXTRA}"


def find_engine(
    *,
    identity: SecretBytes | None = None,
    passphrase: SecretBytes | None = None,
    home: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Engine:
    """The engine for this user's keyring, or for an identity (a transferable secret key) alone.

    gpg, where it is; for an identity where no gpg is, sequoia, if it is installed. STRONGROOM_ENGINE forces one.
    Sequoia has no keyring: without an identity it encrypts, judges and generates. EngineMissingError, with the way to
    get one, if there is none; SettingsError for a word that is no engine. `home` and `environ` default to the
    process's own.
    """
    environ = os.environ if environ is None else environ
    forced = environ.get(CHOICE, "")
    if forced not in ("", "gnupg", "sequoia"):
        raise SettingsError(f"{CHOICE} is {forced[:40]!r}", hint=f"set {CHOICE} to gnupg or sequoia, or not at all")
    if forced == "sequoia" or (forced == "" and identity is not None and _only_sequoia(environ)):
        return _sequoia(identity, passphrase, hint=_EXTRA if forced else _ANY)
    from strongroom.openpgp.gnupg import GnuPG  # 10 ms that a host with sequoia does not pay

    if identity is not None:
        return GnuPG.from_identity(identity, passphrase, environ=environ)
    return GnuPG(home=home, passphrase=passphrase, environ=environ)


def _only_sequoia(environ: Mapping[str, str]) -> bool:
    """A gpg that GPG names and that is not there is the user's mistake, not a host with no gpg."""
    if environ.get("GPG"):
        return False
    try:
        surroundings.find_program(environ)
    except EngineMissingError:
        return True
    return False


def _sequoia(identity: SecretBytes | None, passphrase: SecretBytes | None, *, hint: str) -> Engine:
    try:
        from strongroom.openpgp.sequoia import Sequoia  # an extra: 8 ms and 10 MB that hosts with gpg do not pay
    except ImportError as error:
        raise EngineMissingError(f"the sequoia engine cannot be loaded: {error}", hint=hint) from None
    return Sequoia(identity, passphrase)
