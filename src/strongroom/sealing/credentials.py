"""What a process can show a slot. Nothing is asked or started before a slot is there that wants it, and then once.

The kinds of slots are imported where one is opened: whoever has a slot in hand has loaded them, and a machine that only
decrypts BlackBox's files with its identity has none, and is spared some 30 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from strongroom.openpgp.engine import Engine
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.identities import HpkeIdentity, RsaIdentity

if TYPE_CHECKING:
    from strongroom.sealing.header import AnySlot
    from strongroom.sealing.root import Root, RootRef

ReadAttachment = Callable[[str], bytes]
"""Reads a file that stands beside the header, by name; NotFoundError when it is not there."""


class Credential(Protocol):
    """Something that opens slots of some kind."""

    @property
    def name(self) -> str:
        """What it is, for people; never what it holds."""
        ...

    def open(self, slot: AnySlot, wanted: RootRef, read: ReadAttachment) -> Root | None:
        """The root behind a slot; None for a slot that this was never meant for. Every failure is an error."""
        ...


class WithIdentity:
    """An RSA or HPKE identity. (An OpenPGP identity is a WithEngine over an engine that holds it.)"""

    __slots__ = ("_identity",)

    def __init__(self, identity: RsaIdentity | HpkeIdentity) -> None:
        self._identity = identity

    @property
    def name(self) -> str:
        return f"{self._identity.kind} identity {self._identity.name!r}"

    def open(self, slot: AnySlot, wanted: RootRef, read: ReadAttachment) -> Root | None:
        """A slot that was sealed to this identity's own public key."""
        from strongroom.sealing.hpke import HpkeSlot
        from strongroom.sealing.rsa import RsaSlot

        identity = self._identity
        match slot:
            case RsaSlot() if isinstance(identity, RsaIdentity) and slot.public == identity.public:
                return slot.open(identity.private, wanted)
            case HpkeSlot() if isinstance(identity, HpkeIdentity) and slot.public == identity.public:
                return slot.open(identity.private, wanted)
            case _:
                return None


class WithPassphrase:
    """A passphrase. `ask` may prompt a person: it is called at the first passphrase slot, and once."""

    __slots__ = ("_ask", "_given")

    def __init__(self, ask: Callable[[], SecretBytes]) -> None:
        self._ask = ask
        self._given: SecretBytes | None = None

    @property
    def name(self) -> str:
        return "passphrase"

    def open(self, slot: AnySlot, wanted: RootRef, read: ReadAttachment) -> Root | None:
        """Any passphrase slot."""
        from strongroom.sealing.passphrase import PassphraseSlot

        if not isinstance(slot, PassphraseSlot):
            return None
        if self._given is None:
            self._given = self._ask()
        return slot.open(self._given, wanted)


class WithEngine:
    """An OpenPGP engine. `find` is called at the OpenPGP slot, and not before; whoever gave it closes the engine.

    turn: what the opening stands in, so that many processes that start together do not start gpg all at once.
    """

    __slots__ = ("_engine", "_find", "_turn")

    def __init__(
        self, find: Callable[[], Engine], *, turn: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._find = find
        self._turn = turn
        self._engine: Engine | None = None

    @property
    def name(self) -> str:
        return "OpenPGP" if self._engine is None else self._engine.name

    def open(self, slot: AnySlot, wanted: RootRef, read: ReadAttachment) -> Root | None:
        """The OpenPGP slot, by its file."""
        from strongroom.sealing.openpgp import open_root_file
        from strongroom.sealing.slots import OpenPgpSlot

        if not isinstance(slot, OpenPgpSlot):
            return None
        ciphertext = read(slot.file)
        # each time: what an earlier opening found was closed with it, and a process that follows a rotation opens again
        engine = self._engine = self._find()
        with self._turn():
            return open_root_file(ciphertext, wanted, engine=engine)


class WithDevelopment:
    """The caller's word that it wants a store which hides nothing (STRONGROOM_DEVELOPMENT=1)."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return "STRONGROOM_DEVELOPMENT"

    def open(self, slot: AnySlot, wanted: RootRef, read: ReadAttachment) -> Root | None:
        """The development slot."""
        from strongroom.sealing.slots import DevelopmentSlot

        return slot.open(wanted) if isinstance(slot, DevelopmentSlot) else None


def _identity_conforms(credential: WithIdentity) -> Credential:
    return credential


def _passphrase_conforms(credential: WithPassphrase) -> Credential:
    return credential


def _engine_conforms(credential: WithEngine) -> Credential:
    return credential


def _development_conforms(credential: WithDevelopment) -> Credential:
    return credential
