"""Which keys of a transferable public key count. pysequoia judges every signature; its verdicts are asked one by one.

It shows no subkeys. But it encrypts to a certificate's valid ones, so a certificate with one subkey alone, and with
one set of signatures alone, is encrypted to: whether that works is the verdict on exactly these signatures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import pysequoia
from pysequoia.packet import Packet, PacketPile, Tag

from strongroom.openpgp import packets
from strongroom.openpgp.engine import Certificate, Subkey
from strongroom.openpgp.key_packets import encryption_shape
from strongroom.openpgp.native import attempt

_SUBKEY_BINDING, _KEY_REVOCATION, _SUBKEY_REVOCATION, _UID_REVOCATION = 0x18, 0x20, 0x28, 0x30
_REVOCATIONS = frozenset({_KEY_REVOCATION, _SUBKEY_REVOCATION, _UID_REVOCATION})
# A ring's writer may add what he likes. gpg's own limits are its time; these keep one certificate below a second.
_MAX_PACKETS = 500
_MAX_BINDINGS = 8


@dataclass(frozen=True, slots=True)
class Judged:
    """A certificate, the fingerprints of all its keys, and the body of each encryption key's public packet."""

    certificate: Certificate
    fingerprints: tuple[str, ...]
    bodies: Mapping[str, bytes] = field(repr=False)

    def with_secrets(self, fingerprints: Iterable[str]) -> Judged:
        """The same, where the secret halves of these keys are at hand."""
        has = any(subkey.fingerprint in fingerprints for subkey in self.certificate.encryption_subkeys)
        return replace(self, certificate=replace(self.certificate, has_secret=has))


@dataclass(slots=True)
class _Section:
    """A key or user id, and its owner's signatures behind it."""

    packet: Packet
    signatures: list[Packet] = field(default_factory=list)

    def encoded(self, *, without: int | None = None) -> bytes:
        kept = (each for each in self.signatures if without is None or _kind(each) != without)
        return bytes(self.packet) + b"".join(bytes(each) for each in kept)


def judge_ring(ring: bytes) -> tuple[Judged, ...]:
    """The certificates of binary keyring bytes that have a valid signature of their own, in the ring's order.

    FormatError as `packets.certificates_in`. Left out are keys of other versions than 4, which BlackBox's gpg cannot
    read, and those that the library's policy does not accept at all.
    """
    found = (attempt(partial(_judged, block)) for block in packets.certificates_in(ring).values())
    return tuple(each for each in found if each is not None)


def _judged(block: bytes) -> Judged | None:
    sections = _sections(block)
    if not sections:
        return None
    owner, *others = sections
    transferable = b"".join(section.encoded() for section in sections)
    judged = pysequoia.Cert.from_bytes(transferable)
    ends = judged.expiration  # raises where no signature of the owner's counts
    revoked = judged.is_revoked
    uids = tuple(str(uid) for uid in judged.user_ids)
    if not uids:
        return None
    expires = None if ends is None else int(ends.timestamp())
    head = owner.encoded(without=_KEY_REVOCATION) + b"".join(
        section.encoded() for section in others if section.packet.tag == Tag.UserID
    )
    keys = [owner, *(section for section in others if section.packet.tag == Tag.PublicSubkey)]
    subkeys = [
        _primary(head, owner, expires, revoked=revoked),
        *(_subkey(head, each, owner_revoked=revoked) for each in keys[1:]),
    ]
    able = tuple(subkey for subkey in subkeys if subkey is not None)
    bodies = {_fingerprint(section.packet): section.packet.body for section in keys}
    return Judged(
        certificate=Certificate(
            fingerprint=_fingerprint(owner.packet),
            uids=uids,
            created=_created(owner.packet),
            expires=expires,
            revoked=revoked,
            disabled=False,
            encryption_subkeys=able,
            transferable=transferable,
            has_secret=False,
        ),
        fingerprints=tuple(bodies),
        bodies={subkey.fingerprint: bodies[subkey.fingerprint] for subkey in able},
    )


def _sections(block: bytes) -> list[_Section]:
    """The parts of a version 4 key, with its owner's signatures and whatever revokes; empty where it is none.

    What others certify proves nothing to us, and pictures are not carried along.
    """
    sections: dict[bytes, _Section] = {}  # one that stands there twice, from two exports, is one
    current: _Section | None = None
    owner: Packet | None = None
    for count, packet in enumerate(PacketPile.from_bytes(block)):
        if count == _MAX_PACKETS:
            return []
        if packet.tag == Tag.Signature:
            if current is not None and owner is not None and _belongs(packet, owner):
                current.signatures.append(packet)
        elif packet.tag in (Tag.PublicKey, Tag.PublicSubkey, Tag.UserID):
            owner = owner or packet
            current = sections.setdefault(bytes(packet), _Section(packet))
        else:
            current = None
    return list(sections.values()) if owner is not None and owner.body[:1] == b"\x04" else []


def _belongs(signature: Packet, owner: Packet) -> bool:
    kind = _kind(signature)
    by_owner = signature.issuer_fingerprint == owner.fingerprint or signature.issuer_key_id == owner.key_id
    return kind in _REVOCATIONS or (kind is not None and by_owner)


def _primary(head: bytes, section: _Section, expires: int | None, *, revoked: bool) -> Subkey | None:
    """The primary key as an encryption key, which it is for old RSA keys only."""
    shape = encryption_shape(section.packet.body)
    if shape is None or _key_id(section.packet) not in _reached(head):
        return None
    return Subkey(
        fingerprint=_fingerprint(section.packet),
        key_id=_key_id(section.packet),
        created=_created(section.packet),
        expires=expires,
        revoked=revoked,
        algorithm=shape.algorithm,
        bits=shape.bits,
    )


def _subkey(head: bytes, section: _Section, *, owner_revoked: bool) -> Subkey | None:
    """The subkey as an encryption key, expired and revoked ones too; None where its owner did not make it one."""
    key = section.packet
    shape, key_id = encryption_shape(key.body), _key_id(key)
    if shape is None or key_id not in _reached(head + section.encoded(without=_SUBKEY_REVOCATION)):
        return None
    revocations = any(_kind(each) == _SUBKEY_REVOCATION for each in section.signatures)
    created = _created(key)
    lasts = _lasts(head, section)
    return Subkey(
        fingerprint=_fingerprint(key),
        key_id=key_id,
        created=created,
        expires=created + lasts if lasts else None,
        revoked=owner_revoked or (revocations and key_id not in _reached(head + section.encoded())),
        algorithm=shape.algorithm,
        bits=shape.bits,
    )


def _lasts(head: bytes, section: _Section) -> int | None:
    """Seconds of life, as the newest valid binding says; what is no binding may stand there, too."""
    bindings = [each for each in section.signatures if _kind(each) == _SUBKEY_BINDING and each.signature_created]
    bindings.sort(key=lambda each: each.signature_created.timestamp() if each.signature_created else 0, reverse=True)
    for binding in bindings[:_MAX_BINDINGS]:
        alone = head + bytes(section.packet) + bytes(binding)
        if len(bindings) == 1 or _key_id(section.packet) in _reached(alone):
            period = binding.key_validity_period
            return None if period is None else int(period.total_seconds())
    raise ValueError("no binding counts alone")  # to `attempt`: the certificate is left out


def _reached(certificate: bytes) -> frozenset[str]:
    """To which of its keys pysequoia encrypts: valid, not revoked, for encryption; expired ones where no other is."""
    made = attempt(lambda: pysequoia.encrypt(b"", recipients=[pysequoia.Cert.from_bytes(certificate)], armor=False))
    return frozenset(packets.recipients_of(made)) if made is not None else frozenset()


def _kind(signature: Packet) -> int | None:
    """The signature's type; None for other versions than 4. RFC 9580 section 5.2.3."""
    body = signature.body
    return body[1] if len(body) > 1 and body[0] == 4 else None


def _fingerprint(key: Packet) -> str:
    return (key.fingerprint or "").upper()


def _key_id(key: Packet) -> str:
    return (key.key_id or "").upper()


def _created(key: Packet) -> int:
    return int(key.key_created.timestamp()) if key.key_created is not None else 0
