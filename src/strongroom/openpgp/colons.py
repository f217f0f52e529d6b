"""gpg's key listings (`--with-colons`, GnuPG doc/DETAILS) become certificates. A uid in them is a stranger's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from strongroom.errors import OpenPGPError
from strongroom.openpgp.engine import Certificate, Subkey

MAX_LISTING = 16 * 1024 * 1024
"""Bytes of one listing."""

_ALGORITHMS = {
    "1": "rsa",
    "2": "rsa",
    "3": "rsa",
    "16": "elgamal",
    "17": "dsa",
    "18": "ecdh",
    "19": "ecdsa",
    "22": "eddsa",
}
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([nrfvb0]))")
_SHORT = {b"n": b"\n", b"r": b"\r", b"f": b"\f", b"v": b"\v", b"b": b"\b", b"0": b"\0"}
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")


@dataclass(slots=True)
class _Key:
    """A pub or sub record, and the fpr record behind it."""

    row: list[str]
    fingerprint: str = ""


@dataclass(slots=True)
class _Block:
    primary: _Key
    subkeys: list[_Key] = field(default_factory=list)
    uids: list[str] = field(default_factory=list)


def parse(listing: bytes, *, transferable: Mapping[str, bytes]) -> tuple[Certificate, ...]:
    """The certificates of a `--with-colons --fixed-list-mode --with-subkey-fingerprint --with-secret` listing.

    `transferable` has the public key of each, by fingerprint; one that is missing there has empty bytes. Keys and
    user ids whose own signature gpg did not accept are left out, and so are revoked user ids of a key that is not.
    """
    return tuple(_certificate(block, transferable) for block in _blocks(listing))


def unescape(text: bytes) -> str:
    r"""A field's text: gpg writes colons, backslashes and control characters as \x3a, and some as \n."""
    return _ESCAPE.sub(_unescaped, text).decode("utf-8", "backslashreplace")


def _counts(validity: str, block: _Block) -> bool:
    """gpg calls every user id of a revoked key revoked; messages must still be able to name whose key it was."""
    return validity != "i" and (validity != "r" or block.primary.row[1] == "r")


def _unescaped(found: re.Match[bytes]) -> bytes:
    return _SHORT[found[2]] if found[2] else bytes.fromhex(found[1].decode("ascii"))


def _blocks(listing: bytes) -> list[_Block]:
    blocks: list[_Block] = []
    key: _Key | None = None
    for line in listing.split(b"\n"):
        kind, *_ = raw = line.split(b":")
        if kind in (b"pub", b"sec", b"sub", b"ssb"):
            if len(raw) < 15:
                raise OpenPGPError(f"gpg listed a key in {len(raw)} fields")
            key = _Key([text.decode("utf-8", "backslashreplace") for text in raw])
            if kind in (b"pub", b"sec"):
                blocks.append(_Block(key))
            elif blocks:
                blocks[-1].subkeys.append(key)
        elif kind == b"fpr" and key is not None and len(raw) > 9:
            key.fingerprint = key.fingerprint or raw[9].decode("ascii", "backslashreplace")
        elif kind == b"uid" and blocks and len(raw) > 9 and _counts(raw[1].decode("ascii", "replace"), blocks[-1]):
            blocks[-1].uids.append(unescape(raw[9]))
    return blocks


def _certificate(block: _Block, transferable: Mapping[str, bytes]) -> Certificate:
    row = block.primary.row
    fingerprint = _fingerprint(block.primary)
    able = [key for key in (block.primary, *block.subkeys) if "e" in key.row[11] and key.row[1] != "i"]
    return Certificate(
        fingerprint=fingerprint,
        uids=tuple(block.uids),
        created=_seconds(row[5]) or 0,
        expires=_seconds(row[6]),
        revoked=row[1] == "r",
        disabled="D" in row[11],
        encryption_subkeys=tuple(_subkey(key) for key in able),
        transferable=transferable.get(fingerprint, b""),
        # "+" is a key on disk, a serial number one on a card; "#" or nothing is no key
        has_secret=any(key.row[14] not in ("", "#") for key in able),
    )


def _subkey(key: _Key) -> Subkey:
    row = key.row
    curve = row[16] if len(row) > 16 else ""
    return Subkey(
        fingerprint=_fingerprint(key),
        key_id=row[4],
        created=_seconds(row[5]) or 0,
        expires=_seconds(row[6]),
        revoked=row[1] == "r",
        algorithm=curve or _ALGORITHMS.get(row[3], row[3]),
        bits=int(row[2]) if row[2].isascii() and row[2].isdigit() else 0,
    )


def _fingerprint(key: _Key) -> str:
    if _FINGERPRINT.fullmatch(key.fingerprint) is None:
        raise OpenPGPError(f"gpg listed a key with the fingerprint {key.fingerprint[:80]!r}")
    return key.fingerprint


def _seconds(text: str) -> int | None:
    """Seconds since the epoch; gpg writes dates beyond its integers as 19660205T091500."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return int(datetime.strptime(text + "+0000", "%Y%m%dT%H%M%S%z").timestamp())
    except ValueError:
        raise OpenPGPError(f"gpg listed the date {text[:40]!r}") from None
