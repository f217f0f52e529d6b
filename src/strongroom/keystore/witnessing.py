"""What was seen of a store, its worker groups among it: told, and accepted. Only the memory of one checkout changes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from strongroom.errors import FormatError, IntegrityError, NotFoundError
from strongroom.model.names import KeysetName
from strongroom.stores.acceptance import Witnessed, WitnessRow
from strongroom.stores.sealed import SealedStore
from strongroom.stores.seen import BESIDE
from strongroom.stores.workers_codec import place_of
from strongroom.stores.workers_records import WorkerGroups


def witnessed(store: SealedStore, base: Path | None) -> Witnessed:
    """What was seen of each record, and what differs here; of the header and the worker groups only what differs."""
    found = store.witnessed()
    return replace(found, rows=(*found.rows, *_stale_groups(store, base)))


def accept(store: SealedStore, base: Path | None, name: str | None) -> tuple[KeysetName, ...]:
    """Take a record as it is here for the newest, or with None all; the names of those that differed.

    `store.json` is the header, `strongroom.workers/GROUP` a worker group. As `SealedStore.accept`.
    """
    if name is not None and name.startswith(BESIDE):
        group = name.removeprefix(BESIDE)
        return (place_of(group),) if WorkerGroups(store, base).accept(group) else ()
    accepted = store.accept(name)
    if name is not None or base is None:
        return accepted
    groups = WorkerGroups(store, base)
    return (*accepted, *(place_of(each) for each in groups.names() if groups.accept(each)))


def _stale_groups(store: SealedStore, base: Path | None) -> tuple[WitnessRow, ...]:
    if base is None:
        return ()
    rows = []
    groups = WorkerGroups(store, base)
    for name in groups.names():
        with suppress(NotFoundError, FormatError, IntegrityError):  # 'worker list' says it
            seen, differences = groups.seen(name)
            if differences:
                rows.append(WitnessRow(name=place_of(name), revision=seen, differences=differences))
    return tuple(rows)
