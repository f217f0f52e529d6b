"""From a keyset's name to what seals cells under it. The keyset's type decides the cipher, and is asked at use."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakKeyDictionary

from strongroom.caching.forklock import ForkLock
from strongroom.caching.local import LocalCache
from strongroom.django.connections import keystores
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


_boxes: WeakKeyDictionary[KeyStore, LocalCache[Box]] = WeakKeyDictionary()
_lock = ForkLock()


def box_of(alias: str, name: str) -> Box:
    """The box of a keyset. Raises as the store's opening does, NotFoundError, PurposeError."""
    keystore = keystores[alias]
    boxes = _boxes.get(keystore)
    if boxes is None:
        with _lock:
            boxes = _boxes.get(keystore)
            if boxes is None:
                boxes = _boxes[keystore] = LocalCache(_Maker(keystore), entries=keystore.limits.entries)
    return boxes[name]


class _Maker:
    """Makes the boxes of a keystore. It must not keep the keystore alive: handles do that, as long as they are held."""

    __slots__ = ("_keystore",)

    def __init__(self, keystore: KeyStore) -> None:
        from weakref import ref

        self._keystore = ref(keystore)

    def __call__(self, name: str) -> Box:
        keystore = self._keystore()
        assert keystore is not None  # noqa: S101  whoever asks has just got it from `keystores`
        kind = keystore.current(name, KeyType.AES256_GCM).keyset.type
        return TokenBox(keystore.fernet(name)) if kind is KeyType.FERNET else keystore.aead(name)


def marker_of(alias: str, name: str, scope: str) -> BlindIndex:
    """The blind index of a field under a keyset. Raises what opening the store raises, NotFoundError, PurposeError."""
    keystore = keystores[alias]
    markers = _markers.get(keystore)
    if markers is None:
        markers = _markers.setdefault(keystore, {})
    held = markers.get((name, scope))
    if held is None:
        held = markers.setdefault((name, scope), keystore.blind_index(name, scope.encode("utf-8")))
    return held


_markers: WeakKeyDictionary[KeyStore, dict[tuple[str, str], BlindIndex]] = WeakKeyDictionary()
