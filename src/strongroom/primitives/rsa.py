"""RSA keys: validated in full when they come in, loaded fast once the seal has vouched for them.

The material of an RSA version is one byte 01, "validated in full", and the private key as PKCS#8 DER. Only bytes that
our own seal has authenticated are loaded without validation (35 to 250 ms); nothing else may pass `load_sealed`.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from strongroom.errors import DecryptionError, FormatError, IntegrityError, PolicyError
from strongroom.primitives.opaque import Opaque
from strongroom.primitives.secret import SecretBytes

EXPONENT: Final = 65537
SIZES: Final = (2048, 3072, 4096)
MIN_PUBLIC_BITS: Final = 2048
MAX_PUBLIC_BITS: Final = 8192
VALIDATED: Final = b"\x01"


def generate(bits: int) -> SecretBytes:
    """The material of a fresh key of 2048, 3072 or 4096 bits, e = 65537 (FIPS 186-5 appendix A.1)."""
    _check_size(bits)
    return _material(generate_private_key(EXPONENT, bits))


def validated(key: object, *, bits: int | None = None) -> SecretBytes:
    """The material of a private key, which is validated in full here, however it was loaded.

    PolicyError where it is not RSA, not of 2048, 3072 or 4096 bits (or not of `bits`), or its exponent is not 65537;
    FormatError where its numbers do not belong together. The size is looked at first: it bounds what the rest costs.
    """
    if not isinstance(key, RSAPrivateKey):
        raise PolicyError("the key is not an RSA private key")
    size, exponent = key.key_size, key.public_key().public_numbers().e
    _check_size(size)
    if bits is not None and size != bits:
        raise PolicyError(f"the RSA key has {size} bits, not {bits}", hint=f"strongroom import NAME --type rsa-{size}")
    if exponent != EXPONENT:
        raise PolicyError(f"the RSA key has the exponent {exponent}, not {EXPONENT}")
    sound = _validated(key)
    if sound is None:
        raise FormatError(
            f"the numbers of the RSA key of {size} bits do not belong together", hint="openssl pkey -check -in FILE"
        )
    return _material(sound)


def load_sealed(material: SecretBytes) -> RSAPrivateKey:
    """The key of a version's material, without validation: for bytes that the seal has authenticated, and no others.

    IntegrityError where the material does not say that it was validated, or is no RSA key.
    """
    key = _load(material)
    if key is None:
        raise IntegrityError("the sealed material is not a validated RSA key", hint="strongroom doctor")
    return key


def confirm(key: RSAPrivateKey) -> None:
    """Return if the two halves are a pair: a signature of one is verified with the other. IntegrityError."""
    probe = os.urandom(32)
    try:
        key.public_key().verify(key.sign(probe, PKCS1v15(), SHA256()), probe, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        raise IntegrityError("the halves of the RSA key are not a pair", hint="strongroom doctor") from None


def public_der(key: RSAPrivateKey) -> bytes:
    """SubjectPublicKeyInfo DER of the public half (RFC 8017 appendix A.1)."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def load_public(der: bytes) -> RSAPublicKey:
    """The public key of SubjectPublicKeyInfo DER. FormatError for anything else.

    PolicyError below 2048 bits (SP 800-131A), above 8192 (what it costs), or where the exponent is not 65537.
    """
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise FormatError(f"{len(der)} bytes are not an RSA public key in DER")
    exponent = key.public_numbers().e
    if not MIN_PUBLIC_BITS <= key.key_size <= MAX_PUBLIC_BITS or exponent != EXPONENT:
        raise PolicyError(
            f"an RSA public key of {key.key_size} bits with exponent {exponent} is not taken:"
            f" {MIN_PUBLIC_BITS} to {MAX_PUBLIC_BITS} bits, exponent {EXPONENT}"
        )
    return key


def oaep_wrap(public: bytes, secret: SecretBytes, *, label: bytes) -> bytes:
    """RSAES-OAEP (RFC 8017 section 7.1) with SHA-256 and MGF1-SHA-256; `label` binds it to its place."""
    ciphertext = _oaep_encrypt(load_public(public), secret, label)
    if ciphertext is None:
        raise PolicyError(f"{len(secret)} bytes are too long for one RSA-OAEP message")
    return ciphertext


def oaep_unwrap(private: SecretBytes, ciphertext: bytes, *, label: bytes) -> SecretBytes:
    """What `oaep_wrap` wrapped, by the private key as PKCS#8 DER. DecryptionError, which does not say why."""
    secret = _oaep_decrypt(private, ciphertext, label)
    if secret is None:
        raise DecryptionError("the RSA-OAEP message does not open")
    return secret


class OaepPrivate(Opaque):
    """The private half for `oaep_wrap`, loaded once: making the context costs more than the operation.

    `private` is PKCS#8 DER that was validated in full when it came in (an identity file's is); it is not validated
    again. IntegrityError where it is no RSA key.
    """

    __slots__ = ("_key",)

    def __init__(self, private: SecretBytes) -> None:
        key = _load_der(private)
        if key is None:
            raise IntegrityError("the private half is no RSA key", hint="strongroom worker create GROUP")
        self._key = key

    def unwrap(self, ciphertext: bytes, *, label: bytes) -> SecretBytes:
        """What `oaep_wrap` wrapped under this label. DecryptionError, which does not say why."""
        secret = _oaep_decrypt_with(self._key, ciphertext, label)
        if secret is None:
            raise DecryptionError("the RSA-OAEP message does not open")
        return secret


def _check_size(bits: int) -> None:
    if bits not in SIZES:
        raise PolicyError(
            f"an RSA key of {bits} bits is not taken: 2048, 3072 or 4096",
            hint="openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 makes one",
        )


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _material(key: RSAPrivateKey) -> SecretBytes:
    return SecretBytes(VALIDATED + key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def _validated(key: RSAPrivateKey) -> RSAPrivateKey | None:
    try:
        return key.private_numbers().private_key()  # p·q = n, then OpenSSL's RSA_check_key: primes, d, CRT parameters
    except (ValueError, UnsupportedAlgorithm):
        return None


def _load(material: SecretBytes) -> RSAPrivateKey | None:
    raw = material.reveal()
    if raw[:1] != VALIDATED:
        return None
    try:
        key = load_der_private_key(raw[1:], None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPrivateKey) else None


def _load_der(private: SecretBytes) -> RSAPrivateKey | None:
    try:
        key = load_der_private_key(private.reveal(), None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPrivateKey) else None


def _oaep_decrypt_with(key: RSAPrivateKey, ciphertext: bytes, label: bytes) -> SecretBytes | None:
    try:
        return SecretBytes(key.decrypt(ciphertext, _oaep(label)))
    except ValueError:
        return None


def _oaep(label: bytes) -> OAEP:
    return OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=label)


def _oaep_encrypt(key: RSAPublicKey, secret: SecretBytes, label: bytes) -> bytes | None:
    try:
        return key.encrypt(secret.reveal(), _oaep(label))
    except ValueError:
        return None


def _oaep_decrypt(private: SecretBytes, ciphertext: bytes, label: bytes) -> SecretBytes | None:
    try:
        key = load_der_private_key(private.reveal(), None)
        return SecretBytes(key.decrypt(ciphertext, _oaep(label))) if isinstance(key, RSAPrivateKey) else None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
