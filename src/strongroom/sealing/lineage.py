"""The older roots of a store, each opened through the one after it and held to its word for that one."""

from __future__ import annotations

from strongroom.errors import FormatError
from strongroom.sealing.header import Header
from strongroom.sealing.root import Root, RootRef


def lineage(header: Header, root: Root) -> tuple[Root, ...]:
    """The older roots that the header still holds, newest first, each of which vouches for the one after it.

    A pin or witness that knows any of them may follow to `root`: only a holder of the older root could have made the
    link. IntegrityError when one does not open, is not the one named, or does not vouch.
    """
    found = [root]
    for newer, older in zip(reversed(header.roots[1:]), reversed(header.roots[:-1]), strict=True):
        if older.sealed is None or newer.link is None:  # the header's own laws exclude it
            raise FormatError(f"root {older.number} is not sealed under root {newer.number}, or not linked to it")
        ref = RootRef(store=header.store, number=older.number, id=older.id)
        opened = found[-1].open_older(older.sealed, ref)
        opened.check_link(newer.id, newer.link)
        found.append(opened)
    return tuple(found[1:])
