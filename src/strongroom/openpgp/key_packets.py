"""Key packets that pysequoia has no verb for: a certificate around one key, and a passphrase around a secret key.

pysequoia uses a key only as part of a certificate, and chooses among its keys by itself. So each key that we mean is
put alone into one that is made for the moment: nobody keeps its primary key, and it is written nowhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from strongroom.primitives.secret import SecretBytes

PUBLIC_KEY, SECRET_KEY, SECRET_SUBKEY, PUBLIC_SUBKEY = 6, 5, 7, 14
"""Packet types (RFC 9580 section 5)."""

_SIGNATURE = 2
_V4, _EDDSA_LEGACY, _SHA256, _AES256 = 4, 22, 8, 9
_ED25519 = bytes.fromhex("092b06010401da470f01")  # its object identifier (RFC 9580 section 9.2), with its length
_DIRECT_KEY, _SUBKEY_BINDING = 0x1F, 0x18
_CERTIFIES, _ENCRYPTS = 0x01, 0x0C  # key flags (section 5.2.3.29): communications and storage
# Section 5.2.3.32: data of version 1, which every gpg opens. Where nothing is said, sequoia writes version 2.
_FEATURES = b"\x02\x1e\x01"
_SHA1_CHECKED, _ITERATED, _GNU = 254, 3, 101  # section 5.5.3, section 3.7.1.3; GnuPG doc/DETAILS
# 65,011,712 bytes are hashed for each guess, the most that the format can say; gpg itself calibrates to some 0.1 s.
_COUNT_CODE, _COUNT = 255, (16 + 15) << (15 + 6)

_CURVES = {
    "2b060104019755010501": ("cv25519", 255),
    "2a8648ce3d030107": ("nistp256", 256),
    "2b81040022": ("nistp384", 384),
    "2b81040023": ("nistp521", 521),
    "2b2403030208010107": ("brainpoolP256r1", 256),
    "2b240303020801010b": ("brainpoolP384r1", 384),
    "2b240303020801010d": ("brainpoolP512r1", 512),
    "2b656f": ("cv448", 448),
}
_FIXED = {25: ("x25519", 255), 26: ("x448", 448)}


@dataclass(frozen=True, slots=True)
class KeyShape:
    """What kind of encryption key a key packet's body holds: its algorithm as gpg calls it, and its size."""

    algorithm: str
    bits: int


def encryption_shape(body: bytes) -> KeyShape | None:
    """The shape of a version 4 key that can encrypt by its algorithm; None for any other, whatever its flags say."""
    if len(body) < 8 or body[0] != _V4:
        return None
    algorithm = body[5]
    if algorithm in (1, 2):  # RSA
        return KeyShape("rsa", int.from_bytes(body[6:8], "big"))
    if algorithm == 18:  # ECDH
        named = _CURVES.get(body[7 : 7 + body[6]].hex())
        return KeyShape(*named) if named else None
    return KeyShape(*_FIXED[algorithm]) if algorithm in _FIXED else None


def fingerprint(public: bytes) -> str:
    """Of a version 4 key, from the body of its public packet (section 5.5.4.2)."""
    # SHA-1 is what the format says
    return hashlib.sha1(_framed(public), usedforsecurity=False).hexdigest().upper()


def is_protected(body: bytes, public_size: int) -> bool:
    """Whether the secret part behind the first `public_size` bytes wants a passphrase."""
    return body[public_size : public_size + 1] != b"\0"


def is_stub(body: bytes, public_size: int) -> bool:
    """Whether gpg exported it without its secret part, or as a reference to a card."""
    usage = body[public_size : public_size + 3]
    return not usage or (len(usage) == 3 and usage[0] >= _SHA1_CHECKED and usage[2] == _GNU)


def carrier(public: bytes, key: bytes, *, tag: int) -> bytes:
    """A new certificate whose only subkey is this one, for encryption, for ever.

    `public` is the body of the key's public packet, `key` that of the packet to carry, which may be a secret one, and
    `tag` says which.
    """
    created = public[1:5]  # a signature of the same second is not older than the key
    primary = Ed25519PrivateKey.generate()
    point = b"\x40" + primary.public_key().public_bytes_raw()
    body = bytes([_V4]) + created + bytes([_EDDSA_LEGACY]) + _ED25519 + _integer(point)
    return b"".join(
        (
            _packet(PUBLIC_KEY, body),
            _signature(primary, body, (), _DIRECT_KEY, _CERTIFIES, created),
            _packet(tag, key),
            _signature(primary, body, (public,), _SUBKEY_BINDING, _ENCRYPTS, created),
        )
    )


def protected(bodies: Sequence[tuple[int, bytes, bytes]], passphrase: SecretBytes) -> bytes:
    """A transferable secret key with its secret parts encrypted by a passphrase.

    `bodies` has each of its packets in order: the type, the body, and for a secret key the public part of the body.
    Section 5.5.3: AES-256 in CFB mode, SHA-1 as the format's check, iterated and salted SHA-256.
    """
    made = []
    for tag, body, public in bodies:
        if tag in (SECRET_KEY, SECRET_SUBKEY):
            material = body[len(public) + 1 : -2]  # behind the usage octet, before the two bytes of checksum
            salt, iv = os.urandom(8), os.urandom(16)
            check = hashlib.sha1(material, usedforsecurity=False).digest()
            encryptor = Cipher(algorithms.AES256(_stretched(passphrase, salt)), CFB(iv)).encryptor()
            usage = bytes([_SHA1_CHECKED, _AES256, _ITERATED, _SHA256]) + salt + bytes([_COUNT_CODE]) + iv
            body = public + usage + encryptor.update(material + check) + encryptor.finalize()
        made.append(_packet(tag, body))
    return b"".join(made)


def _stretched(passphrase: SecretBytes, salt: bytes) -> bytes:
    """Section 3.7.1.3: the salt and the passphrase over and over, for so many bytes."""
    once = salt + passphrase.reveal()
    block = once * (65_536 // len(once) + 1)
    digest = hashlib.sha256()
    whole, rest = divmod(_COUNT, len(block))
    for _ in range(whole):
        digest.update(block)
    digest.update(block[:rest])
    return digest.digest()


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 255]) + len(body).to_bytes(4, "big") + body


def _framed(body: bytes) -> bytes:
    """A key as signatures and fingerprints of version 4 hash it."""
    return b"\x99" + len(body).to_bytes(2, "big") + body


def _integer(number: bytes) -> bytes:
    """A multiprecision integer (section 3.2)."""
    stripped = number.lstrip(b"\0")
    return int.from_bytes(stripped, "big").bit_length().to_bytes(2, "big") + stripped


def _signature(
    signer: Ed25519PrivateKey, primary: bytes, others: tuple[bytes, ...], kind: int, flags: int, created: bytes
) -> bytes:
    """A version 4 signature over keys (section 5.2.4), with the time it was made and what the key is for."""
    framed = b"".join(_framed(body) for body in (primary, *others))
    issuer = bytes.fromhex(fingerprint(primary))
    hashed = b"\x05\x02" + created + b"\x02\x1b" + bytes([flags]) + _FEATURES + b"\x16\x21\x04" + issuer
    head = bytes([_V4, kind, _EDDSA_LEGACY, _SHA256]) + len(hashed).to_bytes(2, "big") + hashed
    digest = hashlib.sha256(framed + head + b"\x04\xff" + len(head).to_bytes(4, "big")).digest()
    made = signer.sign(digest)
    return _packet(_SIGNATURE, head + b"\0\0" + digest[:2] + _integer(made[:32]) + _integer(made[32:]))
