"""What somebody could read who should not any more: kept in the store itself, until every key of it is replaced.

Each exposure is a version of the reserved keyset `strongroom.exposures`, a `secret` whose material says when, who,
which root and why. It is sealed like any other, so a reader of the repository does not learn who left; it is authentic
like any other; and where two branches are merged, their versions are united.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from strongroom._encoding import Timestamp, format_time, parse_time
from strongroom.caching.publisher import ISSUER
from strongroom.errors import FormatError, NotFoundError, StrongroomError
from strongroom.keystore.facade import KeyStore
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName, draw_key_id, parse_name
from strongroom.model.policy import Policy
from strongroom.model.states import KeyState
from strongroom.model.types import KeyType, Prefix, Purpose
from strongroom.model.version import Version
from strongroom.primitives.secret import SecretBytes
from strongroom.stores.sealed import SealedStore

EXPOSURES: Final[KeysetName] = parse_name("strongroom.exposures", reserved=True)
_OWN: Final = "strongroom."
_ISSUER_WAY: Final = (
    f"strongroom rotate {ISSUER} --now, then strongroom worker rotate GROUP for each group, a new identity file for"
    " each of its hosts, and strongroom publish"
)
_PROTECTS = frozenset({KeyState.PRE_ACTIVATION, KeyState.ACTIVE})
_PROCESSES = _PROTECTS | {KeyState.DEACTIVATED, KeyState.COMPROMISED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """From `root` on back, `who` could read everything that the store held at `time`."""

    time: Timestamp
    who: str
    root: int
    reason: str


class _Exposure(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    format: Literal["strongroom/1 exposure"]
    time: str
    who: str
    root: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposedRow:
    """A keyset of which somebody could read versions. It is `replaced` once none of them will protect anything more;
    what they protected stays readable to him until it is re-encrypted."""

    name: str
    type: KeyType
    versions: tuple[int, ...]
    replaced: bool
    since: Exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposedRotated:
    """What walking the list did: `rotated` have a new version, `left` have none yet, each with the reason."""

    rotated: tuple[str, ...]
    left: tuple[tuple[str, str], ...]


def note_of(store: SealedStore, exposure: Exposure) -> Keyset | None:
    """The next revision of the keyset that remembers exposures, to be written; None where the last says the same."""
    wire = _Exposure(
        format="strongroom/1 exposure",
        time=format_time(exposure.time),
        who=exposure.who,
        root=exposure.root,
        reason=exposure.reason,
    )
    known = exposures(store)
    if known and (known[-1].who, known[-1].root) == (exposure.who, exposure.root):
        return None  # it was broken off between the note and the rotation, and is taken up again
    try:
        old = store.load(EXPOSURES).keyset
    except NotFoundError:
        old = None
    key_id = draw_key_id(() if old is None else old.key_ids)
    version = Version.added(
        1 if old is None else old.next_number,
        key_id,
        sealed=store.seal(
            SecretBytes(msgspec.json.encode(wire)),
            name=EXPOSURES,
            key_id=key_id,
            type=KeyType.SECRET,
            purpose=Purpose.SECRET,
        ),
        public=None,
        prefix=Prefix.NONE,
        now=exposure.time,
    )
    if old is not None:
        return old.add(version)
    return Keyset.created(
        EXPOSURES,
        version,
        type=KeyType.SECRET,
        purpose=Purpose.SECRET,
        policy=Policy(rotate_every=None, propagation=None),
        now=exposure.time,
    )


def exposures(store: SealedStore) -> tuple[Exposure, ...]:
    """All that were noted, the earliest first. A version that notes none keeps nobody from being removed."""
    found, _ = _noted(store)
    return tuple(sorted(found, key=lambda each: each.time))


def strangers(store: SealedStore) -> tuple[int, ...]:
    """The versions among the exposures that note none: releases before 0.2 let somebody put them there."""
    return _noted(store)[1]


def _noted(store: SealedStore) -> tuple[list[Exposure], tuple[int, ...]]:
    try:
        opened = store.load(EXPOSURES)
    except NotFoundError:
        return [], ()
    found: list[Exposure] = []
    strange: list[int] = []
    for version in opened.keyset.versions:
        if version.sealed is not None:
            try:
                found.append(_read(opened.material(version.number)))
            except FormatError:
                strange.append(version.number)
    return found, tuple(strange)


def exposed(keystore: KeyStore) -> tuple[ExposedRow, ...]:
    """Every keyset that has versions which somebody could read and which still do something, by name."""
    store = keystore.sealed
    noted = exposures(store)
    if not noted:
        return ()
    last = noted[-1]
    rows = []
    for opened in store.load_all():
        keyset = opened.keyset
        known = tuple(each.number for each in keyset.versions if each.created <= last.time and each.state in _PROCESSES)
        if known and (keyset.name == ISSUER or not keyset.name.startswith(_OWN)):
            rows.append(
                ExposedRow(
                    name=keyset.name,
                    type=keyset.type,
                    versions=known,
                    replaced=_replaced(keyset, last.time),
                    since=last,
                )
            )
    return tuple(rows)


def rotate_exposed(
    keystore: KeyStore,
    *,
    now: bool = False,
    generate: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> ExposedRotated:
    """Rotate each exposed keyset that is not replaced yet. It can be broken off: the next walk goes on.

    A `secret` is left unless `generate` says that a random text will do: its value is known elsewhere too. The issuer
    is left because every worker needs a new identity with it.
    """
    due = [row for row in exposed(keystore) if not row.replaced]
    rotated: list[str] = []
    left: list[tuple[str, str]] = []
    for number, row in enumerate(due, start=1):
        if row.name == ISSUER:
            left.append((row.name, _ISSUER_WAY))
        elif row.type is KeyType.SECRET and not generate:
            left.append((row.name, f"strongroom rotate {row.name} --value-file FILE"))
        else:
            try:
                keystore.rotate(row.name, now=now, generate=generate)
            except StrongroomError as problem:
                left.append((row.name, str(problem)))
            else:
                rotated.append(row.name)
        if progress is not None:
            progress(number, len(due), row.name)
    return ExposedRotated(rotated=tuple(rotated), left=tuple(left))


def _replaced(keyset: Keyset, time: Timestamp) -> bool:
    """Whether what is, or will at last be, primary was made after the exposure; or nothing protects any more."""
    coming = [(each.promote_at, each.number, each) for each in keyset.versions if each.state in _PROTECTS]
    last = max(((at, number, each) for at, number, each in coming if at is not None), default=None)
    return last is None or last[2].created > time


def _read(material: SecretBytes) -> Exposure:
    try:
        wire = msgspec.json.decode(material.reveal(), type=_Exposure)
    except (msgspec.MsgspecError, ValueError):
        raise FormatError(f"{EXPOSURES!r} holds a version that is no exposure", hint="strongroom doctor") from None
    return Exposure(time=parse_time(wire.time), who=wire.who, root=wire.root, reason=wire.reason)
