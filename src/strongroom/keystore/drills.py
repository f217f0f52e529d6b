"""When shares were made and last tried: noted in the store itself, so that a drill that nobody held is told.

Each note is a version of the reserved keyset `strongroom.recovery`, a `secret`: sealed, authentic, taken along by a
rotation of the root, and united where branches are merged. How often shares are to be tried is that keyset's interval.
A note counts only if its version was promoted: what a removed admin brings in under a replaced root never is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from strongroom._encoding import Timestamp, b64decode, b64encode, format_time
from strongroom.errors import FormatError, NotFoundError
from strongroom.keystore.facade import KeyStore
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName, Revision, draw_key_id, parse_name
from strongroom.model.policy import Policy
from strongroom.model.types import KeyType, Prefix, Purpose
from strongroom.model.version import Version
from strongroom.primitives.hpke import X25519
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.hpke import HpkeSlot
from strongroom.sealing.shares import LABEL, Share
from strongroom.stores.sealed import SealedStore

RECOVERY: Final[KeysetName] = parse_name("strongroom.recovery", reserved=True)

EVERY: Final = 365 * 86_400
"""Seconds after which shares are to be tried again, unless `strongroom recovery policy` says otherwise."""

_DAY: Final = 86_400_000


class _Note(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    format: Literal["strongroom/1 recovery"]
    event: Literal["made", "drilled"]
    slot: str
    set: str
    threshold: int
    shares: int | None  # nobody who only holds some of them knows how many there are


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """A slot whose key is in shares. What was never noted is empty or None: it was made by a release before 0.2."""

    label: str
    set_name: str
    threshold: int | None
    shares: int | None
    made: Timestamp | None
    tried: Timestamp | None
    due: Timestamp | None
    """From when on they are to be tried; None where nobody wants to be reminded."""

    @property
    def why(self) -> str:
        """Why they are to be tried, for people."""
        if self.tried is None:
            return f"the shares of slot {self.label!r} were never tried"
        return f"the shares of slot {self.label!r} were last tried {format_time(self.tried)[:10]}"


def note_made(store: SealedStore, slot: HpkeSlot, shares: Sequence[Share], *, now: Timestamp) -> None:
    """Note that shares were made. Before the slot counts: a note of a slot that never came says nothing."""
    _write(store, _note("made", slot, shares[0], of=len(shares)), now)


def note_drill(store: SealedStore, slot: HpkeSlot, share: Share, *, now: Timestamp) -> bool:
    """Note that the shares of a slot were tried with success; whether it was written: once a day is enough."""
    last = max((at for at, each in _notes(store) if _is(each, "drilled", slot)), default=None)
    if last is not None and last // _DAY == now // _DAY:
        return False
    _write(store, _note("drilled", slot, share, of=None), now)
    return True


def sharings(keystore: KeyStore) -> tuple[Sharing, ...]:
    """Every slot of the newest root that shares open, as far as is known. An older record only reminds the sooner."""
    store = keystore.sealed
    notes, every = _notes(store), drill_every(store)
    found = []
    for slot in store.header.slots:
        if not isinstance(slot, HpkeSlot) or slot.suite != X25519:
            continue
        mine = [(at, note) for at, note in notes if note.slot == b64encode(slot.public)]
        if not mine and slot.label != LABEL:
            continue  # an identity file opens it, for all we know
        made = next((at for at, note in mine if note.event == "made"), None)
        tried = max((at for at, note in mine if note.event == "drilled"), default=None)
        since = min(store.header.created if made is None else made, keystore.clock.now())
        found.append(
            Sharing(
                label=slot.label,
                set_name=mine[0][1].set if mine else "",
                threshold=mine[0][1].threshold if mine else None,
                shares=next((note.shares for _, note in mine if note.shares is not None), None),
                made=made,
                tried=tried,
                due=None if every is None else since if tried is None else Timestamp(tried + every * 1000),
            )
        )
    return tuple(found)


def drill_every(store: SealedStore) -> int | None:
    """After how many seconds shares are to be tried again; None for never."""
    try:
        return store.load(RECOVERY).keyset.policy.rotate_every
    except NotFoundError:
        return EVERY


def set_drill_every(keystore: KeyStore, seconds: int | None) -> None:
    """Say how often shares are to be tried; None: nobody is reminded. NotFoundError where no shares are noted."""
    store = keystore.sealed
    try:
        old = store.load(RECOVERY).keyset
    except NotFoundError:
        raise NotFoundError(
            "no shares were made or tried since this Strongroom keeps note of it",
            hint="strongroom recovery create, or strongroom recovery drill",
        ) from None
    if old.policy.rotate_every != seconds:
        store.replace(old.with_policy(Policy(rotate_every=seconds, propagation=None)), replaces=old.revision)


def _notes(store: SealedStore) -> list[tuple[Timestamp, _Note]]:
    """All that count, the earliest first."""
    try:
        opened = store.load(RECOVERY)
    except NotFoundError:
        return []  # nobody gains by taking it away: then there was no drill
    found = []
    for version in opened.keyset.versions:
        if version.sealed is None or version.promote_at is None:
            continue
        note = _read(opened.material(version.number))
        if note is not None:
            found.append((version.created, note))
    return sorted(found, key=lambda each: each[0])


def _is(note: _Note, event: str, slot: HpkeSlot) -> bool:
    return note.event == event and note.slot == b64encode(slot.public)


def _note(event: Literal["made", "drilled"], slot: HpkeSlot, share: Share, *, of: int | None) -> _Note:
    return _Note(
        format="strongroom/1 recovery",
        event=event,
        slot=b64encode(slot.public),
        set=share.set_name,
        threshold=share.threshold,
        shares=of,
    )


def _write(store: SealedStore, note: _Note, now: Timestamp) -> None:
    try:
        old = store.load(RECOVERY).keyset
    except NotFoundError:
        version = _version(store, note, now, number=1, taken=set())
        store.create(
            Keyset.created(
                RECOVERY,
                version,
                type=KeyType.SECRET,
                purpose=Purpose.SECRET,
                policy=Policy(rotate_every=EVERY, propagation=None),
                now=now,
            )
        )
        return
    version = _version(store, note, now, number=old.next_number, taken=set(old.key_ids))
    new = old.replacement(version, now=now).as_revision(Revision(old.revision + 1))
    store.replace(new, replaces=old.revision)


def _version(store: SealedStore, note: _Note, now: Timestamp, *, number: int, taken: set[int]) -> Version:
    key_id = draw_key_id(taken)
    material = SecretBytes(msgspec.json.encode(note))
    sealed = store.seal(material, name=RECOVERY, key_id=key_id, type=KeyType.SECRET, purpose=Purpose.SECRET)
    return Version.added(number, key_id, sealed=sealed, public=None, prefix=Prefix.NONE, now=now)


def _read(material: SecretBytes) -> _Note | None:
    """A note; None for what is none, or one of a later release: it keeps nobody from trying shares."""
    try:
        note = msgspec.json.decode(material.reveal(), type=_Note)
        b64decode(note.slot)
    except (msgspec.MsgspecError, FormatError, ValueError):
        return None
    return note
