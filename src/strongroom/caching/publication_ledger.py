"""What a publication held, for holders only: revisions and digests, sealed under the root. Workers pass over it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from strongroom._encoding import b64decode, b64encode
from strongroom.errors import FormatError, IntegrityError
from strongroom.model.keyset import MAX_REVISION
from strongroom.model.names import KeyId, KeysetName, Revision, parse_name
from strongroom.model.types import KeyType, Purpose
from strongroom.primitives.secret import SecretBytes
from strongroom.stores.sealed import SealedStore

_KEY_ID: Final = KeyId(1)
_Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_REVISION)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One granted keyset: whether only its public halves, its revision, and a digest of all but the material."""

    name: KeysetName
    public: bool
    revision: Revision
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The group's revision, and a line for each granted keyset, by name."""

    group: Revision
    lines: tuple[Line, ...]


class _Ledger(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    group: _Count
    lines: list[tuple[str, bool, _Count, str]]


_DECODER = msgspec.json.Decoder(_Ledger)
_ENCODER = msgspec.json.Encoder()


def seal_ledger(store: SealedStore, ledger: Ledger, *, group: str) -> bytes:
    """The ledger, wrapped as a version of type `secret` and key id 1 is, in the place `strongroom.ledger/GROUP`."""
    wire = _Ledger(
        group=ledger.group,
        lines=[(line.name, line.public, line.revision, b64encode(line.digest)) for line in ledger.lines],
    )
    return store.seal(
        SecretBytes(_ENCODER.encode(wire)),
        name=_place(group),
        key_id=_KEY_ID,
        type=KeyType.SECRET,
        purpose=Purpose.SECRET,
    )


def open_ledger(store: SealedStore, sealed: bytes, *, group: str) -> Ledger:
    """What `seal_ledger` sealed, under the root of now or an older one. IntegrityError for anything else."""
    opened = _opened(store, sealed, group)
    try:
        wire = _DECODER.decode(opened.reveal())
        return Ledger(
            group=Revision(wire.group),
            lines=tuple(
                Line(name=parse_name(name), public=public, revision=Revision(revision), digest=b64decode(digest))
                for name, public, revision, digest in wire.lines
            ),
        )
    except (msgspec.MsgspecError, FormatError):
        raise IntegrityError(f"the ledger of the publication for {group!r} is none") from None


def _opened(store: SealedStore, sealed: bytes, group: str) -> SecretBytes:
    place, kind, purpose = _place(group), KeyType.SECRET, Purpose.SECRET
    try:
        return store.root.open(sealed, name=place, key_id=_KEY_ID, type=kind, purpose=purpose)
    except IntegrityError:
        for older in store.older_roots():
            with contextlib.suppress(IntegrityError):
                return older.open(sealed, name=place, key_id=_KEY_ID, type=kind, purpose=purpose)
        raise


def _place(group: str) -> KeysetName:
    return parse_name(f"strongroom.ledger/{group}", reserved=True)
