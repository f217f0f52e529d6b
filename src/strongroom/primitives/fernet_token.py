"""Fernet's text: url-safe base64, one spelling a token. Another spelling is refused before any key is touched."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from types import ModuleType
from typing import Final

from cryptography.fernet import InvalidToken

pybase64: ModuleType | None
try:  # the extra `speed`: SIMD, about 25 times binascii at 1 MiB
    import pybase64
    import pybase64._pybase64  # its fallback in Python is slower than binascii: not worth having
except ImportError:
    pybase64 = None

# pybase64 lets the GIL go on every call, however small: with four threads and short tokens they then queue for it (the
# convoy), and 441,000 tokens a second become 169,000. binascii keeps it, and is as fast up to about this length.
SHORT: Final = 512

HEAD: Final = 9  # version 0x80, then the time: 8 bytes, big endian, seconds
IV: Final = 16
TAG: Final = 32
LEAST: Final = HEAD + IV + 16 + TAG  # the empty message; a length that holds whole blocks is LEAST + 16 n
_LEAST_TEXT: Final = 100  # its characters
_CLOCK_SKEW: Final = 60  # seconds, as in cryptography

_URL_SAFE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# binascii knows the standard alphabet only; its '+' and '/', and all that is foreign, become one byte that it refuses
_TO_STANDARD: Final = bytes(
    {ord("-"): ord("+"), ord("_"): ord("/"), ord("="): ord("=")}.get(byte, byte if byte in _URL_SAFE else ord("!"))
    for byte in range(256)
)
_TO_STANDARD_FILLED: Final = _TO_STANDARD.replace(b"=", b"A")
_TO_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_EQUALS: Final = (b"", b"=", b"==")
_ZEROS: Final = (b"", b"\0", b"\0\0")
# RFC 4648, section 3.5: the last character before one '=' carries two stray bits, before '==' four. They must be zero,
# or one token would have 4 or 16 spellings, and whoever keeps a list of tokens seen would miss fifteen of them.
_LAST: Final = {2: frozenset(_URL_SAFE[::4]), 1: frozenset(_URL_SAFE[::16])}


def encode(raw: bytes | memoryview) -> bytes:
    """The token's text, padded, url-safe."""
    if pybase64 is None or len(raw) < SHORT:
        return b2a_base64(raw, newline=False).translate(_TO_URL_SAFE)
    text: bytes = pybase64.b64encode(raw, b"-_")
    return text


def decode(token: bytes | str) -> bytes:
    """The token's bytes: version 0x80, room for a time and a tag; nothing is authentic yet.

    Raises InvalidToken for anything but the one canonical spelling: url-safe alphabet, padding in full, stray bits
    zero, no white space, nothing after the padding. TypeError for what is neither bytes nor str.
    """
    if type(token) is not bytes:
        token = _plain(token)
    try:
        if pybase64 is None or len(token) < SHORT:
            raw = a2b_base64(token.translate(_TO_STANDARD), strict_mode=True)
        elif b"+" in token or b"/" in token:  # pybase64 would take them, with a DeprecationWarning
            raise InvalidToken
        else:
            raw = pybase64.b64decode(token, b"-_", validate=True)
    except ValueError:
        raise InvalidToken from None
    size = len(raw)
    left = size % 3
    # 41: head and tag, below which nothing could be signed. The text's length is checked because binascii, strict as it
    # is, takes any number of '=' after a text that needs none.
    if (
        size < 41
        or raw[0] != 0x80
        or len(token) != (size + 2) // 3 * 4
        or (left and token[left - 4] not in _LAST[left])
    ):
        raise InvalidToken
    return raw


def encode_many(raws: Sequence[bytes]) -> list[bytes]:
    """`encode` for many short tokens, in one call of the back end."""
    whole = [raw + _ZEROS[-len(raw) % 3] for raw in raws]
    text = encode(b"".join(whole))
    tokens = []
    stop = 0
    for raw, filled in zip(raws, whole, strict=True):
        start, stop = stop, stop + len(filled) // 3 * 4
        over = len(filled) - len(raw)
        tokens.append(text[start : stop - over] + _EQUALS[over] if over else text[start:stop])
    return tokens


def decode_many(tokens: Sequence[bytes | str]) -> list[bytes]:
    """`decode` for many short tokens, in one call of the back end; all have a block of ciphertext and no broken one.

    Raises InvalidToken with the index of the first bad one.
    """
    try:
        return _decode_joined([token if type(token) is bytes else _plain(token) for token in tokens])
    except InvalidToken:
        pass
    for place, token in enumerate(tokens):
        try:
            _decode_joined([_plain(token)])
        except InvalidToken:
            raise InvalidToken(place) from None
    raise InvalidToken  # not reached: a list is good where each of its tokens is


def _decode_joined(tokens: Sequence[bytes]) -> list[bytes]:
    # Each token's length says how much padding it must end in. Where that stands, and no other '=' does, padding can be
    # read as 'A' (six zero bits) and all tokens as one text; the zero bytes after each token then prove its stray bits.
    joined = b"".join(tokens)
    equals = joined.count(b"=")
    text = joined.translate(_TO_STANDARD_FILLED)
    try:
        filled = a2b_base64(text, strict_mode=True) if pybase64 is None else pybase64.b64decode(text, None, True)
    except ValueError:
        raise InvalidToken from None
    raws = []
    stop = 0
    for token in tokens:
        size = len(token)
        start, stop = stop, stop + (size * 3 >> 2)
        over = stop - start - 9 & 15  # 9 = LEAST & 15
        if over:
            if over > 2 or not token.endswith(_EQUALS[over]) or filled[stop - over]:
                raise InvalidToken
            equals -= over
        raw = filled[start : stop - over]
        if size & 3 or size < _LEAST_TEXT or raw[0] != 0x80:
            raise InvalidToken
        raws.append(raw)
    if equals:
        raise InvalidToken
    return raws


def check_spelling(token: bytes | str) -> None:
    """Raises InvalidToken where padding or stray bits are not canonical: what another lenient decoder may not check.

    The alphabet is left to that decoder.
    """
    text = token if type(token) is bytes else _plain(token)
    padding = 2 if text.endswith(b"==") else 1 if text.endswith(b"=") else 0
    if len(text) & 3 or len(text) < 4 or (padding and text[-1 - padding] not in _LAST[3 - padding]):
        raise InvalidToken


def _plain(token: object) -> bytes:
    # exact bytes: a subclass could answer one length here and another to the cipher
    if isinstance(token, str):
        try:
            return str.encode(token, "ascii")
        except UnicodeEncodeError:
            raise InvalidToken from None
    if isinstance(token, bytes):
        return memoryview(token).tobytes()
    raise TypeError("token must be bytes or str")


def time_of(raw: bytes) -> int:
    """The token's own time in seconds. Only a verified tag makes it true."""
    return int.from_bytes(raw[1:9], "big")


def check_age(raw: bytes, ttl: int, now: int) -> None:
    """Raises InvalidToken for a token older than ttl seconds, or from more than a minute ahead."""
    made = time_of(raw)
    if made + ttl < now or now + _CLOCK_SKEW < made:
        raise InvalidToken
