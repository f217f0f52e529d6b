"""A place for one plaintext while somebody edits it: ours alone, in memory where the machine has such a place."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from strongroom._closing import let_go
from strongroom.blackbox.placing import overwrite_quietly
from strongroom.blackbox.reading import MAX_PLAINTEXT
from strongroom.blackbox.staging import write_new
from strongroom.errors import BlackBoxError, FormatError, StoreError
from strongroom.openpgp.homes import PrivateHome
from strongroom.primitives.secret import SecretBytes


class PrivateDirectory:
    """A directory of mode 0700 below XDG_RUNTIME_DIR or /dev/shm, else TMPDIR or /tmp.

    At the end all that is in it, an editor's own copies too, is overwritten and removed. What a killed process left is
    removed by the next one that makes such a directory (`openpgp.homes`).
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._home = PrivateHome(environ)
        self._at = self._home.path / "edit"

    def __enter__(self) -> Self:
        try:
            self._at.mkdir(mode=0o700)
        except OSError as error:
            self._home.close()
            raise StoreError(f"cannot make {str(self._at)!r}: {error.strerror}", hint="set TMPDIR") from None
        return self

    def put(self, base: str, plaintext: SecretBytes) -> Path:
        """The plaintext under its own last name, 0600: editors choose their mode by it."""
        try:
            directory = os.open(self._at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                write_new(base, plaintext, 0o600, directory=directory)
            finally:
                let_go(directory)
        except OSError as error:
            raise StoreError(f"cannot write into {str(self._at)!r}: {error.strerror}", hint="set TMPDIR") from None
        return self._at / base

    def take(self, path: Path) -> SecretBytes:
        """What the editor left there. BlackBoxError if it is gone or no file, FormatError if it is too long."""
        try:
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise BlackBoxError(f"the editor left no file: {error.strerror}") from None
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):  # before there is a stream, which a directory cannot be
            let_go(file)
            raise BlackBoxError("the editor left something that is no file")
        with os.fdopen(file, "rb") as stream:
            if status.st_size > MAX_PLAINTEXT:
                raise FormatError(f"the edited file has {status.st_size} bytes; the limit is {MAX_PLAINTEXT}")
            return SecretBytes(stream.read())

    def keep(self, path: Path) -> Path:
        """A copy of a file, in the clear, that outlives us: the last resort. StoreError."""
        plaintext = self.take(path)
        try:
            kept = Path(tempfile.mkdtemp(prefix="edited-", dir=self._home.path.parent))  # 0700
            directory = os.open(kept, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                write_new(path.name, plaintext, 0o600, directory=directory)
            finally:
                let_go(directory)
        except OSError as error:
            raise StoreError(f"what was edited could not be kept: {error.strerror}", hint="df") from None
        return kept / path.name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for above, _, files in os.walk(self._at):
                directory = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    for name in files:
                        overwrite_quietly(name, directory=directory)
                finally:
                    let_go(directory)
        finally:
            self._home.close()
