"""Public halves as JSON Web Keys (RFC 7517). Nothing here can write a private member: it is never given one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from strongroom._encoding import b64encode
from strongroom.errors import FormatError

Jwk = Mapping[str, str]
"""One key: its members, all of them text here."""

_P256_BYTES = 32


def public_jwk(key: object) -> dict[str, str]:
    """The members that make up a public key: RFC 7518 section 6.3.1 (RSA), 6.2.1 (P-256), RFC 8037 section 2 (Ed25519).

    FormatError for any other key, and for a private one.
    """
    if isinstance(key, Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw))}
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        point = key.public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": _coordinate(point.x), "y": _coordinate(point.y)}
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "n": _integer(numbers.n), "e": _integer(numbers.e)}
    raise FormatError(f"{type(key).__name__} is no public key that becomes a JWK here")


def thumbprint(jwk: Jwk) -> str:
    """RFC 7638 with SHA-256: equal for equal keys, whoever computes it. `jwk` is what `public_jwk` gives."""
    canonical = json.dumps(dict(sorted(jwk.items())), separators=(",", ":"), ensure_ascii=True)
    return b64encode(hashlib.sha256(canonical.encode()).digest())


def _coordinate(number: int) -> str:
    return b64encode(number.to_bytes(_P256_BYTES, "big"))  # RFC 7518 section 6.2.1.2: always the curve's full length


def _integer(number: int) -> str:
    return b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))  # RFC 7518 section 2: no leading zero
