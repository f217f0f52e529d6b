"""Records as bytes: one spelling for each record, and any other is refused before a key is touched."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import msgspec

from strongroom._encoding import (
    b64decode,
    b64encode,
    format_duration,
    format_time,
    parse_duration,
    parse_time,
)
from strongroom.errors import FormatError, PolicyError, StrongroomError
from strongroom.model.diagnosis import diagnose
from strongroom.model.keyset import MAX_REVISION, Keyset
from strongroom.model.names import KeysetName, Revision, RootId, format_key_id, parse_key_id
from strongroom.model.policy import Policy
from strongroom.model.record import MAC_SIZE, Record
from strongroom.model.states import KeyState
from strongroom.model.types import KeyType, Prefix, Purpose
from strongroom.model.version import Version

FORMAT = 1
"""The newest record format that this code reads, and the one that it writes."""

MAX_RECORD = 1 << 20
"""Bytes of the largest record: checked before a byte is parsed."""

_FORMAT_LINE: Literal["strongroom/1 record"] = "strongroom/1 record"

_Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_REVISION)]


class _Policy(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    rotate_every: str | None
    propagation: str | None
    exportable: bool


class _Version(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    number: _Count
    key_id: str
    state: KeyState
    created: str
    promote_at: str | None
    changed: str
    reason: str | None
    prefix: Prefix
    public: str | None
    sealed: str | None


# The order of the fields is the order in the file.
class _Record(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    format: Literal["strongroom/1 record"]
    root: str
    name: str
    type: KeyType
    purpose: Purpose
    revision: _Count
    policy: _Policy
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


def _spell(wire: _Record) -> bytes:
    return msgspec.json.format(_ENCODER.encode(wire), indent=2) + b"\n"


def _wire(keyset: Keyset, root: RootId, mac: str) -> _Record:
    policy = keyset.policy
    return _Record(
        format=_FORMAT_LINE,
        root=b64encode(root),
        name=keyset.name,
        type=keyset.type,
        purpose=keyset.purpose,
        revision=keyset.revision,
        policy=_Policy(
            rotate_every=None if policy.rotate_every is None else format_duration(policy.rotate_every),
            propagation=None if policy.propagation is None else format_duration(policy.propagation),
            exportable=policy.exportable,
        ),
        labels=dict(keyset.labels),
        versions=[
            _Version(
                number=version.number,
                key_id=format_key_id(version.key_id),
                state=version.state,
                created=format_time(version.created),
                promote_at=None if version.promote_at is None else format_time(version.promote_at),
                changed=format_time(version.changed),
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
    keyset = Keyset(
        name=name,
        type=wire.type,
        purpose=wire.purpose,
        policy=_policy(wire.policy.rotate_every, wire.policy.propagation, wire.policy.exportable),
        labels=wire.labels,
        revision=Revision(wire.revision),
        versions=tuple([_version(version) for version in wire.versions]),
    )
    if wire.labels and list(wire.labels) != list(keyset.labels):
        raise FormatError("its labels are not sorted")
    return keyset


def _version(wire: _Version) -> Version:
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
    )


@lru_cache(maxsize=256)  # a store knows a handful of policies
def _policy(rotate_every: str | None, propagation: str | None, exportable: bool) -> Policy:
    return Policy(rotate_every=_seconds(rotate_every), propagation=_seconds(propagation), exportable=exportable)


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    seconds = parse_duration(text)
    if format_duration(seconds) != text:
        raise FormatError(f"{text!r} is to be written {format_duration(seconds)!r}")
    return seconds


@lru_cache(maxsize=64)  # all records of a store are under one root, or two
def _root(text: str) -> RootId:
    return RootId(b64decode(text))
