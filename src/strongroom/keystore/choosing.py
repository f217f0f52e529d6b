"""Encrypting under a name alone: the keyset's type chooses the handle."""

from __future__ import annotations

from abc import ABC, abstractmethod

from strongroom.errors import PolicyError
from strongroom.keystore.handles.aead import Aead
from strongroom.keystore.handles.fernet import Fernet
from strongroom.keystore.handles.hybrid import Hybrid
from strongroom.keystore.live import Snapshot
from strongroom.model.types import KeyType


class Choosing(ABC):
    """What a KeyStore offers to those who do not care which cipher it is."""

    @abstractmethod
    def fernet(self, name: str) -> Fernet:
        """The Fernet handle."""

    @abstractmethod
    def aead(self, name: str) -> Aead:
        """The Aead handle."""

    @abstractmethod
    def hybrid(self, name: str) -> Hybrid:
        """The Hybrid handle."""

    @abstractmethod
    def current(self, name: str, usual: KeyType = KeyType.SECRET) -> Snapshot:
        """The keyset as it is in force now."""

    def encrypt(self, name: str, data: bytes, *, associated_data: bytes | None = None) -> bytes:
        """Encrypt with whatever handle the keyset's type has. Fernet and RSA take no associated data (PolicyError)."""
        kind = self.current(name, KeyType.FERNET).keyset.type
        if kind is KeyType.FERNET:
            _refuse_associated_data(name, associated_data)
            return self.fernet(name).encrypt(data)
        if kind in {KeyType.AES256_GCM, KeyType.XAES256_GCM}:
            return self.aead(name).encrypt(data, associated_data or b"")
        return self.hybrid(name).encrypt(data, self._context(kind, associated_data))

    def decrypt(
        self, name: str, data: bytes, *, associated_data: bytes | None = None, compromised_too: bool = False
    ) -> bytes:
        """The inverse of `encrypt`. Raises DecryptionError, which does not say why."""
        kind = self.current(name, KeyType.FERNET).keyset.type
        if kind is KeyType.FERNET:
            _refuse_associated_data(name, associated_data)
            return self.fernet(name).decrypt(data.strip(), compromised_too=compromised_too)
        if kind in {KeyType.AES256_GCM, KeyType.XAES256_GCM}:
            return self.aead(name).decrypt(data, associated_data or b"", compromised_too=compromised_too)
        context = self._context(kind, associated_data)
        return self.hybrid(name).decrypt(data, context, compromised_too=compromised_too)

    @staticmethod
    def _context(kind: KeyType, associated_data: bytes | None) -> bytes | None:
        hpke = kind in {KeyType.X25519, KeyType.MLKEM768_X25519}
        return (associated_data or b"") if hpke else associated_data


def _refuse_associated_data(name: str, associated_data: bytes | None) -> None:
    if associated_data is not None:
        raise PolicyError(
            f"{name!r} makes Fernet tokens, which bind no associated data; an aes256-gcm keyset does",
            hint="strongroom create NAME --type aes256-gcm",
        )
