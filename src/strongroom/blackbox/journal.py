"""The undo journal: what a killed process had begun to swap is put back by the next one that writes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from strongroom.blackbox.files import Tree, store_errors, sync_directory, unlink_quietly
from strongroom.blackbox.layout import parse_name
from strongroom.blackbox.shred import erase
from strongroom.errors import FormatError, NotFoundError, StoreError

JOURNAL = "strongroom-blackbox.journal"
TEMPORARY = ".strongroom-blackbox-"
"""How the names of our temporary files begin; nobody else's do."""

_OLD = re.compile(re.escape(TEMPORARY) + r"[0-9a-f]{16}\.tmp")
_MAX = 128 * 1024 * 1024
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a swap: `old` is the second name of what stood there (empty: nothing), `new` its SHA-256 (or empty).

    A swapped-in file is known by its hash, so that what somebody wrote after the crash is not undone.
    """

    name: str
    old: str
    new: str


def begin(directory: Path, entries: Sequence[Entry]) -> None:
    """Write down, on the disk, what is about to be swapped. The old files have their second names already."""
    rows = [(os.fsencode(entry.name).hex(), entry.old, entry.new) for entry in entries]
    temporary = directory / f"{JOURNAL}.new"
    with store_errors(JOURNAL):
        with os.fdopen(os.open(temporary, _NEW, 0o600), "wb") as stream:
            stream.write(msgspec.json.encode(rows))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(directory / JOURNAL)
        sync_directory(directory)


def end(directory: Path) -> None:
    """The swap is whole, one way or the other."""
    with store_errors(JOURNAL):
        (directory / JOURNAL).unlink(missing_ok=True)
        sync_directory(directory)


def stands(directory: Path) -> bool:
    """Whether a swap was begun, and did not end."""
    return os.path.lexists(directory / JOURNAL)


def recover(directory: Path, tree: Tree) -> tuple[str, ...]:
    """Undo what a killed process had swapped, and name those files. The caller holds the lock, so that it is dead.

    Doing it twice, or half and then again, comes to the same.
    """
    try:
        raw = (directory / JOURNAL).read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise StoreError(f"cannot read {str(directory / JOURNAL)!r}: {error.strerror}") from None
    entries = _parse(raw, directory / JOURNAL)
    undone = [entry.name for entry in entries if _undo(tree, entry)]
    for above in {entry.name.rpartition("/")[0]: entry.name for entry in entries}.values():
        with suppress(NotFoundError), tree.parent(above) as (parent, _), store_errors(above):
            sweep(parent)  # only now: each file's old name has served
    end(directory)
    return tuple(undone)


def sweep(directory: int) -> None:
    """Drop our temporary files there; a second name among them would make a file look hard-linked for ever."""
    for entry in os.listdir(directory):
        if entry.startswith(TEMPORARY):
            with suppress(IsADirectoryError):  # which we never make: somebody's, who would have every verb fail
                erase(entry, directory=directory)


def _undo(tree: Tree, entry: Entry) -> bool:
    try:
        with tree.parent(entry.name) as (directory, base), store_errors(entry.name):
            swapped = _hash(tree, entry.name) == entry.new
            if swapped and entry.old:
                os.rename(entry.old, base, src_dir_fd=directory, dst_dir_fd=directory)
            elif swapped and entry.new:
                os.unlink(base, dir_fd=directory)
            elif entry.old:
                unlink_quietly(entry.old, directory=directory)
            os.fsync(directory)
    except NotFoundError:  # the old name is gone: an earlier recovery was here, or the directory was removed since
        return False
    return swapped


def _hash(tree: Tree, name: str) -> str:
    """SHA-256 of what stands there now; empty where nothing does."""
    try:
        return hashlib.sha256(tree.read(name, limit=_MAX)).hexdigest()
    except NotFoundError:
        return ""


def _parse(raw: bytes, path: Path) -> list[Entry]:
    # In a repository without git the journal lies among the tracked files, so that its names are not believed either.
    try:
        rows = msgspec.json.decode(raw[:_MAX], type=list[tuple[str, str, str]])
        entries = [
            Entry(name=parse_name(os.fsdecode(bytes.fromhex(name))), old=old, new=new) for name, old, new in rows
        ]
    except (ValueError, msgspec.MsgspecError):
        entries = []
    if not entries or any(entry.old and not _OLD.fullmatch(entry.old) for entry in entries):
        raise FormatError(
            f"{str(path)!r} is no journal of ours", hint=f"look at it, then remove it: rm -- {str(path)!r}"
        )
    return entries
