"""Equal values, equal marks: what lets a column be searched whose cells are all different. It shows equality.

mark = HMAC-SHA-256(HKDF-SHA-256(material, info = fields("strongroom/1 blind index", scope)), data), with no prefix
"""

from __future__ import annotations

from strongroom._encoding import encode_fields
from strongroom.errors import StateError
from strongroom.keystore.handles.base import Handle, Kit, processing
from strongroom.keystore.handles.prefixed import wanted
from strongroom.keystore.live import LiveKeyset, Snapshot
from strongroom.model.states import KeyState
from strongroom.model.types import KeyType
from strongroom.model.version import Version
from strongroom.primitives.kdf import hkdf_sha256
from strongroom.primitives.mac import HmacSha256Key

MARK_LENGTH = 32


class _BlindIndexKit(Kit):
    __slots__ = ("active", "every", "protect", "suspended")

    def __init__(self, snapshot: Snapshot, scope: bytes) -> None:
        super().__init__(snapshot)
        # a look-up trusts nothing that it finds: a compromised version's marks are looked for while they are there
        versions = processing(snapshot, compromised=True)
        made = {version.number: self._key(version, scope) for version in versions}
        self.every = tuple(made.values())
        self.protect = None if self.refusal is not None else made[self.protecting.number]
        states = {version.number: version.state_at(snapshot.now) for version in snapshot.keyset.versions}
        self.active = sum(state is KeyState.ACTIVE for state in states.values())
        self.suspended = next((number for number, state in states.items() if state is KeyState.SUSPENDED), None)

    def _key(self, version: Version, scope: bytes) -> HmacSha256Key:
        info = encode_fields(b"strongroom/1 blind index", scope)
        return HmacSha256Key(hkdf_sha256(self.material(version), salt=b"", info=info, length=32), b"")


class BlindIndex(Handle[_BlindIndexKit]):
    """Marks under an `hmac-sha256` keyset for one scope, such as a field; another scope's tell nothing of them."""

    __slots__ = ("_scope",)

    def __init__(self, live: LiveKeyset, scope: bytes) -> None:
        self._scope = scope
        super().__init__(live)

    def _make(self, snapshot: Snapshot) -> _BlindIndexKit:
        wanted(snapshot, self.name, (KeyType.HMAC_SHA256,), "blind index")
        return _BlindIndexKit(snapshot, self._scope)

    def mark(self, data: bytes) -> bytes:
        """32 bytes under the primary, to be kept. Raises StateError where no version protects now."""
        kit = self._current()
        if kit.protect is None:
            kit.refuse()
        return kit.protect.compute(data)

    def marks(self, data: bytes) -> list[bytes]:
        """What the data may have been marked with, the primary's first: all of them are to be looked for.

        Raises StateError while a version is suspended: what it marked would not be found, in silence.
        """
        kit = self._current()
        if kit.suspended is not None:
            raise StateError(
                f"version {kit.suspended} of {self.name!r} is suspended: what it marked cannot be looked for",
                hint=f"strongroom resume {self.name} {kit.suspended}",
            )
        return [key.compute(data) for key in kit.every]

    @property
    def active_versions(self) -> int:
        """How many versions are active: with more than one, equal data may have been marked differently."""
        return self._current().active
