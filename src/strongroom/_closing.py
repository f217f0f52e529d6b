"""Letting go of what was only looked at, locked or passed through: nothing is lost there, and nothing is told.

Whoever has written into a file closes it himself, and looks at what close(2) says.
"""

from __future__ import annotations

import os


def let_go(file: int) -> None:
    """Close a descriptor. On Linux it is closed even where close(2) reports a failure (a disk, a quota, NFS)."""
    try:  # noqa: SIM105  a `with` would cost each read of a record half a microsecond
        os.close(file)
    except OSError:
        pass
