"""Authenticated encryption bound to a keyset. Associated data is always said, never assumed."""

from __future__ import annotations

from strongroom.errors import DecryptionError
from strongroom.keystore.counting import Counted
from strongroom.keystore.handles.base import Handle, Kit, is_compromised, processing
from strongroom.keystore.handles.guarding import Guarded, guard
from strongroom.keystore.handles.prefixed import ByPrefix, output_prefix, wanted
from strongroom.keystore.live import Snapshot
from strongroom.model.names import KeyId
from strongroom.model.types import KeyType
from strongroom.model.version import Version
from strongroom.primitives.aead import AesGcmKey, XAesGcmKey

_KINDS = (KeyType.AES256_GCM, KeyType.XAES256_GCM)
_Opener = AesGcmKey | XAesGcmKey | Guarded
_FAILED = "the ciphertext does not open under this keyset with this associated data"


class _AeadKit(Kit):
    __slots__ = ("key_ids", "protect", "sound", "with_compromised")

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        every = processing(snapshot, compromised=True)
        made = {version.number: self._key(version) for version in every}
        self.sound: ByPrefix[_Opener] = ByPrefix(
            (v, guard(snapshot, v, made[v.number])) for v in every if not is_compromised(snapshot, v)
        )
        self.with_compromised: ByPrefix[_Opener] = ByPrefix(
            (v, guard(snapshot, v, made[v.number], asked=True)) for v in every
        )
        self.protect = None if self.refusal is not None else self._protecting()
        self.key_ids = {output_prefix(version): version.key_id for version in snapshot.keyset.versions}
        self.key_ids.pop(b"", None)

    def _key(self, version: Version) -> AesGcmKey | XAesGcmKey:
        kind = self.snapshot.keyset.type
        return (AesGcmKey if kind is KeyType.AES256_GCM else XAesGcmKey)(self.material(version), output_prefix(version))

    def _protecting(self) -> AesGcmKey | XAesGcmKey | Counted:
        version = self.protecting
        if self.snapshot.keyset.type is KeyType.AES256_GCM:  # it counts by itself, and by its tally's limit
            return AesGcmKey(self.material(version), output_prefix(version), allowance=self.snapshot.tally)
        return self.counted(self._key(version))


class Aead(Handle[_AeadKit]):
    """AES-256-GCM (SP 800-38D: 12-byte random IV, 16-byte tag) or XAES-256-GCM (C2SP: 24-byte nonce).

    Ciphertexts carry Tink's five-byte prefix, so the version is found in one step and Tink reads them.
    """

    __slots__ = ()

    def _make(self, snapshot: Snapshot) -> _AeadKit:
        wanted(snapshot, self.name, _KINDS, "aead")
        return _AeadKit(snapshot)

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """prefix ‖ IV ‖ ciphertext ‖ tag under the primary; b"" says that there is no associated data."""
        kit = self._kit
        if self._monotonic() >= kit.snapshot.until:
            kit = self._renew()
        protect = kit.protect
        if protect is None:
            kit.refuse()
        return protect.encrypt(plaintext, associated_data)

    def decrypt(self, ciphertext: bytes, associated_data: bytes, *, compromised_too: bool = False) -> bytes:
        """The plaintext. Raises DecryptionError, which does not say why."""
        kit = self._kit
        if self._monotonic() >= kit.snapshot.until:
            kit = self._renew()
        keys = kit.with_compromised if compromised_too else kit.sound
        for key in keys.candidates(ciphertext):
            try:
                return key.decrypt(ciphertext, associated_data)
            except DecryptionError:
                continue
        if self._live.doubt():
            return self.decrypt(ciphertext, associated_data, compromised_too=compromised_too)
        raise kit.unopened(DecryptionError(_FAILED))

    def key_id_of(self, ciphertext: bytes) -> KeyId | None:
        """The key id that the ciphertext names, if a version of the keyset has it, whatever its state; else None.

        Nothing is decrypted: the five bytes may be anyone's.
        """
        return self._current().key_ids.get(ciphertext[:5])
