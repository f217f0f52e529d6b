"""Names and numbers by which keysets, versions, stores and roots are known. A parsed name is safe as a path."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from typing import NewType

from strongroom.errors import FormatError, InvalidNameError

KeysetName = NewType("KeysetName", str)
"""A name that `parse_name` let through: safe as a relative path on every system that git knows."""

KeyId = NewType("KeyId", int)
"""32 random bits that mark a version in ciphertexts (Tink's output prefix); never zero."""

Revision = NewType("Revision", int)
"""Counts the changes of a keyset from 1; a record is written with the revision that it replaces."""

StoreId = NewType("StoreId", bytes)
"""16 random bytes, drawn when the store is made."""

RootId = NewType("RootId", bytes)
"""16 bytes derived from a root key; records and headers name their root by it."""

MAX_NAME = 200
"""Bytes of the longest name: with a store's own directories it stays below the path limits of common systems."""

ID_SIZE = 16
"""Bytes of a store id and of a root id."""

_SEGMENT = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,7}}")
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
# .gpg is BlackBox's own ending, .json is ours, .lock is git's and ours; a directory x.git is taken for a repository.
_ENDINGS = (".gpg", ".git", ".lock", ".json")
_RESERVED = "strongroom."


def is_reserved(name: str) -> bool:
    """Whether a name belongs to the store itself."""
    return name.startswith(_RESERVED)


def parse_name(text: str, *, reserved: bool = False) -> KeysetName:
    """The keyset name that `text` is: one to eight segments of `a-z 0-9 . _ -` joined by `/`, at most 200 bytes.

    A segment starts and ends with a letter or digit, has at most 64 characters and no two dots in a row, is no Windows
    device name and does not end like a file of git, BlackBox or a store. Names whose first segment starts with
    `strongroom.` are the store's own: only `reserved=True` lets them through. Anything else is an InvalidNameError.
    """
    if not isinstance(text, str):  # callers without a type checker
        raise InvalidNameError(f"a keyset's name is text, and this is {type(text).__name__}")
    # fullmatch, because '$' would let a line end through (DESIGN section 12)
    if len(text) > MAX_NAME or _NAME.fullmatch(text) is None or ".." in text:
        raise _refused(text, "is not a keyset name")
    for segment in text.split("/"):
        if segment.partition(".")[0] in _DEVICES:
            raise _refused(text, f"holds {segment!r}, which Windows takes for a device")
        if segment.endswith(_ENDINGS):
            raise _refused(text, f"holds {segment!r}, whose ending belongs to git, BlackBox or the store")
    if is_reserved(text) and not reserved:
        raise _refused(text, "is reserved for the store itself")
    return KeysetName(text)


def _refused(text: str, problem: str) -> InvalidNameError:
    shown = repr(text) if len(text) <= MAX_NAME else f"{text[:40]!r}… ({len(text)} characters)"
    return InvalidNameError(
        f"{shown} {problem}",
        hint="write it like student-records or billing/api-token: segments of a-z, 0-9, '.', '_', '-', joined by '/';"
        " free text goes into a label",
    )


def draw_key_id(taken: Collection[int]) -> KeyId:
    """A random key id that is not zero and not in `taken`: within a keyset it must find one version only."""
    while True:
        key_id = secrets.randbits(32)
        if key_id and key_id not in taken:
            return KeyId(key_id)


def format_key_id(key_id: KeyId) -> str:
    """Eight lower-case hexadecimal digits."""
    return f"{key_id:08x}"


def parse_key_id(text: str) -> KeyId:
    """The inverse of format_key_id; any other spelling, and zero, is a FormatError."""
    try:
        key_id = int(text, 16)
    except ValueError:
        key_id = 0
    # int() also reads '+1', '0x1', '1_0' and digits of other scripts: only what we would write ourselves is right
    if not 0 < key_id < 1 << 32 or f"{key_id:08x}" != text:
        raise FormatError(f"{text[:40]!r} is not a key id: eight lower-case hexadecimal digits, not all zero")
    return KeyId(key_id)
