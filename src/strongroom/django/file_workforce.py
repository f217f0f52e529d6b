"""Several processes that move files, where each of them sees the files that the others save.

In a directory they do. Of any other storage Django promises nothing of the kind, so it is tried: a process is asked
whether it sees a file that was saved after it was started. Where it does not, in memory say, one process moves all: a
copy that another one had to itself would be named by a row, and gone with the process.
"""

from __future__ import annotations

import multiprocessing
import secrets
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any
from zlib import crc32

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from django.db import connections
from django.utils.module_loading import import_string

from strongroom.django.cells import Cells, Key
from strongroom.django.columns import Column
from strongroom.django.encrypted import is_encrypted
from strongroom.django.file_columns import FileColumn
from strongroom.django.file_moving import FileMover, FileVersions, move_files, move_listed
from strongroom.django.reencryption import Moved, Tell
from strongroom.django.tally import answering
from strongroom.django.workforce import must_be_alone, open_keyset_of, share


def move_all_files(column: FileColumn, using: str, mover: FileMover, *, processes: int, tell: Tell) -> Moved:
    """Move the files that the rows of a column name, with so many processes. Raises as `move_files` and `share` do."""
    if processes == 1 or not _is_shared(mover):
        return move_files(column, using, mover, tell=tell)
    if is_encrypted(column.field):
        open_keyset_of(Cells(Column(column.field), using))
    ranges = column.names(using).bounds(processes)
    return share([partial(_move_range, column, using, mover, bounds) for bounds in ranges], tell)


def move_all_listed(mover: FileMover, names: Callable[[], Iterable[str]], *, processes: int) -> Moved:
    """Move the files of a listing, with so many processes. Each lists them all, and takes those that are its own."""
    if processes == 1 or not _is_shared(mover):
        return move_listed(mover, names())
    parts = [partial(_move_own, mover, names, number, processes) for number in range(processes)]
    return share(parts, lambda moved: None)


def _move_range(
    column: FileColumn, using: str, mover: FileMover, bounds: tuple[Key | None, Key | None], tell: Tell
) -> None:
    _renew(mover.storage.inner)
    with answering(column.label, using):
        move_files(column, using, mover, after=bounds[0], upto=bounds[1], tell=tell)


def _move_own(mover: FileMover, names: Callable[[], Iterable[str]], number: int, of: int, tell: Tell) -> None:
    _renew(mover.storage.inner)
    own = (name for name in names() if crc32(name.encode("utf-8", "surrogateescape")) % of == number)
    tell(move_listed(mover, own))


def _is_shared(mover: FileMover) -> bool:
    """Whether other processes may help with this storage. The store is open then: once, and not once a process."""
    if must_be_alone():
        return False
    FileVersions(mover.storage)
    inner = mover.storage.inner
    return isinstance(inner, FileSystemStorage) or _is_seen_elsewhere(inner)


def _is_seen_elsewhere(inner: Storage) -> bool:
    connections.close_all()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process: Any = context.Process(target=_look, args=(inner, theirs, ours))
    process.start()
    theirs.close()
    try:
        # after the fork: what was there before, the other process may have in a memory of its own
        name = inner.save(f"strongroom-{secrets.token_hex(8)}.tmp", ContentFile(b"is this seen by another process?"))
        try:
            ours.send(name)
            return bool(ours.recv())
        finally:
            inner.delete(name)
    except Exception:  # noqa: BLE001  whatever a third party's storage raises: one process is always right
        return False
    finally:
        ours.close()
        process.join()


def _look(inner: Storage, pipe: Connection, parents: Connection) -> None:
    parents.close()
    try:
        seen = _renew(inner) and inner.exists(pipe.recv())
    except Exception:  # noqa: BLE001  as above
        seen = False
    try:
        pipe.send(seen)
    except BrokenPipeError:
        return


def _renew(inner: Storage) -> bool:
    """Have a storage be as one that was just made: a process shares no connection with its parent. Whether it is."""
    if isinstance(inner, FileSystemStorage):
        return True  # it has none
    if not hasattr(inner, "deconstruct"):
        return False
    path, arguments, options = inner.deconstruct()
    made = import_string(path)(*arguments, **options)
    if type(made) is not type(inner):
        return False
    # the object stays: fields, other storages and STORAGES know it by its identity
    vars(inner).clear()
    vars(inner).update(vars(made))
    return True
