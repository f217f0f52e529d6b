"""Roots, keysets and sealed stores for the tests of stores. Times are fixed; keys are fresh."""

from __future__ import annotations

import os
from pathlib import Path

from strongroom._encoding import Timestamp
from strongroom.model.codec import encode, encode_body
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName, StoreId, draw_key_id, parse_name
from strongroom.model.policy import Policy
from strongroom.model.record import Record
from strongroom.model.types import KeyType, Prefix, Purpose
from strongroom.model.version import Version
from strongroom.primitives.hpke import public_of
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import encode_header
from strongroom.sealing.hpke import HpkeSlot, generate_private
from strongroom.sealing.recipients import Audience
from strongroom.sealing.root import Root
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.sealed import SealedStore
from strongroom.stores.seen import Witness
from strongroom.stores.witness import open_witness

NOW = Timestamp(1_795_466_592_123)
HOUR = 3_600_000


def later(hours: float) -> Timestamp:
    return Timestamp(NOW + int(hours * HOUR))


def new_root(number: int = 1, *, store: StoreId | None = None) -> Root:
    return Root.generate(StoreId(os.urandom(16)) if store is None else store, number=number)


def header_of(root: Root) -> Header:
    """A header of one slot, to a key that nobody has."""
    slot = HpkeSlot.create(root, public_of("x25519", generate_private("x25519")), suite="x25519", label="nobody")
    return Header.create(root, slots=(slot,), now=NOW, propagation=86_400)


def version_of(
    root: Root, name: KeysetName, number: int, *, kind: KeyType = KeyType.FERNET, material: bytes | None = None
) -> Version:
    key_id = draw_key_id(())
    purpose = Purpose.SECRET if kind is KeyType.SECRET else Purpose.ENCRYPT
    held = SecretBytes(os.urandom(32) if material is None else material)
    sealed = root.seal(held, name=name, key_id=key_id, type=kind, purpose=purpose)
    return Version.added(number, key_id, sealed=sealed, public=None, prefix=Prefix.NONE, now=NOW)


def new_keyset(
    root: Root, text: str = "student-records", *, kind: KeyType = KeyType.FERNET, material: bytes | None = None
) -> Keyset:
    name = parse_name(text, reserved=True)
    return Keyset.created(
        name,
        version_of(root, name, 1, kind=kind, material=material),
        type=kind,
        purpose=Purpose.SECRET if kind is KeyType.SECRET else Purpose.ENCRYPT,
        policy=Policy(rotate_every=None, propagation=None),
        now=NOW,
    )


def added(root: Root, keyset: Keyset) -> Keyset:
    """The next revision, with one more version."""
    return keyset.add(version_of(root, keyset.name, keyset.next_number))


def record_under(root: Root, keyset: Keyset) -> Record:
    """An authentic record."""
    body = encode_body(keyset, root.id)
    return Record(keyset=keyset, root=root.id, mac=root.record_mac(body), body=body)


class Checkout:
    """A store in a directory, as processes of one host see it: each `open` is another process's view."""

    def __init__(self, place: Path, *, root: Root | None = None, state: Path | None = None) -> None:
        self.state = place.parent if state is None else state
        self.root = new_root() if root is None else root
        self.header = header_of(self.root)
        self.place = place
        self.directory = DirectoryStore.create(place)
        self.directory.write_header(encode_header(self.header, self.root), replaces=None)

    def witness(self) -> Witness:
        return open_witness(self.root.store, self.place, setting=self.state / "witnesses")

    def open(self, *, witness: Witness | None = None, audience: Audience | None = None) -> SealedStore:
        return SealedStore(
            DirectoryStore(self.place),
            self.root,
            self.header,
            witness=self.witness() if witness is None else witness,
            audience=audience,
        )

    def put(self, keyset: Keyset) -> bytes:
        """What `git checkout` does: a record appears, whatever was there, and nobody is told."""
        raw = encode(record_under(self.root, keyset))
        path = self.directory.path_of(keyset.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        return raw

    def remove(self, name: str) -> None:
        self.directory.path_of(parse_name(name)).unlink()
