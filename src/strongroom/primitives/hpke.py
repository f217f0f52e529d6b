"""HPKE, base mode (RFC 9180): encryption to a public key, bound to a context by `info`.

Suites: X25519 or X-Wing (ML-KEM-768 with X25519), HKDF-SHA256, AES-256-GCM. X-Wing is still a draft
(draft-connolly-cfrg-xwing-kem): what is sealed with it may have to be sealed again once it is final.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from strongroom.errors import DecryptionError, FormatError, PolicyError, UnsupportedError
from strongroom.primitives.opaque import Opaque
from strongroom.primitives.secret import SecretBytes

X25519: Final = "x25519"
XWING: Final = "mlkem768-x25519"
PRIVATE_LENGTH: Final = 32
MLKEM_PUBLIC_LENGTH: Final = 1184
PUBLIC_LENGTHS: Final = {X25519: 32, XWING: MLKEM_PUBLIC_LENGTH + 32}

_KEMS: Final = {X25519: KEM.X25519, XWING: KEM.MLKEM768_X25519}
_UNSAID: Final = "the context is said, never None: b'' says that there is none"

PrivateKey = X25519PrivateKey | MLKEM768X25519PrivateKey
PublicKey = X25519PublicKey | MLKEM768X25519PublicKey


class HpkePublic(Opaque):
    """A public key. `prefix` stands in front of each ciphertext."""

    __slots__ = ("_key", "_prefix", "_suite")

    def __init__(self, suite: str, public: bytes, prefix: bytes = b"") -> None:
        self._key = load_public(suite, public)
        self._suite = _suite(suite)
        self._prefix = prefix

    def encrypt(self, plaintext: bytes, context: bytes) -> bytes:
        """prefix ‖ encapsulated key ‖ ciphertext ‖ tag (16 bytes). FormatError for a public key of small order."""
        if context is None:  # `cryptography` takes it for b"", and a binding would be lost in silence
            raise TypeError(_UNSAID)
        try:
            sealed = _encrypt(self._suite, self._key, plaintext, context)
        except OverflowError:
            raise PolicyError("one message has 2^31 bytes or more") from None
        if sealed is None:
            raise FormatError("nothing can be encrypted to this public key")
        return self._prefix + sealed


class HpkePrivate(Opaque):
    """A private key; `prefix` as the public half has it."""

    __slots__ = ("_key", "_prefix", "_suite")

    def __init__(self, suite: str, private: SecretBytes, prefix: bytes = b"") -> None:
        self._key = load_private(suite, private)
        self._suite = _suite(suite)
        self._prefix = prefix

    def decrypt(self, ciphertext: bytes, context: bytes) -> bytes:
        """What HpkePublic.encrypt encrypted in this context. DecryptionError, which does not say why."""
        if context is None:
            raise TypeError(_UNSAID)
        if ciphertext.startswith(self._prefix):
            plaintext = _decrypt(self._suite, self._key, ciphertext[len(self._prefix) :], context)
            if plaintext is not None:
                return plaintext
        raise DecryptionError("the ciphertext does not open in this context")


def hpke_encrypt(suite: str, public: bytes, secret: SecretBytes, *, info: bytes) -> bytes:
    """A secret under a public key, bound to `info`. FormatError for what is no public key, or of small order."""
    sealed = _encrypt_secret(_suite(suite), load_public(suite, public), secret, info)
    if sealed is None:
        raise FormatError("nothing can be encrypted to this public key")
    return sealed


def hpke_decrypt(suite: str, private: SecretBytes, sealed: bytes, *, info: bytes) -> SecretBytes:
    """What `hpke_encrypt` sealed. DecryptionError, which does not say why."""
    secret = _decrypt_secret(_suite(suite), load_private(suite, private), sealed, info)
    if secret is None:
        raise DecryptionError("the HPKE message does not open")
    return secret


def load_public(suite: str, public: bytes) -> PublicKey:
    """The public key of its raw bytes: 32 for X25519; ML-KEM's 1184 and X25519's 32 for X-Wing. FormatError."""
    _suite(suite)
    if len(public) != PUBLIC_LENGTHS[suite]:
        raise FormatError(f"a public key of {suite!r} has {PUBLIC_LENGTHS[suite]} bytes, not {len(public)}")
    try:
        if suite == X25519:
            return X25519PublicKey.from_public_bytes(public)
        return MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:MLKEM_PUBLIC_LENGTH]),
            X25519PublicKey.from_public_bytes(public[MLKEM_PUBLIC_LENGTH:]),
        )
    except ValueError:
        raise FormatError(f"{len(public)} bytes are not a public key of {suite!r}") from None


def load_private(suite: str, private: SecretBytes) -> PrivateKey:
    """The private key of its 32 bytes: X25519's own, or X-Wing's seed. FormatError."""
    _suite(suite)
    if len(private) != PRIVATE_LENGTH:
        raise FormatError(f"a private key of {suite!r} has {PRIVATE_LENGTH} bytes, not {len(private)}")
    return X25519PrivateKey.from_private_bytes(private.reveal()) if suite == X25519 else _xwing(private)


def public_of(suite: str, private: SecretBytes) -> bytes:
    """The raw public half."""
    key = load_private(suite, private)
    if isinstance(key, X25519PrivateKey):
        return key.public_key().public_bytes_raw()
    return _xwing_public(private)


@cache
def _suite(name: str) -> Suite:
    kem = _KEMS.get(name)
    if kem is None:
        raise PolicyError(f"{name[:40]!r} is not an HPKE suite: {', '.join(_KEMS)}")
    try:
        return Suite(kem, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    except UnsupportedAlgorithm:
        raise UnsupportedError(
            f"the OpenSSL under 'cryptography' has not what {name!r} needs", hint="install cryptography's own wheel"
        ) from None


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _expanded(seed: SecretBytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    # draft-connolly-cfrg-xwing-kem section 5.2: SHAKE-256 of the seed gives ML-KEM's d and z, then X25519's key
    raw = hashlib.shake_256(seed.reveal()).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(raw[:64]), X25519PrivateKey.from_private_bytes(raw[64:])


def _xwing(seed: SecretBytes) -> MLKEM768X25519PrivateKey:
    return MLKEM768X25519PrivateKey(*_expanded(seed))


def _xwing_public(seed: SecretBytes) -> bytes:
    mlkem, x25519 = _expanded(seed)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def _encrypt(suite: Suite, key: PublicKey, plaintext: bytes, info: bytes) -> bytes | None:
    try:
        return suite.encrypt(plaintext, key, info=info)
    except ValueError:  # an X25519 key of small order gives the zero secret (RFC 7748 section 6.1)
        return None


def _encrypt_secret(suite: Suite, key: PublicKey, secret: SecretBytes, info: bytes) -> bytes | None:
    return _encrypt(suite, key, secret.reveal(), info)


def _decrypt(suite: Suite, key: PrivateKey, ciphertext: bytes, info: bytes) -> bytes | None:
    try:
        return suite.decrypt(ciphertext, key, info=info)
    except (InvalidTag, ValueError, OverflowError):
        return None


def _decrypt_secret(suite: Suite, key: PrivateKey, sealed: bytes, info: bytes) -> SecretBytes | None:
    plaintext = _decrypt(suite, key, sealed, info)
    return None if plaintext is None else SecretBytes(plaintext)
