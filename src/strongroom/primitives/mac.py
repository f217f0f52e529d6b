"""HMAC-SHA-256 (RFC 2104, FIPS 198-1) over whole messages. A tag is compared in constant time and as a whole."""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from strongroom.errors import FormatError, SignatureError
from strongroom.primitives.opaque import Opaque
from strongroom.primitives.secret import SecretBytes

MIN_KEY_LENGTH: Final = 16
"""Tink's floor, 128 bits: a shorter key is found by trying."""


class HmacSha256Key(Opaque):
    """One key of 16 bytes or more.

    `prefix` (5 bytes as Tink's, or none) stands in front of each tag, and is part of what is compared.
    """

    __slots__ = ("_keyed", "_prefix")

    def __init__(self, key: SecretBytes, prefix: bytes) -> None:
        if len(key) < MIN_KEY_LENGTH:
            raise FormatError(f"an HMAC key has at least {MIN_KEY_LENGTH} bytes, not {len(key)}")
        # keyed once; a copy costs less than half of keying again, and copies are independent, in threads and children
        self._keyed = HMAC(key.reveal(), SHA256())
        self._prefix = prefix

    def compute(self, data: bytes) -> bytes:
        """prefix ‖ 32 bytes."""
        running = self._keyed.copy()
        running.update(data)
        return self._prefix + running.finalize()

    def verify(self, tag: bytes, data: bytes) -> None:
        """Return if the tag is the data's; else raise SignatureError, which does not say why."""
        if not hmac.compare_digest(self.compute(data), tag):
            raise SignatureError("the tag does not belong to this data")
