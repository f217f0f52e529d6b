"""A publication in a file, replaced atomically. Whoever can write there is believed in nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from strongroom._closing import let_go
from strongroom.caching.backends import Backend, too_large
from strongroom.caching.publication import HEAD, MAX_PUBLICATION
from strongroom.errors import FormatError, NotFoundError, StoreError
from strongroom.stores.placing import DIRECTORY, place


class FileBackend:
    """A file, replaced atomically. It may be a link, as secrets of Kubernetes are; what is in it is sealed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __repr__(self) -> str:
        return f"<{self.location}>"

    @property
    def location(self) -> str:
        """`file:PATH`"""
        return f"file:{self._path}"

    def head(self) -> bytes:
        """The first bytes of the file."""
        return self._read(HEAD)

    def read(self) -> bytes:
        """The file."""
        raw = self._read(MAX_PUBLICATION + 1)
        if len(raw) > MAX_PUBLICATION:
            raise too_large(self.location)
        return raw

    def write(self, raw: bytes, *, seconds: int) -> None:
        """Put it in the file's place in one step. Files do not go by themselves."""
        try:
            directory = os.open(self._path.parent, DIRECTORY & ~os.O_NOFOLLOW)
        except OSError as error:
            raise StoreError(f"cannot write {self.location!r}: {error.strerror}", hint="'ls -ld' tells why") from None
        try:
            place(raw, self._path.name, directory=directory, top=directory, shown=self.location)
        finally:
            let_go(directory)

    def close(self) -> None:
        """Nothing is held."""

    def _read(self, limit: int) -> bytes:
        try:
            # O_NONBLOCK: a FIFO in its place must not hold us up
            file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFoundError(f"there is no {self.location!r}", hint="strongroom publish --out FILE") from None
        except OSError as error:
            raise StoreError(f"cannot read {self.location!r}: {error.strerror}", hint="'ls -l' tells why") from None
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FormatError(f"{self.location!r} is not a regular file")
            with os.fdopen(file, "rb", closefd=False, buffering=0) as opened:
                parts: list[bytes] = []
                size = 0
                while size < limit and (part := opened.read(limit - size)):
                    parts.append(part)
                    size += len(part)
                return b"".join(parts)
        except OSError as error:
            raise StoreError(f"cannot read {self.location!r}: {error.strerror}", hint="'ls -l' tells why") from None
        finally:
            let_go(file)


def _conforms(backend: FileBackend) -> Backend:
    return backend
