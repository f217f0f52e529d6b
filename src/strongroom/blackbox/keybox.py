"""gpg's keybox file, read as bytes: the OpenPGP certificates in it. Nothing is started, nothing is trusted."""

from __future__ import annotations

from strongroom.errors import FormatError

MAX_RING = 16 * 1024 * 1024
"""Bytes of a tracked keyring that are read."""

_FIRST = 1
_OPENPGP = 2
_MAGIC = b"KBXf"


def is_keybox(raw: bytes) -> bool:
    """Whether these are a keybox (the first blob's magic), and not a row of OpenPGP packets."""
    return raw[8:12] == _MAGIC and raw[4:5] == bytes((_FIRST,))


def certificates(raw: bytes, *, what: str) -> bytes:
    """The transferable public keys of a keybox, one after the other, as `gpg --import` reads them.

    The layout is that of kbx/keybox-blob.c in GnuPG 2.2: each blob begins with its length (4 bytes, big-endian) and its
    type; an OpenPGP blob has the place and length of its key block at bytes 8 and 12. A deleted key leaves a blob of
    type 0. FormatError where a blob does not fit.
    """
    found: list[bytes] = []
    position = 0
    while position < len(raw):
        length = int.from_bytes(raw[position : position + 4], "big")
        blob = raw[position : position + length]
        if length < 5 or len(blob) != length:
            raise FormatError(f"{what!r} is no sound keybox: the blob at byte {position} has length {length}")
        if blob[4] == _OPENPGP:
            start, size = int.from_bytes(blob[8:12], "big"), int.from_bytes(blob[12:16], "big")
            if length < 16 or not size or start < 16 or start + size > length:
                raise FormatError(f"{what!r} is no sound keybox: the key in the blob at byte {position} is outside it")
            found.append(blob[start : start + size])
        position += length
    return b"".join(found)
