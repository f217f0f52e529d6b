"""A rotation of the root: one rename of the header makes it. All that follows can be broken off, and taken up again.

DESIGN section 8. First the new root's file; then the header, under the new root alone, which holds the old one sealed
and lists every record that is still under it, each with its MAC; then the records, each brought under the new root by a
write of its own; at last the header without the list. Whatever is written meanwhile is written under the new root.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from strongroom.errors import ConflictError, FormatError, IntegrityError, StaleError, StrongroomError
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName
from strongroom.sealing.header import Header, Pending
from strongroom.sealing.root import Root
from strongroom.stores.sealed import SealedStore
from strongroom.stores.workers_records import WorkerGroups

BATCH: Final = 1000
"""Records that are rewritten under one lock, between two of which other writers have their turn."""

Progress = Callable[[int, int, str], None]
"""Told how many are done, of how many, and which was the last."""

Note = Callable[[Sequence[Keyset]], Keyset | None]
"""What is to be remembered of the moment: the next revision of a keyset, or None where it is known already."""


def begin(
    store: SealedStore,
    groups: WorkerGroups | None,
    new: Root,
    *,
    seen: Header,
    base: Header,
    root_file: bytes | None,
    note: Note | None = None,
) -> None:
    """Make `new` the newest root. Every record must be authentic and fresh, else nothing is written.

    `base` is the header that is to go on under the new root, made from `seen`; `root_file` is for its recipients.
    `note` makes of all records a keyset of the store's own, which is written first; no other writer comes between.
    ConflictError where `seen`
    is not the header any more; StaleError, IntegrityError, FormatError, StoreError: the old state stands.
    """
    with store.lock():
        store.follow()
        old = store.root
        if store.header != seen:
            raise ConflictError(
                f"the header of {store.location!r} was changed meanwhile; nothing was written", hint="try again"
            )
        base.rotated(old, new, pending=())  # what cannot be is refused before anything is written
        records = store.records()
        macs = {each.keyset.name: each.mac for each in records}
        others = () if groups is None else groups.pending()
        noted = None if note is None else note([each.keyset for each in records])
        if noted is not None:
            macs[noted.name] = store.put_note(noted).mac
        pending = [*(Pending(name=name, mac=mac) for name, mac in macs.items()), *others]
        store.put_root(new, base.rotated(old, new, pending=pending), root_file=root_file)


def finish(store: SealedStore, groups: WorkerGroups | None, *, progress: Progress | None = None) -> int:
    """Bring everything that the header lists under the newest root, and drop the list; how many records were moved.

    A record that cannot be moved does not keep back the others; its error is raised at the end, and the list stays.
    """
    problems: list[StrongroomError] = []
    moved = 0
    names = _listed(store)
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        moved += _moved(store, batch, problems)
        if progress is not None:
            progress(start + len(batch), len(names), batch[-1])
    if groups is not None:
        moved += groups.rewrap()
    if problems:
        raise problems[0]
    with store.lock():
        store.follow()
        if store.header.pending:
            moved += store.rewrap(_listed(store))
            store.replace_header(store.header.without_pending())
    return moved


def _listed(store: SealedStore) -> tuple[KeysetName, ...]:
    return tuple(each.name for each in store.header.pending)


def _moved(store: SealedStore, batch: Sequence[KeysetName], problems: list[StrongroomError]) -> int:
    try:
        return store.rewrap(batch)
    except (FormatError, IntegrityError, StaleError) as problem:
        if len(batch) == 1:
            problems.append(problem)
            return 0
    # which one it was tells only one by one
    return sum(_moved(store, [name], problems) for name in batch)
