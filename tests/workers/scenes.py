"""A development store with worker groups: cheap to open, real in everything else. RSA keys are made once a session."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from strongroom._clock import Clock
from strongroom._encoding import Timestamp
from strongroom.caching.file_backend import FileBackend
from strongroom.caching.issuing import Issuing
from strongroom.caching.publisher import LIFE, Issue, Publisher
from strongroom.caching.worker import WorkerSource
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.issuer import ensure_issuer
from strongroom.model.names import ID_SIZE, Revision, StoreId
from strongroom.primitives import rsa
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import encode_header
from strongroom.sealing.identities import WorkerIdentity
from strongroom.sealing.root import Root
from strongroom.sealing.slots import DevelopmentSlot
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.sealed import SealedStore
from strongroom.stores.workers_codec import Group
from strongroom.stores.workers_records import WorkerGroups

START = Timestamp(1_790_000_000_000)


class HandClock:
    """A clock that somebody moves: wall and monotonic together, or the wall alone."""

    def __init__(self) -> None:
        self.wall = int(START)
        self.since = 100.0

    def now(self) -> Timestamp:
        return Timestamp(self.wall)

    def monotonic(self) -> float:
        return self.since

    def move(self, seconds: float) -> None:
        self.wall += int(seconds * 1000)
        self.since += seconds


@cache
def private_key(number: int) -> SecretBytes:
    """PKCS#8 DER of an RSA key; equal numbers, equal keys, within one process."""
    return SecretBytes(rsa.generate(2048).reveal()[1:])


@dataclass
class Site:
    """A store, its holder, and the identities of its groups."""

    directory: Path
    clock: Clock
    keystore: KeyStore

    @classmethod
    def make(cls, directory: Path, clock: Clock, **options: Any) -> Site:
        root = Root.generate(StoreId(os.urandom(ID_SIZE)))
        header = Header.create(root, slots=[DevelopmentSlot.create(root)], now=clock.now(), propagation=0)
        store = DirectoryStore.create(directory)
        store.write_header(encode_header(header, root), replaces=None)
        keystore = KeyStore(SealedStore(store, root, header), clock=clock, base=directory, **options)
        return cls(directory=directory, clock=clock, keystore=keystore)

    def group(self, name: str, *, key: int = 0) -> WorkerIdentity:
        """A new group; what `worker create` does, with an RSA key that is there already."""
        store = self.keystore.sealed
        now = self.clock.now()
        ensure_issuer(store, now)
        issuing = Issuing(store, now)
        private = private_key(key)
        identity = WorkerIdentity(
            name=name,
            store=store.header.store,
            group=name,
            issuer=issuing.public,
            public=rsa.public_der(rsa.load_sealed(SecretBytes(rsa.VALIDATED + private.reveal()))),
            private=private,
        )
        WorkerGroups(store, self.directory).write(
            Group(
                name=name,
                revision=Revision(1),
                public=identity.public,
                created=now,
                changed=now,
                issuer=issuing.named,
            ),
            replaces=None,
        )
        return identity

    def read(self, group: str) -> Group:
        return WorkerGroups(self.keystore.sealed, self.directory).read(group)

    def issue(self, group: str, *last: bytes, life: int = LIFE, force: bool = False) -> Issue:
        publisher = Publisher(self.keystore.sealed)
        return publisher.issue(self.read(group), last=last, now=self.clock.now(), life=life, force=force)


class Shelf:
    """A place in memory whose bytes a test sets as it likes; it counts what it is asked."""

    def __init__(self, raw: bytes = b"", *, name: str = "shelf") -> None:
        self.raw = raw
        self.name = name
        self.heads = 0
        self.reads = 0
        self.trouble: Exception | None = None

    @property
    def location(self) -> str:
        return self.name

    def head(self) -> bytes:
        self.heads += 1
        return self._given()[:72]

    def read(self) -> bytes:
        self.reads += 1
        return self._given()

    def write(self, raw: bytes, *, seconds: int) -> None:
        self.raw = raw

    def close(self) -> None:
        self.raw = b""

    def _given(self) -> bytes:
        from strongroom.errors import NotFoundError

        if self.trouble is not None:
            raise self.trouble
        if not self.raw:
            raise NotFoundError("the shelf is empty")
        return self.raw


def source(identity: WorkerIdentity, *places: Any, clock: Clock, **options: Any) -> WorkerSource:
    return WorkerSource(identity, places, clock=clock, **options)


def file_backend(path: Path) -> FileBackend:
    return FileBackend(path)
