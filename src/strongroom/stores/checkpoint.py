"""What a store was at one moment, in a few lines that are kept elsewhere: an older or vanished record shows against it.

docs/reference/checkpoint.md. A witness remembers what one checkout has seen; a checkpoint carries the same to a host
that has seen nothing, with a release or on paper. Its MAC is the root's, so nobody else makes one, or drops a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from strongroom._encoding import Timestamp, b64decode, b64encode, format_time, parse_time
from strongroom.errors import FormatError, IntegrityError, InvalidNameError, StaleError
from strongroom.model.diagnosis import diagnose
from strongroom.model.keyset import MAX_REVISION
from strongroom.model.names import Revision, RootId, StoreId, parse_name
from strongroom.sealing.header import Header
from strongroom.sealing.lineage import lineage
from strongroom.sealing.root import Root
from strongroom.stores.workers_codec import check_group

FORMAT: Final = 1
MAX_CHECKPOINT: Final = 64 * 1024 * 1024
DIGEST: Final = 16
"""Bytes of a record's MAC that are kept: as many as nobody without the root can hit."""
KEPT: Final = "take it from where it was kept; 'strongroom checkpoint create' prints one of this store"
_TAIL: Final = 57


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record, of a keyset or a worker group: which revision, and the first bytes of its MAC."""

    name: str
    revision: Revision
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """The same of a record that is here, and the root that it is under."""

    line: Line
    root: RootId

    @classmethod
    def of(cls, name: str, revision: Revision, *, mac: bytes, root: RootId) -> Present:
        """Of a verified record."""
        return cls(line=Line(name=name, revision=revision, digest=mac[:DIGEST]), root=root)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A store at one moment. `keysets` and `groups` are sorted by name."""

    store: StoreId
    root: RootId
    number: int
    header: Revision
    made: Timestamp
    keysets: tuple[Line, ...]
    groups: tuple[Line, ...]

    @classmethod
    def of(
        cls, header: Header, root: Root, *, keysets: Iterable[Present], groups: Iterable[Present], now: Timestamp
    ) -> Checkpoint:
        """The checkpoint of what is here, all of it verified."""
        return cls(
            store=header.store,
            root=root.id,
            number=root.number,
            header=header.revision,
            made=now,
            keysets=tuple(sorted((each.line for each in keysets), key=lambda line: line.name)),
            groups=tuple(sorted((each.line for each in groups), key=lambda line: line.name)),
        )

    def differences(self, header: Header, *, keysets: Iterable[Present], groups: Iterable[Present]) -> tuple[str, ...]:
        """In what a store falls behind, a sentence each; what is newer or new is no difference."""
        found: list[str] = []
        if header.revision < self.header:
            found.append(f"the header has revision {header.revision}, and revision {self.header} was there")
        for what, lines, present in (("keyset", self.keysets, keysets), ("worker group", self.groups, groups)):
            here = {each.line.name: each for each in present}
            for line in lines:
                told = self._behind(line, here.get(line.name))
                if told:
                    found.append(f"{what} {line.name!r} {told}")
        return tuple(found)

    def _behind(self, line: Line, here: Present | None) -> str:
        if here is None:
            return f"is gone, and revision {line.revision} was there"
        if here.line.revision < line.revision:
            return f"has revision {here.line.revision}, and revision {line.revision} was there"
        # under another root the same revision has another MAC: a rotation of the root changes nothing in a keyset
        if here.line.revision == line.revision and here.root == self.root and here.line.digest != line.digest:
            return f"is another revision {line.revision} than was there"
        return ""


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    revision: Annotated[int, msgspec.Meta(ge=1, le=MAX_REVISION)]
    digest: str


# The order of the fields is the order in the file.
class _Checkpoint(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    format: Literal["strongroom/1 checkpoint"]
    store: str
    root: str
    number: Annotated[int, msgspec.Meta(ge=1, le=999_999_999)]
    header: Annotated[int, msgspec.Meta(ge=1, le=MAX_REVISION)]
    made: str
    keysets: list[_Line]
    groups: list[_Line]
    mac: str


_DECODER = msgspec.json.Decoder(_Checkpoint)


def encode_checkpoint(checkpoint: Checkpoint, root: Root) -> bytes:
    """The text, in the spelling of all files of a store, with its MAC under the root in the last field."""
    wire = _Checkpoint(
        format="strongroom/1 checkpoint",
        store=b64encode(checkpoint.store),
        root=b64encode(checkpoint.root),
        number=checkpoint.number,
        header=checkpoint.header,
        made=format_time(checkpoint.made),
        keysets=[_wire(line) for line in checkpoint.keysets],
        groups=[_wire(line) for line in checkpoint.groups],
        mac=b64encode(bytes(32)),
    )
    body = _spell(wire)[:-_TAIL]
    return body + b'  "mac": "%b"\n}\n' % b64encode(root.record_mac(body)).encode("ascii")


def decode_checkpoint(raw: bytes, *, header: Header, root: Root) -> Checkpoint:
    """The checkpoint in these bytes, which the store's root, or one before it, made.

    FormatError; IntegrityError where it is another store's, or not authentic; StaleError where it is of a later root.
    """
    if len(raw) > MAX_CHECKPOINT:
        raise FormatError(f"the checkpoint has {len(raw)} bytes; the limit is {MAX_CHECKPOINT}")
    try:
        wire = _DECODER.decode(raw)
        spelled = _spell(wire)
    except (msgspec.MsgspecError, ValueError, RecursionError) as trouble:
        raise diagnose(
            raw, what="the checkpoint", kind="checkpoint", reads=FORMAT, trouble=str(trouble), way=KEPT
        ) from None
    if spelled != raw:
        raise diagnose(raw, what="the checkpoint", kind="checkpoint", reads=FORMAT, canonical=spelled, way=KEPT)
    store, wanted = b64decode(wire.store), b64decode(wire.root)
    if store != header.store:
        raise IntegrityError(
            f"the checkpoint is of store {wire.store}, and this is {b64encode(header.store)}",
            hint="strongroom --store DIR checkpoint verify FILE names the other store",
        )
    if wire.number > root.number:
        raise StaleError(
            f"the checkpoint is of root {wire.number}, and the store here is at root {root.number}",
            hint="'git pull' may bring the newer header; 'git log' tells who turned it back",
        )
    maker = next((each for each in (root, *lineage(header, root)) if each.id == wanted), None)
    if maker is None:
        raise IntegrityError(f"the checkpoint is of root {wire.root}, which does not lead to root {root.number}")
    try:
        maker.check_record(raw[:-_TAIL], b64decode(wire.mac))
    except IntegrityError:
        raise IntegrityError("the checkpoint is not authentic", hint=KEPT) from None
    return _read(wire)


def _wire(line: Line) -> _Line:
    return _Line(name=line.name, revision=line.revision, digest=b64encode(line.digest))


def _read(wire: _Checkpoint) -> Checkpoint:
    try:
        keysets = _lines(wire.keysets, lambda name: parse_name(name, reserved=True))
        groups = _lines(wire.groups, check_group)
    except InvalidNameError as problem:
        raise FormatError(f"the checkpoint is not lawful: {problem}") from None
    return Checkpoint(
        store=StoreId(b64decode(wire.store)),
        root=RootId(b64decode(wire.root)),
        number=wire.number,
        header=Revision(wire.header),
        made=parse_time(wire.made),
        keysets=keysets,
        groups=groups,
    )


def _lines(wire: Sequence[_Line], check: Callable[[str], str]) -> tuple[Line, ...]:
    lines = tuple(
        Line(name=check(line.name), revision=Revision(line.revision), digest=b64decode(line.digest)) for line in wire
    )
    names = [line.name for line in lines]
    if names != sorted(set(names)) or any(len(line.digest) != DIGEST for line in lines):
        raise FormatError("the checkpoint's records are not sorted, or one comes twice")
    return lines


def _spell(wire: _Checkpoint) -> bytes:
    return msgspec.json.format(msgspec.json.encode(wire), indent=2) + b"\n"
