"""What can be said of a store without opening it: read from a header that nobody has vouched for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import NotFoundError, StrongroomError
from strongroom.keystore.finding import directory_of, holds_store
from strongroom.keystore.settings import StoreSettings
from strongroom.model.codec import decode
from strongroom.model.keyset import Keyset
from strongroom.model.names import parse_name
from strongroom.sealing.header_codec import decode_header
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.witness import witness_directory


def store_directory(settings: StoreSettings) -> Path | None:
    """The directory that these settings lead to, whether a store is in it or not; None for a URL, or where none is
    named and none is found upwards."""
    return directory_of(settings.store)


def is_development_store(directory: Path) -> bool:
    """Whether the header says that the root is public. False where there is no readable store."""
    try:
        return decode_header(DirectoryStore(directory).header()).claims.development
    except StrongroomError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What the files say of a keyset, None where there is none of that name; and seconds that its new versions wait."""

    keyset: Keyset | None
    propagation: int


def claimed_keyset(directory: Path, name: str) -> Claimed | None:
    """The keyset as its file has it: nobody vouches for it. None where there is no readable store, or record."""
    store = DirectoryStore(directory)
    try:
        usual = decode_header(store.header()).claims.propagation
        keyset = decode(store.read(parse_name(name)), name=parse_name(name)).keyset
    except NotFoundError:
        return Claimed(keyset=None, propagation=0) if holds_store(directory) else None
    except StrongroomError:
        return None
    said = keyset.policy.propagation
    return Claimed(keyset=keyset, propagation=usual if said is None else said)


def witness_is_possible(setting: Path | None, environ: Mapping[str, str] | None = None) -> bool:
    """Whether this process has a place to keep a witness."""
    return witness_directory(setting=setting, environ=os.environ if environ is None else environ) is not None


def names_without_opening(location: str | None, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The names that a store's directory lists, for a shell that completes them: nothing vouches for them.

    location: as `open_store` takes it. No key is touched and no gpg started; () where there is no directory to list.
    """
    said = location or (os.environ if environ is None else environ).get("STRONGROOM_STORE")
    directory = directory_of(said or None)
    return () if directory is None or not holds_store(directory) else DirectoryStore(directory).names()
