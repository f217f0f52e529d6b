"""The material of each key type: made, derived for tests, checked when it comes in, and its public half.

`kind` is the key type's name. Formats, as docs/format.md has them: fernet, aes256-gcm, xaes256-gcm: 32 bytes;
hmac-sha256: 16 to 128; ed25519: the seed, 32; ecdsa-p256: the scalar, 32, big-endian; x25519: 32; mlkem768-x25519:
the X-Wing seed, 32; rsa-*: 01 and PKCS#8 DER; secret: any bytes. Public halves: SubjectPublicKeyInfo DER for RSA,
P-256 and Ed25519; raw for x25519 (32) and mlkem768-x25519 (1184 and 32).
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from strongroom.errors import FormatError, PolicyError
from strongroom.primitives import hpke, rsa, signing
from strongroom.primitives.kdf import hkdf_sha256
from strongroom.primitives.mac import MIN_KEY_LENGTH
from strongroom.primitives.secret import SecretBytes

SYMMETRIC: Final = ("fernet", "aes256-gcm", "xaes256-gcm", "hmac-sha256")
RSA_BITS: Final = {"rsa-2048": 2048, "rsa-3072": 3072, "rsa-4096": 4096}
SECRET: Final = "secret"  # noqa: S105  the name of a key type
MAX_SECRET: Final = 65_536
MIN_MAC_KEY: Final = MIN_KEY_LENGTH
MAX_MAC_KEY: Final = 128

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | hpke.PrivateKey

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def generate(kind: str) -> SecretBytes:
    """Fresh material from the operating system's generator. PolicyError for `secret`, which somebody must give."""
    if kind in RSA_BITS:
        return rsa.generate(RSA_BITS[kind])
    if kind == "ecdsa-p256":
        return _scalar(generate_private_key(SECP256R1()))
    _check_generated(kind)
    return SecretBytes(os.urandom(32))


def from_seed(kind: str, seed: SecretBytes) -> SecretBytes:
    """The same material for the same seed, for tests. PolicyError for RSA, whose primes are not derived here."""
    if kind in RSA_BITS:
        raise PolicyError(
            f"{kind} material is not made from a seed", hint="import a test key: strongroom import NAME key.pem"
        )
    _check_generated(kind)
    if kind == "ecdsa-p256":
        # FIPS 186-5 appendix A.2.1: 64 bits more than the order has, so that the remainder shows no bias
        return _reduced(hkdf_sha256(seed, salt=b"", info=b"strongroom/1 seeded ecdsa-p256", length=40))
    return hkdf_sha256(seed, salt=b"", info=b"strongroom/1 seeded " + kind.encode(), length=32)


def public_of(kind: str, material: SecretBytes) -> bytes | None:
    """The public half, None for symmetric keys and secrets. FormatError where the material is not of this kind."""
    if kind in hpke.PUBLIC_LENGTHS:
        return hpke.public_of(kind, material)
    if kind in SYMMETRIC or kind == SECRET:
        return None
    key = _rsa(kind, material) if kind in RSA_BITS else signing.load(kind, material)
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def private_key(kind: str, material: SecretBytes) -> PrivateKey:
    """The private key as a `cryptography` object; RSA without validation: for sealed material only.

    PolicyError for a type that has none, FormatError or IntegrityError where the material is not of this kind.
    """
    if kind in RSA_BITS:
        return _rsa(kind, material)
    if kind in {"ed25519", "ecdsa-p256"}:
        return signing.load(kind, material)
    if kind in hpke.PUBLIC_LENGTHS:
        return hpke.load_private(kind, material)
    raise PolicyError(f"a {kind} keyset has no private key")


def public_key(kind: str, public: bytes) -> object:
    """The public key as a `cryptography` object. FormatError where it is not of this kind; PolicyError as above."""
    if kind in hpke.PUBLIC_LENGTHS:
        return hpke.load_public(kind, public)
    if kind not in {"ed25519", "ecdsa-p256", *RSA_BITS}:
        raise PolicyError(f"a {kind} keyset has no public key")
    key = signing.load_spki(public)
    if _kind_of(key) != kind:
        raise FormatError(f"the public half is not of type {kind!r}")
    return key


def check_raw(kind: str, raw: SecretBytes) -> SecretBytes:
    """Raw bytes as material: of the right length, and not all alike. FormatError; PolicyError for RSA."""
    if kind in RSA_BITS:
        raise PolicyError(f"{kind} material comes as PEM or PKCS#8, not as raw bytes")
    if kind == SECRET:
        if not 1 <= len(raw) <= MAX_SECRET:
            raise FormatError(f"a secret has 1 to {MAX_SECRET} bytes, not {len(raw)}")
        return raw
    if kind == "hmac-sha256":
        if not MIN_MAC_KEY <= len(raw) <= MAX_MAC_KEY:
            raise FormatError(f"an HMAC key has {MIN_MAC_KEY} to {MAX_MAC_KEY} bytes, not {len(raw)}")
    elif len(raw) != 32:
        raise FormatError(f"a {kind} key has 32 bytes, not {len(raw)}")
    if _uniform(raw):
        raise PolicyError("all bytes of the key are alike: that is a placeholder, not a key")
    public_of(kind, raw)
    return raw


def _rsa(kind: str, material: SecretBytes) -> RSAPrivateKey:
    key = rsa.load_sealed(material)
    if key.key_size != RSA_BITS[kind]:
        raise FormatError(f"the material of a {kind} version has {key.key_size} bits")
    return key


def _kind_of(key: object) -> str | None:
    if isinstance(key, RSAPublicKey):
        return f"rsa-{key.key_size}"
    if isinstance(key, Ed25519PublicKey):
        return "ed25519"
    return "ecdsa-p256" if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1) else None


def _check_generated(kind: str) -> None:
    if kind not in SYMMETRIC and kind not in {"ed25519", "ecdsa-p256", *hpke.PUBLIC_LENGTHS}:
        raise PolicyError(f"{kind!r} material is not generated", hint="strongroom import NAME --type secret")


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _scalar(key: EllipticCurvePrivateKey) -> SecretBytes:
    return SecretBytes(key.private_numbers().private_value.to_bytes(32, "big"))


def _reduced(wide: SecretBytes) -> SecretBytes:
    return SecretBytes((int.from_bytes(wide.reveal(), "big") % (_P256_ORDER - 1) + 1).to_bytes(32, "big"))


def _uniform(raw: SecretBytes) -> bool:
    return len(set(raw.reveal())) == 1
