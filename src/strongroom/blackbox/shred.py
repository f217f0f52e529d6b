"""Removing a plaintext, and overwriting what its name was of. It promises little, and says so."""

from __future__ import annotations

import os
import stat

_BLOCK = 1024 * 1024


def erase(name: str, *, directory: int) -> None:
    """Unlink a file; then one pass of random bytes over what it was, synced.

    In this order, so that whoever is killed meanwhile leaves no random bytes under the name of a secret, which the next
    `edit-end` would seal.

    Solid-state disks, journals, copy-on-write file systems, snapshots and backups keep what was there before: whoever
    gets at the device may still find it. It stops an undelete, no more. A file that may not be opened for writing is
    only unlinked, as is what is no file.
    """
    try:
        file = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError:  # a link, a pipe that nobody reads, or a file that may not be written
        os.unlink(name, dir_fd=directory)  # which asks the directory and not the file
        return
    with os.fdopen(file, "wb", buffering=0) as stream:
        os.unlink(name, dir_fd=directory)
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink:
            return  # it has another name, or a link took its place since the check: random bytes must not reach that
        left = status.st_size
        while left:
            left -= stream.write(os.urandom(min(left, _BLOCK)))
        os.fsync(file)
