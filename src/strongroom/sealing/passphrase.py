"""The passphrase slot. The passphrase protects the slot's own private key, so a rotation does not need to know it.

docs/format.md, section "Passphrase slot". Argon2id (RFC 9106) makes a key of the passphrase; under it lies the private
half of an X25519 pair; to the public half the root line is sealed with HPKE.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Final, Self

from strongroom._encoding import encode_fields
from strongroom.errors import FormatError, IntegrityError, PassphraseError
from strongroom.model.names import StoreId
from strongroom.primitives.hpke import public_of
from strongroom.primitives.kdf import argon2id, check_argon2id
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.wrapping import unwrap, wrap
from strongroom.sealing.hpke import generate_private, open_root, seal_root
from strongroom.sealing.passphrases import check_strength
from strongroom.sealing.root import Root, RootRef
from strongroom.sealing.slots import Slot, check_label

SALT_LENGTH: Final = 32
SUITE: Final = "x25519"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one guess at the passphrase costs. The default takes about 0.3 s and 128 MiB.

    PolicyError beyond 1 GiB, 10 passes or 16 lanes: a header is read before it is authentic, and must not be able to
    stall the machine of its reader.
    """

    memory_kib: int = 131_072
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        check_argon2id(memory_kib=self.memory_kib, iterations=self.iterations, lanes=self.lanes)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassphraseSlot:
    """A way to open the root with a passphrase that a person knows or a machine is given."""

    label: str
    salt: bytes = field(repr=False)
    cost: Cost
    public: bytes = field(repr=False)
    private: bytes = field(repr=False)
    sealed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_label(self.label)
        if len(self.salt) != SALT_LENGTH:
            raise FormatError(f"passphrase slot {self.label!r} has a salt of {len(self.salt)} bytes")

    @classmethod
    def create(cls, root: Root, passphrase: SecretBytes, *, label: str, cost: Cost | None = None) -> Self:
        """A slot that this passphrase opens. PassphraseError when it is too easy to guess."""
        check_strength(passphrase)
        paid = Cost() if cost is None else cost
        salt = os.urandom(SALT_LENGTH)
        private = generate_private(SUITE)
        public = public_of(SUITE, private)
        key = _key(passphrase, salt=salt, cost=paid)
        return cls(
            label=label,
            salt=salt,
            cost=paid,
            public=public,
            private=wrap(key, private, context=_context(root.store, public)),
            sealed=seal_root(root, suite=SUITE, public=public, kind="passphrase"),
        )

    @property
    def kind(self) -> str:
        return "passphrase"

    @property
    def wants(self) -> str:
        return f"the passphrase of slot {self.label!r} (STRONGROOM_PASSPHRASE_FILE, or a prompt)"

    def open(self, passphrase: SecretBytes, wanted: RootRef) -> Root:
        """The root. PassphraseError for the wrong passphrase; else errors as `strongroom.sealing.root.matching`."""
        key = _key(passphrase, salt=self.salt, cost=self.cost)
        try:
            private = unwrap(key, self.private, context=_context(wanted.store, self.public))
        except IntegrityError:
            raise PassphraseError(
                f"the passphrase does not open slot {self.label!r}", hint="strongroom doctor lists the slots"
            ) from None
        return open_root(self.sealed, wanted, suite=SUITE, private=private, kind="passphrase")

    def reseal(self, root: Root) -> Self:
        return replace(self, sealed=seal_root(root, suite=SUITE, public=self.public, kind="passphrase"))


def _key(passphrase: SecretBytes, *, salt: bytes, cost: Cost) -> SecretBytes:
    return argon2id(
        passphrase, salt=salt, memory_kib=cost.memory_kib, iterations=cost.iterations, lanes=cost.lanes, length=32
    )


def _context(store: StoreId, public: bytes) -> bytes:
    return encode_fields(b"strongroom/1 passphrase", store, public)


def _conforms(slot: PassphraseSlot) -> Slot:
    return slot
