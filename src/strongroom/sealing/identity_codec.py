"""An identity file as JSON. White space is free, because it is pasted into variables; all else has one spelling.

No function here raises while plain key bytes are among its locals (STYLE section 6): a parser returns what was wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from strongroom._encoding import b64decode, b64encode
from strongroom.errors import FormatError, IdentityError, NewerFormatError
from strongroom.primitives.secret import SecretBytes

FORMAT: Final = "strongroom/1 identity"
KINDS: Final = ("openpgp", "rsa", "hpke", "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """How the private part is protected with a passphrase: Argon2id's salt and cost."""

    salt: bytes
    memory_kib: int
    iterations: int
    lanes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIdentity:
    """What an identity file says. `private` is still wrapped where there is a `protection`.

    `details` holds the fields that only this kind has, in the order of the file: for openpgp `fingerprint`; for hpke
    `suite` and `public`; for rsa `public`; for worker `group`, `issuer` and `public`.
    """

    kind: str
    name: str
    store: str | None
    details: dict[str, str]
    protection: Protection | None
    private: SecretBytes


class _Protection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    salt: str
    memory_kib: int
    iterations: int
    lanes: int


class _Common(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    kind: str
    name: str
    store: str | None


class _OpenPgp(_Common, frozen=True, forbid_unknown_fields=True):
    fingerprint: str
    protection: _Protection | None
    private: str


class _Rsa(_Common, frozen=True, forbid_unknown_fields=True):
    public: str
    protection: _Protection | None
    private: str


class _Hpke(_Common, frozen=True, forbid_unknown_fields=True):
    suite: str
    public: str
    protection: _Protection | None
    private: str


class _Worker(_Common, frozen=True, forbid_unknown_fields=True):
    group: str
    issuer: str
    public: str
    protection: _Protection | None
    private: str


class _Start(msgspec.Struct, frozen=True):
    format: str
    kind: str


_SHAPES: Final[dict[str, type[_OpenPgp | _Rsa | _Hpke | _Worker]]] = {
    "openpgp": _OpenPgp,
    "rsa": _Rsa,
    "hpke": _Hpke,
    "worker": _Worker,
}


def is_pem(content: SecretBytes) -> bool:
    """Whether this is a PEM file rather than JSON."""
    return content.reveal().lstrip().startswith(b"-----BEGIN ")


def decode_identity(content: SecretBytes, *, source: str) -> StoredIdentity:
    """The identity that these bytes spell. IdentityError (it names `source`, never the content), NewerFormatError."""
    parsed = _parsed(content)
    if isinstance(parsed, StoredIdentity):
        return parsed
    if parsed.startswith("strongroom/"):
        raise NewerFormatError(
            f"{source} has format {parsed!r}; this Strongroom reads {FORMAT!r}", hint="pip install --upgrade strongroom"
        )
    raise IdentityError(f"{source} is no identity file: {parsed}", hint="strongroom role create NAME makes one")


def encode_identity(identity: StoredIdentity) -> SecretBytes:
    """The file's bytes: JSON with two blanks of indentation and a line feed at the end."""
    return SecretBytes(msgspec.json.format(msgspec.json.encode(_shape_of(identity)), indent=2) + b"\n")


# Plain text of a key lives below this line only, in functions that do not raise.


def _parsed(content: SecretBytes) -> StoredIdentity | str:
    raw = content.reveal()
    try:
        start = msgspec.json.decode(raw, type=_Start)
        if start.format != FORMAT:
            newer = start.format.startswith("strongroom/") and start.format.endswith(" identity")
            return start.format[:40] if newer else "its format is unknown"
        if start.kind not in _SHAPES:
            return f"its kind is {start.kind[:40]!r}, not one of {', '.join(KINDS)}"
        shape = msgspec.json.decode(raw, type=_SHAPES[start.kind])
        # repeated fields, another order and escapes that need not be are found by spelling it again
        if msgspec.json.format(raw, indent=-1) != msgspec.json.encode(shape):
            return "its fields repeat, or are not in their order"
        return _stored(shape)
    except msgspec.ValidationError as problem:
        return f"{str(problem)[:200]!r}"  # names fields and types, never values of strings
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return "it is not JSON"
    except FormatError as problem:
        return str(problem)


def _stored(shape: _OpenPgp | _Rsa | _Hpke | _Worker) -> StoredIdentity:
    common = {"format", "kind", "name", "store", "protection", "private"}
    protection = shape.protection
    return StoredIdentity(
        kind=shape.kind,
        name=shape.name,
        store=shape.store,
        details={field: getattr(shape, field) for field in shape.__struct_fields__ if field not in common},
        protection=None
        if protection is None
        else Protection(
            salt=b64decode(protection.salt),
            memory_kib=protection.memory_kib,
            iterations=protection.iterations,
            lanes=protection.lanes,
        ),
        private=SecretBytes(b64decode(shape.private)),
    )


def _shape_of(identity: StoredIdentity) -> _OpenPgp | _Rsa | _Hpke | _Worker:
    protection = identity.protection
    return _SHAPES[identity.kind](
        format=FORMAT,
        kind=identity.kind,
        name=identity.name,
        store=identity.store,
        **identity.details,
        protection=None
        if protection is None
        else _Protection(
            salt=b64encode(protection.salt),
            memory_kib=protection.memory_kib,
            iterations=protection.iterations,
            lanes=protection.lanes,
        ),
        private=b64encode(identity.private.reveal()),
    )
