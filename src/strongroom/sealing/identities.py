"""Identity files: the one opening key of a host. One JSON object, or PEM for RSA; read whole, checked, never shown.

docs/format.md, section "Identity file". Such a file has to rest somewhere, mode 0600; it may be protected with a
passphrase, and then its reader is asked for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from strongroom._encoding import b64decode, b64encode, encode_fields
from strongroom.errors import IdentityError, IntegrityError, PassphraseError, StrongroomError
from strongroom.model.names import ID_SIZE, StoreId
from strongroom.model.text import check_text
from strongroom.primitives.hpke import public_of as hpke_public_of
from strongroom.primitives.kdf import argon2id
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.wrapping import unwrap, wrap
from strongroom.sealing.hpke import check_suite, generate_private
from strongroom.sealing.identity_codec import Protection, StoredIdentity, decode_identity, encode_identity, is_pem
from strongroom.sealing.passphrase import SALT_LENGTH, Cost
from strongroom.sealing.passphrases import check_strength
from strongroom.sealing.private_files import MAX_PRIVATE_FILE, read_descriptor, read_private_file, write_private_file
from strongroom.sealing.rsa_keys import claimed_public_of, is_locked_pem, private_from_pem, public_of

WHAT: Final = "identity file"
_ELSE: Final = "strongroom role create NAME writes one, and strongroom worker create GROUP one for a worker"
Ask = Callable[[], SecretBytes]
"""Gives the passphrase of a protected identity; it may prompt a person. PassphraseError when there is none."""

_FINGERPRINT = re.compile(r"[0-9A-F]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPgpIdentity:
    """A role account's OpenPGP key. `private` is the transferable secret key, binary; `store` whom it was made for."""

    name: str
    fingerprint: str
    private: SecretBytes
    store: StoreId | None = None

    def __post_init__(self) -> None:
        _check_common(self.name, self.store)
        if _FINGERPRINT.fullmatch(self.fingerprint) is None:
            raise IdentityError(f"{self.fingerprint[:80]!r} is not a fingerprint of 40 upper-case hexadecimal digits")

    @property
    def kind(self) -> str:
        return "openpgp"


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaIdentity:
    """An RSA key pair: `public` as SubjectPublicKeyInfo DER, `private` as PKCS #8 DER, validated in full."""

    name: str
    public: bytes
    private: SecretBytes
    store: StoreId | None = None

    def __post_init__(self) -> None:
        _check_common(self.name, self.store)
        if public_of(self.private) != self.public:
            raise IdentityError(f"the halves of RSA identity {self.name!r} do not belong together")

    @property
    def kind(self) -> str:
        return "rsa"

    @classmethod
    def from_private(cls, private: SecretBytes, *, name: str, store: StoreId | None = None) -> RsaIdentity:
        """The identity of a private key as PKCS #8 DER. IdentityError when it is weak, broken or no RSA key."""
        return cls(name=name, public=claimed_public_of(private), private=private, store=store)


@dataclass(frozen=True, slots=True, kw_only=True)
class HpkeIdentity:
    """An HPKE key pair of `suite` `x25519` or `mlkem768-x25519`, in the raw formats of that key type."""

    name: str
    suite: str
    public: bytes
    private: SecretBytes
    store: StoreId | None = None

    def __post_init__(self) -> None:
        _check_common(self.name, self.store)
        check_suite(self.suite)
        if hpke_public_of(self.suite, self.private) != self.public:
            raise IdentityError(f"the halves of HPKE identity {self.name!r} do not belong together")

    @property
    def kind(self) -> str:
        return "hpke"

    @classmethod
    def generate(cls, suite: str = "x25519", *, name: str, store: StoreId | None = None) -> HpkeIdentity:
        """A fresh pair."""
        private = generate_private(suite)
        return cls(name=name, suite=suite, public=hpke_public_of(suite, private), private=private, store=store)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIdentity:
    """What a worker holds: an RSA pair, and whom it believes (the issuer's public key) about which group and store."""

    name: str
    store: StoreId
    group: str
    issuer: bytes
    public: bytes
    private: SecretBytes

    def __post_init__(self) -> None:
        _check_common(self.name, self.store)
        check_text(self.group, "group")
        if public_of(self.private) != self.public:
            raise IdentityError(f"the halves of worker identity {self.name!r} do not belong together")

    @property
    def kind(self) -> str:
        return "worker"


Identity = OpenPgpIdentity | RsaIdentity | HpkeIdentity | WorkerIdentity


def identity_from_file(path: Path, *, ask: Ask | None = None) -> Identity:
    """The identity in a file. Errors as `read_private_file` and `parse_identity`."""
    return parse_identity(read_private_file(path, what=WHAT, hint=_ELSE), source=f"{WHAT} {str(path)!r}", ask=ask)


def identity_from_descriptor(descriptor: int, *, ask: Ask | None = None) -> Identity:
    """The identity that an open descriptor gives until its end."""
    return parse_identity(read_descriptor(descriptor, what=WHAT), source=f"descriptor {descriptor}", ask=ask)


def identity_from_text(text: str, *, source: str = "STRONGROOM_IDENTITY", ask: Ask | None = None) -> Identity:
    """The identity in the value of a variable."""
    content = SecretBytes(text.encode("utf-8", "surrogatepass"))
    del text  # this frame may be shown when it is refused
    if len(content) > MAX_PRIVATE_FILE:
        raise IdentityError(f"{source} has more than {MAX_PRIVATE_FILE} bytes")
    return parse_identity(content, source=source, ask=ask)


def parse_identity(content: SecretBytes, *, source: str, ask: Ask | None = None) -> Identity:
    """The identity that these bytes hold.

    IdentityError when they hold none, NewerFormatError; PassphraseError when they are protected and `ask` is missing
    or gives the wrong passphrase. Messages name `source` and never quote the content.
    """
    if is_pem(content):
        passphrase = ask() if ask is not None and is_locked_pem(content) else None
        private = private_from_pem(content, passphrase=passphrase, source=source)
        return RsaIdentity.from_private(private, name="pem")
    stored = decode_identity(content, source=source)
    try:
        return _identity(stored, _opened(stored, source=source, ask=ask))
    except (IdentityError, PassphraseError):
        raise
    except StrongroomError as problem:
        raise IdentityError(f"{source} is not usable: {problem}", hint=problem.hint) from None


def format_identity(
    identity: Identity, *, passphrase: SecretBytes | None = None, cost: Cost | None = None
) -> SecretBytes:
    """An identity as the bytes of its file, protected where a passphrase is given (PassphraseError when too weak)."""
    details = _details(identity)
    if passphrase is None:
        protection, private = None, identity.private
    else:
        check_strength(passphrase)
        paid = Cost() if cost is None else cost
        protection = Protection(
            salt=os.urandom(SALT_LENGTH),
            memory_kib=paid.memory_kib,
            iterations=paid.iterations,
            lanes=paid.lanes,
        )
        key = _key(passphrase, protection)
        private = SecretBytes(wrap(key, identity.private, context=_context(identity.kind, details)))
    return encode_identity(
        StoredIdentity(
            kind=identity.kind,
            name=identity.name,
            store=None if identity.store is None else b64encode(identity.store),
            details=details,
            protection=protection,
            private=private,
        )
    )


def write_identity(
    path: Path, identity: Identity, *, passphrase: SecretBytes | None = None, cost: Cost | None = None
) -> None:
    """A new identity file, mode 0600, on the disk when this returns. ExistsError, StoreError."""
    write_private_file(path, format_identity(identity, passphrase=passphrase, cost=cost), what=WHAT)


def _details(identity: Identity) -> dict[str, str]:
    match identity:
        case OpenPgpIdentity():
            return {"fingerprint": identity.fingerprint}
        case RsaIdentity():
            return {"public": b64encode(identity.public)}
        case HpkeIdentity():
            return {"suite": identity.suite, "public": b64encode(identity.public)}
        case WorkerIdentity():
            return {
                "group": identity.group,
                "issuer": b64encode(identity.issuer),
                "public": b64encode(identity.public),
            }


def _identity(stored: StoredIdentity, private: SecretBytes) -> Identity:
    details = stored.details
    store = None if stored.store is None else StoreId(b64decode(stored.store))
    match stored.kind:
        case "openpgp":
            return OpenPgpIdentity(name=stored.name, store=store, fingerprint=details["fingerprint"], private=private)
        case "rsa":
            return RsaIdentity(name=stored.name, store=store, public=b64decode(details["public"]), private=private)
        case "hpke":
            return HpkeIdentity(
                name=stored.name,
                store=store,
                suite=details["suite"],
                public=b64decode(details["public"]),
                private=private,
            )
    if store is None:
        raise IdentityError(f"worker identity {stored.name!r} names no store")
    return WorkerIdentity(
        name=stored.name,
        store=store,
        group=details["group"],
        issuer=b64decode(details["issuer"]),
        public=b64decode(details["public"]),
        private=private,
    )


def _opened(stored: StoredIdentity, *, source: str, ask: Ask | None) -> SecretBytes:
    if stored.protection is None:
        return stored.private
    protection = stored.protection
    if len(protection.salt) != SALT_LENGTH:
        raise IdentityError(f"{source} has a salt of {len(protection.salt)} bytes, not {SALT_LENGTH}")
    # the file may come from anywhere: what it costs to look at it is checked before a byte of memory is spent
    Cost(memory_kib=protection.memory_kib, iterations=protection.iterations, lanes=protection.lanes)
    if ask is None:
        raise PassphraseError(
            f"{source} is protected with a passphrase, and none was given", hint="set STRONGROOM_PASSPHRASE_FILE"
        )
    key = _key(ask(), protection)
    try:
        return unwrap(key, stored.private.reveal(), context=_context(stored.kind, stored.details))
    except IntegrityError:
        raise PassphraseError(f"the passphrase does not open {source}", hint="set STRONGROOM_PASSPHRASE_FILE") from None


def _key(passphrase: SecretBytes, protection: Protection) -> SecretBytes:
    return argon2id(
        passphrase,
        salt=protection.salt,
        memory_kib=protection.memory_kib,
        iterations=protection.iterations,
        lanes=protection.lanes,
        length=32,
    )


def _context(kind: str, details: dict[str, str]) -> bytes:
    # fixed order of the file; a private part moved to another kind or another public half does not open
    return encode_fields(b"strongroom/1 identity", kind.encode("ascii"), *(each.encode() for each in details.values()))


def _check_common(name: str, store: StoreId | None) -> None:
    check_text(name, "identity's name")
    if store is not None and len(store) != ID_SIZE:
        raise IdentityError(f"a store id has {ID_SIZE} bytes, not {len(store)}")
