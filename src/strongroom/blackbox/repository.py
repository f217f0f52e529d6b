"""A BlackBox repository: the verbs. Plaintext is in memory only, and a verb that fails leaves what was there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.blackbox import discovery, keyring, layout
from strongroom.blackbox.admins import Recipients, check_addition, check_label, listed_name, recipients, resolve
from strongroom.blackbox.changes import Change
from strongroom.blackbox.files import Tree
from strongroom.blackbox.locking import LOCK, locked
from strongroom.blackbox.registry import Registry
from strongroom.blackbox.vcs import VersionControl, find_version_control
from strongroom.errors import (
    BlackBoxError,
    ExistsError,
    FormatError,
    NotFoundError,
    RecipientError,
)
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.primitives.secret import SecretBytes

MAX_PLAINTEXT = 64 * 1024 * 1024
"""Bytes of one opened file."""
MAX_CIPHERTEXT = MAX_PLAINTEXT + 1024 * 1024
"""Bytes of one `.gpg`: incompressible plaintext and many recipients still fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a verb did. `changed` are the names to `git add` where nothing was committed."""

    changed: tuple[str, ...]
    recipients: tuple[str, ...] = ()
    """Full fingerprints, in the order of the list of admins."""
    left_out: tuple[str, ...] = ()
    """Listed admins who were not approved and got nothing."""
    committed: bool
    was_tracked: bool = False
    """git tracked the plaintext: it is gone from the next commit, and what was committed or staged still holds it."""
    ignored: bool = True
    """git would not pick up the plaintext; False where a later rule of the user's own brings it back."""


class Repository:
    """One repository of secrets that BlackBox's scripts, or we, laid out.

    Names are relative to the root, `F` or `F.gpg`; any bytes but NUL and newline, as `os.fsdecode` gives them.
    The verbs that write take `approved`, the full fingerprints that may receive; whoever is listed and not approved is
    left out and named in the result. `approved=None` takes the tracked list as it is: then whoever can write to the
    repository decides who reads. `protected` are paths, relative to the root or absolute, that no verb may write; a
    directory stands for all that is below it.
    """

    def __init__(
        self,
        place: discovery.Place,
        *,
        engine: Engine | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._root = place.root
        self._data = place.data
        self._given = engine
        self._environ = dict(os.environ if environ is None else environ)
        self._clock = clock
        self._tree = Tree(place.root)
        self._registry = Registry(self._tree, place.data)

    @classmethod
    def discover(
        cls,
        start: Path | None = None,
        *,
        engine: Engine | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Self:
        """The repository that `start` (the working directory) is in; see `discovery.find`. NotFoundError."""
        place = discovery.find(
            start or discovery.current_directory(), environ=os.environ if environ is None else environ
        )
        return cls(place, engine=engine, environ=environ, clock=clock)

    @classmethod
    def create(
        cls,
        base: Path,
        *,
        admin: Certificate,
        label: str,
        commit: bool = True,
        engine: Engine | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Self:
        """A new repository at `base` with one admin, as `blackbox_initialize` and `blackbox_addadmin` leave it.

        `base` is the top of a git work tree, or outside of any. ExistsError if there is one already.
        """
        root = base.resolve()
        top = discovery.git_top(root)
        if top not in {None, root}:
            raise BlackBoxError(
                f"{str(root)!r} is inside the git work tree {str(top)!r}, and BlackBox looks at its top only",
                hint=f"make it in {str(top)!r}",
            )
        for name in layout.DATA_DIRECTORIES:
            if os.path.lexists(root / name):
                raise ExistsError(f"there is {name!r} in {str(root)!r} already")
        place = discovery.Place(root=root, data=layout.DATA_DIRECTORIES[0])
        repository = cls(place, engine=engine, environ=environ, clock=clock)
        repository._make(admin, label=label, commit=commit)
        return repository

    @property
    def root(self) -> Path:
        """The directory that names are relative to, without links."""
        return self._root

    @property
    def data(self) -> Path:
        """The directory of the lists and the keyring."""
        return self._root / self._data

    @property
    def version_control(self) -> str:
        """git, none, hg or svn; the last two are read only."""
        return self._control().kind

    def files(self) -> tuple[str, ...]:
        """The registered files as listed. A hostile name is listed too; using it is a PathError."""
        return self._registry.files()

    def admins(self) -> tuple[str, ...]:
        """The admins as listed."""
        return tuple(os.fsdecode(line) for line in self._registry.admins())

    def admin_certificates(self) -> tuple[Certificate, ...]:
        """The listed admins' certificates, from the tracked keyring alone. RecipientError: `admins.resolve`."""
        return resolve(self._listed(), self._ring())

    def name_of(self, path: Path | str, *, start: Path | None = None) -> str:
        """The registry's name for a path as typed in the directory `start` (the working directory). PathError."""
        return discovery.name_below(self._root, Path(path), start=(start or discovery.current_directory()).resolve())

    def read(self, name: str) -> SecretBytes:
        """The plaintext of a registered file. NotFoundError, PathError, and what the engine raises."""
        registered = self._registry.registered(name)
        ciphertext = self._tree.read(f"{registered}.gpg", limit=MAX_CIPHERTEXT)
        return self._engine().decrypt(ciphertext, limit=MAX_PLAINTEXT).plaintext

    def register(
        self,
        name: str,
        *,
        approved: Collection[str] | None,
        protected: Collection[Path] = (),
        commit: bool = True,
    ) -> Written:
        """Encrypt the plaintext file `name`, put it on the list, hide it from git, and remove it.

        The plaintext is overwritten and unlinked, which on most disks of today hides little (`shred.overwrite`). If git
        tracked it, the same commit removes it; older commits still hold it, and `was_tracked` says so. With
        `commit=False` git's index is not touched. Raises ExistsError, NotFoundError, PathError, RecipientError,
        BlackBoxError (an empty file), ConflictError, GitError, StoreError; then everything is as it was.
        """
        plain = self._registry.writable(name, protected=protected)
        with self._writing(commit=commit) as control:
            if plain in self.files():
                raise ExistsError(f"{plain!r} is registered already")
            if self._tree.exists(f"{plain}.gpg"):
                raise ExistsError(f"there is a file {plain + '.gpg'!r} already")
            to = self._recipients(approved)
            plaintext, mode, stamp = self._tree.read_secret(plain, limit=MAX_PLAINTEXT)
            sealed = self._seal(plain, plaintext, to)
            tracked = control.tracks(plain)
            with Change(self._tree) as change:
                change.write(f"{plain}.gpg", sealed)
                for path, raw in self._registry.with_file(plain).items():
                    change.write(path, raw)
                change.apply()
                ignored = control.ignores(plain)
                change.remove_plaintext(plain, plaintext, mode, stamp=stamp)
                changed = (
                    f"{plain}.gpg",
                    self._registry.file(layout.FILES),
                    layout.IGNORE,
                    *((plain,) if tracked else ()),
                )
                committed = commit and control.commit(changed, f"registered in blackbox: {plain}")
        return _written(changed, to, committed=committed, was_tracked=tracked, ignored=ignored)

    def enlist(self, name: str, *, commit: bool = True) -> Written:
        """Put a file on the list whose `.gpg` is there already and whose plaintext is not; nothing is encrypted."""
        plain = self._registry.writable(name, protected=())
        with self._writing(commit=commit) as control:
            if plain in self.files():
                raise ExistsError(f"{plain!r} is registered already")
            if not self._tree.exists(f"{plain}.gpg"):
                raise NotFoundError(f"there is no file {plain + '.gpg'!r} to register")
            if self._tree.exists(plain):
                raise ExistsError(f"there is a plaintext {plain!r}", hint="remove it first if the .gpg holds all of it")
            with Change(self._tree) as change:
                for path, raw in self._registry.with_file(plain).items():
                    change.write(path, raw)
                change.apply()
                changed = (f"{plain}.gpg", self._registry.file(layout.FILES), layout.IGNORE)
                committed = commit and control.commit(changed, f"registered in blackbox: {plain}")
        return Written(changed=changed, committed=committed)

    def write(
        self,
        name: str,
        plaintext: SecretBytes,
        *,
        approved: Collection[str] | None,
        protected: Collection[Path] = (),
        commit: bool = True,
    ) -> Written:
        """A new version of a registered file, sealed to the approved admins. A plaintext in the work tree stays.

        Raises as `register`; NotFoundError if the file is not registered.
        """
        with self._writing(commit=commit) as control:
            plain = self._registry.writable(self._registry.registered(name), protected=protected)
            to = self._recipients(approved)
            sealed = self._seal(plain, plaintext, to)
            with Change(self._tree) as change:
                change.write(f"{plain}.gpg", sealed)
                change.apply()
                changed = (f"{plain}.gpg",)
                committed = commit and control.commit(changed, f"{plain}.gpg updated")
        return _written(changed, to, committed=committed)

    def add_admin(self, certificate: Certificate, *, label: str, commit: bool = True) -> Written:
        """List an admin under `label` (a mail address of the certificate, or its fingerprint) and add the key.

        The tracked keyring is rebuilt in a private home, never in the tracked directory. Files are not re-encrypted.
        ExistsError if the label is listed; RecipientError if the certificate cannot receive, or if in the
        resulting keyring the label would not mean exactly it.
        """
        line = check_label(label)
        with self._writing(commit=commit) as control, Change(self._tree) as change:
            names = self._stage_admin(change, certificate, line)
            change.apply()
            committed = commit and control.commit(names, f"NEW ADMIN: {label}")
        return Written(changed=names, recipients=(certificate.fingerprint,), committed=committed)

    def _make(self, admin: Certificate, *, label: str, commit: bool) -> None:
        line = check_label(label)
        self._tree.make_directory(self._data)
        try:
            with self._writing(commit=commit) as control, Change(self._tree) as change:
                first = self._registry.empty()
                for path, raw in first.items():
                    change.write(path, raw)
                names = self._stage_admin(change, admin, line)
                change.apply()
                if commit:
                    control.commit((*first, *names), "INITIALIZE BLACKBOX")
        except BaseException:
            self._tree.remove_directory(self._data, leftovers=(LOCK,))
            raise

    def _stage_admin(self, change: Change, certificate: Certificate, line: bytes) -> tuple[str, ...]:
        label = os.fsdecode(line)
        listed = self._registry.admins()
        if line in listed and not self._lacks_key(label):
            raise ExistsError(f"{label!r} is an admin already", hint="see 'strongroom blackbox list-admins'")
        from strongroom.blackbox.ringmaking import with_certificate  # only a new admin needs gpg's keyring format

        rings = with_certificate(keyring.read(self._tree, self._data), certificate, environ=self._environ)
        ring = keyring.certificates(rings.rings, engine=self._engine())
        check_addition(self._listed(), ring, certificate, label=label, at=self._clock.now())
        change.write(self._registry.file(layout.ADMINS), layout.format_admins(listed, line))
        for name, raw in rings.rings.items():
            change.write(self._registry.file(name), raw)
        if not self._tree.exists(self._registry.file(layout.TRUST)):
            change.write(self._registry.file(layout.TRUST), rings.trust)  # the original's `git add` names it
        return tuple(self._registry.file(name) for name in (layout.ADMINS, *rings.rings, layout.TRUST))

    def _lacks_key(self, label: str) -> bool:
        """The original lists an admin before it looks for the key, and so leaves names without one behind."""
        try:
            resolve([label], self._ring())
        except (RecipientError, BlackBoxError):  # the latter: no keyring yet
            return True
        return False

    def _seal(self, plain: str, plaintext: SecretBytes, to: Recipients) -> bytes:
        if not len(plaintext):
            # GnuPG's output for a truncated message can be empty too (and its exit status 0), so the engine refuses it
            raise BlackBoxError(f"{plain!r} is empty, and an empty secret cannot be told from a truncated one")
        if len(plaintext) > MAX_PLAINTEXT:
            raise FormatError(f"{plain!r} would hold {len(plaintext)} bytes; the limit is {MAX_PLAINTEXT}")
        base = plain.rpartition("/")[2]
        # The originals' messages carry the base name. Nothing depends on it, so a name that a terminal obeys stays out.
        return self._engine().encrypt(plaintext, to=to.certificates, filename=base if base.isprintable() else "")

    def _recipients(self, approved: Collection[str] | None) -> Recipients:
        return recipients(self._listed(), self._ring(), approved=approved, at=self._clock.now())

    def _listed(self) -> list[str]:
        return [listed_name(line) for line in self._registry.admins()]

    def _ring(self) -> tuple[Certificate, ...]:
        return keyring.certificates(keyring.read(self._tree, self._data), engine=self._engine())

    @contextmanager
    def _writing(self, *, commit: bool) -> Iterator[VersionControl]:
        control = self._control()
        with locked(control.lock_directory, clock=self._clock):
            if commit:
                control.check_ready()
            keyring.check_no_secrets(self._tree, self._data)
            yield control

    def _control(self) -> VersionControl:
        return find_version_control(self._root, self.data, environ=self._environ)

    def _engine(self) -> Engine:
        if self._given is None:
            from strongroom.openpgp.discovery import find_engine  # lists are read without any engine

            self._given = find_engine(environ=self._environ)
        return self._given


def _written(
    changed: tuple[str, ...], to: Recipients, *, committed: bool, was_tracked: bool = False, ignored: bool = True
) -> Written:
    return Written(
        changed=changed,
        recipients=tuple(key.fingerprint for key in to.certificates),
        left_out=to.left_out,
        committed=committed,
        was_tracked=was_tracked,
        ignored=ignored,
    )
