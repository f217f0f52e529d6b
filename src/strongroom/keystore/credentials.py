"""What a process can show to open a store: options first, then settings, then the environment, then the user's gpg."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from strongroom.errors import IdentityError
from strongroom.keystore.environment import Environment
from strongroom.keystore.settings import allows_development
from strongroom.openpgp.discovery import find_engine
from strongroom.openpgp.engine import Engine
from strongroom.openpgp.turns import turn
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.credentials import Credential, WithDevelopment, WithEngine, WithIdentity, WithPassphrase
from strongroom.sealing.identities import (
    Identity,
    OpenPgpIdentity,
    WorkerIdentity,
    identity_from_file,
    identity_from_text,
)
from strongroom.sealing.passphrases import (
    passphrase_from_descriptor,
    passphrase_from_file,
    passphrase_from_prompt,
    passphrase_from_text,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the caller gives to open a store with; what is None is looked for in the environment.

    identity, passphrase_file: paths. identity_text: an identity file's text. identity_held: one that was put together
    here, of recovery shares. passphrase_fd: a descriptor. ask: asks a person, and is called only if a slot wants it.
    engine: an OpenPGP engine to use instead of the user's gpg.
    """

    identity: Path | None = None
    identity_text: str | None = field(default=None, repr=False)
    identity_held: Identity | None = field(default=None, repr=False)
    passphrase_file: Path | None = None
    passphrase_fd: int | None = None
    passphrase_secret: SecretBytes | None = None
    ask: Callable[[], str] | None = None
    engine: Engine | None = None

    def passphrase(self, environ: Mapping[str, str] | None = None) -> SecretBytes | None:
        """The passphrase that was given, or None; a person is asked where the caller said so."""
        source = self._passphrase_source(Environment.of(environ))
        return None if source is None else source()

    def once(self) -> Given:
        """The same, to be used more than once: a descriptor is read now, and a person is asked one time at most."""
        if self.passphrase_secret is None and self.passphrase_fd is not None:
            return replace(self, passphrase_secret=passphrase_from_descriptor(self.passphrase_fd), passphrase_fd=None)
        return self if self.ask is None else replace(self, ask=functools.cache(self.ask))

    @property
    def prompts(self) -> bool:
        """Whether the passphrase would be asked of a person, because nothing else gives one."""
        return self.ask is not None and self.passphrase_secret is None and self.passphrase_fd is None

    def identity_of(self, environ: Mapping[str, str] | None = None) -> Identity | None:
        """The identity that was given, or None; its passphrase is asked for where it has one. IdentityError."""
        environ = Environment.of(environ)
        return self._identity(environ, self._passphrase_source(environ))

    def _passphrase_source(self, environ: Mapping[str, str]) -> Callable[[], SecretBytes] | None:
        if self.passphrase_secret is not None:
            given = self.passphrase_secret
            return lambda: given
        if self.passphrase_fd is not None:
            descriptor = self.passphrase_fd
            return lambda: passphrase_from_descriptor(descriptor)
        if self.ask is not None:
            ask = self.ask
            return lambda: passphrase_from_prompt(ask)
        path = self.passphrase_file or _path(environ, "STRONGROOM_PASSPHRASE_FILE")
        if path is not None:
            return lambda: passphrase_from_file(path)
        if environ.get("STRONGROOM_PASSPHRASE"):  # no local keeps it: frames are shown when nothing opens
            return lambda: passphrase_from_text(environ["STRONGROOM_PASSPHRASE"])
        return None

    def _identity(self, environ: Mapping[str, str], ask: Callable[[], SecretBytes] | None) -> Identity | None:
        if self.identity_held is not None:
            return self.identity_held
        if self.identity_text is not None:
            return identity_from_text(self.identity_text, source="the identity", ask=ask)
        path = self.identity or _path(environ, "STRONGROOM_IDENTITY_FILE")
        if path is not None:
            return identity_from_file(path, ask=ask)
        if environ.get("STRONGROOM_IDENTITY"):
            return identity_from_text(environ["STRONGROOM_IDENTITY"], ask=ask)
        return None


class Engines:
    """The OpenPGP engines that an opening started. Closing them ends their agents and removes their homes."""

    def __init__(self) -> None:
        self._started: list[Engine] = []

    def started(self, engine: Engine) -> Engine:
        """Remember an engine that was started here."""
        self._started.append(engine)
        return engine

    def close(self) -> None:
        """Close all of them."""
        while self._started:
            self._started.pop().close()


def credentials(
    given: Given, engines: Engines, environ: Mapping[str, str] | None = None
) -> tuple[tuple[Credential, ...], Callable[[], Engine]]:
    """The credentials in the order in which slots are tried, and where the OpenPGP engine comes from.

    An explicit identity comes alone before the user's gpg: a machine that was given a role account must not fall back
    on whatever secret key lies around. A passphrase that is at hand comes before gpg, and opens a locked key of the
    user's too; a person is asked last.
    """
    environ = Environment.of(environ)
    source = given._passphrase_source(environ)
    ask = None if source is None else functools.cache(source)  # a person is asked once, a descriptor read once
    prompts = given.prompts
    found: list[Credential] = []
    identity = given._identity(environ, ask)
    find: Callable[[], Engine]
    if isinstance(identity, OpenPgpIdentity):
        held = identity

        def find() -> Engine:
            return engines.started(find_engine(identity=held.private, environ=environ))

        found.append(WithEngine(find, turn=lambda: turn(environ)))
    else:
        if isinstance(identity, WorkerIdentity):
            raise IdentityError(
                f"the identity {identity.name!r} is a worker's, which opens publications and no store",
                hint="strongroom role create NAME makes one for a machine that opens the store",
            )
        if identity is not None:
            found.append(WithIdentity(identity))

        def find() -> Engine:
            if given.engine is not None:
                return given.engine
            return engines.started(find_engine(environ=environ, passphrase=None if prompts or ask is None else ask()))

    if ask is not None and not prompts:
        found.append(WithPassphrase(ask))
    if allows_development(environ):
        found.append(WithDevelopment())
    if identity is None:
        found.append(WithEngine(find, turn=lambda: turn(environ)))
    if ask is not None and prompts:
        found.append(WithPassphrase(ask))
    return tuple(found), find


def _path(environ: Mapping[str, str], variable: str) -> Path | None:
    text = environ.get(variable)
    return Path(text) if text else None
