"""Reading a repository: its places, lists, keyring and plaintexts. It writes nothing, and imports little.

`cat` and the lists are typed by people and called in loops: what the writing verbs stand on is not loaded for them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.blackbox import discovery, keyring
from strongroom.blackbox.admins import listed_name, resolve
from strongroom.blackbox.files import Tree
from strongroom.blackbox.registry import Registry
from strongroom.blackbox.withheld import released
from strongroom.errors import StrongroomError
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.primitives.secret import SecretBytes

MAX_PLAINTEXT = 64 * 1024 * 1024
"""Bytes of one opened file."""
MAX_CIPHERTEXT = MAX_PLAINTEXT + 1024 * 1024
"""Bytes of one `.gpg`: incompressible plaintext and many recipients still fit."""


class Reader:
    """A repository that is only read. Names are relative to the root, `F` or `F.gpg`, as `os.fsdecode` gives them."""

    def __init__(
        self,
        place: discovery.Place,
        *,
        engine: Engine | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.place = place
        self.environ = dict(os.environ if environ is None else environ)
        self.clock = clock
        self.tree = Tree(place.root)
        self.registry = Registry(self.tree, place.data)
        self._given = engine
        self._ring: tuple[dict[str, bytes], tuple[Certificate, ...]] | None = None

    @property
    def root(self) -> Path:
        """The directory that names are relative to, without links."""
        return self.place.root

    @property
    def data(self) -> Path:
        """The directory of the lists and the keyring."""
        return self.place.root / self.place.data

    @classmethod
    def discover(
        cls,
        start: Path | None = None,
        *,
        data: str | None = None,
        engine: Engine | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Self:
        """The repository that `start` (the working directory) is in; see `discovery.find`. NotFoundError.

        `data` chooses one of its environments, as BLACKBOXDATA does.
        """
        known = dict(os.environ if environ is None else environ)
        if data is not None:
            known["BLACKBOXDATA"] = data
        place = discovery.find(start or discovery.current_directory(), environ=known)
        return cls(place, engine=engine, environ=environ, clock=clock)

    def files(self) -> tuple[str, ...]:
        """The registered files as listed. A hostile name is listed too; using it is a PathError."""
        return self.registry.files()

    def admins(self) -> tuple[str, ...]:
        """The admins as listed."""
        return tuple(os.fsdecode(line) for line in self.registry.admins())

    def admin_certificates(self) -> tuple[Certificate, ...]:
        """The listed admins' certificates, from the tracked keyring alone. RecipientError: `admins.resolve`."""
        return resolve(self.listed(), self.ring())

    def name_of(self, path: Path | str, *, start: Path | None = None) -> str:
        """The registry's name for a path as typed in the directory `start` (the working directory). PathError."""
        return discovery.name_below(self.root, Path(path), start=(start or discovery.current_directory()).resolve())

    def read(self, name: str) -> SecretBytes:
        """The plaintext of a registered file. NotFoundError, PathError, and what the engine raises."""
        plain = self.registry.registered(name)
        with about(plain):
            return self.open(self.sealed(plain))

    def sealed(self, plain: str) -> bytes:
        """The ciphertext of a registered name. NotFoundError, PathError, FormatError."""
        return self.tree.read(f"{plain}.gpg", limit=MAX_CIPHERTEXT)

    def open(self, ciphertext: bytes) -> SecretBytes:
        """The plaintext of a ciphertext, in memory only. ExposedRootError if it is a store's root: see `withheld`."""
        return released(self.engine.decrypt(ciphertext, limit=MAX_PLAINTEXT).plaintext)

    def open_many(self, sealed: Mapping[str, bytes]) -> list[SecretBytes]:
        """The plaintexts of ciphertexts, in order; what one of them raises names its file, which is the key here."""
        plaintexts = []
        for (name, raw), opened in zip(sealed.items(), self.engine.decrypt_many([*sealed.values()]), strict=True):
            with about(name):
                plaintexts.append(self.open(raw) if opened is None else released(opened.plaintext))
        return plaintexts

    def listed(self) -> list[str]:
        """The user-ids of the list of admins."""
        return [listed_name(line) for line in self.registry.admins()]

    def ring(self) -> tuple[Certificate, ...]:
        """The certificates of the tracked keyring, judged once for as long as it stays what it is."""
        rings = keyring.read(self.tree, self.place.data)
        if self._ring is None or self._ring[0] != rings:
            self._ring = rings, keyring.certificates(rings, engine=self.engine)
        return self._ring[1]

    @property
    def engine(self) -> Engine:
        """The engine that was given, or the one that this process has; found at its first use."""
        if self._given is None:
            from strongroom.openpgp.discovery import find_engine  # lists are read without any engine

            self._given = find_engine(environ=self.environ)
        return self._given


@contextmanager
def about(name: str) -> Iterator[None]:
    """Have every error of ours name the file that it is about."""
    try:
        yield
    except StrongroomError as error:
        said = str(error)
        if repr(name) in said or repr(f"{name}.gpg") in said:  # in quotes: `secret` and `key` are words of ours, too
            raise
        raise type(error)(f"{name!r}: {error}", hint=error.hint) from None
