"""Which root a record may be under: the newest, or, for records that the header lists, the one before."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from strongroom._encoding import b64encode
from strongroom.errors import IntegrityError
from strongroom.model.codec import decode
from strongroom.model.names import KeysetName, RootId
from strongroom.model.record import Record
from strongroom.sealing.header import Header
from strongroom.sealing.lineage import lineage
from strongroom.sealing.root import Root


class Roots:
    """The roots that open what is in a store. IntegrityError where `newest` is not the header's newest."""

    __slots__ = ("_former", "_held", "_older", "_pending", "newest")

    def __init__(self, newest: Root, header: Header, *, former: Roots | None = None) -> None:
        """`former` are the roots that this process had before: what it opened under them stays open."""
        if newest.ref != header.ref:
            raise IntegrityError(f"root {newest.number} is not the newest one of the header, root {header.root}")
        self.newest = newest
        self._older: Mapping[RootId, Root] = (
            {older.id: older for older in lineage(header, newest)} if header.pending else {}
        )
        self._held = {each.id for each in header.roots}
        self._pending = {each.name: each.mac for each in header.pending}
        self._former: Mapping[RootId, Root] = (
            {} if former is None else {former.newest.id: former.newest, **former._older, **former._former}
        )

    def of(self, root: RootId) -> Root:
        """The root of the id that a verified record names, now or when it was read."""
        newest = self.newest
        if root == newest.id:
            return newest
        return self._older[root] if root in self._older else self._former[root]

    def verified(self, raw: bytes, name: KeysetName) -> Record:
        """The record in these bytes, strictly parsed and authentic. FormatError; IntegrityError."""
        record = decode(raw, name=name)
        self.check(record.body, record.mac, root=record.root, place=name, shown=f"keyset {name!r}")
        return record

    def check(self, body: bytes, mac: bytes, *, root: RootId, place: KeysetName, shown: str) -> None:
        """IntegrityError unless a record that names `root` is authentic under it, and counts under it.

        `place` is the name by which the header would list it while it is still under an older root.
        """
        found = self.newest
        if root != found.id:
            found = self._older_root(root, mac, place, shown)
        try:
            found.check_record(body, mac)
        except IntegrityError as trouble:
            raise IntegrityError(f"{shown}: {trouble}", hint=trouble.hint) from None

    def _older_root(self, root: RootId, mac: bytes, place: KeysetName, shown: str) -> Root:
        """An older root, for a record that the header lists with this very MAC (DESIGN section 8)."""
        found = self._older.get(root)
        if found is None or not hmac.compare_digest(self._pending.get(place, b""), mac):
            raise IntegrityError(
                f"{shown} is under root {b64encode(root)}; the store's is {b64encode(self.newest.id)}",
                hint=f"strongroom adopt {place}, if 'git log' tells that one of you made it"
                if root in self._held
                else "see 'git log'; a record from before a rotation of the root is merged, never copied back",
            )
        return found
