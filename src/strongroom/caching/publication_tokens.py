"""What one token of a publication holds: a keyset with its material. It is taken only for the place that it names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from strongroom._encoding import Timestamp, b64decode, b64encode, encode_fields, format_time, parse_time
from strongroom.caching.publication import MAX_SERIAL, Publication
from strongroom.errors import FormatError, PublicationError, StrongroomError
from strongroom.model.codec import is_extended, read_destroy_at, spell_destroy_at
from strongroom.model.keyset import MAX_REVISION, Keyset
from strongroom.model.names import Revision, StoreId, format_key_id, parse_key_id, parse_name
from strongroom.model.policy import NO_LABELS
from strongroom.model.policy_codec import PolicyWire, read_policy, spell_policy
from strongroom.model.states import KeyState
from strongroom.model.types import TRAITS, KeyType, Prefix, Purpose
from strongroom.model.version import Version
from strongroom.primitives.fernet import FernetKey, InvalidToken
from strongroom.primitives.secret import SecretBytes

_Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_REVISION)]


class _Version(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    number: _Count
    key_id: str
    state: KeyState
    created: str
    promote_at: str | None
    changed: str
    destroy_at: str | UnsetType | None = UNSET  # as in the record: there where the second format is needed
    prefix: Prefix
    public: str | None
    material: SecretBytes | None


# The order of the fields is the order in the document.
class _Document(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    store: str
    group: str
    serial: Annotated[int, msgspec.Meta(ge=1, le=MAX_SERIAL)]
    name: str
    type: KeyType
    purpose: Purpose
    revision: _Count
    policy: PolicyWire
    public: bool
    versions: list[_Version]


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """One keyset as a group gets it. `material` is by version number; empty where only public halves were granted."""

    keyset: Keyset
    public_only: bool
    material: Mapping[int, SecretBytes]

    def __post_init__(self) -> None:
        keyset = self.keyset
        if self.public_only and not TRAITS[keyset.type].asymmetric:
            raise FormatError(f"keyset {keyset.name!r} has no public half to grant")
        living = {version.number for version in keyset.versions if version.state is not KeyState.DESTROYED}
        if set(self.material) != (set() if self.public_only else living):
            raise FormatError(f"the material of {keyset.name!r} does not fit its versions")


def encode_token(
    key: SecretBytes, granted: Granted, *, store: StoreId, group: str, serial: int, at: Timestamp
) -> bytes:
    """The Fernet token of one keyset, for its place in one publication."""
    return _encrypted(FernetKey(key), _document(granted, store, group, serial), at // 1000)


def open_tokens(publication: Publication, key: SecretBytes) -> dict[str, Granted]:
    """What the tokens hold, by keyset name. PublicationError, reason token or contents.

    Call it only for a publication that `check` has let through.
    """
    fernet, store = FernetKey(key), b64encode(publication.store)
    found: dict[str, Granted] = {}
    for number, token in enumerate(publication.tokens, start=1):
        document = _decrypted(fernet, token)
        if document is None:
            raise PublicationError(
                f"token {number} of the publication for {publication.group!r} does not open", reason="token"
            )
        try:
            granted = _granted(document, publication, store)
        except StrongroomError as trouble:
            raise _odd(publication, number, str(trouble)) from None
        if granted.keyset.name in found:
            raise _odd(publication, number, f"{granted.keyset.name!r} comes twice")
        found[granted.keyset.name] = granted
    return found


def digest(granted: Granted) -> bytes:
    """SHA-256 of all that a token says of the keyset but its material: equal as long as its record is the same."""
    bare = _document(granted, StoreId(b""), "", 1)
    bare.public = False
    for version in bare.versions:
        version.material = None
    return hashlib.sha256(_ENCODER.encode(bare)).digest()


def stripped(keyset: Keyset, *, store: StoreId) -> Keyset:
    """A keyset as a worker knows it: without labels, reasons and what is sealed under the root."""
    return Keyset(
        name=keyset.name,
        type=keyset.type,
        purpose=keyset.purpose,
        policy=keyset.policy,
        labels=NO_LABELS,
        revision=keyset.revision,
        versions=tuple(
            [
                msgspec.structs.replace(
                    version,
                    reason=None,
                    sealed=None if version.sealed is None else _elsewhere(store, keyset.name, version.key_id),
                )
                for version in keyset.versions
            ]
        ),
    )


def _document(granted: Granted, store: StoreId, group: str, serial: int) -> _Document:
    keyset, extended = granted.keyset, is_extended(granted.keyset)
    return _Document(
        store=b64encode(store),
        group=group,
        serial=serial,
        name=keyset.name,
        type=keyset.type,
        purpose=keyset.purpose,
        revision=keyset.revision,
        policy=spell_policy(keyset.policy, extended=extended),
        public=granted.public_only,
        versions=[
            _Version(
                number=version.number,
                key_id=format_key_id(version.key_id),
                state=version.state,
                created=format_time(version.created),
                promote_at=None if version.promote_at is None else format_time(version.promote_at),
                changed=format_time(version.changed),
                destroy_at=spell_destroy_at(version, extended=extended),
                prefix=version.prefix,
                public=None if version.public is None else b64encode(version.public),
                material=granted.material.get(version.number),
            )
            for version in keyset.versions
        ],
    )


def _granted(wire: _Document, publication: Publication, store: str) -> Granted:
    if (wire.store, wire.group, wire.serial) != (store, publication.group, publication.serial):
        raise FormatError("it was made for another publication")
    name = parse_name(wire.name)
    extended = wire.policy.allow is not UNSET
    if extended and publication.format == 1:
        raise FormatError("it is of a later format than its publication")
    keyset = Keyset(
        name=name,
        type=wire.type,
        purpose=wire.purpose,
        policy=read_policy(wire.policy, extended=extended),
        labels=NO_LABELS,
        revision=Revision(wire.revision),
        versions=tuple([_version(each, publication.store, name, extended=extended) for each in wire.versions]),
    )
    if extended and not is_extended(keyset):
        raise FormatError("it is of a later format than it needs")
    material = {each.number: each.material for each in wire.versions if each.material is not None}
    return Granted(keyset=keyset, public_only=wire.public, material=material)


def _version(wire: _Version, store: StoreId, name: str, *, extended: bool) -> Version:
    key_id = parse_key_id(wire.key_id)
    # most versions were promoted as they were created, and never changed: the same text is the same time
    created = parse_time(wire.created)
    promote_at, changed = wire.promote_at, wire.changed
    return Version(
        number=wire.number,
        key_id=key_id,
        state=wire.state,
        created=created,
        promote_at=created if promote_at == wire.created else None if promote_at is None else parse_time(promote_at),
        changed=created if changed == wire.created else parse_time(changed),
        reason=None,
        prefix=wire.prefix,
        public=None if wire.public is None else b64decode(wire.public),
        sealed=None if wire.state is KeyState.DESTROYED else _elsewhere(store, name, key_id),
        destroy_at=read_destroy_at(wire.destroy_at, extended=extended),
    )


def _elsewhere(store: StoreId, name: str, key_id: int) -> bytes:
    """What stands for the sealed material, which stays in the store: it differs from version to version."""
    return encode_fields(b"published", store, name.encode("ascii"), key_id.to_bytes(4, "big"))


def _odd(publication: Publication, number: int, what: str) -> PublicationError:
    return PublicationError(
        f"token {number} of the publication for {publication.group!r} is refused: {what}", reason="contents"
    )


# Plain bytes of keys live below this line only, in functions that do not raise (STYLE section 6).


def _secret_in(kind: type, value: Any) -> SecretBytes:
    return SecretBytes(b64decode(value))


def _secret_out(value: Any) -> str:
    return b64encode(value.reveal())


_DECODER: Final = msgspec.json.Decoder(_Document, dec_hook=_secret_in)
_ENCODER: Final = msgspec.json.Encoder(enc_hook=_secret_out)


def _encrypted(key: FernetKey, document: _Document, at: int) -> bytes:
    return key.encrypt_at_time(_ENCODER.encode(document), at)


def _decrypted(key: FernetKey, token: bytes) -> _Document | None:
    try:
        plain = key.decrypt(token)
        document = _DECODER.decode(plain)
        return document if _ENCODER.encode(document) == plain else None
    except (InvalidToken, msgspec.MsgspecError, FormatError, ValueError, TypeError, AttributeError, RecursionError):
        return None
