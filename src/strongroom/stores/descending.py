"""The way down to where records lie, one directory from the other: no link is followed, and none can be slipped in."""

from __future__ import annotations

import os
from typing import Final

from strongroom._closing import let_go
from strongroom.stores.placing import DIRECTORY, PASS, make_directory

KEYSETS: Final = "keysets"
"""The directory of the records in a store; the segments of a name, all but the last, are directories below it."""


def open_records(keysets: str, above: str) -> int:
    """The directory of the records, to pass through, or one below it. OSError."""
    directory = os.open(keysets, PASS)
    return _descend(directory, above, PASS) if above else directory


def make_records(above: str, *, top: int) -> int:
    """The same for writing, from the store's open directory on: what is missing is made. OSError."""
    make_directory(KEYSETS, directory=top)
    directory = os.open(KEYSETS, DIRECTORY, dir_fd=top)
    return _descend(directory, above, DIRECTORY, make=True) if above else directory


def _descend(directory: int, above: str, flags: int, *, make: bool = False) -> int:
    for part in above.split("/"):
        try:
            if make:
                make_directory(part, directory=directory)
            below = os.open(part, flags, dir_fd=directory)
        finally:
            let_go(directory)
        directory = below
    return directory
