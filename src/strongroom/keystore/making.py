"""Where new material and key ids come from: the system's random numbers, or a seed for tests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from typing import Protocol

from strongroom._encoding import b64encode, encode_fields
from strongroom.model.names import KeyId, draw_key_id
from strongroom.model.types import KeyType
from strongroom.primitives import material
from strongroom.primitives.kdf import hkdf_sha256
from strongroom.primitives.secret import SecretBytes

SECRET_BYTES = 48
"""A generated `secret` is this many random bytes as base64url: 64 characters, enough for Django's SECRET_KEY."""


class Maker(Protocol):
    """Makes the material and the key id of a new version."""

    def material(self, kind: KeyType, name: str, number: int) -> SecretBytes: ...

    def key_id(self, name: str, number: int, *, taken: Collection[int]) -> KeyId: ...


class RandomMaker:
    """Fresh material from the operating system's generator."""

    __slots__ = ()

    def material(self, kind: KeyType, name: str, number: int) -> SecretBytes:
        if kind is KeyType.SECRET:
            return _secret_text(os.urandom(SECRET_BYTES))
        return material.generate(kind.value)

    def key_id(self, name: str, number: int, *, taken: Collection[int]) -> KeyId:
        return draw_key_id(taken)


class SeededMaker:
    """Equal material for equal seeds, so that parallel test processes agree. Only for stores in memory."""

    __slots__ = ("_seed",)

    def __init__(self, seed: str) -> None:
        self._seed = SecretBytes(seed.encode())

    def material(self, kind: KeyType, name: str, number: int) -> SecretBytes:
        if kind is KeyType.SECRET:
            return _secret_text(self._derived(b"material", name, number, length=SECRET_BYTES).reveal())
        return material.from_seed(kind.value, self._derived(b"material", name, number))

    def key_id(self, name: str, number: int, *, taken: Collection[int]) -> KeyId:
        digest = hashlib.sha256(self._derived(b"key id", name, number).reveal()).digest()
        for start in range(28):
            candidate = int.from_bytes(digest[start : start + 4], "big")
            if candidate and candidate not in taken:
                return KeyId(candidate)
        return draw_key_id(taken)

    def _derived(self, purpose: bytes, name: str, number: int, *, length: int = 32) -> SecretBytes:
        info = encode_fields(b"strongroom/1 seed", purpose, name.encode(), number.to_bytes(4, "big"))
        return hkdf_sha256(self._seed, salt=b"", info=info, length=length)


def _secret_text(raw: bytes) -> SecretBytes:
    return SecretBytes(b64encode(raw).encode("ascii"))
