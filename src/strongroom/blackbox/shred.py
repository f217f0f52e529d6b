"""Overwriting a plaintext before it is unlinked. It promises little, and says so."""

from __future__ import annotations

import os
import stat

_BLOCK = 1024 * 1024


def overwrite(name: str, *, directory: int) -> None:
    """One pass of random bytes over a regular file, synced.

    Solid-state disks, journals, copy-on-write file systems, snapshots and backups keep what was there before: whoever
    gets at the device may still find it. It stops an undelete, no more. A file that may not be opened for writing is
    left as it is.
    """
    try:
        file = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except PermissionError:
        return  # the caller unlinks it, which asks the directory and not the file
    with os.fdopen(file, "wb", buffering=0) as stream:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return  # a link put in place since the check: random bytes must not reach its other name
        left = status.st_size
        while left:
            left -= stream.write(os.urandom(min(left, _BLOCK)))
        os.fsync(file)
