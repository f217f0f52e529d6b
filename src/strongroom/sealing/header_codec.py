"""The header as a file. One spelling for each header, checked whole before any key is touched.

docs/format.md, section "Header". The text is JSON with two blanks of indentation and fields in a fixed order; its last
field is the MAC of every byte before that field's line. Reading encodes again and compares, so a repeated key, another
order, another number format or a line end of Windows' is found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from strongroom._encoding import b64decode, b64encode, format_duration, format_time, parse_duration, parse_time
from strongroom.errors import ForeignStoreError, FormatError, InvalidNameError, SettingsError
from strongroom.model.diagnosis import diagnose
from strongroom.model.names import Revision, RootId, StoreId, parse_name
from strongroom.sealing.header import AnySlot, Header, Pending, Recipient, SealedRoot
from strongroom.sealing.hpke import HpkeSlot
from strongroom.sealing.passphrase import Cost, PassphraseSlot
from strongroom.sealing.root import MAC_LENGTH, Root
from strongroom.sealing.rsa import RsaSlot
from strongroom.sealing.slots import DevelopmentSlot, OpenPgpSlot

FORMAT: Final = 1
_FORMAT_LINE: Final[Literal["strongroom/1 store"]] = "strongroom/1 store"
MAX_HEADER: Final = 8 * 1024 * 1024

_TAIL = re.compile(rb'  "mac": "([A-Za-z0-9_-]{43})"\n}\n')
_TAIL_LENGTH: Final = 57


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedHeader:
    """A header that is well formed, and nothing more: anyone who can write to the repository can make one.

    What it `claims` may choose a slot to try; what comes of it counts only after `verify`.
    """

    claims: Header
    raw: bytes
    mac: bytes

    def verify(self, root: Root) -> Header:
        """The header, now that `root` vouches for it. ForeignStoreError or IntegrityError when it does not."""
        if root.store != self.claims.store:
            raise ForeignStoreError(
                f"the header is of store {b64encode(self.claims.store)}, the root of store {b64encode(root.store)}",
                hint="strongroom doctor",
            )
        if root.ref != self.claims.ref:
            raise ForeignStoreError(
                f"the header names root {self.claims.root} with id {b64encode(self.claims.newest.id)}, "
                f"this is root {root.number} with id {b64encode(root.id)}",
                hint="strongroom doctor",
            )
        root.check_header(self.raw[:-_TAIL_LENGTH], self.mac)
        return self.claims


def encode_header(header: Header, root: Root) -> bytes:
    """The file's bytes, authenticated by `root`, which must be the header's newest: else an IntegrityError."""
    if root.ref != header.ref:
        raise ForeignStoreError(f"a header of root {header.root} cannot be signed with {root!r}")
    text = _text(_written(header, b"\0" * MAC_LENGTH))
    body = text[:-_TAIL_LENGTH]
    raw = body + b'  "mac": "%b"\n}\n' % b64encode(root.header_mac(body)).encode("ascii")
    if len(raw) > MAX_HEADER:
        raise FormatError(f"the header has {len(raw)} bytes; the limit is {MAX_HEADER}")
    return raw


def decode_header(raw: bytes) -> UnverifiedHeader:
    """The header that these bytes spell. FormatError, NewerFormatError; PolicyError for costs beyond the caps."""
    if len(raw) > MAX_HEADER:
        raise FormatError(f"the header has {len(raw)} bytes; the limit is {MAX_HEADER}")
    try:
        parsed = msgspec.json.decode(raw, type=_Store)
        spelled = _text(parsed)
    except (msgspec.MsgspecError, ValueError, RecursionError) as trouble:
        raise diagnose(raw, what="the header", kind="store", reads=FORMAT, trouble=str(trouble)) from None
    if spelled != raw:
        raise diagnose(raw, what="the header", kind="store", reads=FORMAT, canonical=spelled)
    return _checked(parsed, raw)


def _checked(parsed: _Store, raw: bytes) -> UnverifiedHeader:
    tail = _TAIL.fullmatch(raw[-_TAIL_LENGTH:])
    if tail is None:
        raise FormatError(f"the header's MAC does not have {MAC_LENGTH} bytes")
    try:
        claims = _read(parsed)
    except (SettingsError, InvalidNameError) as found:
        # laws of values, which elsewhere judge what a person typed
        raise FormatError(f"the header holds what none can hold: {found}") from None
    return UnverifiedHeader(claims=claims, raw=raw, mac=b64decode(tail[1].decode("ascii")))


def _text(written: _Store) -> bytes:
    return msgspec.json.format(msgspec.json.encode(written), indent=2) + b"\n"


# The shapes in the file, fields in the order of the file.


class _OpenPgp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="openpgp"):
    file: str


class _Passphrase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="passphrase"):
    label: str
    salt: str
    memory_kib: int
    iterations: int
    lanes: int
    public: str
    private: str
    sealed: str


class _Rsa(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="rsa"):
    label: str
    public: str
    sealed: str


class _Hpke(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="hpke"):
    label: str
    suite: str
    public: str
    sealed: str


class _Development(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="development"):
    line: str


class _SealedRoot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    id: str
    link: str | None
    sealed: str | None
    slots: list[_OpenPgp | _Passphrase | _Rsa | _Hpke | _Development]


class _Recipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fingerprint: str
    subkeys: list[str]
    name: str
    role: bool
    added: str


class _Pending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    mac: str


class _Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["strongroom/1 store"]
    store: str
    created: str
    revision: int
    root: int
    propagation: str
    registered: bool
    roots: list[_SealedRoot]
    recipients: list[_Recipient]
    pending: list[_Pending]
    mac: str


def _written(header: Header, mac: bytes) -> _Store:
    return _Store(
        format=_FORMAT_LINE,
        store=b64encode(header.store),
        created=format_time(header.created),
        revision=header.revision,
        root=header.root,
        propagation=format_duration(header.propagation),
        registered=header.registered,
        roots=[
            _SealedRoot(
                number=root.number,
                id=b64encode(root.id),
                link=None if root.link is None else b64encode(root.link),
                sealed=None if root.sealed is None else b64encode(root.sealed),
                slots=[_written_slot(slot) for slot in root.slots],
            )
            for root in header.roots
        ],
        recipients=[
            _Recipient(
                fingerprint=each.fingerprint,
                subkeys=list(each.subkeys),
                name=each.name,
                role=each.role,
                added=format_time(each.added),
            )
            for each in header.recipients
        ],
        pending=[_Pending(name=each.name, mac=b64encode(each.mac)) for each in header.pending],
        mac=b64encode(mac),
    )


def _written_slot(slot: AnySlot) -> _OpenPgp | _Passphrase | _Rsa | _Hpke | _Development:
    match slot:
        case OpenPgpSlot():
            return _OpenPgp(file=slot.file)
        case PassphraseSlot():
            return _Passphrase(
                label=slot.label,
                salt=b64encode(slot.salt),
                memory_kib=slot.cost.memory_kib,
                iterations=slot.cost.iterations,
                lanes=slot.cost.lanes,
                public=b64encode(slot.public),
                private=b64encode(slot.private),
                sealed=b64encode(slot.sealed),
            )
        case RsaSlot():
            return _Rsa(label=slot.label, public=b64encode(slot.public), sealed=b64encode(slot.sealed))
        case HpkeSlot():
            return _Hpke(
                label=slot.label, suite=slot.suite, public=b64encode(slot.public), sealed=b64encode(slot.sealed)
            )
        case DevelopmentSlot():
            return _Development(line=slot.line)


def _read(parsed: _Store) -> Header:
    return Header(
        store=StoreId(b64decode(parsed.store)),
        created=parse_time(parsed.created),
        revision=Revision(parsed.revision),
        root=parsed.root,
        propagation=_duration(parsed.propagation),
        registered=parsed.registered,
        roots=tuple(
            SealedRoot(
                number=root.number,
                id=RootId(b64decode(root.id)),
                link=None if root.link is None else b64decode(root.link),
                sealed=None if root.sealed is None else b64decode(root.sealed),
                slots=tuple(_read_slot(slot) for slot in root.slots),
            )
            for root in parsed.roots
        ),
        recipients=tuple(
            Recipient(
                fingerprint=each.fingerprint,
                subkeys=tuple(each.subkeys),
                name=each.name,
                role=each.role,
                added=parse_time(each.added),
            )
            for each in parsed.recipients
        ),
        pending=tuple(
            Pending(name=parse_name(each.name, reserved=True), mac=b64decode(each.mac)) for each in parsed.pending
        ),
    )


def _read_slot(slot: _OpenPgp | _Passphrase | _Rsa | _Hpke | _Development) -> AnySlot:
    match slot:
        case _OpenPgp():
            return OpenPgpSlot(file=slot.file)
        case _Passphrase():
            return PassphraseSlot(
                label=slot.label,
                salt=b64decode(slot.salt),
                cost=Cost(memory_kib=slot.memory_kib, iterations=slot.iterations, lanes=slot.lanes),
                public=b64decode(slot.public),
                private=b64decode(slot.private),
                sealed=b64decode(slot.sealed),
            )
        case _Rsa():
            return RsaSlot(label=slot.label, public=b64decode(slot.public), sealed=b64decode(slot.sealed))
        case _Hpke():
            return HpkeSlot(
                label=slot.label, suite=slot.suite, public=b64decode(slot.public), sealed=b64decode(slot.sealed)
            )
        case _Development():
            return DevelopmentSlot(line=slot.line)


def _duration(text: str) -> int:
    seconds = parse_duration(text)
    if format_duration(seconds) != text:
        raise FormatError(f"{text!r} is not the shortest spelling of {seconds} seconds")
    return seconds
