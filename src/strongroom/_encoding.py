"""How values become bytes and text: one way each, and no second reading of the same bytes."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import NewType

from strongroom.errors import FormatError, SettingsError

Timestamp = NewType("Timestamp", int)
"""Milliseconds since 1970-01-01T00:00:00Z."""

# base64url to base64; '+', '/' and '=' become what no alphabet holds, so that strict mode refuses them
_B64_URL = bytes.maketrans(b"-_+/=", b"+/!!!")
_B64_PADDING = (b"", b"", b"==", b"=")
_B64_LAST = (None, None, frozenset("AQgw"), frozenset("AEIMQUYcgkosw048"))
# hour 24 is named because later Pythons read it as the next day's midnight: a second spelling
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"(0|[1-9][0-9]{0,8})(s|m|h|d|w)")
_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


def encode_fields(*fields: bytes) -> bytes:
    """Join fields so that no two lists give the same bytes: each goes behind its length, 4 bytes big-endian."""
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def b64encode(raw: bytes) -> str:
    """base64url without padding (RFC 4648 section 5, section 3.2)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def b64decode(text: str) -> bytes:
    """The bytes of canonical base64url without padding; anything else is a FormatError that does not quote it."""
    over = len(text) % 4
    try:
        padded = text.encode("ascii").translate(_B64_URL) + _B64_PADDING[over]
        raw = binascii.a2b_base64(padded, strict_mode=True)
    except ValueError:
        raise FormatError(f"{len(text)} characters are not base64url without padding") from None
    last = _B64_LAST[over]
    if last is not None and text[-1] not in last:  # stray bits behind the last byte (RFC 4648 section 3.5)
        raise FormatError(f"{len(text)} characters are not canonical base64url")
    return raw


def format_time(at: Timestamp) -> str:
    """UTC as 2026-11-23T20:43:12.123Z: fixed width, so that text order is time order."""
    seconds, milliseconds = divmod(at, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def parse_time(text: str) -> Timestamp:
    """The inverse of format_time; any other spelling is a FormatError."""
    if _TIME.fullmatch(text) is None:
        raise FormatError(f"{text[:40]!r} is not a time like 2026-11-23T20:43:12.123Z")
    try:
        since = datetime.fromisoformat(text) - _EPOCH
    except ValueError:
        raise FormatError(f"{text!r} is not a time that exists") from None
    return Timestamp((since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000)


def format_count(number: int, noun: str) -> str:
    """`1 keyset`, `2 keysets`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def parse_duration(text: str) -> int:
    """Seconds of a duration like 90d, 24h, 15m, 30s or 2w."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise SettingsError(f"{text[:40]!r} is not a duration", hint="write it like 90d, 24h, 15m, 30s or 2w")
    return int(found[1]) * _UNITS[found[2]]


def format_duration(seconds: int) -> str:
    """The shortest duration that parse_duration reads back as so many seconds."""
    for unit, size in _UNITS.items():
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
