"""Keys that were made elsewhere: told from what they are, checked in full, and refused where there is any doubt."""

from __future__ import annotations

import binascii
import os
import stat
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from strongroom.errors import FormatError, NotFoundError, PassphraseError, PolicyError, SettingsError, StoreError
from strongroom.formats import pem, pkcs8
from strongroom.model.types import KeyType
from strongroom.primitives import material, rsa
from strongroom.primitives.secret import SecretBytes

MAX_SOURCE: Final = material.MAX_SECRET
"""Bytes of a file, or of standard input, that are read: a secret has at most as many."""

_KEY_LENGTH: Final = 32
_IN_FILES: Final = (  # the types that people keep as PEM or PKCS#8
    KeyType.RSA_2048,
    KeyType.RSA_3072,
    KeyType.RSA_4096,
    KeyType.ECDSA_P256,
    KeyType.ED25519,
    KeyType.X25519,
)
_RSA: Final = {2048: KeyType.RSA_2048, 3072: KeyType.RSA_3072, 4096: KeyType.RSA_4096}
_PARAMETERS: Final = "EC PARAMETERS"  # what 'openssl ecparam -genkey' writes in front of the key
_NOT_PRIVATE: Final = {
    "PUBLIC KEY": "a public key",
    "RSA PUBLIC KEY": "a public key",
    "CERTIFICATE": "a certificate",
    "X509 CERTIFICATE": "a certificate",
    "TRUSTED CERTIFICATE": "a certificate",
    "CERTIFICATE REQUEST": "a request for a certificate",
}
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_TRADITIONAL: Final = ("RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was given, as the material of a version of this type."""

    kind: KeyType
    material: SecretBytes


def checked(given: SecretBytes, kind: KeyType | None, *, passphrase: SecretBytes | None = None) -> Checked:
    """The given bytes as the material of a version, and of which type it is.

    For `secret`, the bytes as they are. For RSA, P-256, Ed25519 and X25519, PEM or DER: PKCS#8, encrypted PKCS#8, or
    the traditional forms; `kind` may then be None, because they say what they are. For every type but RSA, a raw key
    of 32 bytes, or its base64 or base64url text, with or without padding and blanks around it. For `hmac-sha256` other
    lengths too, from 16 to 128 bytes, but those as they are only.

    Raises FormatError (not a key of that type, or not sound), PolicyError (a key that is not taken: a weak one, another
    curve, a passphrase that costs too much), PassphraseError (one is missing, wrong, or too many), SettingsError (the
    bytes do not say their type, and nobody else did).
    """
    if kind is KeyType.SECRET:
        _check_needless(passphrase)
        return Checked(kind=kind, material=material.check_raw(kind.value, given))
    if not 1 <= len(given) <= MAX_SOURCE:
        raise FormatError(f"a key file has 1 to {MAX_SOURCE} bytes, not {len(given)}")
    if kind is None or kind in _IN_FILES:
        key = _from_pem(given, passphrase) if pem.is_pem(given) else _from_der(given, passphrase)
        if key is not None:
            return _settled(key, kind)
    _check_needless(passphrase)
    if kind is None:
        raise SettingsError(
            f"{len(given)} bytes do not say what kind of key they are",
            hint="strongroom import NAME FILE --type fernet (or aes256-gcm, hmac-sha256, secret, …)",
        )
    if pem.is_pem(given):
        raise FormatError(f"a {kind.value} key is no PEM file: it has {_KEY_LENGTH} bytes, or is their base64")
    return Checked(kind=kind, material=material.check_raw(kind.value, _raw(given, kind)))


def read_source(path: Path | None, stream: BinaryIO) -> SecretBytes:
    """What a file holds, or the stream where `path` is None: 1 to 65,536 bytes.

    A path may be a regular file or a pipe (<(command) in a shell), and links are followed: the user names it himself.
    Raises NotFoundError, StoreError (it cannot be read, or is a directory or device), FormatError (empty or too long).
    """
    if path is None:
        content, subject = _read_stream(stream), "standard input"
    else:
        subject = repr(str(path))
        content = _read_file(path)
        if isinstance(content, FileNotFoundError):
            raise NotFoundError(f"there is no file {subject}")
    if isinstance(content, Exception):
        raise StoreError(f"{subject} cannot be read: {_reason(content)}")
    if not 1 <= len(content) <= MAX_SOURCE:
        size = f"more than {MAX_SOURCE} bytes" if len(content) else "nothing"
        raise FormatError(f"{subject} holds {size}, where a key or a secret is wanted")
    return content


def _from_pem(given: SecretBytes, passphrase: SecretBytes | None) -> object:
    found = [block for block in pem.blocks(given) if block.label != _PARAMETERS]
    if len(found) != 1:
        raise FormatError(
            f"the file holds {len(found)} PEM blocks, where one private key is wanted",
            hint="openssl pkey -in FILE writes the private key alone",
        )
    (block,) = found
    if block.label == "OPENSSH PRIVATE KEY":
        raise FormatError(
            "the file holds a private key in OpenSSH's own format",
            hint="ssh-keygen -p -m PKCS8 -f COPY rewrites a copy of it as PKCS#8",
        )
    if block.label in _NOT_PRIVATE:
        raise FormatError(f"the file holds {_NOT_PRIVATE[block.label]}, where a private key is wanted")
    if block.label not in {"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", *_TRADITIONAL}:
        raise FormatError("the file is PEM, but holds no private key")
    if block.der is not None:
        key = _from_der(block.der, passphrase)
        if key is None:
            raise FormatError("the PEM block is not DER within")
        return key
    if block.label not in _TRADITIONAL:
        raise FormatError("the PEM block has headers, which only traditional private keys have (RFC 7468 section 2)")
    # One round of MD5 makes this key of the passphrase: weak, but no cost to bound.
    return _loaded(block.text, passphrase, encrypted=True, is_text=True)


def _from_der(given: SecretBytes, passphrase: SecretBytes | None) -> object | None:
    """The private key; None where the bytes are not DER at all."""
    if len(given) == _KEY_LENGTH or not pkcs8.is_der(given):  # no private key of ours has DER as short as a raw key
        return None
    what = pkcs8.holds(given)
    if what is pkcs8.Holds.PKCS12:
        raise FormatError(
            "the file is PKCS#12, which is not read", hint="openssl pkcs12 -in FILE -nocerts writes its private key"
        )
    if what not in {pkcs8.Holds.PRIVATE, pkcs8.Holds.ENCRYPTED}:
        raise FormatError(f"the file holds {what.value}, where a private key is wanted")
    encrypted = what is pkcs8.Holds.ENCRYPTED
    if encrypted:
        pkcs8.check_cost(given)
    return _loaded(given, passphrase, encrypted=encrypted, is_text=False)


def _loaded(given: SecretBytes, passphrase: SecretBytes | None, *, encrypted: bool, is_text: bool) -> object:
    if not encrypted:
        _check_needless(passphrase)
    elif passphrase is None or not len(passphrase):
        raise PassphraseError("the private key is encrypted", hint="strongroom import NAME FILE --key-passphrase")
    key = _load(given, passphrase, is_text=is_text)
    if key is None and encrypted:
        raise PassphraseError("the passphrase does not open the private key, or what it opens is damaged")
    if key is None:
        raise FormatError(
            f"{len(given)} bytes are not a private key that is sound", hint="openssl pkey -check -noout -in FILE"
        )
    return key


def _check_needless(passphrase: SecretBytes | None) -> None:
    if passphrase is not None:
        raise PassphraseError("what is imported is not encrypted, and has no passphrase")


def _settled(key: object, wanted: KeyType | None) -> Checked:
    if isinstance(key, RSAPrivateKey):
        # The size first: it bounds what the validation costs, which comes now and is never left out.
        found = rsa.validated(key)
        kind = _RSA[key.key_size]
    elif isinstance(key, EllipticCurvePrivateKey):
        if not isinstance(key.curve, SECP256R1):
            raise PolicyError(f"an EC key on the curve {key.curve.name} is not taken: P-256 only")
        kind, found = KeyType.ECDSA_P256, _scalar(key)
    elif isinstance(key, Ed25519PrivateKey):
        kind, found = KeyType.ED25519, _raw_private(key)
    elif isinstance(key, X25519PrivateKey):
        kind, found = KeyType.X25519, _raw_private(key)
    else:
        raise PolicyError("a private key of this algorithm is not taken: RSA, P-256, Ed25519 and X25519 are")
    if wanted not in {None, kind}:
        raise PolicyError(
            f"the file holds a key of type {kind.value}", hint=f"strongroom import NAME FILE --type {kind.value}"
        )
    if not isinstance(key, RSAPrivateKey):
        material.check_raw(kind.value, found)
    return Checked(kind=kind, material=found)


def _raw(given: SecretBytes, kind: KeyType) -> SecretBytes:
    """A raw key, or what its base64 text holds. Where both could be meant, the type's own length decides."""
    if kind in _RSA.values():
        raise FormatError(f"{len(given)} bytes are not an RSA private key in PEM or DER")
    decoded = _from_text(given)
    if decoded is not None:
        return decoded
    if _is_line(given):
        # An editor or 'echo' put it there, and the key that others have is without it: it would open nothing.
        raise FormatError(f"the {kind.value} key is text that ends in a newline", hint="printf %s KEY writes none")
    if len(given) != _KEY_LENGTH and kind is not KeyType.HMAC_SHA256:
        raise FormatError(f"{len(given)} bytes are not a {kind.value} key: {_KEY_LENGTH} raw bytes, or their base64")
    return given


def _reason(problem: Exception) -> str:
    return problem.strerror or "it fails" if isinstance(problem, OSError) else "it is closed, or is not bytes"


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _load(given: SecretBytes, passphrase: SecretBytes | None, *, is_text: bool) -> object | None:
    load = load_pem_private_key if is_text else load_der_private_key
    password = None if passphrase is None else passphrase.reveal()
    try:
        # RSA keys are validated in `_settled`, once their size is known: 16,384 bits would take minutes here.
        return load(given.reveal(), password, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError, OverflowError, MemoryError):
        return None


def _scalar(key: EllipticCurvePrivateKey) -> SecretBytes:
    return SecretBytes(key.private_numbers().private_value.to_bytes(32, "big"))


def _raw_private(key: Ed25519PrivateKey | X25519PrivateKey) -> SecretBytes:
    return SecretBytes(key.private_bytes_raw())


def _from_text(given: SecretBytes) -> SecretBytes | None:
    """The 32 bytes whose canonical base64 or base64url (RFC 4648) this is; None for anything else."""
    text = given.reveal().strip(b" \t\r\n")
    bare = text.rstrip(b"=")
    if len(bare) != 43 or len(text) not in {43, 44}:
        return None
    standard = bare.translate(_TO_STANDARD) + b"="
    if {*b"-_"}.intersection(bare) and {*b"+/"}.intersection(bare):
        return None
    try:
        raw = binascii.a2b_base64(standard, strict_mode=True)
    except ValueError:
        return None
    return SecretBytes(raw) if b64encode(raw) == standard else None  # no stray bits behind the last byte


def _is_line(given: SecretBytes) -> bool:
    raw = given.reveal()
    return raw.endswith(b"\n") and raw.isascii() and raw.decode("ascii").rstrip("\r\n").isprintable()


def _read_stream(stream: BinaryIO) -> SecretBytes | Exception:
    try:
        return SecretBytes(stream.read(MAX_SOURCE + 1) or b"")
    except (OSError, ValueError, TypeError) as problem:
        return problem.with_traceback(None)


def _read_file(path: Path) -> SecretBytes | Exception:
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            return OSError(0, "it is neither a file nor a pipe")
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY), "rb") as source:  # noqa: PTH123
            return SecretBytes(source.read(MAX_SOURCE + 1))
    except (OSError, ValueError) as problem:
        return problem.with_traceback(None)
