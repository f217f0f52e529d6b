"""A worker group's record as bytes: its public key and what was granted. One spelling, as of every record of a store.

docs/format.md, section "Worker groups". A group's record holds no secret; its MAC says that holders of the root wrote
it, for whoever could add a grant or put his own public key in could have keys published to himself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import UNSET, UnsetType

from strongroom._encoding import Timestamp, b64decode, b64encode, format_time, parse_time
from strongroom.errors import FormatError, InvalidNameError, NotFoundError, PolicyError, StateError, StrongroomError
from strongroom.model.diagnosis import diagnose
from strongroom.model.keyset import MAX_REVISION
from strongroom.model.names import KeyId, KeysetName, Revision, RootId, format_key_id, parse_key_id, parse_name
from strongroom.model.record import MAC_SIZE
from strongroom.primitives.rsa import load_public
from strongroom.stores.seen import BESIDE

FORMAT: Final = 2
MAX_GROUP: Final = 4 * 1024 * 1024
"""Bytes of the largest group record: 10,000 grants under the longest names take three quarters of it."""
MAX_GRANTS: Final = 10_000

_MAC_START, _MAC_END = b'  "mac": "', b'"\n}\n'
_TAIL = len(_MAC_START) + len(b64encode(bytes(MAC_SIZE))) + len(_MAC_END)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One keyset that a group gets; with `public`, only the public halves of its versions."""

    keyset: KeysetName
    public: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A worker group: the public key (SubjectPublicKeyInfo DER) to which it is published, and its grants by name.

    issuer: the key id of the issuer's version that its identity names; None for the first one.
    """

    name: str
    revision: Revision
    public: bytes
    created: Timestamp
    changed: Timestamp
    grants: tuple[Grant, ...] = ()
    issuer: KeyId | None = None

    def __post_init__(self) -> None:
        check_group(self.name)
        load_public(self.public)
        names = [each.keyset for each in self.grants]
        if names != sorted(set(names)):
            raise StateError(f"the grants of {self.name!r} are not sorted, or one comes twice")
        if len(names) > MAX_GRANTS:
            raise PolicyError(f"{len(names)} keysets are granted to {self.name!r}; the limit is {MAX_GRANTS}")

    def granting(self, grants: tuple[Grant, ...], *, now: Timestamp) -> Self:
        """The group with these grants as well; a keyset that it has already changes between whole and public."""
        held = {each.keyset: each for each in (*self.grants, *grants)}
        return self._with(held, now)

    def revoking(self, names: tuple[KeysetName, ...], *, now: Timestamp) -> Self:
        """The group without these grants. NotFoundError for one that it does not have."""
        held = {each.keyset: each for each in self.grants}
        for name in names:
            if held.pop(name, None) is None:
                raise NotFoundError(f"{name!r} is not granted to {self.name!r}", hint="strongroom worker list")
        return self._with(held, now)

    def rekeyed(self, public: bytes, *, issuer: KeyId | None, now: Timestamp) -> Self:
        """The group with a new identity: what is published from now on opens with that one only."""
        return replace(self, revision=Revision(self.revision + 1), changed=now, public=public, issuer=issuer)

    def _with(self, held: dict[KeysetName, Grant], now: Timestamp) -> Self:
        return replace(
            self,
            revision=Revision(self.revision + 1),
            changed=now,
            grants=tuple([held[name] for name in sorted(held)]),
        )


class _Grant(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    keyset: str
    public: bool


# The order of the fields is the order in the file.
class _Group(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    format: Literal["strongroom/1 worker", "strongroom/2 worker"]
    root: str
    group: str
    revision: Annotated[int, msgspec.Meta(ge=1, le=MAX_REVISION)]
    public: str
    issuer: str | UnsetType = UNSET  # there in the second format, which no group needs before its issuer is replaced
    created: str
    changed: str
    grants: list[_Grant]
    mac: str


_DECODER = msgspec.json.Decoder(_Group)
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRecord:
    """A group's record as it was read: not yet authentic. `body` is what its MAC covers."""

    group: Group
    root: RootId
    mac: bytes
    body: bytes


def check_group(text: str) -> str:
    """The name of a group: one segment of a keyset's name. InvalidNameError."""
    name = parse_name(text)
    if "/" in name:
        raise InvalidNameError(f"{text!r} is not the name of a group: it holds '/'", hint="write it like web")
    return name


def place_of(group: str) -> KeysetName:
    """The name by which a header lists a group whose record is under an older root; no keyset can have it."""
    return parse_name(f"{BESIDE}{group}", reserved=True)


def encode_group_body(group: Group, root: RootId) -> bytes:
    """What the MAC covers: the file's bytes up to its last line but one."""
    wire = _Group(
        format="strongroom/1 worker" if group.issuer is None else "strongroom/2 worker",
        root=b64encode(root),
        group=group.name,
        revision=group.revision,
        public=b64encode(group.public),
        issuer=UNSET if group.issuer is None else format_key_id(group.issuer),
        created=format_time(group.created),
        changed=format_time(group.changed),
        grants=[_Grant(keyset=each.keyset, public=each.public) for each in group.grants],
        mac=b64encode(bytes(MAC_SIZE)),
    )
    return _spell(wire)[:-_TAIL]


def join_group(body: bytes, mac: bytes) -> bytes:
    """The file's bytes, from what `encode_group_body` gave and the MAC over it."""
    return b"".join((body, _MAC_START, b64encode(mac).encode("ascii"), _MAC_END))


def decode_group(raw: bytes, *, name: str) -> GroupRecord:
    """The record in the file of group `name`, not yet authentic. FormatError for any other spelling, or name."""
    what = f"the record of group {name!r}"
    if len(raw) > MAX_GROUP:
        raise FormatError(f"{what} has {len(raw)} bytes; the limit is {MAX_GROUP}")
    try:
        wire = _DECODER.decode(raw)
        spelled = _spell(wire)
    except (msgspec.MsgspecError, ValueError, RecursionError) as trouble:
        raise diagnose(raw, what=what, kind="worker", reads=FORMAT, trouble=str(trouble)) from None
    if spelled != raw:
        raise diagnose(raw, what=what, kind="worker", reads=FORMAT, canonical=spelled)
    if wire.group != name:
        raise FormatError(f"{what} says that it is {wire.group[:200]!r}", hint="git checkout brings back the true one")
    try:
        mac = b64decode(wire.mac)
        if len(mac) != MAC_SIZE:
            raise FormatError(f"its MAC has {len(mac)} bytes, not {MAC_SIZE}")
        if (wire.format == "strongroom/1 worker") is not isinstance(wire.issuer, UnsetType):
            raise FormatError("the issuer of a group is of the second format, which has it")
        return GroupRecord(
            group=Group(
                name=wire.group,
                revision=Revision(wire.revision),
                public=b64decode(wire.public),
                created=parse_time(wire.created),
                changed=parse_time(wire.changed),
                grants=tuple([Grant(keyset=parse_name(each.keyset), public=each.public) for each in wire.grants]),
                issuer=None if isinstance(wire.issuer, UnsetType) else parse_key_id(wire.issuer),
            ),
            root=RootId(b64decode(wire.root)),
            mac=mac,
            body=raw[:-_TAIL],
        )
    except StrongroomError as trouble:
        raise FormatError(f"{what} is not lawful: {trouble}") from None


def _spell(wire: _Group) -> bytes:
    return msgspec.json.format(_ENCODER.encode(wire), indent=2) + b"\n"
