"""Files below one root, by name. No link is followed, on the way or at its end."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from strongroom._closing import let_go
from strongroom.errors import ExistsError, FormatError, NotFoundError, PathError, StoreError
from strongroom.primitives.secret import SecretBytes

_LISTED = "strongroom blackbox list-files shows what is registered"
_NO_LINK = "name the file that it leads to, or put a file of its own in its place"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
Stamp = tuple[int, int, int, int]
"""Device, inode, size and time of change (ns): another one means that somebody wrote meanwhile."""


class Tree:
    """The directory `root` and what is below it, by names that `layout.parse_name` let through.

    Every component is opened with O_NOFOLLOW from the one above it, so that a link planted in the repository leads
    nowhere. A file with a second name (hard link) is refused: writing it would write that one too.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str, *, limit: int) -> bytes:
        """The whole file. NotFoundError, PathError, FormatError above `limit` bytes, StoreError.

        A second name does no harm here: work trees that a backup tool linked together are read.
        """
        return self._read(name, limit=limit)[0]

    def read_secret(self, name: str, *, limit: int) -> tuple[SecretBytes, int, Stamp]:
        """A plaintext with its mode, and the stamp by which a later step knows that it is still the same."""
        raw, status = self._read(name, limit=limit)
        plaintext = SecretBytes(raw)
        del raw  # no frame that can raise holds it
        check_single(name, status)
        return plaintext, stat.S_IMODE(status.st_mode), stamp_of(status)

    def _read(self, name: str, *, limit: int) -> tuple[bytes, os.stat_result]:
        with self.parent(name) as (directory, base), store_errors(name):
            try:
                file = os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
            except FileNotFoundError:
                raise NotFoundError(f"there is no file {name!r} in {str(self.root)!r}", hint=_LISTED) from None
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise PathError(f"{name!r} is a symbolic link", hint=_NO_LINK) from None
                raise
            try:
                status = os.fstat(file)
                check_regular(name, status)
                if status.st_size > limit:
                    raise FormatError(f"{name!r} has {status.st_size} bytes; the limit is {limit}")
                with os.fdopen(file, "rb", closefd=False) as stream:
                    raw = stream.read(limit + 1)
            finally:
                let_go(file)
        if len(raw) > limit:  # it grew since
            del raw
            raise FormatError(f"{name!r} has more than {limit} bytes, which is the limit")
        return raw, status

    def exists(self, name: str) -> bool:
        """Whether a regular file stands there; PathError where something else does."""
        try:
            with self.parent(name) as (directory, base), store_errors(name):
                check_regular(name, os.stat(base, dir_fd=directory, follow_symlinks=False))
        except NotFoundError:
            return False
        return True

    def make_directory(self, name: str) -> None:
        """A new directory, 0755. ExistsError if something stands there."""
        with self.parent(name) as (directory, base), store_errors(name):
            try:
                os.mkdir(base, 0o700, dir_fd=directory)
            except FileExistsError:
                raise ExistsError(f"{name!r} exists already") from None
            os.chmod(base, 0o755, dir_fd=directory)  # noqa: S103 - as BlackBox makes it; holds public keys only
            os.fsync(directory)

    def remove_directory(self, name: str, *, leftovers: Sequence[str]) -> None:
        """Take back `make_directory`, with those files in it that the step itself left."""
        with self.parent(f"{name}/x") as (directory, _):
            for leftover in leftovers:
                unlink_quietly(leftover, directory=directory)
        with self.parent(name) as (directory, base), store_errors(name):
            os.rmdir(base, dir_fd=directory)

    @contextmanager
    def parent(self, name: str) -> Iterator[tuple[int, str]]:
        """The open directory that holds `name`, and the last component."""
        *above, base = name.split("/")
        with store_errors(str(self.root)):
            directory = os.open(self.root, _DIRECTORY)
        try:
            for part in above:
                try:
                    below = os.open(part, _DIRECTORY, dir_fd=directory)
                except FileNotFoundError:
                    raise NotFoundError(
                        f"there is no directory for {name!r} in {str(self.root)!r}", hint=_LISTED
                    ) from None
                except OSError as error:
                    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                        raise PathError(f"{name!r} goes through {part!r}, which is a link or no directory") from None
                    raise StoreError(f"cannot open {part!r} of {name!r}: {error.strerror}") from None
                let_go(directory)
                directory = below
            yield directory, base
        finally:
            let_go(directory)


def check_regular(name: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise PathError(f"{name!r} is a symbolic link", hint=_NO_LINK)
    if not stat.S_ISREG(status.st_mode):
        raise PathError(f"{name!r} is not a regular file")


def check_single(name: str, status: os.stat_result) -> None:
    if status.st_nlink != 1:
        raise PathError(
            f"{name!r} has {status.st_nlink} names (hard links); a write would reach the others too",
            hint="'cp' and 'mv' make it a file of its own",
        )


def stamp_of(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def sync_directory(path: Path) -> None:
    """Have the disk know the names in a directory."""
    directory = os.open(path, _DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        let_go(directory)


def unlink_quietly(name: str, *, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        return  # it was renamed away, or the disk that failed before fails again


@contextmanager
def store_errors(name: str) -> Iterator[None]:
    """Whatever the medium says, in our words."""
    try:
        yield
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name!r}", hint=_LISTED) from None
    except OSError as error:
        raise StoreError(f"cannot read or write {name!r}: {error.strerror}", hint="see 'df' and 'ls -l'") from None
