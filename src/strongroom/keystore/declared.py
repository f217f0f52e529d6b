"""The keysets that strongroom.toml names: read strictly, compared with what is there, created only by `ensure`."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from strongroom.errors import FormatError, NotFoundError, PolicyError, SettingsError
from strongroom.keystore.words import COUNTS, PERIODS, PolicyWords, parse_policy, parse_purpose, parse_type
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName, parse_name
from strongroom.model.policy import Policy, check_labels
from strongroom.model.types import KeyType, Purpose, resolve_purpose

FILE_NAME = "strongroom.toml"
MAX_FILE = 1 << 20

_WORDS = (*PERIODS, "allow", *COUNTS, "exportable")
_FIELDS = ("type", "purpose", *_WORDS, "labels")
_HOW = (
    '[keysets.student-records] and type = "fernet" below it is the least; '
    "further fields are the options of strongroom create --help, with _ for -"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One `[keysets.NAME]` table."""

    name: KeysetName
    kind: KeyType
    purpose: Purpose
    words: PolicyWords
    labels: Mapping[str, str]


def default_path(base: Path | None) -> Path:
    """strongroom.toml beside the store directory."""
    if base is None:
        raise SettingsError("a store that is no directory has no strongroom.toml beside it", hint="name the file")
    return base.parent / FILE_NAME


def read(path: Path) -> tuple[Declared, ...]:
    """The keysets that the file names, in its order. Raises NotFoundError, FormatError, SettingsError."""
    try:
        raw = _read(path)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no {str(path)!r}", hint="strongroom create NAME --type TYPE makes a keyset without it"
        ) from None
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}", hint=_HOW
        ) from None
    if raw is None:
        raise FormatError(f"{str(path)!r} is not a regular file", hint=_HOW)
    if len(raw) > MAX_FILE:
        raise FormatError(f"{str(path)!r} has more than {MAX_FILE} bytes", hint=_HOW)
    try:
        tables = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{str(path)!r} is not TOML: {error}", hint=_HOW) from None
    keysets = tables.get("keysets", {})
    unknown = sorted(set(tables) - {"keysets"})
    if unknown or not isinstance(keysets, dict):
        raise FormatError(
            f"{str(path)!r} may hold [keysets.NAME] tables only, not {unknown or 'keysets of another kind'}",
            hint=_HOW,
        )
    return tuple(_declared(name, table) for name, table in keysets.items())


def _read(path: Path) -> bytes | None:
    """At most one byte more than is allowed; None for a pipe or device, which might never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_FILE + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _declared(name: str, table: object) -> Declared:
    where = f"[keysets.{name}]"
    if not isinstance(table, dict):
        raise FormatError(f"{where} is not a table", hint=f'write [keysets."{name}"] and type = "fernet" below it')
    unknown = sorted(set(table) - set(_FIELDS))
    if unknown:
        raise FormatError(f"{where} has unknown fields {unknown}; the fields are {', '.join(_FIELDS)}", hint=_HOW)
    if not isinstance(table.get("type"), str):
        raise FormatError(f"{where} names no type", hint='add a line like type = "fernet"')
    for field in ("purpose", *PERIODS, "allow"):
        if not isinstance(table.get(field), (str, type(None))):
            raise FormatError(f"{where} {field} must be text", hint=_HOW)
    for field in COUNTS:
        if isinstance(table.get(field), bool) or not isinstance(table.get(field), (int, type(None))):
            raise FormatError(f"{where} {field} must be a number", hint=_HOW)
    if not isinstance(table.get("exportable"), (bool, type(None))):
        raise FormatError(f"{where} exportable must be true or false", hint=_HOW)
    labels = table.get("labels", {})
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise FormatError(f"{where} labels must be a table of texts", hint=_HOW)
    words = cast("PolicyWords", {field: table[field] for field in _WORDS if field in table})
    # whatever creating would refuse is refused here, before the first one is created
    parse_policy(words, Policy())
    check_labels(labels)
    kind = parse_type(table["type"])
    return Declared(
        name=parse_name(name),
        kind=kind,
        purpose=resolve_purpose(kind, parse_purpose(table.get("purpose"))),
        words=words,
        labels=labels,
    )


def compare(wanted: Declared, found: Keyset) -> None:
    """Raise PolicyError where the keyset that is there is of another type or purpose than the one declared."""
    if (found.type, found.purpose) != (wanted.kind, wanted.purpose):
        raise PolicyError(
            f"{wanted.name!r} is declared as {wanted.kind.value} to {wanted.purpose.value},"
            f" but the store has {found.type.value} to {found.purpose.value}",
            hint=f"strongroom show {wanted.name}",
        )
