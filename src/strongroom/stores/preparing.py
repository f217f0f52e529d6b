"""A directory made ready for a store: an empty one, or what a killed `create` left. Nobody else's is touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from strongroom._closing import let_go
from strongroom.errors import ExistsError
from strongroom.stores.base import WAIT
from strongroom.stores.descending import KEYSETS
from strongroom.stores.locking import FileLock
from strongroom.stores.placing import DIRECTORY, TEMPORARY, entries, make_directory, place, sweep, told

HEADER: Final = "store.json"
LOCK: Final = ".lock"
ATTRIBUTES: Final = b"""\
# Strongroom: these files are bytes, and git changes no line end in them. A host without the merge driver merges
# records as text; a record that does not come out whole is refused.
* -text
*.gpg binary
keysets/** merge=strongroom
workers/** merge=strongroom
store.json merge=strongroom
"""
IGNORED: Final = b"""\
# Strongroom: what belongs to this host alone.
/.lock
/.new-*
"""

_OWN = frozenset({LOCK, KEYSETS, ".gitattributes", ".gitignore", "root.1.gpg"})
"""What a killed `create` may have left; without a header and records, the root in `root.1.gpg` sealed nothing yet."""


def foreign(present: Sequence[str]) -> list[str]:
    """What is in the way of a new store, of all that lies in a directory: what no killed `create` left."""
    return sorted(each for each in present if each not in _OWN and not TEMPORARY.fullmatch(each))


def prepare(directory: Path, lock: FileLock, *, names: Callable[[], Sequence[str]]) -> None:
    """Make the directory, with what git needs to know of it. ExistsError where there is a store, or anything else."""
    shown = f"store {str(directory)!r}"
    with told(shown, "make"):
        directory.mkdir(mode=0o755, exist_ok=True)  # for people and git: what is secret in it is sealed
    _check_unused(directory, shown, names)  # before the lock: in somebody else's directory not even that is left
    with lock.held(wait=WAIT):
        _check_unused(directory, shown, names)
        with told(shown, "make"):
            # no O_NOFOLLOW: the store's own directory the user names himself, and it may be a link
            top = os.open(directory, DIRECTORY & ~os.O_NOFOLLOW)
            try:
                sweep(top)
                for name, raw in ((".gitattributes", ATTRIBUTES), (".gitignore", IGNORED)):
                    place(raw, name, directory=top, top=top, shown=repr(name))
                make_directory(KEYSETS, directory=top)
            finally:
                let_go(top)


def _check_unused(directory: Path, shown: str, names: Callable[[], Sequence[str]]) -> None:
    with told(shown, "make"):
        top = os.open(directory, DIRECTORY & ~os.O_NOFOLLOW)
        try:
            present = entries(top)
        finally:
            let_go(top)
    if HEADER in present:
        raise ExistsError(f"there is a store in {str(directory)!r} already", hint="strongroom doctor")
    others = foreign(present)
    if others or (KEYSETS in present and names()):
        first = others[0] if others else KEYSETS
        raise ExistsError(
            f"{str(directory)!r} is not empty: there is {first!r}", hint="strongroom init DIRECTORY names another"
        )
