"""A change of several files as one step: each is whole when it is seen, and a step that fails is taken back."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from strongroom._closing import let_go
from strongroom.blackbox import journal
from strongroom.blackbox.files import Stamp, Tree, stamp_of, store_errors, unlink_quietly
from strongroom.blackbox.shred import erase
from strongroom.blackbox.staging import Staged, temporary_name, write_new
from strongroom.errors import ConflictError, StoreError
from strongroom.primitives.secret import SecretBytes


class Change:
    """Several files of a tree. When the block fails, or never applies, each file is as it was.

    New contents are on the disk, whole and synced, before the first one takes its place. The caller holds the
    repository's lock, so that what an earlier process left behind is known to be dead. With `undo`, a directory for the
    journal, even a process that is killed among the renames leaves nothing that the next `journal.recover` does not
    take back.
    """

    def __init__(self, tree: Tree, *, undo: Path | None = None) -> None:
        self._tree = tree
        self._undo = undo
        self._staged: list[Staged] = []
        self._removed: list[tuple[str, SecretBytes, int]] = []
        self._directories: dict[str, int] = {}
        self._applied = False

    def write(self, name: str, raw: bytes) -> None:
        """Have `name` hold `raw` when the step is applied. An existing file keeps its mode; a new one gets 0644."""
        self._stage(name).prepare(raw)

    def remove(self, name: str) -> None:
        """Have `name` gone when the step is applied; it holds no plaintext, and is not overwritten."""
        self._stage(name).prepare(None)

    def apply(self) -> None:
        """Rename every file into its place."""
        for staged in self._staged:
            with store_errors(staged.name):
                staged.keep_old()
        self._begin()
        for staged in self._staged:
            with store_errors(staged.name):
                staged.place()
        self._sync()
        self._end()
        self._applied = True

    def remove_plaintext(self, name: str, plaintext: SecretBytes, mode: int, *, stamp: Stamp) -> None:
        """Overwrite and unlink a plaintext, if it is still the one that was read; else ConflictError.

        If the step fails afterwards, the plaintext is put back.
        """
        with self._tree.parent(name) as (directory, base), store_errors(name):
            found = os.stat(base, dir_fd=directory, follow_symlinks=False)
            if stamp_of(found) != stamp or found.st_nlink != 1:
                raise ConflictError(f"{name!r} was changed while it was being encrypted", hint="try again")
            self._removed.append((name, plaintext, mode))
            above = name.rpartition("/")[0]
            if above not in self._directories:
                self._directories[above] = os.dup(directory)
            erase(base, directory=directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None or not self._applied:
                self._take_back()
            else:
                self._sync()  # the names of the plaintexts are gone for good, too
        finally:
            for staged in self._staged:
                staged.close()
            for directory in self._directories.values():
                let_go(directory)

    def _stage(self, name: str) -> Staged:
        above = name.rpartition("/")[0]
        if above not in self._directories:
            with self._tree.parent(name) as (directory, _):
                self._directories[above] = os.dup(directory)
            with store_errors(name):
                journal.sweep(self._directories[above])
        staged = Staged(name, self._directories[above])
        self._staged.append(staged)
        return staged

    def _take_back(self) -> None:
        # Plaintexts first: while one of them cannot be put back, its ciphertext must not go either.
        for name, plaintext, mode in self._removed:
            self._put_back(name, plaintext, mode)
        if self._applied:  # else the journal stands still, or nothing was placed
            with suppress(StoreError):  # a full disk: what follows needs no space
                self._begin()
        for staged in reversed(self._staged):
            with store_errors(staged.name):
                staged.take_back()
        self._sync()
        self._end()

    def _begin(self) -> None:
        if self._undo is not None and len(self._staged) > 1:  # one rename is all or nothing by itself
            journal.begin(self._undo, [staged.entry for staged in self._staged])

    def _end(self) -> None:
        if self._undo is not None and len(self._staged) > 1:
            journal.end(self._undo)

    def _sync(self) -> None:
        for above, directory in self._directories.items():
            with store_errors(above):
                os.fsync(directory)

    def _put_back(self, name: str, plaintext: SecretBytes, mode: int) -> None:
        with self._tree.parent(name) as (directory, base):
            temporary = temporary_name()
            try:
                write_new(temporary, plaintext, mode, directory=directory)
                os.rename(temporary, base, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError as error:
                unlink_quietly(temporary, directory=directory)
                raise StoreError(
                    f"the step failed, and {name!r} cannot be put back ({error.strerror}); {name + '.gpg'!r} holds it",
                    hint="see 'git status'; 'strongroom blackbox cat' shows the file",
                ) from None
