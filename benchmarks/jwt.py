"""Signing a JWT with a keyset's key against PyJWT with PEM in the settings, which is parsed at each token.

python -m benchmarks.jwt
"""

from __future__ import annotations

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks._timing import Row, main, measure
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_memory

_KEYSETS = {"EdDSA": "ed25519", "ES256": "ecdsa-p256", "RS256": "rsa-2048"}
_CLAIMS = {"sub": "42", "iss": "https://site.example", "aud": "api", "iat": 1_795_435_200, "exp": 1_795_435_500}


def rows() -> list[Row]:
    """Two rows for each algorithm: against PEM, and against a key object that somebody keeps and cannot rotate."""
    found: list[Row] = []
    with open_memory() as keystore:
        for algorithm, kind in _KEYSETS.items():
            purpose = "sign" if kind.startswith("rsa") else None
            keystore.create(kind, kind, purpose=purpose)
            found += _rows(keystore, kind, algorithm)
    return found


def _rows(keystore: KeyStore, name: str, algorithm: str) -> list[Row]:
    key = keystore.private_key(name)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    headers = {"kid": keystore.jwt(name, algorithm=algorithm).kid}
    ours, with_pem, with_object = measure(
        [
            lambda: jwt.encode(_CLAIMS, **keystore.jwt(name, algorithm=algorithm).signing()),
            lambda: jwt.encode(_CLAIMS, pem, algorithm, headers=headers),
            lambda: jwt.encode(_CLAIMS, key, algorithm, headers=headers),
        ],
        rounds=40,
    )
    return [
        Row(f"JWT {algorithm}, sign", "PyJWT, PEM in settings", ours, with_pem, goal=_PEM[algorithm]),
        Row(f"JWT {algorithm}, sign", "PyJWT, a bare key object", ours, with_object, goal=1.25, at_most=True),
    ]


# What the parsing of PEM costs beside the signature: RSA keys are validated at each load.
_PEM = {"EdDSA": 1.3, "ES256": 1.3, "RS256": 20.0}


if __name__ == "__main__":
    main(rows)
