"""The HPKE slot (RFC 9180, base mode). What it seals opens for one root of one store, because `info` names them.

docs/format.md, section "HPKE slot". The suite `mlkem768-x25519` keeps a recorded repository from a quantum computer,
but only for a root of which no other slot was ever committed. X-Wing is still a draft.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Self

from strongroom.errors import DecryptionError, FormatError, IdentityError, IntegrityError
from strongroom.primitives.hpke import PRIVATE_LENGTH, PUBLIC_LENGTHS, hpke_decrypt, hpke_encrypt, public_of
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.root import Root, RootRef, matching
from strongroom.sealing.slots import Slot, check_label


def check_suite(suite: str) -> str:
    """The suite's name itself; FormatError unless we know it."""
    if suite not in PUBLIC_LENGTHS:
        raise FormatError(f"{suite[:40]!r} is not an HPKE suite: {', '.join(PUBLIC_LENGTHS)}")
    return suite


def generate_private(suite: str) -> SecretBytes:
    """A fresh private key: 32 random bytes are X25519's own format, and X-Wing's seed."""
    check_suite(suite)
    return SecretBytes(os.urandom(PRIVATE_LENGTH))


@dataclass(frozen=True, slots=True, kw_only=True)
class HpkeSlot:
    """A way to open the root with the private half of an X25519 or ML-KEM-768+X25519 pair."""

    label: str
    suite: str
    public: bytes = field(repr=False)
    sealed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_label(self.label)
        wanted = PUBLIC_LENGTHS[check_suite(self.suite)]
        if len(self.public) != wanted:
            raise FormatError(
                f"HPKE slot {self.label!r} has a public key of {len(self.public)} bytes; {self.suite} wants {wanted}"
            )

    @classmethod
    def create(cls, root: Root, public: bytes, *, suite: str, label: str) -> Self:
        """A slot for the holder of the private key. FormatError when `public` is no public key of this suite."""
        sealed = seal_root(root, suite=check_suite(suite), public=public, kind="hpke")
        return cls(label=label, suite=suite, public=public, sealed=sealed)

    @property
    def kind(self) -> str:
        return "hpke"

    @property
    def wants(self) -> str:
        return f"the HPKE identity of slot {self.label!r} (STRONGROOM_IDENTITY_FILE), or its recovery shares"

    def open(self, private: SecretBytes, wanted: RootRef) -> Root:
        """The root. IdentityError for another slot's key; else as `strongroom.sealing.root.matching`."""
        if public_of(self.suite, private) != self.public:
            raise IdentityError(f"the identity is not the one of HPKE slot {self.label!r}", hint="strongroom doctor")
        return open_root(self.sealed, wanted, suite=self.suite, private=private, kind="hpke")

    def reseal(self, root: Root) -> Self:
        return replace(self, sealed=seal_root(root, suite=self.suite, public=self.public, kind="hpke"))


def seal_root(root: Root, *, suite: str, public: bytes, kind: str) -> bytes:
    """The root line under a public key, for a slot of this kind: encapsulated key, then ciphertext and tag."""
    return hpke_encrypt(suite, public, root.line(), info=root.ref.binding(kind))


def open_root(sealed: bytes, wanted: RootRef, *, suite: str, private: SecretBytes, kind: str) -> Root:
    """What `seal_root` sealed for this root. IntegrityError, without saying why, for anything else."""
    try:
        line = hpke_decrypt(suite, private, sealed, info=wanted.binding(kind))
    except DecryptionError:
        raise IntegrityError(
            f"what the {kind} slot holds was not sealed for root {wanted.number} of this store",
            hint="see 'git log' for who changed the store, and 'strongroom doctor'",
        ) from None
    return matching(line, wanted)


def _conforms(slot: HpkeSlot) -> Slot:
    return slot
