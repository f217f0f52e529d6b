"""One piece of material a key type, made once a run: RSA keys take seconds."""

from __future__ import annotations

from functools import cache

from strongroom.primitives import material
from strongroom.primitives.secret import SecretBytes

SYMMETRIC = ["fernet", "aes256-gcm", "xaes256-gcm", "hmac-sha256"]
SHORT_PRIVATE = ["ed25519", "ecdsa-p256", "x25519", "mlkem768-x25519"]
RSA = ["rsa-2048", "rsa-3072", "rsa-4096"]
GENERATED = [*SYMMETRIC, *SHORT_PRIVATE, *RSA]


@cache
def made(kind: str) -> SecretBytes:
    """Material of this type, the same for the whole run."""
    return material.generate(kind)


@cache
def public(kind: str) -> bytes:
    """Its public half."""
    found = material.public_of(kind, made(kind))
    assert found is not None
    return found
