"""One piece of material a key type, made once a run: RSA keys take seconds."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from strongroom.primitives import material, rsa
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


def crossed(kind: str) -> SecretBytes:
    """RSA material that says it was validated, and whose private half is not its public half's.

    All three exponents are altered: OpenSSL notices a fault in the CRT's two alone, and does without them.
    """
    numbers = rsa.load_sealed(made(kind)).private_numbers()
    altered = RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d ^ 2, numbers.dmp1 ^ 2, numbers.dmq1 ^ 2, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    return SecretBytes(rsa.VALIDATED + altered.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
