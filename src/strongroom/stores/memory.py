"""A store in this process, for tests and throw-away values. It holds what the directory holds, and dies with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.errors import ConflictError, ExistsError, FormatError, NotFoundError
from strongroom.model.codec import MAX_RECORD, decode
from strongroom.model.names import ID_SIZE, KeysetName, Revision, StoreId
from strongroom.primitives.hpke import public_of
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import encode_header
from strongroom.sealing.hpke import HpkeSlot, generate_private
from strongroom.sealing.root import Root
from strongroom.stores.base import WAIT, Change, Oddity, Store
from strongroom.stores.locking import ThreadLock
from strongroom.stores.sealed import SealedStore
from strongroom.stores.seen import NoWitness


class MemoryStore:
    """Records in a dict. Threads may share it; a forked child goes on with a copy of its own."""

    def __init__(self) -> None:
        self._records: dict[KeysetName, tuple[bytes, object]] = {}
        self._attachments: dict[str, bytes] = {}
        self._header: tuple[bytes, object] | None = None
        self._lock = ThreadLock("the store in memory")

    def __repr__(self) -> str:
        return f"<store in memory, {len(self._records)} records>"

    @property
    def location(self) -> str:
        """`memory:`"""
        return "memory:"

    @property
    def travels_by_git(self) -> bool:
        """False: there is nobody else."""
        return False

    def header(self) -> bytes:
        """The header's bytes."""
        if self._header is None:
            raise NotFoundError("the store in memory has no header")
        return self._header[0]

    def write_header(self, raw: bytes, *, replaces: bytes | None) -> None:
        """Put a header in place of the one with these very bytes; None: there must be none."""
        with self.lock():
            present = None if self._header is None else self._header[0]
            if present != replaces:
                if replaces is None:
                    raise ExistsError("the store in memory has a header already")
                raise ConflictError("the header in memory was changed meanwhile; nothing was written")
            self._header = (bytes(raw), object())

    def header_stamp(self) -> object:
        """An object that was made with the header."""
        return None if self._header is None else self._header[1]

    def attachment(self, name: str) -> bytes:
        """The file `root.N.gpg`."""
        try:
            return self._attachments[name]
        except KeyError:
            raise NotFoundError(f"there is no {name!r} in memory") from None

    def write_attachment(self, name: str, raw: bytes) -> None:
        """Put a file `root.N.gpg` in place."""
        with self.lock():
            self._attachments[name] = bytes(raw)

    def remove_attachment(self, name: str) -> None:
        """Take a file `root.N.gpg` away."""
        with self.lock():
            self._attachments.pop(name, None)

    def lies_open(self, number: int) -> bool:
        """False: no script writes here."""
        return False

    def names(self) -> tuple[KeysetName, ...]:
        """The names of all records, sorted."""
        return tuple(sorted(self._records))

    def oddities(self) -> tuple[Oddity, ...]:
        """None: what is here came through `write`."""
        return ()

    def read(self, name: KeysetName) -> bytes:
        """The bytes of a record."""
        return self._found(name)[0]

    def read_many(self, names: Sequence[KeysetName]) -> list[bytes | None]:
        """The bytes of many records, in the same order."""
        found = [self._records.get(name) for name in names]
        return [None if each is None else each[0] for each in found]

    def stamp(self, name: KeysetName) -> object:
        """An object that was made with the record."""
        return self._found(name)[1]

    def write(self, name: KeysetName, raw: bytes, *, replaces: Revision | None) -> None:
        """Put a record in place of the one with this revision; None: there must be none."""
        if len(raw) > MAX_RECORD:
            raise FormatError(f"the record of {name!r} has {len(raw)} bytes; the limit is {MAX_RECORD}")
        with self.lock():
            present = self._records.get(name)
            if present is None:
                if replaces is not None:
                    raise ConflictError(f"keyset {name!r} is gone: revision {replaces} was to be replaced")
            elif replaces is None:
                raise ExistsError(f"there is a keyset {name!r} already", hint=f"strongroom show {name}")
            else:
                revision = decode(present[0], name=name).keyset.revision
                if revision != replaces:
                    raise ConflictError(
                        f"keyset {name!r} has revision {revision} by now; revision {replaces} was to be replaced,"
                        " and nothing was written",
                        hint="load it and try again",
                    )
            self._records[name] = (bytes(raw), object())

    def write_many(self, records: Sequence[Change]) -> None:
        """`write` many records."""
        with self.lock():
            for record in records:
                self.write(record.name, record.raw, replaces=record.replaces)

    def lock(self, *, wait: float = WAIT) -> AbstractContextManager[None]:
        """Be the only writer for a block."""
        return self._lock.held(wait=wait)

    def path_of(self, name: KeysetName) -> Path | None:
        """None: there are no files."""
        return None

    def close(self) -> None:
        """Nothing is held but the records."""

    def _found(self, name: KeysetName) -> tuple[bytes, object]:
        try:
            return self._records[name]
        except KeyError:
            raise NotFoundError(f"there is no keyset {name!r}", hint="strongroom list") from None


def _conforms(store: MemoryStore) -> Store:
    return store


def memory_store(*, clock: Clock = SYSTEM_CLOCK) -> SealedStore:
    """A new store in memory under a root of its own, which nobody else can open and which is gone with the process."""
    root = Root.generate(StoreId(os.urandom(ID_SIZE)))
    # a header has at least one slot: this one is sealed to a key that is thrown away here
    key = public_of("x25519", generate_private("x25519"))
    slot = HpkeSlot.create(root, key, suite="x25519", label="nobody")
    header = Header.create(root, slots=(slot,), now=clock.now(), propagation=0)
    store = MemoryStore()
    store.write_header(encode_header(header, root), replaces=None)
    return SealedStore(store, root, header, witness=NoWitness("a store in memory has no past to go back to"))
