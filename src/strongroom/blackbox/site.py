"""What every verb that writes stands on: reading, the lock, version control, and sealing."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from strongroom._closing import let_go
from strongroom.blackbox import discovery, journal, keyring, layout, withheld
from strongroom.blackbox.admins import Recipients, recipients
from strongroom.blackbox.changes import Change
from strongroom.blackbox.files import store_errors
from strongroom.blackbox.locking import locked
from strongroom.blackbox.reading import MAX_PLAINTEXT, Reader, about
from strongroom.blackbox.registry import Registry
from strongroom.blackbox.vcs import VersionControl, find_version_control
from strongroom.errors import BlackBoxError, FormatError, NotFoundError
from strongroom.primitives.secret import SecretBytes


class Site(Reader):
    """The ground under the verbs that write."""

    @property
    def version_control(self) -> str:
        """git, none, hg or svn; the last two are read only."""
        return self.control().kind

    def seal(self, plain: str, plaintext: SecretBytes, to: Recipients) -> bytes:
        """The ciphertext for a name, checked by `check_sealable` first."""
        return self.seal_many({plain: plaintext}, to)[0]

    def seal_many(self, plaintexts: Mapping[str, SecretBytes], to: Recipients) -> list[bytes]:
        """The same for several, in order."""
        for plain, plaintext in plaintexts.items():
            self.check_sealable(plain, plaintext)
        # The originals' messages carry the base name. Nothing depends on it, so a name that a terminal obeys stays out.
        bases = [base if (base := plain.rpartition("/")[2]).isprintable() else "" for plain in plaintexts]
        messages = [*zip(bases, plaintexts.values(), strict=True)]
        sealed = []
        for plain, (base, plaintext), raw in zip(
            plaintexts, messages, self.engine.encrypt_many(messages, to=to.certificates), strict=True
        ):
            with about(plain):
                sealed.append(self.engine.encrypt(plaintext, to=to.certificates, filename=base) if raw is None else raw)
        return sealed

    def check_sealable(self, plain: str, plaintext: SecretBytes) -> None:
        """BlackBoxError for an empty plaintext, ExposedRootError for a store's root, FormatError for one too long."""
        if not len(plaintext):
            # GnuPG's output for a truncated message can be empty too (and its exit status 0), so the engine refuses it
            raise BlackBoxError(
                f"{plain!r} is empty, and an empty secret cannot be told from a truncated one",
                hint=f"write something into it, or strongroom blackbox deregister-file {shlex.quote(plain)}",
            )
        withheld.check_sealable(plain, plaintext)
        if len(plaintext) > MAX_PLAINTEXT:
            raise FormatError(f"{plain!r} would hold {len(plaintext)} bytes; the limit is {MAX_PLAINTEXT}")

    def recipients(self, approved: Collection[str] | None) -> Recipients:
        """To whom a write seals now. RecipientError before anything is encrypted."""
        return recipients(self.listed(), self.ring(), approved=approved, at=self.clock.now())

    @contextmanager
    def writing(self, *, commit: bool) -> Iterator[VersionControl]:
        """Hold the repository's lock; what would stop the commit later is found now."""
        control = self.control()
        with locked(control.lock_directory, clock=self.clock):
            journal.recover(control.lock_directory, self.tree)
            self._sweep_after_a_kill(control.lock_directory)
            if commit:
                control.check_ready()
            keyring.check_no_secrets(self.tree, self.place.data)
            yield control

    def _sweep_after_a_kill(self, lock_directory: Path) -> None:
        """What a killed process left: plaintexts that were to take their places, second names of the lists."""
        with store_errors(str(lock_directory)):
            directory = os.open(lock_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                journal.sweep(directory)
            finally:
                let_go(directory)
        self.sweep(layout.IGNORE, self.registry.file(layout.FILES))

    def sweep(self, *names: str) -> None:
        """Drop our temporary files beside these. The caller holds the lock."""
        for name in {name.rpartition("/")[0]: name for name in names}.values():
            with suppress(NotFoundError), self.tree.parent(name) as (directory, _), store_errors(name):
                journal.sweep(directory)

    def settle(self) -> None:
        """Undo what a killed process left half done, if anything: for one who reads the lists in order to write.

        Errors as any write's, and none where nothing is half done.
        """
        if journal.stands(self.control().lock_directory):
            with self.writing(commit=False):
                pass

    @contextmanager
    def steady(self, *, commit: bool, dry_run: bool) -> Iterator[VersionControl]:
        """As `writing`; for a dry run, which writes nothing, not even a lock, without it."""
        if dry_run:
            yield self.control()
            return
        with self.writing(commit=commit) as control:
            yield control

    def elsewhere(self) -> dict[str, str]:
        """The files that other environments of this repository list, with the data directory of each.

        Of BlackBox's own two directories one is what was left behind by a move.
        """
        here = self.place.data
        same = layout.DATA_DIRECTORIES if here in layout.DATA_DIRECTORIES else (here,)
        others = [data for data in discovery.environments(self.root) if data not in same]
        return {name: data for data in others for name in Registry(self.tree, data).files_or_none()}

    def check_own(self, plains: Collection[str]) -> None:
        """BlackBoxError if another environment lists one, too: its secret would be sealed to the admins of this one."""
        elsewhere = self.elsewhere()
        for plain in plains:
            if plain in elsewhere:
                raise BlackBoxError(
                    f"{plain!r} is in two lists, here and in {elsewhere[plain]!r}, and each would seal it to its own",
                    hint=f"it belongs to one: take the line out of {self.registry.file(layout.FILES)!r} or the other",
                )

    def changing(self, control: VersionControl) -> Change:
        """A change of several files, which even the end of the process does not leave half done."""
        return Change(self.tree, undo=control.lock_directory)

    def control(self) -> VersionControl:
        """The version control around the root."""
        return find_version_control(self.root, self.data, environ=self.environ)
