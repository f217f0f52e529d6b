"""Which root a record may be under: the newest, or, for records that the header lists, the one before."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from strongroom._encoding import b64encode
from strongroom.errors import IntegrityError
from strongroom.model.codec import decode
from strongroom.model.names import KeysetName, RootId
from strongroom.model.record import Record
from strongroom.sealing.header import Header, lineage
from strongroom.sealing.root import Root


class Roots:
    """The roots that open what is in a store. IntegrityError where `newest` is not the header's newest."""

    __slots__ = ("_older", "_pending", "newest")

    def __init__(self, newest: Root, header: Header) -> None:
        if newest.ref != header.ref:
            raise IntegrityError(f"root {newest.number} is not the newest one of the header, root {header.root}")
        self.newest = newest
        self._older: Mapping[RootId, Root] = (
            {older.id: older for older in lineage(header, newest)} if header.pending else {}
        )
        self._pending = {each.name: each.mac for each in header.pending}

    def of(self, root: RootId) -> Root:
        """The root of the id that a verified record names."""
        newest = self.newest
        return newest if root == newest.id else self._older[root]

    def verified(self, raw: bytes, name: KeysetName) -> Record:
        """The record in these bytes, strictly parsed and authentic. FormatError; IntegrityError."""
        record = decode(raw, name=name)
        root = self.newest
        if record.root != root.id:
            root = self._older_root(record)
        try:
            root.check_record(record.body, record.mac)
        except IntegrityError as trouble:
            raise IntegrityError(f"keyset {name!r}: {trouble}", hint=trouble.hint) from None
        return record

    def _older_root(self, record: Record) -> Root:
        """The root before the newest, for a record that the header lists with this very MAC (DESIGN section 8)."""
        name = record.keyset.name
        root = self._older.get(record.root)
        if root is None or not hmac.compare_digest(self._pending.get(name, b""), record.mac):
            raise IntegrityError(
                f"keyset {name!r} is under root {b64encode(record.root)}; the store's is {b64encode(self.newest.id)}",
                hint="if the root was rotated meanwhile, open the store again; else see 'git log'",
            )
        return root
