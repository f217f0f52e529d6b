"""What people write for types and purposes, as the model's values."""

from __future__ import annotations

import difflib

from strongroom.errors import PurposeError, SettingsError
from strongroom.model.types import KeyType, Purpose


def parse_type(kind: str | KeyType) -> KeyType:
    """The key type of that name. Raises SettingsError, with the nearest one."""
    if isinstance(kind, KeyType):
        return kind
    try:
        return KeyType(kind)
    except ValueError:
        pass
    known = [each.value for each in KeyType]
    near = difflib.get_close_matches(kind, known, n=1)
    raise SettingsError(
        f"{kind!r} is not a key type",
        hint=f"did you mean {near[0]!r}?" if near else f"the types are {', '.join(known)}",
    )


def parse_purpose(purpose: str | Purpose | None) -> Purpose | None:
    """The purpose of that name, or None. Raises PurposeError."""
    if purpose is None or isinstance(purpose, Purpose):
        return purpose
    try:
        return Purpose(purpose)
    except ValueError:
        pass
    raise PurposeError(f"{purpose!r} is not a purpose", hint=f"the purposes are {', '.join(p.value for p in Purpose)}")
