"""At most two processes of a user open with gpg at once on a host; the rest wait their turn, and never for ever.

Fifty workers that start together would start fifty gpg, and one agent that serves them one by one while they time out.
A turn is an advisory lock (flock) on one of two files, which the kernel takes back from a process that dies. It is a
courtesy: where no private directory can be had, or no turn comes, one goes on without.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from strongroom._closing import let_go
from strongroom.openpgp.surroundings import terminal_of_person

AT_ONCE: Final = 2
LONGEST_WAIT: Final = 30.0
"""Seconds after which one goes on without a turn: twice what one gpg may take."""
_STEP = 0.02
_FILE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def turn(environ: Mapping[str, str]) -> Iterator[None]:
    """Wait for a turn, and have it for the block. Where a person sits at a terminal nobody waits for anybody."""
    held = None if terminal_of_person() is not None else _taken(environ)
    try:
        yield
    finally:
        if held is not None:
            # unlocked and not only closed: a child that was forked meanwhile has the same lock open
            with contextlib.suppress(OSError):
                fcntl.flock(held, fcntl.LOCK_UN)
            let_go(held)


def _taken(environ: Mapping[str, str]) -> int | None:
    directory = _directory(environ)
    if directory is None:
        return None
    files: list[int] = []
    try:
        with contextlib.suppress(OSError):
            files.extend(os.open(f"gpg.{number}", _FILE, 0o600, dir_fd=directory) for number in range(AT_ONCE))
        held = _first_free(files)
    finally:
        let_go(directory)
    for file in files:
        if file != held:
            let_go(file)
    return held


def _first_free(files: list[int]) -> int | None:
    end = time.monotonic() + LONGEST_WAIT
    while files and time.monotonic() < end:
        for file in files:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            except OSError:  # a file system that knows no locks
                return None
            return file
        time.sleep(_STEP)
    return None


def _directory(environ: Mapping[str, str]) -> int | None:
    """A directory that is this user's alone, opened. What another user has put in its place is left alone."""
    user = os.geteuid()
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    places = [Path(runtime) / "strongroom"] if runtime.startswith("/") else []
    with contextlib.suppress(OSError):  # no writable place at all
        places.append(Path(tempfile.gettempdir()) / f"strongroom-{user}")
    for place in places:
        with contextlib.suppress(OSError):
            with contextlib.suppress(FileExistsError):
                place.mkdir(mode=0o700)
            opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            found = os.fstat(opened)
            if found.st_uid == user and not stat.S_IMODE(found.st_mode) & 0o077:
                return opened
            let_go(opened)
    return None
