"""Authenticated encryption with associated data. Associated data has no default, and a failure does not say why."""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

from strongroom.errors import DecryptionError, FormatError, PolicyError
from strongroom.primitives.allowance import Allowance
from strongroom.primitives.opaque import Opaque
from strongroom.primitives.secret import SecretBytes

KEY_LENGTH: Final = 32
TAG_LENGTH: Final = 16
GCM_IV_LENGTH: Final = 12
XGCM_NONCE_LENGTH: Final = 24

MAX_MESSAGES: Final = 1 << 31
"""SP 800-38D section 8.3 allows 2^32 messages under one key with random IVs. A process stops at half of that; what
processes made together is told long before, where somebody adds it up."""

_FAILED: Final = "the ciphertext does not open with this associated data"
_TOO_LONG: Final = "one message, or its associated data, has 2^31 bytes or more"
_UNSAID: Final = "associated data is said, never None: b'' says that there is none"


class AesGcmKey(Opaque):
    """AES-256-GCM (SP 800-38D): prefix ‖ IV (12 random bytes) ‖ ciphertext ‖ tag (16 bytes), as Tink writes it."""

    __slots__ = ("_allowance", "_cipher", "_prefix", "_start")

    def __init__(self, key: SecretBytes, prefix: bytes, *, allowance: Allowance | None = None) -> None:
        _check_key(key)
        self._cipher = AESGCM(key.reveal())
        self._prefix = prefix
        self._start = len(prefix) + GCM_IV_LENGTH
        self._allowance = Allowance(MAX_MESSAGES) if allowance is None else allowance

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """A new ciphertext. PolicyError for 2^31 bytes, and where its allowance of messages is used up."""
        if associated_data is None:  # `cryptography` takes it for b"", and a binding would be lost in silence
            raise TypeError(_UNSAID)
        allowance = self._allowance
        allowance.left -= 1
        if allowance.left < 0:
            allowance.refuse()
        iv = os.urandom(GCM_IV_LENGTH)
        try:
            return self._prefix + iv + self._cipher.encrypt(iv, plaintext, associated_data)
        except OverflowError:
            raise PolicyError(_TOO_LONG) from None

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        """The plaintext. DecryptionError, which does not say why."""
        if associated_data is None:
            raise TypeError(_UNSAID)
        start = self._start
        if len(ciphertext) >= start + TAG_LENGTH and ciphertext.startswith(self._prefix):
            try:
                return self._cipher.decrypt(
                    ciphertext[start - GCM_IV_LENGTH : start], ciphertext[start:], associated_data
                )
            except (InvalidTag, OverflowError):
                pass
        raise DecryptionError(_FAILED)


class XAesGcmKey(Opaque):
    """XAES-256-GCM (c2sp.org/XAES-256-GCM): a key a message from a 24-byte nonce, so random nonces meet no limit
    before 2^80 messages.

    prefix ‖ nonce (24 random bytes) ‖ ciphertext ‖ tag (16 bytes).
    """

    __slots__ = ("_aes", "_k1", "_prefix", "_start")

    def __init__(self, key: SecretBytes, prefix: bytes) -> None:
        _check_key(key)
        # one block at a time under a fixed key is what the construction is made of; no data is encrypted in ECB mode
        self._aes = Cipher(AES256(key.reveal()), ECB())  # noqa: S305  see above
        self._k1 = _cmac_subkey(self._block(bytes(16)))
        self._prefix = prefix
        self._start = len(prefix) + XGCM_NONCE_LENGTH

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """A new ciphertext. PolicyError for 2^31 bytes."""
        if associated_data is None:  # as above
            raise TypeError(_UNSAID)
        return self._encrypt(os.urandom(XGCM_NONCE_LENGTH), plaintext, associated_data)

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        """The plaintext. DecryptionError, which does not say why."""
        if associated_data is None:
            raise TypeError(_UNSAID)
        start = self._start
        if len(ciphertext) >= start + TAG_LENGTH and ciphertext.startswith(self._prefix):
            nonce = ciphertext[start - XGCM_NONCE_LENGTH : start]
            try:
                return self._cipher(nonce).decrypt(nonce[12:], ciphertext[start:], associated_data)
            except (InvalidTag, OverflowError):
                pass
        raise DecryptionError(_FAILED)

    def _encrypt(self, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
        # apart from `encrypt` for the vectors of the specification, which choose the nonce
        try:
            return self._prefix + nonce + self._cipher(nonce).encrypt(nonce[12:], plaintext, associated_data)
        except OverflowError:
            raise PolicyError(_TOO_LONG) from None

    def _cipher(self, nonce: bytes) -> AESGCM:
        # the specification: M_i = 00 ‖ i ‖ "X" ‖ 00 ‖ N[:12]; K_x = AES(M_1 ⊕ K1) ‖ AES(M_2 ⊕ K1)
        k1 = self._k1
        blocks = b"".join(
            (int.from_bytes(head + nonce[:12], "big") ^ k1).to_bytes(16, "big")
            for head in (b"\x00\x01X\x00", b"\x00\x02X\x00")
        )
        return AESGCM(self._block(blocks))

    def _block(self, blocks: bytes) -> bytes:
        # a context a call: two threads must not share one
        return self._aes.encryptor().update(blocks)


def _check_key(key: SecretBytes) -> None:
    if len(key) != KEY_LENGTH:
        raise FormatError(f"an AES-256 key has {KEY_LENGTH} bytes, not {len(key)}")


def _cmac_subkey(zero: bytes) -> int:
    """K1 of CMAC (SP 800-38B section 6.1): doubling in GF(2^128), with no branch on a secret bit."""
    value = int.from_bytes(zero, "big")
    doubled = (value << 1) & ((1 << 128) - 1)
    return doubled ^ (0x87 * (value >> 127))
