"""The envelope of material: a fresh key a message, bound to its context, committed to its key.

`salt(32) ‖ commitment(32) ‖ AES-256-GCM ciphertext ‖ tag(16)`, where `key ‖ commitment` is
HKDF-SHA256(wrapping key, salt, context, 64 bytes) (RFC 5869). Each key encrypts one message only, so the nonce may be
fixed (SP 800-38D section 8.2: the pair of key and nonce never repeats), no counter survives a fork, and no number of
messages wears the wrapping key out. AES-GCM commits to no key; the commitment does, because HKDF's two output halves
can only come from one key, salt and context, short of a collision of SHA-256.
"""

from __future__ import annotations

import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from strongroom.errors import FormatError, IntegrityError
from strongroom.primitives.secret import SecretBytes

SALT_LENGTH: Final = 32
COMMITMENT_LENGTH: Final = 32
OVERHEAD: Final = SALT_LENGTH + COMMITMENT_LENGTH + 16
"""Bytes that an envelope is longer than what it holds."""

_NONCE: Final = bytes(12)
_SHA256: Final = SHA256()
_STEP: Final = 64


def wrap(key: SecretBytes, material: SecretBytes, *, context: bytes) -> bytes:
    """The material in an envelope that opens under this key and this context only."""
    return _wrap(key, material, context, os.urandom(SALT_LENGTH))


def unwrap(key: SecretBytes, sealed: bytes, *, context: bytes) -> SecretBytes:
    """The material of an envelope. IntegrityError, without saying why, for anything else."""
    material = _unwrap(key, sealed, context)
    if material is None:
        raise IntegrityError("a sealed value does not open here", hint="strongroom doctor")
    return material


def pad64(raw: bytes) -> bytes:
    """Padded to a multiple of 64 bytes (ISO/IEC 7816-4: 80, then zeros), so that the length shows only roughly."""
    marked = raw + b"\x80"
    return marked + bytes(-len(marked) % _STEP)


def unpad64(padded: bytes) -> bytes:
    """What pad64 padded. FormatError, with the length only, for anything else."""
    stripped = padded.rstrip(b"\0")
    length = len(padded)
    if length % _STEP or stripped[-1:] != b"\x80" or length - len(stripped) >= _STEP:
        del padded, stripped  # a traceback shows a frame's locals
        raise FormatError(f"{length} bytes are not padded to {_STEP}")
    return stripped[:-1]


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _wrap(key: SecretBytes, material: SecretBytes, context: bytes, salt: bytes) -> bytes:
    derived = HKDF(_SHA256, 64, salt, context).derive(key.reveal())
    return salt + derived[32:] + AESGCM(derived[:32]).encrypt(_NONCE, material.reveal(), context)


def _unwrap(key: SecretBytes, sealed: bytes, context: bytes) -> SecretBytes | None:
    if len(sealed) < OVERHEAD:
        return None
    derived = HKDF(_SHA256, 64, sealed[:32], context).derive(key.reveal())
    # before a byte is decrypted: AES-GCM alone would open under a second key that an attacker prepared
    if not hmac.compare_digest(derived[32:], sealed[32:64]):
        return None
    try:
        return SecretBytes(AESGCM(derived[:32]).decrypt(_NONCE, sealed[64:], context))
    except InvalidTag:
        return None
