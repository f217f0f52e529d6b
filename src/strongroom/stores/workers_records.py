"""Worker groups at rest: `workers/GROUP.json` in the store's directory, each authenticated under the root.

A group's file is written under the store's lock and by one rename, as every record is. What the root did not
authenticate is an error, never a grant.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from strongroom._closing import let_go
from strongroom.errors import (
    ConflictError,
    ExistsError,
    FormatError,
    IntegrityError,
    InvalidNameError,
    NotFoundError,
    PolicyError,
    StaleError,
)
from strongroom.model.names import Revision
from strongroom.sealing.header import Pending
from strongroom.stores.placing import DIRECTORY, entries, make_directory, place, read_file, sweep, sync, told
from strongroom.stores.sealed import SealedStore
from strongroom.stores.seen import Mark
from strongroom.stores.workers_codec import (
    MAX_GROUP,
    Group,
    GroupRecord,
    check_group,
    decode_group,
    encode_group_body,
    join_group,
    place_of,
)

log = logging.getLogger("strongroom")

WORKERS: Final = "workers"
_ENDING: Final = ".json"
_ATTEMPTS: Final = 3


class WorkerGroups:
    """The groups of one sealed store that lies in a directory. PolicyError for any other store.

    Every method may raise StoreError, ClosedError; reading also FormatError and IntegrityError.
    """

    __slots__ = ("_directory", "_store")

    def __init__(self, store: SealedStore, directory: Path | None) -> None:
        if directory is None:
            raise PolicyError(
                f"{store.location!r} is no directory, and worker groups are files of one", hint="strongroom init"
            )
        self._store = store
        self._directory = directory

    def names(self) -> tuple[str, ...]:
        """The names of all groups, sorted; no file is opened for it.

        One that was seen and is gone was removed elsewhere: from now on that is remembered as a removal of our own.
        """
        known = self._store.remembered_beside()  # before we look: what is made meanwhile is not among them
        try:
            with self._opened("list", repr(WORKERS)) as workers:
                present = entries(workers)
        except NotFoundError:
            present = []
        found = tuple(sorted(each.removesuffix(_ENDING) for each in present if _is_record(each)))
        for place_gone in sorted(known.keys() - set(map(place_of, found))):
            log.warning("name=%s revision=%d event=worker-group-gone", place_gone, known[place_gone])
            self._store.remember_removed(place_gone, known[place_gone])
        return found

    def read(self, name: str) -> Group:
        """A group, verified now. NotFoundError."""
        return self.record(name).group

    def record(self, name: str) -> GroupRecord:
        """A group as it rests, with its MAC, verified now. NotFoundError."""
        self._store.follow()
        return self._record(name)

    def fresh(self, name: str) -> Group:
        """As `read`, for publishing and for what is written: StaleError where a later revision was seen here."""
        self._store.follow()
        return self._fresh(name).group

    def seen(self, name: str) -> tuple[Revision, tuple[str, ...]]:
        """The newest revision that was seen of a group, and how the one that is here differs. As `read`."""
        mark = _mark(self.record(name))
        seen = self._store.witness.seen_mark(place_of(name)) or mark
        return seen.revision, tuple(map(str, seen.differences(mark)))

    def accept(self, name: str) -> bool:
        """Take a group as it is here now for the newest; whether it differed. As `read`."""
        with self._store.lock():
            record = self.record(name)
            differs = self._behind(name, _mark(record)) is not None
            if differs:
                self._store.witness.accept_mark(place_of(name), _mark(record))
        return differs

    def write(self, group: Group, *, replaces: Revision | None) -> None:
        """Put a group in place of its revision `replaces`; None: there must be none.

        A group of a name that was in use counts on from there. ExistsError; ConflictError when another writer was
        first; ExposedRootError, StaleError as the store.
        """
        with self._store.writing():
            self._check_replaced(group.name, replaces)
            if replaces is None:
                group = replace(group, revision=self._following(group.name, 0))
            self._put(group)

    def remove(self, name: str) -> None:
        """Forget a group. What was published to it stays readable to it until that expires. NotFoundError."""
        checked, shown = check_group(name), f"worker group {name!r}"
        with self._store.writing():
            newest = self._newest(checked)
            with self._opened("write", shown) as workers:
                with told(shown, "write"):
                    os.unlink(f"{checked}{_ENDING}", dir_fd=workers)
                # whoever puts the file back must not give the group its keysets again
                self._store.remember_removed(place_of(checked), newest)
                sync(workers, shown=f"the removal of {shown}")

    def pending(self) -> tuple[Pending, ...]:
        """What the header of a rotation says of each group (docs/format.md, section 9). As `read`."""
        return tuple(Pending(name=place_of(name), mac=self._fresh(name).mac) for name in self.names())

    def rewrap(self) -> int:
        """Bring every group under the newest root that is not yet; how many were written."""
        moved = 0
        for name in self.names():
            with self._store.lock():
                self._store.follow()
                record = self._fresh(name)
                if record.root != self._store.root.id:
                    self._put(replace(record.group, revision=Revision(record.group.revision + 1)))
                    moved += 1
        return moved

    def raw(self, name: str) -> bytes:
        """The bytes of a group's file, of which nothing is proven. NotFoundError."""
        checked, shown = check_group(name), f"worker group {name!r}"
        try:
            with self._opened("read", shown) as workers, told(shown, "read"):
                return read_file(f"{checked}{_ENDING}", directory=workers, limit=MAX_GROUP)
        except NotFoundError:
            self.names()  # remembers that it is gone, if it was here once
            raise NotFoundError(f"there is no {shown}", hint=f"strongroom worker create {checked}") from None

    def adopt(self, record: GroupRecord) -> Group:
        """Put a group under the newest root whose record the caller has found authentic under an older one.

        ConflictError when its file is another one by now; as `write`.
        """
        with self._store.writing():
            if self.raw(record.group.name) != join_group(record.body, record.mac):
                raise ConflictError(
                    f"worker group {record.group.name!r} was changed meanwhile; nothing was written", hint="try again"
                )
            group = replace(record.group, revision=self._following(record.group.name, record.group.revision))
            self._put(group)
        return group

    def path_of(self, name: str) -> Path:
        """The file to give to git for a group."""
        return self._directory / WORKERS / f"{name}{_ENDING}"

    def _record(self, name: str) -> GroupRecord:
        record = decode_group(self.raw(name), name=name)
        shown = f"worker group {name!r}"
        self._store.check_authentic(record.body, record.mac, root=record.root, place=place_of(name), shown=shown)
        return record

    def _fresh(self, name: str) -> GroupRecord:
        record, attempts = self._record(name), _ATTEMPTS
        while (behind := self._behind(name, _mark(record))) is not None:
            # between our reading and the witness's answer another process may have written, and told it
            attempts -= 1
            again = self._record(name)
            if again.mac == record.mac or not attempts:
                raise behind
            record = again
        return record

    def _newest(self, name: str) -> Revision:
        """The revision of a group that is to go; of one that counts for nothing here the newest that was seen."""
        try:
            return self._fresh(name).group.revision
        except (FormatError, IntegrityError):  # it waits for 'adopt', or is damaged
            return Revision(self._following(name, 0) - 1)

    def _behind(self, name: str, mark: Mark) -> StaleError | None:
        return self._store.mark_behind(place_of(name), mark, shown=f"worker group {name!r}")

    def _following(self, name: str, revision: int) -> Revision:
        """The revision after this one, and after whatever was seen of a group of this name."""
        seen = self._store.witness.seen_mark(place_of(name))
        return Revision(max(revision, 0 if seen is None else seen.revision) + 1)

    def _put(self, group: Group) -> None:
        """Write a group under the newest root. Under the lock."""
        shown, root = f"worker group {group.name!r}", self._store.root
        body = encode_group_body(group, root.id)
        mac = root.record_mac(body)
        with self._top() as top:
            with told(shown, "write"):
                sweep(top)
                make_directory(WORKERS, directory=top)
            with self._opened("write", shown) as workers:
                place(join_group(body, mac), f"{group.name}{_ENDING}", directory=workers, top=top, shown=shown)
        self._behind(group.name, Mark(group.revision, mac))  # it is news, and remembered

    def _check_replaced(self, name: str, replaces: Revision | None) -> None:
        try:
            present = self.fresh(name).revision
        except NotFoundError:
            if replaces is None:
                return
            raise ConflictError(f"worker group {name!r} is gone; nothing was written", hint="git status") from None
        if replaces is None:
            raise ExistsError(f"there is a worker group {name!r} already", hint="strongroom worker list")
        if present != replaces:
            raise ConflictError(
                f"worker group {name!r} has revision {present} by now, not {replaces}; nothing was written",
                hint="look at it with 'strongroom worker list' and try again",
            )

    @contextmanager
    def _top(self) -> Iterator[int]:
        with told(repr(str(self._directory)), "write"):
            top = os.open(self._directory, DIRECTORY & ~os.O_NOFOLLOW)  # the user's own directory may be a link
        try:
            yield top
        finally:
            let_go(top)

    @contextmanager
    def _opened(self, verb: str, shown: str) -> Iterator[int]:
        with self._top() as top:
            with told(shown, verb):
                workers = os.open(WORKERS, DIRECTORY, dir_fd=top)
            try:
                yield workers
            finally:
                let_go(workers)


def _mark(record: GroupRecord) -> Mark:
    return Mark(record.group.revision, record.mac)


def _is_record(entry: str) -> bool:
    if not entry.endswith(_ENDING):
        return False
    try:
        check_group(entry.removesuffix(_ENDING))
    except InvalidNameError:
        return False
    return True
