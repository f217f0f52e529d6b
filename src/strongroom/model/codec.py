"""Records as bytes: one spelling for each record, and any other is refused before a key is touched."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from strongroom._encoding import Timestamp, b64decode, b64encode, format_time, parse_time
from strongroom.errors import FormatError, PolicyError, StrongroomError
from strongroom.model.diagnosis import diagnose
from strongroom.model.keyset import MAX_REVISION, Keyset
from strongroom.model.names import KeysetName, Revision, RootId, format_key_id, parse_key_id
from strongroom.model.policy_codec import PolicyWire, read_policy, spell_policy
from strongroom.model.record import MAC_SIZE, Record
from strongroom.model.states import KeyState
from strongroom.model.types import KeyType, Prefix, Purpose
from strongroom.model.version import Version

FORMAT = 2
"""The newest record format that this code reads. It writes the oldest one that has a place for what a keyset says."""

MAX_RECORD = 1 << 20
"""Bytes of the largest record: checked before a byte is parsed."""

_FIRST: Literal["strongroom/1 record"] = "strongroom/1 record"
_SECOND: Literal["strongroom/2 record"] = "strongroom/2 record"

_Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_REVISION)]


class _Version(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    number: _Count
    key_id: str
    state: KeyState
    created: str
    promote_at: str | None
    changed: str
    destroy_at: str | UnsetType | None = UNSET  # there in the second format, and not in the first
    reason: str | None
    prefix: Prefix
    public: str | None
    sealed: str | None


# The order of the fields is the order in the file.
class _Record(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    format: Literal["strongroom/1 record", "strongroom/2 record"]
    root: str
    name: str
    type: KeyType
    purpose: Purpose
    revision: _Count
    policy: PolicyWire
    labels: dict[str, str]
    versions: list[_Version]
    mac: str


_DECODER = msgspec.json.Decoder(_Record)
_ENCODER = msgspec.json.Encoder()

# "mac" is the last field and has a fixed length, so the bytes that it covers are all but a tail of fixed length.
_MAC_START, _MAC_END = b'  "mac": "', b'"\n}\n'
_TAIL = len(_MAC_START) + len(b64encode(bytes(MAC_SIZE))) + len(_MAC_END)


def encode_body(keyset: Keyset, root: RootId) -> bytes:
    """What the MAC covers: the file's bytes up to, not including, its last line but one, `  "mac": …`."""
    raw = _spell(_wire(keyset, root, b64encode(bytes(MAC_SIZE))))
    if len(raw) > MAX_RECORD:
        raise PolicyError(
            f"the record of {keyset.name!r} would have {len(raw)} bytes; the limit is {MAX_RECORD}",
            hint="begin a new keyset: 'strongroom create'",
        )
    return raw[:-_TAIL]


def join(body: bytes, mac: bytes) -> bytes:
    """The file's bytes, from what `encode_body` gave and the MAC over it."""
    if len(mac) != MAC_SIZE:
        raise FormatError(f"a record's MAC has {MAC_SIZE} bytes, not {len(mac)}")
    return b"".join((body, _MAC_START, b64encode(mac).encode("ascii"), _MAC_END))


def encode(record: Record) -> bytes:
    """The file's bytes. They follow from keyset, root and MAC alone; `record.body` is not looked at."""
    return join(encode_body(record.keyset, record.root), record.mac)


def decode(raw: bytes, *, name: KeysetName) -> Record:
    """The record in the file of keyset `name`, not yet authenticated, with the MACed bytes as its `body`.

    FormatError for anything but the one spelling that `encode` gives (unknown, missing, repeated or misplaced fields,
    other white space, other base64, trailing bytes), for a record of another name, and for a keyset that breaks a law
    of the model; NewerFormatError for a format that this code is too old for.
    """
    if len(raw) > MAX_RECORD:
        raise FormatError(f"the record of {name!r} has {len(raw)} bytes; the limit is {MAX_RECORD}")
    try:
        wire = _DECODER.decode(raw)
        spelled = _spell(wire)
    except (msgspec.MsgspecError, ValueError, RecursionError) as trouble:
        raise diagnose(raw, what=f"the record of {name!r}", kind="record", reads=FORMAT, trouble=str(trouble)) from None
    # Two spellings of one record would be two byte strings under one MAC's meaning; repeated JSON keys, of which
    # parsers choose the first or the last, end here too.
    if spelled != raw:
        raise diagnose(raw, what=f"the record of {name!r}", kind="record", reads=FORMAT, canonical=spelled)
    if wire.name != name:
        raise FormatError(
            f"the record in the place of {name!r} says that it is {wire.name[:200]!r}",
            hint="a keyset's file is not renamed or copied; 'git status' and 'git checkout' bring back the true one",
        )
    try:
        return Record(keyset=_keyset(wire, name), root=_root(wire.root), mac=b64decode(wire.mac), body=raw[:-_TAIL])
    except StrongroomError as trouble:
        raise FormatError(f"the record of {name!r} is not lawful: {trouble}") from None


def is_extended(keyset: Keyset) -> bool:
    """Whether a keyset says anything that the first format has no place for."""
    return keyset.policy.extended or any(version.destroy_at is not None for version in keyset.versions)


def spell_destroy_at(version: Version, *, extended: bool) -> str | UnsetType | None:
    """The moment of a scheduled destruction; unset in the first format."""
    if not extended:
        return UNSET
    return None if version.destroy_at is None else format_time(version.destroy_at)


def read_destroy_at(text: str | UnsetType | None, *, extended: bool) -> Timestamp | None:
    """The inverse. FormatError where it is there in the first format, or missing in the second."""
    if isinstance(text, UnsetType) is extended:
        raise FormatError("a version has fields of another format, or lacks some")
    return None if isinstance(text, UnsetType) or text is None else parse_time(text)


def _spell(wire: _Record) -> bytes:
    return msgspec.json.format(_ENCODER.encode(wire), indent=2) + b"\n"


def _wire(keyset: Keyset, root: RootId, mac: str) -> _Record:
    extended = is_extended(keyset)
    return _Record(
        format=_SECOND if extended else _FIRST,
        root=b64encode(root),
        name=keyset.name,
        type=keyset.type,
        purpose=keyset.purpose,
        revision=keyset.revision,
        policy=spell_policy(keyset.policy, extended=extended),
        labels=dict(keyset.labels),
        versions=[
            _Version(
                number=version.number,
                key_id=format_key_id(version.key_id),
                state=version.state,
                created=format_time(version.created),
                promote_at=None if version.promote_at is None else format_time(version.promote_at),
                changed=format_time(version.changed),
                destroy_at=spell_destroy_at(version, extended=extended),
                reason=version.reason,
                prefix=version.prefix,
                public=None if version.public is None else b64encode(version.public),
                sealed=None if version.sealed is None else b64encode(version.sealed),
            )
            for version in keyset.versions
        ],
        mac=mac,
    )


def _keyset(wire: _Record, name: KeysetName) -> Keyset:
    extended = wire.format == _SECOND
    keyset = Keyset(
        name=name,
        type=wire.type,
        purpose=wire.purpose,
        policy=read_policy(wire.policy, extended=extended),
        labels=wire.labels,
        revision=Revision(wire.revision),
        versions=tuple([_version(version, extended=extended) for version in wire.versions]),
    )
    if extended and not is_extended(keyset):
        # one keyset has one spelling: what needs nothing of the second format is written in the first
        raise FormatError("it is of format 2, and says nothing that format 1 cannot say")
    if wire.labels and list(wire.labels) != list(keyset.labels):
        raise FormatError("its labels are not sorted")
    return keyset


def _version(wire: _Version, *, extended: bool) -> Version:
    # most versions were promoted as they were created, and never changed: the same text is the same time
    created = parse_time(wire.created)
    promote_at, changed = wire.promote_at, wire.changed
    return Version(
        number=wire.number,
        key_id=parse_key_id(wire.key_id),
        state=wire.state,
        created=created,
        promote_at=created if promote_at == wire.created else None if promote_at is None else parse_time(promote_at),
        changed=created if changed == wire.created else parse_time(changed),
        reason=wire.reason,
        prefix=wire.prefix,
        public=None if wire.public is None else b64decode(wire.public),
        sealed=None if wire.sealed is None else b64decode(wire.sealed),
        destroy_at=read_destroy_at(wire.destroy_at, extended=extended),
    )


@lru_cache(maxsize=64)  # all records of a store are under one root, or two
def _root(text: str) -> RootId:
    return RootId(b64decode(text))
