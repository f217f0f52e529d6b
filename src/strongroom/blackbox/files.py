"""Files below one root. No link is followed, no file is seen half-written, and a change that fails is taken back."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from strongroom.blackbox.shred import overwrite
from strongroom.errors import ConflictError, ExistsError, FormatError, NotFoundError, PathError, StoreError
from strongroom.primitives.secret import SecretBytes

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = ".strongroom-blackbox-"
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
        _check_single(name, status)
        return plaintext, stat.S_IMODE(status.st_mode), _stamp(status)

    def _read(self, name: str, *, limit: int) -> tuple[bytes, os.stat_result]:
        with self._parent(name) as (directory, base), _store_errors(name):
            try:
                file = os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
            except FileNotFoundError:
                raise NotFoundError(f"there is no file {name!r} in {str(self.root)!r}") from None
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise PathError(f"{name!r} is a symbolic link") from None
                raise
            try:
                status = os.fstat(file)
                _check_regular(name, status)
                if status.st_size > limit:
                    raise FormatError(f"{name!r} has {status.st_size} bytes; the limit is {limit}")
                with os.fdopen(file, "rb", closefd=False) as stream:
                    raw = stream.read(limit + 1)
            finally:
                os.close(file)
        if len(raw) > limit:  # it grew since
            del raw
            raise FormatError(f"{name!r} has more than {limit} bytes, which is the limit")
        return raw, status

    def exists(self, name: str) -> bool:
        """Whether a regular file stands there; PathError where something else does."""
        try:
            with self._parent(name) as (directory, base), _store_errors(name):
                _check_regular(name, os.stat(base, dir_fd=directory, follow_symlinks=False))
        except NotFoundError:
            return False
        return True

    def make_directory(self, name: str) -> None:
        """A new directory, 0755. ExistsError if something stands there."""
        with self._parent(name) as (directory, base), _store_errors(name):
            try:
                os.mkdir(base, 0o700, dir_fd=directory)
            except FileExistsError:
                raise ExistsError(f"{name!r} exists already") from None
            os.chmod(base, 0o755, dir_fd=directory)  # noqa: S103 - as BlackBox makes it; holds public keys only
            os.fsync(directory)

    def remove_directory(self, name: str, *, leftovers: Sequence[str]) -> None:
        """Take back `make_directory`, with those files in it that the step itself left."""
        with self._parent(f"{name}/x") as (directory, _):
            for leftover in leftovers:
                _unlink_quietly(leftover, directory=directory)
        with self._parent(name) as (directory, base), _store_errors(name):
            os.rmdir(base, dir_fd=directory)

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Several files as one step: when the block fails, each file that it changed is as it was.

        The caller holds the repository's lock, so that what an earlier process left behind is known to be dead.
        """
        with Change(self) as change:
            yield change

    @contextmanager
    def _parent(self, name: str) -> Iterator[tuple[int, str]]:
        """The open directory that holds `name`, and the last component."""
        *above, base = name.split("/")
        with _store_errors(str(self.root)):
            directory = os.open(self.root, _DIRECTORY)
        try:
            for part in above:
                try:
                    below = os.open(part, _DIRECTORY, dir_fd=directory)
                except FileNotFoundError:
                    raise NotFoundError(f"there is no directory for {name!r} in {str(self.root)!r}") from None
                except OSError as error:
                    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                        raise PathError(f"{name!r} goes through {part!r}, which is a link or no directory") from None
                    raise StoreError(f"cannot open {part!r} of {name!r}: {error.strerror}") from None
                os.close(directory)
                directory = below
            yield directory, base
        finally:
            os.close(directory)


class Change:
    """The files of one step. New contents are on the disk, whole and synced, before the first one takes its place."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._staged: list[_Staged] = []
        self._removed: list[tuple[str, SecretBytes, int]] = []
        self._swept: set[tuple[int, int]] = set()
        self._applied = False

    def write(self, name: str, raw: bytes) -> None:
        """Have `name` hold `raw` when the step is applied. An existing file keeps its mode; a new one gets 0644."""
        with self._tree._parent(name) as (directory, base):
            staged = _Staged(name, os.dup(directory), base)
            self._staged.append(staged)
            with _store_errors(name):
                self._sweep(directory)
                staged.prepare(raw)

    def apply(self) -> None:
        """Rename every file into its place."""
        for staged in self._staged:
            with _store_errors(staged.name):
                staged.place()
        for staged in self._staged:
            with _store_errors(staged.name):
                os.fsync(staged.directory)
        self._applied = True

    def remove_plaintext(self, name: str, plaintext: SecretBytes, mode: int, *, stamp: Stamp) -> None:
        """Overwrite and unlink a plaintext, if it is still the one that was read; else ConflictError.

        If the step fails afterwards, the plaintext is put back.
        """
        with self._tree._parent(name) as (directory, base), _store_errors(name):
            found = os.stat(base, dir_fd=directory, follow_symlinks=False)
            if _stamp(found) != stamp or found.st_nlink != 1:
                raise ConflictError(f"{name!r} was changed while it was being encrypted", hint="try again")
            self._removed.append((name, plaintext, mode))
            overwrite(base, directory=directory)
            os.unlink(base, dir_fd=directory)
            os.fsync(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = kind is not None or not self._applied
        try:
            if failed:
                # Plaintexts first: while one of them cannot be put back, its ciphertext must not go either.
                for name, plaintext, mode in self._removed:
                    self._put_back(name, plaintext, mode)
                for staged in reversed(self._staged):
                    with _store_errors(staged.name):
                        staged.take_back()
        finally:
            for staged in self._staged:
                staged.close()

    def _sweep(self, directory: int) -> None:
        """Drop what a killed process left here; a second name of its would make a file look hard-linked for ever."""
        status = os.fstat(directory)
        if (status.st_dev, status.st_ino) not in self._swept:
            self._swept.add((status.st_dev, status.st_ino))
            for entry in os.listdir(directory):
                if entry.startswith(_TEMPORARY):
                    os.unlink(entry, dir_fd=directory)

    def _put_back(self, name: str, plaintext: SecretBytes, mode: int) -> None:
        with self._tree._parent(name) as (directory, base):
            temporary = _temporary()
            try:
                _write_new(temporary, plaintext, mode, directory=directory)
                os.rename(temporary, base, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError as error:
                _unlink_quietly(temporary, directory=directory)
                raise StoreError(
                    f"the step failed, and {name!r} cannot be put back ({error.strerror}); {name + '.gpg'!r} holds it",
                    hint="see 'git status'; 'strongroom blackbox cat' shows the file",
                ) from None


class _Staged:
    """One file of a step: its new content beside it, later its old one."""

    def __init__(self, name: str, directory: int, base: str) -> None:
        self.name = name
        self.directory = directory
        self._base = base
        self._new = _temporary()
        self._old = ""
        self._existed = False
        self._placed = False

    def prepare(self, raw: bytes) -> None:
        mode = 0o644
        try:
            status = os.stat(self._base, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            pass
        else:
            _check_regular(self.name, status)
            _check_single(self.name, status)
            self._existed = True
            mode = stat.S_IMODE(status.st_mode)
        _write_new(self._new, SecretBytes(raw), mode, directory=self.directory)

    def place(self) -> None:
        if self._existed:
            status = os.stat(self._base, dir_fd=self.directory, follow_symlinks=False)
            _check_regular(self.name, status)
            _check_single(self.name, status)
            self._old = _temporary()
            self._keep_old()
        elif _is_there(self._base, directory=self.directory):
            raise ConflictError(f"{self.name!r} appeared while it was being written", hint="see what wrote it")
        os.rename(self._new, self._base, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        self._placed = True

    def _keep_old(self) -> None:
        """A second name for the old file, so that taking back needs no space; a copy where there are no links."""
        here = {"src_dir_fd": self.directory, "dst_dir_fd": self.directory}
        try:
            os.link(self._base, self._old, **here, follow_symlinks=False)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
                raise
            file = os.open(self._base, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.directory)
            with os.fdopen(file, "rb") as stream:
                mode = stat.S_IMODE(os.fstat(file).st_mode)
                _write_new(self._old, SecretBytes(stream.read()), mode, directory=self.directory)

    def take_back(self) -> None:
        if not self._placed:
            return
        if self._existed:
            os.rename(self._old, self._base, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        else:
            os.unlink(self._base, dir_fd=self.directory)
        os.fsync(self.directory)

    def close(self) -> None:
        for name in (self._new, self._old):
            if name:
                _unlink_quietly(name, directory=self.directory)
        os.close(self.directory)


def _write_new(name: str, content: SecretBytes, mode: int, *, directory: int) -> None:
    """A new file, counted and synced. A failed fsync is final: the kernel may have dropped the pages."""
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    with os.fdopen(file, "wb", buffering=0) as stream:
        rest = memoryview(content.reveal())
        while rest:
            rest = rest[stream.write(rest) :]
        os.fchmod(file, mode)  # not left to the umask: the original's readers chmod by this mode
        os.fsync(file)


def _check_regular(name: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise PathError(f"{name!r} is a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        raise PathError(f"{name!r} is not a regular file")


def _check_single(name: str, status: os.stat_result) -> None:
    if status.st_nlink != 1:
        raise PathError(f"{name!r} has {status.st_nlink} names (hard links); a write would reach the others too")


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _is_there(name: str, *, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _temporary() -> str:
    return f"{_TEMPORARY}{secrets.token_hex(8)}.tmp"


def _unlink_quietly(name: str, *, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        return  # it was renamed away, or the disk that failed before fails again


@contextmanager
def _store_errors(name: str) -> Iterator[None]:
    """Whatever the medium says, in our words."""
    try:
        yield
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name!r}") from None
    except OSError as error:
        raise StoreError(f"cannot read or write {name!r}: {error.strerror}", hint="see 'df' and 'ls -l'") from None
