"""What every verb stands on: one repository's places, lists and keyring, its lock, and the engine that seals."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.blackbox import discovery, journal, keyring
from strongroom.blackbox.admins import Recipients, listed_name, recipients, resolve
from strongroom.blackbox.changes import Change
from strongroom.blackbox.files import Tree
from strongroom.blackbox.locking import locked
from strongroom.blackbox.registry import Registry
from strongroom.blackbox.vcs import VersionControl, find_version_control
from strongroom.errors import BlackBoxError, FormatError, StrongroomError
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.primitives.secret import SecretBytes

MAX_PLAINTEXT = 64 * 1024 * 1024
"""Bytes of one opened file."""
MAX_CIPHERTEXT = MAX_PLAINTEXT + 1024 * 1024
"""Bytes of one `.gpg`: incompressible plaintext and many recipients still fit."""


class Site:
    """The ground under the verbs. Names are relative to the root, `F` or `F.gpg`, as `os.fsdecode` gives them."""

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

    @property
    def root(self) -> Path:
        """The directory that names are relative to, without links."""
        return self.place.root

    @property
    def data(self) -> Path:
        """The directory of the lists and the keyring."""
        return self.place.root / self.place.data

    @property
    def version_control(self) -> str:
        """git, none, hg or svn; the last two are read only."""
        return self.control().kind

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
        """The plaintext of a ciphertext, in memory only."""
        return self.engine.decrypt(ciphertext, limit=MAX_PLAINTEXT).plaintext

    def seal(self, plain: str, plaintext: SecretBytes, to: Recipients) -> bytes:
        """The ciphertext for a name, checked by `check_sealable` first."""
        self.check_sealable(plain, plaintext)
        base = plain.rpartition("/")[2]
        # The originals' messages carry the base name. Nothing depends on it, so a name that a terminal obeys stays out.
        return self.engine.encrypt(plaintext, to=to.certificates, filename=base if base.isprintable() else "")

    def check_sealable(self, plain: str, plaintext: SecretBytes) -> None:
        """BlackBoxError for an empty plaintext, FormatError for one that is too long."""
        if not len(plaintext):
            # GnuPG's output for a truncated message can be empty too (and its exit status 0), so the engine refuses it
            raise BlackBoxError(f"{plain!r} is empty, and an empty secret cannot be told from a truncated one")
        if len(plaintext) > MAX_PLAINTEXT:
            raise FormatError(f"{plain!r} would hold {len(plaintext)} bytes; the limit is {MAX_PLAINTEXT}")

    def recipients(self, approved: Collection[str] | None) -> Recipients:
        """To whom a write seals now. RecipientError before anything is encrypted."""
        return recipients(self.listed(), self.ring(), approved=approved, at=self.clock.now())

    def listed(self) -> list[str]:
        """The user-ids of the list of admins."""
        return [listed_name(line) for line in self.registry.admins()]

    def ring(self) -> tuple[Certificate, ...]:
        """The certificates of the tracked keyring."""
        return keyring.certificates(keyring.read(self.tree, self.place.data), engine=self.engine)

    @contextmanager
    def writing(self, *, commit: bool) -> Iterator[VersionControl]:
        """Hold the repository's lock; what would stop the commit later is found now."""
        control = self.control()
        with locked(control.lock_directory, clock=self.clock):
            journal.recover(control.lock_directory, self.tree)
            if commit:
                control.check_ready()
            keyring.check_no_secrets(self.tree, self.place.data)
            yield control

    @contextmanager
    def steady(self, *, commit: bool, dry_run: bool) -> Iterator[VersionControl]:
        """As `writing`; for a dry run, which writes nothing, not even a lock, without it."""
        if dry_run:
            yield self.control()
            return
        with self.writing(commit=commit) as control:
            yield control

    def other_data(self) -> tuple[str, ...]:
        """The data directories of the other environments in this repository."""
        return tuple(data for data in discovery.environments(self.root) if data != self.place.data)

    def changing(self, control: VersionControl) -> Change:
        """A change of several files, which even the end of the process does not leave half done."""
        return Change(self.tree, undo=control.lock_directory)

    def control(self) -> VersionControl:
        """The version control around the root."""
        return find_version_control(self.root, self.data, environ=self.environ)

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
        if repr(name)[1:-1] in str(error):
            raise
        raise type(error)(f"{name!r}: {error}", hint=error.hint) from None
