"""Key types, purposes and prefixes, and what is true of each type. One table; nobody else tells types apart by name."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from strongroom.errors import PurposeError


class KeyType(enum.Enum):
    """What kind of material a keyset holds; all its versions are of one type."""

    __hash__ = object.__hash__  # members are single objects; Enum's own hash costs a Python frame a look-up

    FERNET = "fernet"
    AES256_GCM = "aes256-gcm"
    XAES256_GCM = "xaes256-gcm"
    HMAC_SHA256 = "hmac-sha256"
    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-p256"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    X25519 = "x25519"
    MLKEM768_X25519 = "mlkem768-x25519"
    SECRET = "secret"  # noqa: S105  # the word for opaque bytes, not one


class Purpose(enum.Enum):
    """The one use of a keyset, fixed at creation (SP 800-57 part 1 rev. 5, section 5.2)."""

    __hash__ = object.__hash__  # as above

    ENCRYPT = "encrypt"
    MAC = "mac"
    SIGN = "sign"
    SECRET = "secret"  # noqa: S105  # as above


class Prefix(enum.Enum):
    """What stands in front of a version's outputs."""

    TINK = "tink"
    """Tink's five bytes: 01 and the key id, big-endian."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is true of a key type.

    `default_purpose` is None where it must be said; `prefixes` holds the prefix of a new version by purpose; `bits` is
    the size by which people know the type, None where the material has no size of its own.
    """

    purposes: frozenset[Purpose]
    default_purpose: Purpose | None
    asymmetric: bool
    prefixes: Mapping[Purpose, Prefix]
    bits: int | None

    @property
    def has_public(self) -> bool:
        """Whether each version has a public half, which is stored in the clear."""
        return self.asymmetric


def _one(purpose: Purpose, prefix: Prefix, bits: int | None, *, asymmetric: bool = False) -> Traits:
    return Traits(
        purposes=frozenset({purpose}),
        default_purpose=purpose,
        asymmetric=asymmetric,
        prefixes=MappingProxyType({purpose: prefix}),
        bits=bits,
    )


def _rsa(bits: int) -> Traits:
    return Traits(
        purposes=frozenset({Purpose.SIGN, Purpose.ENCRYPT}),
        default_purpose=None,
        asymmetric=True,
        # a JWE carries the key id in its own header ("kid", RFC 7516 section 4.1.6)
        prefixes=MappingProxyType({Purpose.SIGN: Prefix.TINK, Purpose.ENCRYPT: Prefix.NONE}),
        bits=bits,
    )


TRAITS: Mapping[KeyType, Traits] = MappingProxyType(
    {
        KeyType.FERNET: _one(Purpose.ENCRYPT, Prefix.NONE, 256),  # the spec's token has no room for a prefix
        KeyType.AES256_GCM: _one(Purpose.ENCRYPT, Prefix.TINK, 256),
        KeyType.XAES256_GCM: _one(Purpose.ENCRYPT, Prefix.TINK, 256),
        KeyType.HMAC_SHA256: _one(Purpose.MAC, Prefix.TINK, 256),
        KeyType.ED25519: _one(Purpose.SIGN, Prefix.TINK, 256, asymmetric=True),
        KeyType.ECDSA_P256: _one(Purpose.SIGN, Prefix.TINK, 256, asymmetric=True),
        KeyType.RSA_2048: _rsa(2048),
        KeyType.RSA_3072: _rsa(3072),
        KeyType.RSA_4096: _rsa(4096),
        KeyType.X25519: _one(Purpose.ENCRYPT, Prefix.TINK, 256, asymmetric=True),
        KeyType.MLKEM768_X25519: _one(Purpose.ENCRYPT, Prefix.TINK, 768, asymmetric=True),
        KeyType.SECRET: _one(Purpose.SECRET, Prefix.NONE, None),
    }
)


def resolve_purpose(key_type: KeyType, purpose: Purpose | None) -> Purpose:
    """The purpose of a new keyset: the one asked for, or the type's only one. PurposeError where neither will do."""
    traits = TRAITS[key_type]
    wanted = purpose or traits.default_purpose
    lawful = " or ".join(sorted(each.value for each in traits.purposes))
    if wanted is None:
        raise PurposeError(
            f"a keyset of type {key_type.value!r} needs a purpose: {lawful}",
            hint=f"strongroom create NAME --type {key_type.value} --purpose sign|encrypt",
        )
    if wanted not in traits.purposes:
        raise PurposeError(
            f"a keyset of type {key_type.value!r} cannot have the purpose {wanted.value!r}, only {lawful}",
            hint="leave out --purpose, or choose another --type (strongroom create --help lists them)",
        )
    return wanted


def resolve_prefix(key_type: KeyType, purpose: Purpose) -> Prefix:
    """The prefix of a version that is made here; imported ones may carry Prefix.NONE. PurposeError as above."""
    prefix = TRAITS[key_type].prefixes.get(purpose)
    return prefix or TRAITS[key_type].prefixes[resolve_purpose(key_type, purpose)]
