"""Encryption of files in segments. Each opens only at its place, and the last one only at the end.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance, CRYPTO 2015), laid out as Tink's AES256_GCM_HKDF streaming AEAD with segments of 64 KiB, behind the
five bytes that tell the version:

    stream  = prefix ‖ 28 (hexadecimal) ‖ salt (32 random bytes) ‖ N (7 random bytes) ‖ segments
    K       = HKDF-SHA256(key, salt, info = associated data, 32 bytes)
    segment = AES-256-GCM(K, IV = N ‖ number (4, big-endian) ‖ 01 if it is the last, else 00), no associated data

A segment takes 65,536 bytes of the stream with its tag, the first one with the header; the last may be shorter.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom._encoding import encode_fields
from strongroom.errors import DecryptionError, FormatError, PolicyError
from strongroom.primitives.aead import KEY_LENGTH, TAG_LENGTH
from strongroom.primitives.kdf import hkdf_sha256
from strongroom.primitives.opaque import Opaque
from strongroom.primitives.secret import SecretBytes

SEGMENT: Final = 65_536
SALT_LENGTH: Final = 32
NONCE_LENGTH: Final = 7
HEADER_LENGTH: Final = 1 + SALT_LENGTH + NONCE_LENGTH
FIRST: Final = SEGMENT - HEADER_LENGTH - TAG_LENGTH
"""Bytes of plaintext in the first segment, if it is full."""
OTHER: Final = SEGMENT - TAG_LENGTH
"""Bytes of plaintext in each of the others."""

_MAX_SEGMENTS: Final = 1 << 32
_FAILED: Final = "the stream does not open with this associated data"
_UNSAID: Final = "associated data is said, never None: b'' says that there is none"
_PURPOSE: Final = encode_fields(b"strongroom/1 streams")


class StreamKey(Opaque):
    """What seals and opens streams. Every stream is under a key of its own, so there is no limit to their number."""

    __slots__ = ("_key", "prefix")

    def __init__(self, key: SecretBytes, prefix: bytes) -> None:
        if len(key) != KEY_LENGTH:
            raise FormatError(f"a key for streams has {KEY_LENGTH} bytes, not {len(key)}")
        self._key = key
        self.prefix = prefix

    @classmethod
    def of(cls, material: SecretBytes, prefix: bytes) -> StreamKey:
        """The key for streams that belongs to an AEAD version: derived, for one key has one use (SP 800-57, 5.2)."""
        return cls(hkdf_sha256(material, salt=b"", info=_PURPOSE, length=KEY_LENGTH), prefix)

    def seal(self, associated_data: bytes) -> StreamSealer:
        """A new stream under a new salt."""
        if associated_data is None:  # as for messages: a binding must not be lost in silence
            raise TypeError(_UNSAID)
        salt, nonce = os.urandom(SALT_LENGTH), os.urandom(NONCE_LENGTH)
        header = self.prefix + bytes([HEADER_LENGTH]) + salt + nonce
        return StreamSealer(header, self._cipher(salt, associated_data), nonce)

    def open(self, header: bytes, associated_data: bytes) -> StreamOpener:
        """The opener of the stream with this header, prefix included. DecryptionError where it is none of ours."""
        if associated_data is None:
            raise TypeError(_UNSAID)
        start = len(self.prefix)
        if len(header) != start + HEADER_LENGTH or not header.startswith(self.prefix) or header[start] != HEADER_LENGTH:
            raise DecryptionError(_FAILED)
        salt, nonce = header[start + 1 : start + 1 + SALT_LENGTH], header[-NONCE_LENGTH:]
        return StreamOpener(self._cipher(salt, associated_data), nonce)

    def _cipher(self, salt: bytes, associated_data: bytes) -> AESGCM:
        return AESGCM(hkdf_sha256(self._key, salt=salt, info=associated_data, length=KEY_LENGTH).reveal())


class StreamSealer(Opaque):
    """Seals one stream: `update` with the plaintext in pieces of any size, then `finish`, once."""

    __slots__ = ("_cipher", "_held", "_nonce", "_number", "header")

    def __init__(self, header: bytes, cipher: AESGCM, nonce: bytes) -> None:
        self.header = header
        """What the stream begins with; it is not in what `update` and `finish` return."""
        self._cipher: AESGCM | None = cipher
        self._nonce = nonce
        self._number = 0
        self._held = bytearray()

    def update(self, plaintext: bytes) -> bytes:
        """The segments that are whole by now. The last one always waits for `finish`: only then it is known as such."""
        held = self._held
        held += plaintext
        whole: list[bytes] = []
        start, room = 0, FIRST if self._number == 0 else OTHER
        while len(held) - start > room:
            whole.append(self._segment(bytes(memoryview(held)[start : start + room]), last=False))
            start += room
            room = OTHER
        del held[:start]
        return b"".join(whole)

    def finish(self) -> bytes:
        """The last segment. Nothing may follow it."""
        last = self._segment(bytes(self._held), last=True)
        self._cipher = None
        self._held.clear()
        return last

    def _segment(self, plaintext: bytes, *, last: bool) -> bytes:
        if self._cipher is None:
            raise PolicyError("this stream is finished")
        if self._number >= _MAX_SEGMENTS:
            raise PolicyError(f"a stream has at most {_MAX_SEGMENTS} segments of {SEGMENT} bytes")
        iv = _iv(self._nonce, self._number, last=last)
        self._number += 1
        return self._cipher.encrypt(iv, plaintext, None)


class StreamOpener(Opaque):
    """Opens the segments of one stream, in any order."""

    __slots__ = ("_cipher", "_nonce")

    def __init__(self, cipher: AESGCM, nonce: bytes) -> None:
        self._cipher = cipher
        self._nonce = nonce

    def segment(self, ciphertext: bytes, *, number: int, last: bool) -> bytes:
        """The plaintext of the segment with this number. DecryptionError, which does not say why."""
        if TAG_LENGTH <= len(ciphertext) <= SEGMENT and 0 <= number < _MAX_SEGMENTS:
            try:
                return self._cipher.decrypt(_iv(self._nonce, number, last=last), ciphertext, None)
            except InvalidTag:
                pass
        raise DecryptionError(_FAILED)


class Layout:
    """Where what lies in a stream of `total` bytes behind a prefix. It is arithmetic only: nothing is authentic."""

    __slots__ = ("last", "length", "prefix", "total")

    def __init__(self, total: int, *, prefix: int) -> None:
        body = total - prefix
        # the last segment holds its tag and, if it is not the first, a byte: no writer ends with an empty one
        tail = (body - 1) % SEGMENT + 1
        if body < HEADER_LENGTH + TAG_LENGTH or (body > SEGMENT and tail <= TAG_LENGTH):
            raise DecryptionError(_FAILED)
        self.total = total
        self.prefix = prefix
        self.last = (body - 1) // SEGMENT
        """The number of the last segment."""
        self.length = body - HEADER_LENGTH - TAG_LENGTH * (self.last + 1)
        """Bytes of plaintext."""

    def span(self, number: int) -> tuple[int, int]:
        """Where the ciphertext of a segment begins and ends in the stream."""
        start = self.prefix + number * SEGMENT
        return (start + HEADER_LENGTH if number == 0 else start), min(start + SEGMENT, self.total)

    @staticmethod
    def find(offset: int) -> tuple[int, int]:
        """The segment that holds this byte of the plaintext, and where that segment's plaintext begins."""
        if offset < FIRST:
            return 0, 0
        number = 1 + (offset - FIRST) // OTHER
        return number, FIRST + (number - 1) * OTHER


def sealed_length(length: int, *, prefix: int) -> int:
    """How long the stream of a plaintext of this length is."""
    segments = 1 if length <= FIRST else 1 + -(-(length - FIRST) // OTHER)
    return prefix + HEADER_LENGTH + length + TAG_LENGTH * segments


def _iv(nonce: bytes, number: int, *, last: bool) -> bytes:
    return nonce + number.to_bytes(4, "big") + (b"\x01" if last else b"\x00")
