"""Raw access, in one word each: private and public keys as `cryptography` objects, and values as text for `run`."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from strongroom._encoding import b64encode
from strongroom.errors import FormatError, IntegrityError, PurposeError, StateError
from strongroom.keystore.handles.base import check_protection
from strongroom.keystore.handles.guarding import admit, admit_out
from strongroom.keystore.live import Snapshot
from strongroom.model.states import Operation, permits
from strongroom.model.types import TRAITS, KeyType, Purpose
from strongroom.model.version import Version
from strongroom.primitives import hpke, material, rsa
from strongroom.primitives.secret import SecretBytes

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | hpke.PrivateKey
PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | hpke.PublicKey

_SYMMETRIC = (KeyType.FERNET, KeyType.AES256_GCM, KeyType.XAES256_GCM, KeyType.HMAC_SHA256)


def private_key_of(snapshot: Snapshot, number: int | None, *, confirmed: set[bytes]) -> PrivateKey:
    """The private key of the primary or of a version. PurposeError for a type that has none; StateError; PolicyError
    where the policy does not let it sign, or open, now. What is done with it afterwards is not counted.

    An RSA key is loaded without the validation that its import has already paid for. The first time in a process its
    pair is confirmed, by a signature that is verified; `confirmed` remembers the sealed bytes of those that were.
    """
    _check_asymmetric(snapshot)
    version = _usable(snapshot, number)
    if snapshot.keyset.purpose is Purpose.SIGN:
        check_protection(snapshot)
    else:
        admit(snapshot, version)
    key = material.private_key(snapshot.keyset.type.value, snapshot.opened.material(version.number))
    # in this order: asking an abstract class costs more than asking the set
    if version.sealed not in confirmed and version.sealed is not None and isinstance(key, RSAPrivateKey):
        rsa.confirm(key)
        confirmed.add(version.sealed)
    return key


def public_key_of(snapshot: Snapshot, number: int | None) -> PublicKey:
    """The public half of the primary or of a version, verified under the root. PurposeError, StateError."""
    _check_asymmetric(snapshot)
    version = _usable(snapshot, number)
    if version.public is None or not snapshot.opened.verified:
        raise IntegrityError(f"the public half of version {version.number} is not verified")
    key = material.public_key(snapshot.keyset.type.value, version.public)
    if not isinstance(key, PublicKey):
        raise FormatError(f"the public half of version {version.number} is of no known kind")
    return key


def text_of(snapshot: Snapshot) -> str:
    """The primary's value for an environment variable: a secret's text, a symmetric key's base64url with padding (as
    Fernet keys are written), a private key's PKCS#8 PEM. PolicyError for a key that is not exportable; FormatError
    where a secret is not UTF-8 text."""
    version = _usable(snapshot, None)
    admit_out(snapshot, version)
    kind = snapshot.keyset.type
    value = _text(kind, snapshot.opened.material(version.number))
    if value is None:
        raise FormatError(f"the value of {snapshot.keyset.name!r} cannot be written as text")
    return value


def rsa_pem(key: object, name: str) -> str:
    """PKCS#8 PEM of an RSA private key, for a library that takes nothing else. PurposeError for another kind of key."""
    if not isinstance(key, RSAPrivateKey):
        raise PurposeError(f"{name!r} holds no RSA keys, which are wanted here", hint=f"strongroom show {name}")
    return _pem(key)


def _usable(snapshot: Snapshot, number: int | None) -> Version:
    keyset = snapshot.keyset
    version = snapshot.primary if number is None else keyset.version(number)
    if version is None:
        raise StateError(f"{keyset.name!r} has no primary version", hint=f"strongroom show {keyset.name}")
    state = version.state_at(snapshot.now)
    if not permits(state, Operation.PROCESS, primary=version is snapshot.primary):
        raise StateError(
            f"version {version.number} of {keyset.name!r} is {state.value}", hint=f"strongroom show {keyset.name}"
        )
    return version


def _check_asymmetric(snapshot: Snapshot) -> None:
    if not TRAITS[snapshot.keyset.type].asymmetric:
        raise PurposeError(
            f"{snapshot.keyset.name!r} is {snapshot.keyset.type.value}, which has no private key",
            hint=f"strongroom show {snapshot.keyset.name}",
        )


# Plain text of a key lives below this line only, in functions that do not raise (STYLE section 6).


def _text(kind: KeyType, held: SecretBytes) -> str | None:
    if kind is KeyType.SECRET:
        try:
            return held.reveal().decode("utf-8")
        except UnicodeDecodeError:
            return None
    if kind in _SYMMETRIC:
        text = b64encode(held.reveal())
        return text + "=" * (-len(text) % 4)
    key = material.private_key(kind.value, held)
    if isinstance(key, (RSAPrivateKey, EllipticCurvePrivateKey, Ed25519PrivateKey, X25519PrivateKey)):
        return _pem(key)
    return None


def _pem(key: RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | X25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
