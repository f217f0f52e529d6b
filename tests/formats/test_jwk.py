"""Public keys as JWKs: the RFCs' own examples, two other libraries, and no way in for a private key."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey
from jwcrypto import jwk as jwcrypto_jwk

from strongroom._encoding import b64decode
from strongroom.errors import FormatError
from strongroom.formats.jwk import public_jwk, thumbprint

# RFC 7638 section 3.1
RFC7638_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst"
    "n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
    "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)


def test_the_example_of_rfc_7638_has_its_thumbprint() -> None:
    n, e = (int.from_bytes(b64decode(text), "big") for text in (RFC7638_N, "AQAB"))
    key = RSAPublicNumbers(e, n).public_key()
    assert public_jwk(key) == {"kty": "RSA", "n": RFC7638_N, "e": "AQAB"}
    assert thumbprint(public_jwk(key)) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_the_example_of_rfc_8037_appendix_a_has_its_thumbprint() -> None:
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    key = ed25519.Ed25519PublicKey.from_public_bytes(b64decode(x))
    assert public_jwk(key) == {"kty": "OKP", "crv": "Ed25519", "x": x}
    assert thumbprint(public_jwk(key)) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def with_a_short_x() -> ec.EllipticCurvePublicKey:
    """A P-256 key whose x begins with a zero byte: some spell it a byte shorter, and get another thumbprint."""
    every = (ec.derive_private_key(scalar, ec.SECP256R1()).public_key() for scalar in itertools.count(1))
    return next(key for key in every if key.public_numbers().x.bit_length() <= 248)


KEYS: dict[str, tuple[Any, Any]] = {
    "Ed25519": (ed25519.Ed25519PrivateKey.generate().public_key(), OKPKey),
    "P-256": (ec.generate_private_key(ec.SECP256R1()).public_key(), ECKey),
    "P-256 with a short x": (with_a_short_x(), ECKey),
    "RSA": (rsa.generate_private_key(65537, 2048).public_key(), RSAKey),
}


@pytest.mark.parametrize(("key", "joserfc_key"), KEYS.values(), ids=list(KEYS))
def test_two_other_libraries_read_it_as_the_same_key_and_compute_the_same_thumbprint(
    key: Any, joserfc_key: Any
) -> None:
    members = public_jwk(key)
    assert joserfc_key.import_key(members).thumbprint() == thumbprint(members)
    theirs = jwcrypto_jwk.JWK.from_json(json.dumps(members))
    assert theirs.thumbprint() == thumbprint(members)
    assert theirs.export_to_pem() == key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        ed448.Ed448PrivateKey.generate().public_key(),
        b"bytes",
        None,
    ],
    ids=["Ed25519 private", "P-256 private", "P-384", "Ed448", "bytes", "None"],
)
def test_a_private_key_or_another_kind_of_key_becomes_none(key: object) -> None:
    with pytest.raises(FormatError):
        public_jwk(key)
