"""Keys from outside: what `import` takes, told apart strictly, validated in full, and never quoted.

Taken: raw bytes; base64 or base64url text of a 32-byte key (a Fernet key, say); private keys as PEM or DER, PKCS#8 or
the older RSA and EC forms, encrypted or not; for a `secret`, any bytes at all.

That a passphrase opens a file does not vouch for it: the encryption of PKCS#8 and PEM is not authenticated, and where
no public half stands beside it (Ed25519, X25519), a flipped bit may give another key that is as sound.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from strongroom._encoding import b64decode
from strongroom.errors import FormatError, PassphraseError, PolicyError
from strongroom.primitives import pkcs8, rsa
from strongroom.primitives.material import RSA_BITS, SECRET, check_raw
from strongroom.primitives.secret import SecretBytes

MAX_INPUT: Final = 65_536

_BEGIN: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_BLOCK: Final = re.compile(
    rb"-----BEGIN (?P<label>(?:RSA |EC |ENCRYPTED )?PRIVATE KEY)-----[ \t]*\r?\n"
    rb"(?P<headers>Proc-Type: 4,ENCRYPTED\r?\nDEK-Info: [A-Z0-9,-]+\r?\n\r?\n)?"
    rb"(?P<body>[A-Za-z0-9+/=\s]+?)"
    rb"-----END (?P=label)-----"
)
_ELSEWHERE: Final = {
    b"OPENSSH PRIVATE KEY": ("an OpenSSH private key", "ssh-keygen -p -m PKCS8 -f COPY rewrites a copy as PEM"),
    b"PUBLIC KEY": ("a public key", "import the private key"),
    b"RSA PUBLIC KEY": ("a public key", "import the private key"),
    b"CERTIFICATE": ("a certificate", "import the private key"),
    b"DSA PRIVATE KEY": ("a DSA key", "strongroom create NAME --type ecdsa-p256"),
}


def check_import(kind: str, raw: SecretBytes, *, passphrase: SecretBytes | None = None) -> SecretBytes:
    """The canonical material of type `kind` that these bytes hold.

    FormatError: not a key of that form, or over 64 KiB. PolicyError: a key of another type, size or curve, or one that
    is weak or costs too much to open. PassphraseError: encrypted, and the passphrase is missing or wrong.

    43 or 44 characters that are base64 of 32 bytes are decoded for every type but `secret`.
    """
    _check_size(raw)
    if kind == SECRET:
        return check_raw(kind, raw)
    if looks_like_private_key(raw):
        found = recognise(raw, passphrase=passphrase)
        if found.kind != kind:
            raise PolicyError(
                f"the key is of type {found.kind!r}, not {kind!r}", hint=f"strongroom import NAME --type {found.kind}"
            )
        return found.material
    if passphrase is not None:
        raise PassphraseError("a passphrase was given for a key that is not encrypted")
    decoded = None if kind in RSA_BITS else _from_text(raw)
    if decoded is None and kind == "hmac-sha256" and _is_line(raw):
        raise FormatError(
            "the HMAC key is text that ends in a line break, which would be part of the key",
            hint="tr -d '\\n' < FILE | strongroom import NAME --type hmac-sha256",
        )
    return check_raw(kind, decoded or raw)


@dataclass(frozen=True, slots=True)
class Recognised:
    """A private key whose file says its type."""

    kind: str
    material: SecretBytes


def looks_like_private_key(raw: SecretBytes) -> bool:
    """Whether the bytes have the form of a PEM file or of a private key in DER, whether or not one can be read."""
    return _labels(raw) != () or pkcs8.is_private_key(raw) or pkcs8.is_encrypted(raw)


def recognise(raw: SecretBytes, *, passphrase: SecretBytes | None = None) -> Recognised:
    """The private key of a PEM or DER file, and its type. Errors as `check_import`; FormatError for all other bytes."""
    _check_size(raw)
    key = _loaded(raw, passphrase)
    if isinstance(key, RSAPrivateKey):
        material = rsa.validated(key)
        return Recognised(f"rsa-{key.key_size}", material)
    if isinstance(key, EllipticCurvePrivateKey):
        if not isinstance(key.curve, SECP256R1):
            raise PolicyError(f"the key is on the curve {key.curve.name!r}; P-256 is taken")
        return Recognised("ecdsa-p256", _scalar(key))
    if isinstance(key, Ed25519PrivateKey):
        return Recognised("ed25519", SecretBytes(key.private_bytes_raw()))
    if isinstance(key, X25519PrivateKey):
        return Recognised("x25519", SecretBytes(key.private_bytes_raw()))
    raise PolicyError(
        f"a private key of this kind ({type(key).__name__.removesuffix('PrivateKey')}) is not taken",
        hint="strongroom import --help lists the types",
    )


def _check_size(raw: SecretBytes) -> None:
    if not 1 <= len(raw) <= MAX_INPUT:
        raise FormatError(f"a key or secret has 1 to {MAX_INPUT} bytes, not {len(raw)}")


def _loaded(raw: SecretBytes, passphrase: SecretBytes | None) -> object:
    """The key, RSA not yet validated: `rsa.validated` does it from the numbers, so that a passphrase is paid once."""
    outer = _outline(raw)
    if outer.encrypted and passphrase is None:
        raise PassphraseError("the key is encrypted", hint="strongroom import NAME FILE --key-passphrase")
    if not outer.encrypted and passphrase is not None:
        raise PassphraseError("a passphrase was given for a key that is not encrypted")
    if outer.encrypted and outer.der is not None:
        pkcs8.check_cost(outer.der.reveal())
    key = _load(raw, outer, passphrase)
    if key is None and outer.encrypted:
        raise PassphraseError("the passphrase does not open the key")
    if key is None:
        raise FormatError("the file does not hold a private key that is whole", hint="openssl pkey -check -in FILE")
    return key


@dataclass(frozen=True, slots=True)
class _Outline:
    """`der` is None where only PEM's own encryption (RFC 1423) leads to it; that derivation is one round of MD5."""

    encrypted: bool
    der: SecretBytes | None


def _outline(raw: SecretBytes) -> _Outline:
    labels = _labels(raw)
    if not labels:
        encrypted = pkcs8.is_encrypted(raw)
        if not encrypted and not pkcs8.is_private_key(raw):
            raise FormatError(f"{len(raw)} bytes are neither PEM nor a private key in DER")
        return _Outline(encrypted, raw)
    # `openssl ecparam -genkey` writes the parameters in front of the key
    others = [label for label in labels if label != b"EC PARAMETERS"]
    for label in others:
        if label in _ELSEWHERE:
            what, hint = _ELSEWHERE[label]
            raise FormatError(f"the file holds {what}; one private key is wanted, and nothing else", hint=hint)
    outer = _block(raw) if len(others) == 1 else None
    if outer is None:
        raise FormatError(f"the file has {len(others)} PEM blocks; one whole private key is wanted, and nothing else")
    return outer


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _labels(raw: SecretBytes) -> tuple[bytes, ...]:
    return tuple(_BEGIN.findall(raw.reveal()))


def _block(raw: SecretBytes) -> _Outline | None:
    found = _BLOCK.search(raw.reveal())
    if found is None:
        return None
    if found["headers"] is not None:
        return _Outline(True, None)
    try:
        der = binascii.a2b_base64(b"".join(found["body"].split()), strict_mode=True)
    except ValueError:
        return None
    return _Outline(found["label"] == b"ENCRYPTED PRIVATE KEY", SecretBytes(der))


def _load(raw: SecretBytes, outer: _Outline, passphrase: SecretBytes | None) -> object | None:
    password = None if passphrase is None else passphrase.reveal()
    try:
        if outer.der is None:
            return load_pem_private_key(raw.reveal(), password, unsafe_skip_rsa_key_validation=True)
        # the DER that was looked at, so that there is no second reading of the PEM
        return load_der_private_key(outer.der.reveal(), password, unsafe_skip_rsa_key_validation=True)
    except Exception:  # noqa: BLE001  ValueError, TypeError, UnsupportedAlgorithm, InternalError: each could tell
        return None


def _from_text(raw: SecretBytes) -> SecretBytes | None:
    """The 32 bytes of their base64 or base64url text, with padding or without, and one line break at most."""
    text = re.sub(rb"\r?\n\Z", b"", raw.reveal())
    if len(text) == 44 and text.endswith(b"="):
        text = text[:-1]
    if len(text) != 43 or (re.search(rb"[+/]", text) and re.search(rb"[-_]", text)):
        return None
    try:
        return SecretBytes(b64decode(text.translate(bytes.maketrans(b"+/", b"-_")).decode("ascii")))
    except (FormatError, ValueError):
        return None


def _is_line(raw: SecretBytes) -> bool:
    return re.fullmatch(rb"[\t\r\n -~]*\n", raw.reveal()) is not None


def _scalar(key: EllipticCurvePrivateKey) -> SecretBytes:
    return SecretBytes(key.private_numbers().private_value.to_bytes(32, "big"))
