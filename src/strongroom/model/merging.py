"""Two copies of one keyset become one: every version stays, rights are only taken away, and what was settled is told.

DESIGN section 4: git's merge driver unites two branches' records by key id, and the sterner state wins. The result
follows from the three copies alone, but for promotions that are past: whoever merges, and which way round, gets the
same keyset, so that clones that merge one another come to rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from operator import and_
from typing import Any

from msgspec.structs import replace

from strongroom._encoding import Timestamp
from strongroom.errors import ConflictError, SettingsError
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, Revision, format_key_id
from strongroom.model.policy import MAX_LABELS, Labels, Policy
from strongroom.model.states import KeyState, sterner
from strongroom.model.version import Version

_ABLE = frozenset({KeyState.PRE_ACTIVATION, KeyState.ACTIVE})
"""The states in which a promotion serves."""
_REPLACED = "made under a root that was replaced"

_TIGHTER = {"exportable": and_}
"""Fields of a policy that go one way only: of two values, the one that allows less."""

_LESSER = {"allow": and_}
"""Fields of which, where both branches changed one, what both allow is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What came of it, and what a person should know: a sentence each, empty where nothing was open."""

    keyset: Keyset
    notes: tuple[str, ...]


def unite(base: Keyset | None, ours: Keyset, theirs: Keyset, *, now: Timestamp) -> Merged:
    """One keyset of two that may have gone different ways since `base`; None where that is not known.

    The sealed material of a version that both have must be under one root. ConflictError for keysets of different
    types, and for one key id with two origins.
    """
    for what in ("name", "type", "purpose"):
        if getattr(ours, what) != getattr(theirs, what):
            raise ConflictError(
                f"keyset {ours.name!r} has another {what} on the other branch: they are two keysets of one name",
                hint="keep one with 'git checkout --ours' or '--theirs', and create the other under a new name",
            )
    notes: list[str] = []
    before = {} if base is None else _by_key_id(base)
    here, there = _by_key_id(ours), _by_key_id(theirs)
    versions = []
    for number, key_id in enumerate(_order(ours, theirs), start=1):
        mine, other = here.get(key_id), there.get(key_id)
        if mine is not None and other is not None:
            one = _version(before.get(key_id), mine, other, now=now, note=partial(_note, notes, ours, number))
        else:
            one = mine or other  # type: ignore[assignment]  # the order holds what one of them has
        versions.append(replace(one, number=number))
    keyset = replace(
        ours,
        revision=Revision(max(ours.revision, theirs.revision) + 1),
        versions=tuple(versions),
        policy=_policy(base, ours, theirs, notes),
        labels=_labels(base, ours, theirs, notes),
    )
    return Merged(keyset=_protecting(keyset, ours, theirs, now, notes), notes=tuple(notes))


def subdued(old: Keyset, lead: Keyset) -> Keyset:
    """What may come in of a keyset that a replaced root alone vouches for: versions to read with, and sterner states.

    A removed admin knows that root. Were a promotion or a policy of his taken over, data would go out under a key of
    his after he was removed (DESIGN section 7); were a destruction, the material would be lost to everybody. So
    nothing in it promotes or destroys, and policy and labels are the lead's. A version that only it has is deactivated:
    whoever made it, whoever knows that root reads it, and so nobody is to promote it later.
    """
    leading = _by_key_id(lead)
    versions = tuple(_subdued(each, leading.get(each.key_id)) for each in old.versions)
    return replace(old, versions=versions, policy=lead.policy, labels=lead.labels)


def _subdued(version: Version, lead: Version | None) -> Version:
    if lead is None:
        if version.state in _ABLE:
            version = replace(version, state=KeyState.DEACTIVATED, reason=_REPLACED)
        return replace(version, promote_at=None, destroy_at=None)
    if version.state is KeyState.DESTROYED:
        return replace(lead, number=version.number)
    return replace(version, promote_at=lead.promote_at, destroy_at=lead.destroy_at)


def moved_by(old: Keyset, lead: Keyset) -> tuple[str, ...]:
    """What a person should know of the states in a keyset that `subdued` lets in, a sentence each."""
    notes: list[str] = []
    theirs = _by_key_id(old)
    for version in lead.versions:
        other = theirs.get(version.key_id)
        if other is None or sterner(other.state, version.state) is version.state:
            continue
        told = (
            "was destroyed, and stays as it is here"
            if other.state is KeyState.DESTROYED
            else f"becomes {other.state.value}"
        )
        _note(notes, lead, version.number, told)
    return tuple(notes)


def _by_key_id(keyset: Keyset) -> dict[KeyId, Version]:
    return {version.key_id: version for version in keyset.versions}


def _note(notes: list[str], keyset: Keyset, number: int, text: str) -> None:
    notes.append(f"version {number} of {keyset.name!r} {text}")


def _order(ours: Keyset, theirs: Keyset) -> list[KeyId]:
    """All key ids, as both have them in order; between those that only one has, the one made first comes first.

    Numbers of versions that both have stay, then, where both got them from one branch: clocks cannot change it.
    """
    made = {version.key_id: version.created for version in (*ours.versions, *theirs.versions)}
    queues = [[version.key_id for version in each.versions] for each in (ours, theirs)]
    order: list[KeyId] = []
    while any(queues):
        heads = {queue[0] for queue in queues if queue}
        # two orders that contradict one another come of no merge of ours; then the time decides
        free = {head for head in heads if all(head not in queue[1:] for queue in queues)} or heads
        first = min(free, key=lambda key_id: (made[key_id], key_id))
        order.append(first)
        queues = [[key_id for key_id in queue if key_id != first] for queue in queues]
    return order


def _version(base: Version | None, ours: Version, theirs: Version, *, now: Timestamp, note: partial[None]) -> Version:
    """One version that both have. Of two states the sterner wins, with the dates that it came with."""
    if (ours.created, ours.public, ours.prefix) != (theirs.created, theirs.public, theirs.prefix):
        raise ConflictError(
            f"key id {format_key_id(ours.key_id)} stands for two keys: a key id is never used twice",
            hint="see 'git log' for who made the second one",
        )
    state = sterner(ours.state, theirs.state)
    if ours.state is not theirs.state:
        chosen, milder = (ours, theirs) if state is ours.state else (theirs, ours)
        if base is not None and _settled(chosen, base) and not _settled(milder, base):
            note(
                f"became {milder.state.value} on one branch and stays {state.value}, as it was: the sterner state wins"
            )
    elif base is not None and _settled(theirs, base):
        chosen = ours
    elif base is not None and _settled(ours, base):
        chosen = theirs
    else:
        chosen = max(ours, theirs, key=lambda each: (each.changed, each.promote_at or 0, each.reason or ""))
        moments = [each.promote_at for each in (ours, theirs) if each.promote_at is not None]
        chosen = replace(chosen, promote_at=max(moments, default=None))
    if state not in _ABLE and chosen.awaits(now):
        chosen = replace(chosen, promote_at=None)
    sealed = None
    if state is not KeyState.DESTROYED and ours.sealed is not None and theirs.sealed is not None:
        sealed = min(ours.sealed, theirs.sealed)  # the same material, whichever: one that both sides would choose
    return _doomed(replace(chosen, sealed=sealed), base, ours, theirs, note=note)


def _settled(version: Version, base: Version) -> bool:
    """Whether nobody moved the version since the base. Numbers change in merges, and wrappings with the root."""
    return _moves(version) == _moves(base)


def _moves(version: Version) -> tuple[object, ...]:
    return version.state, version.changed, version.promote_at, version.reason, version.destroy_at


def _doomed(version: Version, base: Version | None, ours: Version, theirs: Version, *, note: partial[None]) -> Version:
    """With the destruction that either branch scheduled since the base, and without one that either called off."""
    before = None if base is None else (base.destroy_at,)
    at, both = _three_way(before, ours.destroy_at, theirs.destroy_at)
    moments = [each for each in (ours.destroy_at, theirs.destroy_at) if each is not None]
    if both and (base is None or len(moments) == 2):
        at = max(moments)
    elif both and version.state is not KeyState.DESTROYED:
        # somebody still needs it; what is destroyed never comes back, and another may schedule it again
        at = None
        note("is spared on one branch and to be destroyed at another time on the other: it is spared")
    if at is None or version.state is KeyState.DESTROYED:
        return replace(version, destroy_at=None)
    # what is doomed protects nothing: it is as if it had been scheduled after the promotion
    state = KeyState.DEACTIVATED if version.state is KeyState.ACTIVE else version.state
    promote_at = None if state is KeyState.PRE_ACTIVATION else version.promote_at
    return replace(version, state=state, promote_at=promote_at, destroy_at=at)


def _protecting(keyset: Keyset, ours: Keyset, theirs: Keyset, now: Timestamp, notes: list[str]) -> Keyset:
    """With a primary that protects, where one branch promoted what the other one has given up."""
    primary = keyset.primary_at(now)
    if primary is None or primary.state_at(now) in {KeyState.ACTIVE, KeyState.SUSPENDED}:
        return keyset  # a suspended primary is somebody's wish that nothing is protected
    ready = [
        version for version in keyset.versions if version.in_force(now) and version.state_at(now) is KeyState.ACTIVE
    ]
    if not ready:
        notes.append(
            f"no version of {keyset.name!r} protects: its primary is {primary.state.value};"
            f" strongroom rotate {keyset.name} --now makes a new one"
        )
        return keyset
    latest = max(ready, key=lambda version: (version.promote_at or 0, version.number))
    notes.append(
        f"version {latest.number} of {keyset.name!r} is primary now: version {primary.number}, promoted on one branch,"
        f" is {primary.state.value}"
    )
    return keyset.promote(latest.number, now=now).as_revision(keyset.revision)


def _policy(base: Keyset | None, ours: Keyset, theirs: Keyset, notes: list[str]) -> Policy:
    mine, other = ours.policy, theirs.policy
    settled: dict[str, Any] = {}
    for field in Policy.__struct_fields__:
        pair = getattr(mine, field), getattr(other, field)
        if field in _TIGHTER:
            settled[field] = _TIGHTER[field](*pair)
            continue
        before = None if base is None else (getattr(base.policy, field),)
        settled[field], told = _three_way(before, *pair)
        if told and field in _LESSER:
            settled[field] = _LESSER[field](*pair) or pair[0]
        elif told:
            notes.append(
                f"both branches changed {field} of {ours.name!r}: ours stays, {pair[0]!r}; theirs is {pair[1]!r}"
            )
    try:
        return Policy(**settled)
    except SettingsError as problem:
        notes.append(f"the policies of {ours.name!r} do not go together, and ours stays: {problem}")
        return replace(mine, **{field: settled[field] for field in _TIGHTER})


def _labels(base: Keyset | None, ours: Keyset, theirs: Keyset, notes: list[str]) -> Labels:
    before: Mapping[str, str] = {} if base is None else base.labels
    merged: dict[str, str] = {}
    for key in sorted({*ours.labels, *theirs.labels}):
        pair = ours.labels.get(key), theirs.labels.get(key)
        text, told = _three_way((before.get(key),), *pair)
        if told and None in pair:
            text = pair[0] if pair[1] is None else pair[1]  # removed on one branch, and news on the other
        elif told:
            notes.append(f"both branches changed the label {key!r} of {ours.name!r}: ours stays")
        if text is not None:
            merged[key] = text
    if len(merged) > MAX_LABELS:
        notes.append(f"{ours.name!r} would have {len(merged)} labels: ours stay")
        return ours.labels
    return merged


def _three_way(base: tuple[Any] | None, ours: Any, theirs: Any) -> tuple[Any, bool]:
    """Whichever was changed since the base; ours, and True, where both were or nobody knows."""
    if ours == theirs or (base is not None and theirs == base[0]):
        return ours, False
    if base is not None and ours == base[0]:
        return theirs, False
    return ours, True
