"""Plaintexts that are meant to be in the work tree: how they get there whole and private, and how they go."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from strongroom._closing import let_go
from strongroom.blackbox.files import Tree, check_regular, check_single, store_errors, unlink_quietly
from strongroom.blackbox.shred import erase
from strongroom.blackbox.staging import temporary_name, write_new
from strongroom.errors import NotFoundError, SettingsError
from strongroom.primitives.secret import SecretBytes

_PRIVATE = 0o600
_GROUP_READS = 0o040
_NO_GROUP = 2**32 - 1  # chown(2) takes it for "leave as it is"
_UMASK = re.compile(r"[0-7]{1,4}")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read a plaintext: its mode, and its group if one was named."""

    mode: int
    group: int | None

    @classmethod
    def wanted(cls, environ: Mapping[str, str], group: str | None) -> Access:
        """0600; 0640 for a group (name or number); what DECRYPT_UMASK leaves of 0666 where that is set.

        The originals write 0644, and give the mode of the `.gpg` after every clone. SettingsError.
        """
        mode = _PRIVATE
        if umask := environ.get("DECRYPT_UMASK", ""):
            if not _UMASK.fullmatch(umask):
                raise SettingsError(f"DECRYPT_UMASK is {umask!r}, which is no octal umask", hint="DECRYPT_UMASK=0077")
            mode = 0o666 & ~int(umask, 8)
        if not group:
            return cls(mode, None)
        return cls(mode | _GROUP_READS, _group_id(group))

    def fits(self, status: os.stat_result) -> bool:
        """Whether a file is as private as it should be."""
        return status.st_mode & 0o7777 == self.mode and self.group in {None, status.st_gid}


class Scratch:
    """Where a plaintext is written before it takes its place: git's own directory, which no `git add` looks into."""

    def __init__(self, tree: Tree, directory: Path) -> None:
        self._tree = tree
        self._path = directory

    def place(self, name: str, plaintext: SecretBytes, access: Access) -> os.stat_result:
        """Have `name` hold the plaintext, in one step: who reads it meanwhile sees the whole old one or the new one."""
        with self._tree.parent(name) as (directory, base), store_errors(name):
            _check_place(name, base, directory=directory)
            with self._opened() as scratch:
                try:
                    return _moved(scratch, directory, base, plaintext, access)
                except OSError as error:
                    if error.errno != errno.EXDEV:  # git's directory is on another disk, as in a linked work tree
                        raise
            return _moved(directory, directory, base, plaintext, access)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield directory
        finally:
            let_go(directory)


def correct(tree: Tree, name: str, access: Access) -> None:
    """Give a plaintext that is there already the access that it should have."""
    with tree.parent(name) as (directory, base), store_errors(name):
        file = os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            check_regular(name, os.fstat(file))
            check_single(name, os.fstat(file))
            _grant(file, access)
        finally:
            let_go(file)


def status_of(tree: Tree, name: str) -> os.stat_result | None:
    """What stands in the place of a plaintext; None where nothing does. PathError for a link."""
    try:
        with tree.parent(name) as (directory, base), store_errors(name):
            return _check_place(name, base, directory=directory)
    except NotFoundError:
        return None


def remove(tree: Tree, name: str) -> bool:
    """Overwrite and unlink a plaintext; False if there is none. PathError for a link, and for a second name."""
    if status_of(tree, name) is None:
        return False
    with tree.parent(name) as (directory, base), store_errors(name):
        erase(base, directory=directory)
        os.fsync(directory)
    return True


def _moved(scratch: int, directory: int, base: str, plaintext: SecretBytes, access: Access) -> os.stat_result:
    temporary = temporary_name()
    try:
        write_new(temporary, plaintext, _PRIVATE, directory=scratch)
        file = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=scratch)
        try:
            _grant(file, access)
            os.rename(temporary, base, src_dir_fd=scratch, dst_dir_fd=directory)
            return os.fstat(file)
        finally:
            let_go(file)
    except BaseException:  # an interrupt, too, leaves nothing
        overwrite_quietly(temporary, directory=scratch)
        raise


def overwrite_quietly(name: str, *, directory: int) -> None:
    """Overwrite and unlink what may be there."""
    with suppress(OSError):  # a full or failing disk: the name goes at least
        erase(name, directory=directory)
    unlink_quietly(name, directory=directory)


def _grant(file: int, access: Access) -> None:
    if access.group is not None:
        os.fchown(file, -1, access.group)  # first: the mode must not let the old group in
    os.fchmod(file, access.mode)


def _check_place(name: str, base: str, *, directory: int) -> os.stat_result | None:
    try:
        status = os.stat(base, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    check_regular(name, status)
    check_single(name, status)
    return status


def _group_id(group: str) -> int:
    if group.isascii() and group.isdigit() and len(group) <= 10 and int(group) < _NO_GROUP:
        return int(group)
    from grp import getgrnam  # only who names a group pays for it

    try:
        return getgrnam(group).gr_gid
    except KeyError:
        raise SettingsError(f"there is no group {group!r} on this machine", hint="getent group") from None
