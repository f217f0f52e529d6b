"""A store as a directory that is pleasant in git: one file a keyset. A rename is the only moment at which one changes.

    store.json                     the header
    root.N.gpg                     the root's OpenPGP slot
    keysets/student-records.json   a record; the segments of a name are directories
    .gitattributes .gitignore      no line end is changed, the lock stays here

DESIGN sections 4 and 8. No link is followed below the store's own directory; that one the user names himself, and it
may be a link (releases that share a store).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Final, Self

from strongroom._closing import let_go
from strongroom.errors import ConflictError, ExistsError, FormatError, NotFoundError, SettingsError, StoreError
from strongroom.model.codec import MAX_RECORD, decode
from strongroom.model.names import KeysetName, Revision
from strongroom.sealing.header_codec import MAX_HEADER
from strongroom.stores.base import WAIT, Change, Oddity, Store
from strongroom.stores.descending import KEYSETS, make_records, open_records
from strongroom.stores.listing import ENDING, Listing
from strongroom.stores.locking import FileLock
from strongroom.stores.placing import DIRECTORY, entries, place, read_file, staged, sweep, sync, told, trouble
from strongroom.stores.preparing import HEADER, LOCK, prepare

MAX_ATTACHMENT: Final = 4 * 1024 * 1024
"""Bytes of the largest root file: 256 recipients with keys of 16,384 bits take a fifth of it."""

_ATTACHMENT = re.compile(r"root\.[1-9][0-9]{0,8}\.gpg")
_STAMP = attrgetter("st_mtime_ns", "st_ctime_ns", "st_size", "st_ino")


class DirectoryStore:
    """The records in one directory. Threads may share it; a forked child may go on with it.

    Nothing is looked at before it is asked for: a store that is not there shows as a NotFoundError of `header`.
    """

    def __init__(self, directory: Path | str) -> None:
        if "\0" in str(directory):
            raise SettingsError(f"{str(directory)!r} cannot be a directory")
        with told(repr(str(directory)), "find"):
            self._directory = Path(directory).absolute()
        self._keysets = f"{self._directory}/{KEYSETS}"
        self._lock = FileLock(self._directory / LOCK)

    @classmethod
    def create(cls, directory: Path | str) -> Self:
        """A directory that is ready for a header and records. It may be there, empty or as a killed `create` left it.

        ExistsError where there is a store, or anything else.
        """
        store = cls(directory)
        prepare(store._directory, store._lock, names=store.names)
        return store

    def __repr__(self) -> str:
        return f"<store in {self.location!r}>"

    @property
    def location(self) -> str:
        """The directory."""
        return str(self._directory)

    @property
    def travels_by_git(self) -> bool:
        """True: other hosts get a change when they pull it."""
        return True

    def path_of(self, name: KeysetName) -> Path:
        """The file of a record, whether it is there or not."""
        return self._directory / KEYSETS / f"{name}{ENDING}"

    def close(self) -> None:
        """Nothing is held between calls."""

    # -- the header and what lies beside it -------------------------------------------------------------------------

    def header(self) -> bytes:
        """The header's bytes. NotFoundError where there is no store."""
        try:
            return self._read_top(HEADER, limit=MAX_HEADER)
        except NotFoundError:
            raise NotFoundError(
                f"there is no store in {self.location!r}", hint="'strongroom init' makes one; --store names another"
            ) from None

    def write_header(self, raw: bytes, *, replaces: bytes | None) -> None:
        """Put a header in place of the one with these very bytes; None: there must be none."""
        with self.lock(), self._top("write", HEADER) as top:
            try:
                present = self._read_top(HEADER, limit=MAX_HEADER)
            except NotFoundError:
                present = None
            if present != replaces:
                if replaces is None:
                    raise ExistsError(f"there is a store in {self.location!r} already")
                raise ConflictError(f"the header of {self.location!r} was changed meanwhile; nothing was written")
            self._place(raw, HEADER, directory=top, top=top, shown=repr(HEADER))

    def header_stamp(self) -> object:
        """Times, size and inode of the header's file; None where there is none."""
        try:
            return _STAMP(os.stat(f"{self._directory}/{HEADER}", follow_symlinks=False))  # noqa: PTH116  asked as often as `stamp`
        except FileNotFoundError:
            return None
        except OSError as error:
            raise trouble(error, repr(HEADER), "read") from None

    def attachment(self, name: str) -> bytes:
        """The file `root.N.gpg`."""
        return self._read_top(_attachment(name), limit=MAX_ATTACHMENT)

    def write_attachment(self, name: str, raw: bytes) -> None:
        """Put a file `root.N.gpg` in place, whether there is one or not."""
        checked = _attachment(name)
        with self.lock(), self._top("write", checked) as top:
            self._place(raw, checked, directory=top, top=top, shown=repr(checked))

    def remove_attachment(self, name: str) -> None:
        """Take a file `root.N.gpg` away; there may be none."""
        checked = _attachment(name)
        with self.lock(), self._top("remove", checked) as top, told(repr(checked), "remove"):
            if checked in entries(top):
                os.unlink(checked, dir_fd=top)
                os.fsync(top)

    def lies_open(self, number: int) -> bool:
        """Whether there is a `root.N`, which is what the original scripts make of a `root.N.gpg`."""
        return os.path.lexists(self._directory / f"root.{number}")

    # -- records ----------------------------------------------------------------------------------------------------

    def names(self) -> tuple[KeysetName, ...]:
        """The names of all records, sorted; no file is opened for it."""
        return self._listing().names

    def oddities(self) -> tuple[Oddity, ...]:
        """What lies among the records and is none; no file is opened for it."""
        return self._listing().oddities

    def read(self, name: KeysetName) -> bytes:
        """The bytes of a record."""
        above, _, base = name.rpartition("/")
        try:
            directory = open_records(self._keysets, above)
            try:
                return read_file(f"{base}{ENDING}", directory=directory, limit=MAX_RECORD)
            finally:
                let_go(directory)
        except OSError as error:
            raise trouble(error, f"keyset {name!r}", "read") from None

    def read_many(self, names: Sequence[KeysetName]) -> list[bytes | None]:
        """The bytes of many records; the directory is opened once for all that have no `/` in their name."""
        found: list[bytes | None] = []
        if not names:
            return found
        name = names[0]
        try:
            directory = open_records(self._keysets, "")
            try:
                for name in names:
                    try:
                        if "/" in name:
                            found.append(self.read(name))
                        else:
                            found.append(read_file(f"{name}{ENDING}", directory=directory, limit=MAX_RECORD))
                    except (FileNotFoundError, NotFoundError):
                        found.append(None)
            finally:
                let_go(directory)
        except OSError as error:
            raise trouble(error, f"keyset {name!r}", "read") from None
        return found

    def stamp(self, name: KeysetName) -> object:
        """Times, size and inode of the file: a rename changes the inode, and a checkout the times."""
        try:
            # asked every second for every keyset in use
            return _STAMP(os.stat(f"{self._keysets}/{name}{ENDING}", follow_symlinks=False))  # noqa: PTH116  a Path costs as much again
        except OSError as error:
            raise trouble(error, f"keyset {name!r}", "read") from None

    def write(self, name: KeysetName, raw: bytes, *, replaces: Revision | None) -> None:
        """Put a record in place of the one with this revision; None: there must be none."""
        shown = f"keyset {name!r}"
        if len(raw) > MAX_RECORD:
            raise FormatError(f"the record of {name!r} has {len(raw)} bytes; the limit is {MAX_RECORD}")
        with self.lock(), self._top("write", shown) as top:
            self._check_replaced(name, replaces)
            with told(shown, "write"):
                directory = make_records(name.rpartition("/")[0], top=top)
            try:
                self._place(raw, f"{name.rpartition('/')[2]}{ENDING}", directory=directory, top=top, shown=shown)
            finally:
                let_go(directory)

    def write_many(self, records: Sequence[Change]) -> None:
        """`write` many records: all are on the disk before the first is renamed into its place."""
        shown = f"{len(records)} records"
        with self.lock(), self._top("write", shown) as top:
            for record in records:
                self._check_replaced(record.name, record.replaces)
            with told(shown, "write"):
                sweep(top)
                with staged([record.raw for record in records], top=top) as temporaries:
                    by_directory: dict[str, list[tuple[str, str]]] = {}
                    for record, temporary in zip(records, temporaries, strict=True):
                        above, _, base = record.name.rpartition("/")
                        by_directory.setdefault(above, []).append((temporary, f"{base}{ENDING}"))
                    for above, renamed in by_directory.items():
                        self._rename(renamed, above, top=top, shown=shown)

    def lock(self, *, wait: float = WAIT) -> AbstractContextManager[None]:
        """Be the only writer for a block."""
        return self._lock.held(wait=wait)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _check_replaced(self, name: KeysetName, replaces: Revision | None) -> None:
        try:
            present = decode(self.read(name), name=name).keyset.revision
        except NotFoundError:
            if replaces is None:
                return
            raise ConflictError(
                f"keyset {name!r} is gone: revision {replaces} was to be replaced", hint="git status"
            ) from None
        except FormatError:
            if replaces is None:  # whatever it is, it is there
                raise self._exists(name) from None
            raise
        if replaces is None:
            raise self._exists(name)
        if present != replaces:
            raise ConflictError(
                f"keyset {name!r} has revision {present} by now; revision {replaces} was to be replaced,"
                " and nothing was written",
                hint=f"look at it with 'strongroom show {name}' and try again",
            )

    def _exists(self, name: KeysetName) -> ExistsError:
        return ExistsError(f"there is a keyset {name!r} already", hint=f"strongroom show {name}")

    def _place(self, raw: bytes, name: str, *, directory: int, top: int, shown: str) -> None:
        with told(shown, "write"):
            sweep(top)
        place(raw, name, directory=directory, top=top, shown=shown)

    def _rename(self, renamed: Sequence[tuple[str, str]], above: str, *, top: int, shown: str) -> None:
        directory = make_records(above, top=top)
        try:
            for temporary, name in renamed:
                os.rename(temporary, name, src_dir_fd=top, dst_dir_fd=directory)
            sync(directory, shown=shown)
        finally:
            let_go(directory)

    def _read_top(self, name: str, *, limit: int) -> bytes:
        with self._top("read", repr(name)) as top, told(repr(name), "read"):
            return read_file(name, directory=top, limit=limit)

    @contextmanager
    def _top(self, verb: str, shown: str) -> Iterator[int]:
        with told(shown, verb):
            # no O_NOFOLLOW here: see the first lines of this file
            top = os.open(self._directory, DIRECTORY & ~os.O_NOFOLLOW)
        try:
            yield top
        finally:
            let_go(top)

    def _listing(self) -> Listing:
        with told(repr(self._keysets), "list"):
            try:
                keysets = os.open(self._keysets, DIRECTORY)
            except FileNotFoundError:
                if self._directory.is_dir():
                    return Listing(None)  # git keeps no empty directories
                raise
            try:
                return Listing(keysets)
            finally:
                let_go(keysets)


def _attachment(name: str) -> str:
    if _ATTACHMENT.fullmatch(name) is None:
        raise StoreError(f"{name[:80]!r} is not the name of a root file")
    return name


def _conforms(store: DirectoryStore) -> Store:
    return store
