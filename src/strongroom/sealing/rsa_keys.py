"""RSA keys as people keep them: PEM in, DER out, validated in full. Weak ones do not come in."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from strongroom.errors import FormatError, IdentityError, PassphraseError, PolicyError
from strongroom.primitives.secret import SecretBytes

MIN_BITS: Final = 2048
MAX_BITS: Final = 8192
MAX_PUBLIC: Final = 16_384
_EXPONENT: Final = 65537


def public_from_file(content: bytes, *, source: str) -> bytes:
    """The SubjectPublicKeyInfo (DER) of an RSA public key in PEM or DER. FormatError; PolicyError when weak."""
    if len(content) > MAX_PUBLIC:
        raise FormatError(f"{source} has {len(content)} bytes; a public key has at most {MAX_PUBLIC}")
    if b"PRIVATE KEY-----" in content:
        raise FormatError(
            f"{source} holds a private key where a public one is wanted",
            hint="openssl pkey -in FILE -pubout makes the public half",
        )
    load = load_pem_public_key if content.lstrip().startswith(b"-----BEGIN ") else load_der_public_key
    try:
        key = load(content)
    except Exception:  # noqa: BLE001  cryptography raises ValueError, UnsupportedAlgorithm and Rust's own
        raise FormatError(f"{source} is not a public key in PEM or DER") from None
    if not isinstance(key, RSAPublicKey):
        raise FormatError(f"{source} holds a public key that is not RSA")
    _check(key, source)
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def private_from_pem(content: SecretBytes, *, passphrase: SecretBytes | None, source: str) -> SecretBytes:
    """The private key of a PEM file as PKCS #8 DER. IdentityError; PassphraseError when it wants another passphrase."""
    key = _loaded_pem(content, passphrase)
    if isinstance(key, _Locked):
        raise PassphraseError(
            f"{source} wants a passphrase" if passphrase is None else f"the passphrase does not open {source}",
            hint="set STRONGROOM_PASSPHRASE_FILE",
        )
    if key is None:
        raise IdentityError(f"{source} does not hold a private key that is sound", hint="openssl pkey -check -in FILE")
    _check(_rsa(key, source).public_key(), source)
    return _der(_rsa(key, source))


def public_of(private: SecretBytes, *, source: str = "the RSA identity") -> bytes:
    """The SubjectPublicKeyInfo of a private key in PKCS #8 DER, which is validated in full. IdentityError."""
    key = _loaded_der(private, validated=True)
    if key is None:
        raise IdentityError(f"{source} does not hold a private key that is sound")
    public = _rsa(key, source).public_key()
    _check(public, source)
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def claimed_public_of(private: SecretBytes, *, source: str = "the RSA identity") -> bytes:
    """The same, of a key whose validation is still to come: what RsaIdentity's own law does."""
    key = _loaded_der(private, validated=False)
    if key is None:
        raise IdentityError(f"{source} does not hold a private key")
    return _rsa(key, source).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def is_locked_pem(content: SecretBytes) -> bool:
    """Whether a PEM file wants a passphrase."""
    return isinstance(_loaded_pem(content, None), _Locked)


def _check(key: RSAPublicKey, source: str) -> None:
    exponent = key.public_numbers().e
    if not MIN_BITS <= key.key_size <= MAX_BITS or exponent != _EXPONENT:
        raise PolicyError(
            f"{source} holds an RSA key of {key.key_size} bits with exponent {exponent}; "
            f"it takes {MIN_BITS} to {MAX_BITS} and {_EXPONENT}",
            hint="openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072",
        )


def _rsa(key: object, source: str) -> RSAPrivateKey:
    if not isinstance(key, RSAPrivateKey):
        raise IdentityError(f"{source} holds a private key that is not RSA")
    return key


class _Locked:
    """The file is encrypted, and did not open."""


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _loaded_pem(content: SecretBytes, passphrase: SecretBytes | None) -> object | None:
    raw = content.reveal()
    locked = b"ENCRYPTED" in raw
    try:
        return load_pem_private_key(raw, passphrase.reveal() if passphrase is not None and locked else None)
    except Exception:  # noqa: BLE001  cryptography raises ValueError, TypeError, UnsupportedAlgorithm
        return _Locked() if locked else None


def _loaded_der(private: SecretBytes, *, validated: bool) -> object | None:
    try:
        return load_der_private_key(private.reveal(), None, unsafe_skip_rsa_key_validation=not validated)
    except Exception:  # noqa: BLE001  as above
        return None


def _der(key: RSAPrivateKey) -> SecretBytes:
    return SecretBytes(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
