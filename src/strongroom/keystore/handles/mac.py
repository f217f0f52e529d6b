"""Message authentication bound to a keyset."""

from __future__ import annotations

from strongroom.errors import SignatureError
from strongroom.keystore.counting import Counted
from strongroom.keystore.handles.base import Handle, Kit, is_compromised, processing
from strongroom.keystore.handles.guarding import Guarded, guard
from strongroom.keystore.handles.prefixed import ByPrefix, output_prefix, wanted
from strongroom.keystore.live import Snapshot
from strongroom.model.types import KeyType
from strongroom.primitives.mac import HmacSha256Key

_FAILED = "the tag does not belong to this data under this keyset"


class _MacKit(Kit):
    __slots__ = ("protect", "sound", "with_compromised")

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        every = processing(snapshot, compromised=True)
        made = {v.number: HmacSha256Key(self.material(v), output_prefix(v)) for v in every}
        self.sound: ByPrefix[HmacSha256Key | Guarded] = ByPrefix(
            (v, guard(snapshot, v, made[v.number])) for v in every if not is_compromised(snapshot, v)
        )
        self.with_compromised: ByPrefix[HmacSha256Key | Guarded] = ByPrefix(
            (v, guard(snapshot, v, made[v.number], asked=True)) for v in every
        )
        self.protect = None if self.refusal is not None else self._protecting()

    def _protecting(self) -> HmacSha256Key | Counted:
        version = self.protecting
        return self.counted(HmacSha256Key(self.material(version), output_prefix(version)))


class Mac(Handle[_MacKit]):
    """HMAC-SHA-256 (RFC 2104, FIPS 198-1): 32-byte tags behind Tink's five-byte prefix."""

    __slots__ = ()

    def _make(self, snapshot: Snapshot) -> _MacKit:
        wanted(snapshot, self.name, (KeyType.HMAC_SHA256,), "mac")
        return _MacKit(snapshot)

    def compute(self, data: bytes) -> bytes:
        """prefix ‖ tag under the primary. Raises StateError where no version protects now."""
        kit = self._current()
        protect = kit.protect
        if protect is None:
            kit.refuse()
        return protect.compute(data)

    def verify(self, tag: bytes, data: bytes, *, compromised_too: bool = False) -> None:
        """Return if the tag belongs to the data; else raise SignatureError, which does not say why."""
        kit = self._current()
        keys = kit.with_compromised if compromised_too else kit.sound
        for key in keys.candidates(tag):
            try:
                return key.verify(tag, data)
            except SignatureError:
                continue
        if self._live.doubt():
            return self.verify(tag, data, compromised_too=compromised_too)
        raise kit.unopened(SignatureError(_FAILED))
