"""From a keyset's name to what seals cells under it. The keyset's type decides the cipher, and is asked at use."""

from __future__ import annotations

from typing import Protocol
from weakref import ref

from strongroom.caching.local import LocalCache
from strongroom.django.connections import keystores
from strongroom.errors import ClosedError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.handles.aead import Aead
from strongroom.keystore.handles.blind_index import BlindIndex
from strongroom.keystore.handles.fernet import Fernet
from strongroom.model.names import KeyId
from strongroom.model.types import KeyType


class Box(Protocol):
    """What seals and opens cells under one keyset. `decrypt` raises DecryptionError, which does not say why."""

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes: ...

    def decrypt(self, ciphertext: bytes, associated_data: bytes, *, compromised_too: bool = False) -> bytes: ...

    def key_id_of(self, ciphertext: bytes) -> KeyId | None:
        """The key id of the version that made it, as far as that can be told; None where no version did."""
        ...


class TokenBox:
    """Fernet tokens: they bind nothing, so what they should be bound to is left out (strongroom.W021 says so)."""

    __slots__ = ("_fernet",)

    def __init__(self, fernet: Fernet) -> None:
        self._fernet = fernet

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        return self._fernet.encrypt(plaintext)

    def decrypt(self, ciphertext: bytes, associated_data: bytes, *, compromised_too: bool = False) -> bytes:
        return self._fernet.decrypt(ciphertext, compromised_too=compromised_too)

    def key_id_of(self, ciphertext: bytes) -> KeyId | None:
        return self._fernet.key_id_of(ciphertext)


def _conforms(fernet: Fernet, aead: Aead) -> tuple[Box, Box]:
    return TokenBox(fernet), aead


class _Made:
    """What was made from one open keystore. It does not keep the keystore: another may take its place in settings."""

    __slots__ = ("boxes", "keystore", "markers")

    def __init__(self, keystore: KeyStore) -> None:
        self.keystore = ref(keystore)
        self.boxes: LocalCache[Box] = LocalCache(self._box, entries=keystore.limits.entries)
        self.markers: dict[tuple[str, str], BlindIndex] = {}

    def _box(self, name: str) -> Box:
        keystore = self.keystore()
        if keystore is None:
            raise ClosedError("the keystore is closed", hint="ask strongroom.django.keystores again")
        kind = keystore.current(name, KeyType.AES256_GCM).keyset.type
        return TokenBox(keystore.fernet(name)) if kind is KeyType.FERNET else keystore.aead(name)


_made: dict[str, _Made] = {}


def _of(alias: str) -> tuple[KeyStore, _Made]:
    keystore = keystores[alias]
    held = _made.get(alias)
    if held is None or held.keystore() is not keystore:
        held = _made[alias] = _Made(keystore)
    return keystore, held


def box_of(alias: str, name: str) -> Box:
    """The box of a keyset. Raises as the store's opening does, NotFoundError, PurposeError."""
    return _of(alias)[1].boxes[name]


def marker_of(alias: str, name: str, scope: str) -> BlindIndex:
    """The blind index of a field under a keyset. Raises what opening the store raises, NotFoundError, PurposeError."""
    keystore, made = _of(alias)
    held = made.markers.get((name, scope))
    if held is None:
        held = made.markers.setdefault((name, scope), keystore.blind_index(name, scope.encode("utf-8")))
    return held
