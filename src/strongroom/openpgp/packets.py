"""The outer packets of OpenPGP bytes (RFC 9580 section 4), walked without a key and without starting gpg.

What is walked is small and strict: a message is session keys for recipients, then one protected container, then
nothing. Everything else is a FormatError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.errors import FormatError

MAX_MESSAGE = 160 * 1024 * 1024
"""Bytes of ciphertext that are looked at: more than 64 MiB of plaintext ever need, armor not counted."""
MAX_RING = 16 * 1024 * 1024
"""Bytes of a keyring."""
MAX_RECIPIENTS = 1000
HIDDEN = "0" * 16
"""The key id of a recipient who does not want to be named (RFC 9580 section 5.1.8)."""

# RFC 9580 section 4.2: type 5, with a length of one, two or four octets, or in the newer form; or section 6.2, armored
_SECRET_KEY = (b"\x94", b"\x95", b"\x96", b"\xc5", b"-----BEGIN PGP PRIVATE KEY BLOCK-----")
_PKESK, _SKESK, _SED, _SEIPD, _OCB = 1, 3, 9, 18, 20
_PUBLIC_KEY = 6
_CERTIFICATE_TAGS = frozenset({2, 6, 13, 14, 17})
_LOCAL_TAGS = frozenset({12, 16, 60, 61, 62, 63})  # trust, and the comments of old keyrings
_MAX_PKESK = 64 * 1024
# RFC 9580 section 4.2.1.4 asks it of the first part only; gpg never writes a smaller one, and a message of
# millions of parts would cost seconds.
_MIN_PART = 512
_CONTAINER_VERSIONS = {_SEIPD: (1, 2), _OCB: (1,)}
_NAMES = {
    2: "a signature",
    3: "a passphrase's session key",
    4: "a signature",
    8: "compressed data that is not encrypted",
    9: "encrypted data with no integrity protection",
    11: "data that is not encrypted",
}


@dataclass(frozen=True, slots=True)
class _Packet:
    tag: int
    start: int  # of the header
    body: int
    end: int
    parted: bool  # in partial lengths: the body is not contiguous


def recipients_of(message: bytes) -> tuple[str, ...]:
    """The key ids (16 upper-case hex digits, `HIDDEN` for an unnamed one) to which a binary message is encrypted.

    FormatError for anything but public-key session keys followed by exactly one integrity-protected container that
    ends where the bytes end: armor, passphrases, plain or signed data, a truncated message, bytes behind it.
    """
    if len(message) > MAX_MESSAGE:
        raise FormatError(f"the message has {len(message)} bytes; the limit is {MAX_MESSAGE}")
    recipients: list[str] = []
    sealed = False
    for packet in _walk(message, "the message"):
        if sealed:
            raise FormatError("another packet stands behind the encrypted data")
        if packet.tag == _PKESK:
            if len(recipients) == MAX_RECIPIENTS:
                raise FormatError(f"the message has more than {MAX_RECIPIENTS} recipients")
            recipients.append(_key_id(message, packet))
        elif packet.tag in _CONTAINER_VERSIONS:
            version = message[packet.body] if packet.body < packet.end else None
            if version not in _CONTAINER_VERSIONS[packet.tag]:
                raise FormatError(f"encrypted data of version {version} is not known")
            sealed = True
        else:
            found = _NAMES.get(packet.tag, f"a packet of type {packet.tag}")
            raise FormatError(f"the message is not encrypted to recipients alone: it has {found}")
    if not sealed:
        raise FormatError("the message ends before its encrypted data")
    if not recipients:
        raise FormatError("the message has no recipient")
    return tuple(recipients)


def sealed_to(message: bytes, recipient: str) -> tuple[bytes, ...]:
    """The message for one recipient alone, once for each session key that is addressed to this key id, or `HIDDEN`.

    For a library that would try one secret key on everybody's session keys. The message is one that `recipients_of`
    accepts.
    """
    found = list(_walk(message, "the message"))
    data = message[found[-1].start :]
    return tuple(
        message[packet.start : packet.end] + data
        for packet in found
        if packet.tag == _PKESK and _key_id(message, packet) == recipient
    )


def is_ocb(message: bytes) -> bool:
    """Whether the data is in GnuPG's own OCB packet, which RFC 9580 does not have. `recipients_of` accepted it."""
    return [packet.tag for packet in _walk(message, "the message")][-1] == _OCB


def begins_with_secret_key(raw: bytes) -> bool:
    """Whether these look like a transferable secret key, as `gpg --export-secret-keys` writes it, binary or armored."""
    return raw.startswith(_SECRET_KEY)


def certificates_in(ring: bytes) -> dict[str, bytes]:
    """The transferable public keys of binary keyring bytes, by fingerprint (upper-case hex), in the ring's order.

    Signatures are not judged. What is local to a ring (trust, comments) and keys older than OpenPGP (version 3 and
    before) are left out. FormatError for any other packet that does not belong there, a secret key above all.
    """
    if len(ring) > MAX_RING:
        raise FormatError(f"the keyring has {len(ring)} bytes; the limit is {MAX_RING}")
    found: dict[str, list[bytes]] = {}
    current: list[bytes] | None = None
    for packet in _walk(ring, "the keyring"):
        if packet.tag in _LOCAL_TAGS:
            continue
        if packet.tag not in _CERTIFICATE_TAGS or packet.parted:
            raise FormatError(f"a packet of type {packet.tag} does not belong into a ring of public keys")
        if packet.tag == _PUBLIC_KEY:
            body = ring[packet.body : packet.end]
            current = [] if body[:1] in (b"\x02", b"\x03") else found.setdefault(_fingerprint(body), [])
        if current is None:
            raise FormatError("the keyring does not begin with a public key")
        current.append(ring[packet.start : packet.end])
    return {fingerprint: b"".join(parts) for fingerprint, parts in found.items()}


def _walk(raw: bytes, what: str) -> Iterator[_Packet]:
    at = 0
    while at < len(raw):
        packet = _packet(raw, at, what)
        yield packet
        at = packet.end


def _packet(raw: bytes, at: int, what: str) -> _Packet:
    first = raw[at]
    if not first & 0x80:
        kind = "armored, or not OpenPGP" if at == 0 else "followed by bytes that are not OpenPGP"
        raise FormatError(f"{what} is {kind}")
    if not first & 0x40:  # the old format: length of 1, 2 or 4 bytes, or until the end of the file
        if first & 3 == 3:
            raise FormatError(f"{what} has a packet with no stated length")
        size = 1 << (first & 3)
        length = int.from_bytes(_bytes(raw, at + 1, size, what), "big")
        return _bounded(raw, _Packet((first >> 2) & 0xF, at, at + 1 + size, at + 1 + size + length, False), what)
    tag = first & 0x3F
    start = body = at + 1
    parted = False
    while True:
        lead = _bytes(raw, start, 1, what)[0]
        if lead < 224 or lead == 255:
            break
        if tag not in (_SED, _SEIPD, _OCB, 8, 11):
            raise FormatError(f"{what} has a packet of type {tag} in parts, which only data may be")
        part = 1 << (lead & 0x1F)
        if part < _MIN_PART:
            raise FormatError(f"{what} is cut into parts of {part} bytes; the least is {_MIN_PART}")
        body = body if parted else start + 1
        parted = True
        start += 1 + part
    if lead < 192:
        end, after = start + 1 + lead, start + 1
    elif lead < 224:
        end, after = start + 2 + ((lead - 192) << 8) + _bytes(raw, start + 1, 1, what)[0] + 192, start + 2
    else:
        end, after = start + 5 + int.from_bytes(_bytes(raw, start + 1, 4, what), "big"), start + 5
    return _bounded(raw, _Packet(tag, at, body if parted else after, end, parted), what)


def _bytes(raw: bytes, at: int, count: int, what: str) -> bytes:
    found = raw[at : at + count]
    if len(found) != count:
        raise FormatError(f"{what} is truncated")
    return found


def _bounded(raw: bytes, packet: _Packet, what: str) -> _Packet:
    if packet.end > len(raw):
        raise FormatError(f"{what} is truncated")
    return packet


def _key_id(message: bytes, packet: _Packet) -> str:
    """RFC 9580 sections 5.1.1 (version 3) and 5.1.2 (version 6)."""
    body = message[packet.body : packet.end]
    if not 12 <= len(body) <= _MAX_PKESK and not (body[:2] == b"\x06\x00" and len(body) <= _MAX_PKESK):
        raise FormatError(f"a recipient's session key has {len(body)} bytes")
    if body[0] == 3:
        return body[1:9].hex().upper()
    if body[0] != 6:
        raise FormatError(f"a recipient's session key has version {body[0]}, not 3 or 6")
    size = body[1]
    if size == 0:
        return HIDDEN
    fingerprint = body[3 : 2 + size]
    if body[2] == 4 and len(fingerprint) == 20:
        return fingerprint[-8:].hex().upper()
    if body[2] in (5, 6) and len(fingerprint) == 32:
        return fingerprint[:8].hex().upper()
    raise FormatError(f"a recipient's fingerprint of key version {body[2]} has {len(fingerprint)} bytes")


def _fingerprint(body: bytes) -> str:
    """RFC 9580 section 5.5.4; version 5 is GnuPG's."""
    import hashlib  # brings OpenSSL: 3 ms that `blackbox cat`, which names no key, is spared

    version = body[0] if body else None
    if version == 4:
        framed = b"\x99" + len(body).to_bytes(2, "big") if len(body) < 65_536 else b""
        # SHA-1 is what the format says; nothing is trusted by it that gpg has not judged
        return hashlib.sha1(framed + body, usedforsecurity=False).hexdigest().upper()
    if version in (5, 6):
        framed = bytes([0x95 + version]) + len(body).to_bytes(4, "big")
        return hashlib.sha256(framed + body).hexdigest().upper()
    raise FormatError(f"a public key of version {version} is not known")
