"""What somebody could read who should not any more: kept in the store itself, until every key of it is replaced.

Each exposure is a version of the reserved keyset `strongroom.exposures`, a `secret` whose material says when, who,
which root and why. It is sealed like any other, so a reader of the repository does not learn who left; it is authentic
like any other; and where two branches are merged, their versions are united.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from strongroom._encoding import Timestamp, format_time, parse_time
from strongroom.caching.issuing import ISSUER
from strongroom.errors import FormatError, NotFoundError, StaleError, StrongroomError
from strongroom.keystore.facade import KeyStore
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, KeysetName, Revision, draw_key_id, format_key_id, parse_key_id, parse_name
from strongroom.model.policy import Policy
from strongroom.model.states import KeyState
from strongroom.model.types import KeyType, Prefix, Purpose
from strongroom.model.version import Version
from strongroom.primitives.secret import SecretBytes
from strongroom.stores.sealed import SealedStore

EXPOSURES: Final[KeysetName] = parse_name("strongroom.exposures", reserved=True)
_OWN: Final = "strongroom."
_AT_ONCE: Final = 5000
"""Key ids in one version of the keyset: a secret has at most 65,536 bytes."""
_AHEAD: Final = 40_000
"""Key ids in one exposure: a record has at most 1 MiB."""
_PROTECTS = frozenset({KeyState.PRE_ACTIVATION, KeyState.ACTIVE})
_PROCESSES = _PROTECTS | {KeyState.DEACTIVATED, KeyState.COMPROMISED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """From `root` on back, `who` could read everything that the store held at `time`.

    `ahead` are key ids of versions that he could read, too, although they say that they were made later: by hosts whose
    clocks were ahead of the one that wrote this.
    """

    time: Timestamp
    who: str
    root: int
    reason: str
    ahead: frozenset[KeyId] = frozenset()

    def covers(self, version: Version) -> bool:
        """Whether he could read this version."""
        return version.created <= self.time or version.key_id in self.ahead


class _Exposure(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    format: Literal["strongroom/1 exposure", "strongroom/2 exposure"]
    time: str
    who: str
    root: int
    reason: str
    ahead: list[str] | UnsetType = UNSET  # in the second format, which is written where there are some


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposedRow:
    """A keyset of which somebody could read versions. It is `replaced` once it is settled that another will protect.

    `protects_until` is when that comes, where one of them still protects. What they protected stays readable to him
    until it is re-encrypted.
    """

    name: str
    type: KeyType
    versions: tuple[int, ...]
    replaced: bool
    since: Exposure
    protects_until: Timestamp | None = None

    @property
    def done(self) -> bool:
        """Replaced, and protecting nothing any more."""
        return self.replaced and self.protects_until is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposedRotated:
    """What walking the list did: `rotated` have a new version, `left` have none yet, each with the reason."""

    rotated: tuple[str, ...]
    left: tuple[tuple[str, str], ...]


def note_of(store: SealedStore, exposure: Exposure, keysets: Sequence[Keyset]) -> Keyset | None:
    """The next revision of the keyset that remembers exposures; None where what is known says the same already.

    `keysets` are all that the store holds at this moment.
    """
    known = [each for each in exposures(store) if (each.who, each.root) == (exposure.who, exposure.root)]
    everything = [version for keyset in keysets if keyset.name != EXPOSURES for version in keyset.versions]
    if known and all(any(each.covers(version) for each in known) for version in everything):
        return None  # it was broken off between the note and the rotation, and is taken up again
    ahead = [version.key_id for version in everything if version.created > exposure.time]
    if len(ahead) > _AHEAD:  # then whatever is made until that moment comes counts as known, too
        exposure, ahead = replace(exposure, time=Timestamp(max(version.created for version in everything))), []
    old = next((keyset for keyset in keysets if keyset.name == EXPOSURES), None)
    made = _noting(store, old, exposure, ahead)
    return made.as_revision(Revision(1 if old is None else old.revision + 1))


def note_of_adopted(store: SealedStore, keyset: Keyset, root: int) -> Keyset | None:
    """The next revision of it where `keyset` comes from a branch under `root`: whoever could read that root could read
    what was made under it, later too. None where nobody could who should not, or where it says so already."""
    noted = [each for each in exposures(store) if each.root >= root]
    if not noted:
        return None
    old = made = store.load(EXPOSURES).keyset
    for each in noted:
        if ahead := [version.key_id for version in keyset.versions if not each.covers(version)]:
            made = _noting(store, made, each, ahead)
    return None if made is old else made.as_revision(Revision(old.revision + 1))


def _noting(store: SealedStore, made: Keyset | None, exposure: Exposure, ahead: Sequence[KeyId]) -> Keyset:
    """With one exposure more, in as many versions as it takes."""
    parts = [ahead[start : start + _AT_ONCE] for start in range(0, max(len(ahead), 1), _AT_ONCE)]
    if made is None:
        made = Keyset.created(
            EXPOSURES,
            _version(store, exposure, parts.pop(0), 1, set()),
            type=KeyType.SECRET,
            purpose=Purpose.SECRET,
            policy=Policy(rotate_every=None, propagation=None),
            now=exposure.time,
        )
    for part in parts:
        made = made.add(_version(store, exposure, part, made.next_number, set(made.key_ids)))
    return made


def _version(store: SealedStore, exposure: Exposure, ahead: Sequence[KeyId], number: int, taken: set[KeyId]) -> Version:
    wire = _Exposure(
        format="strongroom/2 exposure" if ahead else "strongroom/1 exposure",
        time=format_time(exposure.time),
        who=exposure.who,
        root=exposure.root,
        reason=exposure.reason,
        ahead=[format_key_id(each) for each in ahead] if ahead else UNSET,
    )
    key_id = draw_key_id(taken)
    sealed = store.seal(
        SecretBytes(msgspec.json.encode(wire)),
        name=EXPOSURES,
        key_id=key_id,
        type=KeyType.SECRET,
        purpose=Purpose.SECRET,
    )
    return Version.added(number, key_id, sealed=sealed, public=None, prefix=Prefix.NONE, now=exposure.time)


def exposures(store: SealedStore) -> tuple[Exposure, ...]:
    """All that were noted, the earliest first. A version that notes none keeps nobody from being removed.

    StaleError where some may be missing: the record is older than the one that was seen, or gone.
    """
    found, _ = _noted(store)
    return tuple(sorted(found, key=lambda each: each.time))


def strangers(store: SealedStore) -> tuple[int, ...]:
    """The versions among the exposures that note none: releases before 0.2 let somebody put them there."""
    return _noted(store)[1]


def _noted(store: SealedStore) -> tuple[list[Exposure], tuple[int, ...]]:
    try:
        opened = store.load(EXPOSURES)
    except NotFoundError:
        store.check_not_vanished(EXPOSURES)  # else whoever takes the file away would end every exposure
        return [], ()
    if isinstance(opened.hindrance, StaleError):
        raise opened.hindrance.again()
    found: dict[Exposure, Exposure] = {}
    strange: list[int] = []
    for version in opened.keyset.versions:
        if version.sealed is not None:
            try:
                read = _read(opened.material(version.number))
            except FormatError:
                strange.append(version.number)
                continue
            bare = replace(read, ahead=frozenset())  # one of many key ids is told by several versions
            found[bare] = replace(read, ahead=read.ahead | found.get(bare, bare).ahead)
    return list(found.values()), tuple(strange)


def exposed(keystore: KeyStore) -> tuple[ExposedRow, ...]:
    """Every keyset that has versions which somebody could read and which still do something, by name."""
    store = keystore.sealed
    noted = exposures(store)
    if not noted:
        return ()
    last, ahead = noted[-1], frozenset().union(*(each.ahead for each in noted))
    rows = []
    for opened in store.load_all():
        keyset = opened.keyset
        known = tuple(
            each.number
            for each in keyset.versions
            if (each.created <= last.time or each.key_id in ahead) and each.state in _PROCESSES
        )
        if known and (keyset.name == ISSUER or not keyset.name.startswith(_OWN)):
            rows.append(
                ExposedRow(
                    name=keyset.name,
                    type=keyset.type,
                    versions=known,
                    replaced=_replaced(keyset, known),
                    since=last,
                    protects_until=_end_of(keyset, known, keystore.clock.now()),
                )
            )
    return tuple(rows)


def still_knows(exposure: Exposure, keyset: Keyset) -> bool:
    """Whether what the keyset protects with, now or at last, is known to whom this exposure is about."""
    known = [each.number for each in keyset.versions if exposure.covers(each) and each.state in _PROCESSES]
    return bool(known) and not _replaced(keyset, known)


def rotate_exposed(
    keystore: KeyStore,
    *,
    now: bool = False,
    generate: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> ExposedRotated:
    """Rotate each exposed keyset that is not replaced yet. It can be broken off: the next walk goes on.

    A `secret` is left unless `generate` says that a random text will do: its value is known elsewhere too. The issuer
    is replaced at once, whatever `now` says: publications carry its word for the next one.
    """
    due = [row for row in exposed(keystore) if not row.replaced]
    rotated: list[str] = []
    left: list[tuple[str, str]] = []
    for number, row in enumerate(due, start=1):
        if row.type is KeyType.SECRET and not generate:
            left.append((row.name, f"strongroom rotate {row.name} --value-file FILE"))
        else:
            try:
                keystore.rotate(row.name, now=now or row.name == ISSUER, generate=generate)
            except StrongroomError as problem:
                left.append((row.name, str(problem)))
            else:
                rotated.append(row.name)
        if progress is not None:
            progress(number, len(due), row.name)
    return ExposedRotated(rotated=tuple(rotated), left=tuple(left))


def _replaced(keyset: Keyset, known: Collection[int]) -> bool:
    """Whether what is, or will at last be, primary is none of the known versions; or nothing protects any more."""
    coming = [(each.promote_at, each.number) for each in keyset.versions if each.state in _PROTECTS]
    last = max(((at, number) for at, number in coming if at is not None), default=None)
    return last is None or last[1] not in known


def _end_of(keyset: Keyset, known: Collection[int], now: Timestamp) -> Timestamp | None:
    """When the known version that is primary now gives way to one that is not known; None where none is primary."""
    primary = keyset.primary_at(now)
    if primary is None or primary.number not in known:
        return None
    coming = [
        each.promote_at
        for each in keyset.versions
        if each.state in _PROTECTS
        and each.promote_at is not None
        and each.promote_at > now
        and each.number not in known
    ]
    return min(coming, default=None)


def _read(material: SecretBytes) -> Exposure:
    try:
        wire = msgspec.json.decode(material.reveal(), type=_Exposure)
    except (msgspec.MsgspecError, ValueError):
        raise FormatError(f"{EXPOSURES!r} holds a version that is no exposure", hint="strongroom doctor") from None
    ahead = () if isinstance(wire.ahead, UnsetType) else wire.ahead
    if bool(ahead) is not (wire.format == "strongroom/2 exposure"):
        raise FormatError(f"{EXPOSURES!r} holds a version that is no exposure", hint="strongroom doctor")
    return Exposure(
        time=parse_time(wire.time),
        who=wire.who,
        root=wire.root,
        reason=wire.reason,
        ahead=frozenset(map(parse_key_id, ahead)),
    )
