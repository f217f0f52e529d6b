"""The secret keys of one identity, each ready to open what is sealed to it, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

import pysequoia
from pysequoia.packet import PacketPile, Tag

from strongroom.errors import IdentityError, PassphraseError
from strongroom.openpgp import key_packets
from strongroom.openpgp.native import attempt
from strongroom.primitives.secret import SecretBytes


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One secret key that can decrypt. `carried` is a transferable secret key with it alone; see `key_packets`."""

    fingerprint: str
    protected: bool
    carried: SecretBytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """As messages name their recipients."""
        return self.fingerprint[-16:]

    def unlocked(self, passphrase: SecretBytes | None) -> pysequoia.PyDecryptor:
        """What opens messages. PassphraseError where it wants another passphrase than this, or any at all."""
        given = passphrase if self.protected else None
        if self.protected and not given:
            raise PassphraseError(
                "the identity's secret key is protected by a passphrase, and none was given",
                hint="set STRONGROOM_PASSPHRASE_FILE",
            )
        made = attempt(lambda: self._decryptor(given))
        if made is not None:
            return made
        if self.protected:
            raise PassphraseError(
                "the passphrase of the secret key is wrong",
                hint="strongroom doctor says where the passphrase was taken from",
            )
        raise IdentityError(
            f"sequoia does not use the identity's secret key {self.fingerprint}: too weak, or dated in the future",
            hint="strongroom role create NAME",
        )

    def _decryptor(self, passphrase: SecretBytes | None) -> pysequoia.PyDecryptor:
        # sequoia takes text; a passphrase of other bytes raises, and so counts as a wrong one
        password = None if passphrase is None else passphrase.reveal().decode("utf-8")
        return pysequoia.Tsk.from_bytes(self.carried.reveal()).decryptor(password)


@dataclass(frozen=True, slots=True)
class Held:
    """What an identity holds: its secret keys, and the ring of its public ones."""

    keys: tuple[SecretKey, ...]
    ring: bytes


def read_identity(identity: SecretBytes) -> Held:
    """The keys of one or more transferable secret keys, binary or armored. IdentityError where there is none.

    Expired and revoked ones count: they open what they once received. Keys whose secret part is elsewhere, on a card
    or left out at the export, do not.
    """
    held = attempt(lambda: _read(identity))
    if held is None or not held.keys:
        raise IdentityError("the identity holds no OpenPGP secret key", hint="strongroom role create NAME")
    return held


def secret_packets(identity: SecretBytes) -> list[tuple[int, SecretBytes, bytes]]:
    """Each packet of transferable secret keys: its type, its body, and for a secret key the body's public part."""
    public = {
        packet.fingerprint: packet.body
        for packet in PacketPile.from_bytes(_ring(identity))
        if packet.tag in (Tag.PublicKey, Tag.PublicSubkey)
    }
    return [
        (int(packet.tag), SecretBytes(packet.body), public.get(packet.fingerprint, b""))
        for packet in PacketPile.from_bytes(identity.reveal())
    ]


def _ring(identity: SecretBytes) -> bytes:
    return b"".join(bytes(certificate) for certificate in pysequoia.Cert.split_bytes(identity.reveal()))


def _read(identity: SecretBytes) -> Held:
    keys = [
        key
        for tag, body, public in secret_packets(identity)
        if tag in (key_packets.SECRET_KEY, key_packets.SECRET_SUBKEY)
        for key in _usable(body, public)
    ]
    return Held(keys=tuple(keys), ring=_ring(identity))


def _usable(body: SecretBytes, public: bytes) -> list[SecretKey]:
    raw = body.reveal()
    if key_packets.encryption_shape(public) is None or key_packets.is_stub(raw, len(public)):
        return []
    carried = key_packets.carrier(public, raw, tag=key_packets.SECRET_SUBKEY)
    return [
        SecretKey(
            fingerprint=key_packets.fingerprint(public),
            protected=key_packets.is_protected(raw, len(public)),
            carried=SecretBytes(carried),
        )
    ]
