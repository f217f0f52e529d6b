"""Signatures: prefix ‖ signature over the message itself. One that does not verify never says why."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from strongroom.errors import FormatError, IntegrityError, PolicyError, SignatureError
from strongroom.primitives import rsa
from strongroom.primitives.opaque import Opaque
from strongroom.primitives.secret import SecretBytes

SEED_LENGTH: Final = 32
PSS_SALT_LENGTH: Final = 32

_PSS: Final = PSS(mgf=MGF1(SHA256()), salt_length=PSS_SALT_LENGTH)
_ECDSA: Final = ECDSA(SHA256())
_FAILED: Final = "the signature does not belong to this message"


class Ed25519Private(Opaque):
    """Ed25519 (RFC 8032): 64-byte signatures. Material: the 32-byte seed."""

    __slots__ = ("_key", "_prefix")

    def __init__(self, material: SecretBytes, prefix: bytes) -> None:
        self._key = load_ed25519(material)
        self._prefix = prefix

    def sign(self, message: bytes) -> bytes:
        """prefix ‖ signature."""
        return self._prefix + self._key.sign(message)


class Ed25519Public(Opaque):
    """The public half; `public` is SubjectPublicKeyInfo DER (RFC 8410)."""

    __slots__ = ("_key", "_prefix")

    def __init__(self, public: bytes, prefix: bytes) -> None:
        key = load_spki(public)
        if not isinstance(key, Ed25519PublicKey):
            raise FormatError("the public half is not an Ed25519 key")
        self._key = key
        self._prefix = prefix

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if the signature is the message's; else raise SignatureError."""
        if signature.startswith(self._prefix):
            try:
                return self._key.verify(signature[len(self._prefix) :], message)
            except InvalidSignature:
                pass
        raise SignatureError(_FAILED)


class EcdsaP256Private(Opaque):
    """ECDSA on P-256 with SHA-256 (FIPS 186-5): DER signatures. Material: the 32-byte scalar, big-endian."""

    __slots__ = ("_key", "_prefix")

    def __init__(self, material: SecretBytes, prefix: bytes) -> None:
        self._key = load_p256(material)
        self._prefix = prefix

    def sign(self, message: bytes) -> bytes:
        """prefix ‖ signature in DER."""
        return self._prefix + self._key.sign(message, _ECDSA)


class EcdsaP256Public(Opaque):
    """The public half; `public` is SubjectPublicKeyInfo DER (RFC 5480)."""

    __slots__ = ("_key", "_prefix")

    def __init__(self, public: bytes, prefix: bytes) -> None:
        key = load_spki(public)
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise FormatError("the public half is not a P-256 key")
        self._key = key
        self._prefix = prefix

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if the signature is the message's; else raise SignatureError."""
        if signature.startswith(self._prefix):
            try:
                return self._key.verify(signature[len(self._prefix) :], message, _ECDSA)
            except InvalidSignature:
                pass
        raise SignatureError(_FAILED)


class RsaPssPrivate(Opaque):
    """RSASSA-PSS (RFC 8017 section 8.1) with SHA-256, MGF1-SHA-256 and 32 bytes of salt.

    The key is loaded without validation, because the seal has vouched for it; the pair is confirmed by a signature
    that is verified, once, before the first one leaves.
    """

    __slots__ = ("_confirmed", "_key", "_prefix")

    def __init__(self, material: SecretBytes, prefix: bytes) -> None:
        self._key: RSAPrivateKey = rsa.load_sealed(material)
        self._prefix = prefix
        self._confirmed = False

    def sign(self, message: bytes) -> bytes:
        """prefix ‖ signature. IntegrityError where the key's halves do not belong together."""
        signature = self._key.sign(message, _PSS, SHA256())
        if not self._confirmed:
            try:
                self._key.public_key().verify(signature, message, _PSS, SHA256())
            except InvalidSignature:
                raise IntegrityError(
                    "the halves of the RSA key do not belong together", hint="strongroom doctor"
                ) from None
            self._confirmed = True
        return self._prefix + signature


class RsaPssPublic(Opaque):
    """The public half; `public` is SubjectPublicKeyInfo DER."""

    __slots__ = ("_key", "_prefix")

    def __init__(self, public: bytes, prefix: bytes) -> None:
        self._key: RSAPublicKey = rsa.load_public(public)
        self._prefix = prefix

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if the signature is the message's; else raise SignatureError."""
        if signature.startswith(self._prefix):
            try:
                return self._key.verify(signature[len(self._prefix) :], message, _PSS, SHA256())
            except InvalidSignature:
                pass
        raise SignatureError(_FAILED)


def load(kind: str, material: SecretBytes) -> Ed25519PrivateKey | EllipticCurvePrivateKey:
    """The private key of an `ed25519` or `ecdsa-p256` version. FormatError; PolicyError for another type."""
    if kind == "ed25519":
        return load_ed25519(material)
    if kind == "ecdsa-p256":
        return load_p256(material)
    raise PolicyError(f"{kind!r} is not a type of signing keys")


def load_ed25519(material: SecretBytes) -> Ed25519PrivateKey:
    """The private key of a 32-byte seed. FormatError."""
    if len(material) != SEED_LENGTH:
        raise FormatError(f"an Ed25519 seed has {SEED_LENGTH} bytes, not {len(material)}")
    return Ed25519PrivateKey.from_private_bytes(material.reveal())


def load_p256(material: SecretBytes) -> EllipticCurvePrivateKey:
    """The private key of a 32-byte scalar. FormatError."""
    key = _p256(material)
    if key is None:
        raise FormatError(f"{len(material)} bytes are not a P-256 private key")
    return key


def load_spki(public: bytes) -> object:
    """The public key of SubjectPublicKeyInfo DER. FormatError."""
    try:
        return load_der_public_key(public)
    except (ValueError, UnsupportedAlgorithm):
        raise FormatError(f"{len(public)} bytes are not a public key in DER") from None


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _p256(material: SecretBytes) -> EllipticCurvePrivateKey | None:
    raw = material.reveal()
    if len(raw) != SEED_LENGTH:
        return None
    try:
        return derive_private_key(int.from_bytes(raw, "big"), SECP256R1())
    except ValueError:
        return None
