"""A keyset as it rests in a store: under which root, and with which MAC. Authentic only once the MAC was checked."""

from __future__ import annotations

import msgspec

from strongroom.errors import FormatError
from strongroom.model.keyset import Keyset
from strongroom.model.names import ID_SIZE, RootId

MAC_SIZE = 32
"""Bytes of an HMAC-SHA-256."""


class Record(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a store holds for one keyset.

    `body` is what the MAC was computed over, kept by `codec.decode` so that checking needs no second encoding; in a
    record that was built by hand it is empty, and no MAC fits it. It takes no part in comparison.
    """

    keyset: Keyset
    root: RootId
    mac: bytes
    body: bytes = b""

    def __post_init__(self) -> None:
        if len(self.root) != ID_SIZE:
            raise FormatError(f"the root id of {self.keyset.name!r} has {len(self.root)} bytes, not {ID_SIZE}")
        if len(self.mac) != MAC_SIZE:
            raise FormatError(f"the MAC of {self.keyset.name!r} has {len(self.mac)} bytes, not {MAC_SIZE}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        # no compare_digest: this says whether two files are alike, never whether a MAC is right
        return (self.keyset, self.root, self.mac) == (other.keyset, other.root, other.mac)

    def __hash__(self) -> int:
        return hash((self.root, self.mac))

    def __repr__(self) -> str:
        return f"<record of {self.keyset!r} under root {self.root.hex()}>"
