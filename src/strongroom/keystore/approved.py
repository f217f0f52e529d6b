"""Who may receive BlackBox's files where a store exists: those whom its verified header approves, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.errors import ForeignStoreError
from strongroom.keystore.finding import DEFAULT_DIRECTORY, holds_store

if TYPE_CHECKING:  # where there is no store, none of this is loaded
    from strongroom.keystore.credentials import Given


class Approved(NamedTuple):
    """What a store says: its id, and the full fingerprints that its header approves."""

    store: str
    fingerprints: tuple[str, ...]


def store_of(root: Path) -> Path | None:
    """The store in a BlackBox repository, or None. Nothing is opened."""
    directory = root / DEFAULT_DIRECTORY
    return directory if holds_store(directory) else None


def approved_for(
    root: Path,
    *,
    given: Given | None = None,
    pin: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
    environ: Mapping[str, str] | None = None,
) -> Approved | None:
    """Whom the header of the repository's store approves; DESIGN section 7.

    The header proves itself only with the root, so the store is opened; and whoever can write to the repository could
    put a store of his own there, so it must be one that the pin or the witness knows. None where there is no store, or
    where its root was never sealed to anybody's OpenPGP key: then the list is not the header's.
    Raises what `open_store` raises with strict=True, ForeignStoreError above all.
    """
    directory = store_of(root)
    if directory is None:
        return None
    from strongroom.keystore.opening import open_store

    try:
        with open_store(directory, given=given, pin=pin, strict=True, clock=clock, environ=environ) as keystore:
            header = keystore.sealed.header
            found = tuple(recipient.fingerprint for recipient in header.recipients)
            return Approved(header.store.hex(), found) if found else None
    except ForeignStoreError as error:
        raise ForeignStoreError(
            f"the store in this repository would say who receives its files, and {error}", hint=error.hint
        ) from None
