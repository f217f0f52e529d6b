"""Two headers of one store that git would merge. Access is never widened by what an older root vouches for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from strongroom.errors import ConflictError, FormatError, PolicyError
from strongroom.model.names import Revision
from strongroom.sealing.header import AnySlot, Header, Recipient
from strongroom.sealing.slots import DevelopmentSlot, OpenPgpSlot

_TAKE_ONE = "take one with 'git checkout --ours' or '--theirs', 'git add' it, and say again what the other one said"


def unite_headers(base: Header | None, ours: Header, theirs: Header) -> tuple[Header, tuple[str, ...]]:
    """One header of two that went different ways since `base`, all three verified, and what a person should know.

    Where one branch rotated the root, its header stands, and what the other one approved must be approved again: a
    removed admin knows the older root, and could have written it. ConflictError where both rotated it, where nothing
    is known of the base, and where both changed one slot or recipient.
    """
    if ours.store != theirs.store:
        raise ConflictError("the other branch holds another store", hint="strongroom doctor")
    if ours.root != theirs.root:
        return _after_rotation(base, ours, theirs)
    if ours.newest.id != theirs.newest.id:
        raise ConflictError(f"both branches rotated the root to number {ours.root}", hint=_TAKE_ONE)
    if base is None:
        raise ConflictError("nothing tells what the two headers come from", hint=_TAKE_ONE)
    notes: list[str] = []
    recipients = _recipients(base, ours, theirs)
    slots = _slots(base, ours, theirs)
    if recipients:
        slots = (OpenPgpSlot.of(ours.root), *slots)
    if recipients and recipients != ours.recipients:
        notes.append(
            f"the root file root.{ours.root}.gpg must be sealed to all who are approved now:"
            " 'strongroom blackbox addadmin FPR' and 'strongroom admin approve FPR', for whom the other branch approved"
        )
    first = max(ours.roots[0].number, theirs.roots[0].number)  # what one branch destroyed stays so
    roots = tuple(root for root in ours.roots[:-1] if root.number >= first)
    fields = {name: _field(name, base, ours, theirs, notes) for name in ("propagation", "registered")}
    try:
        merged = replace(
            ours,
            revision=Revision(max(ours.revision, theirs.revision) + 1),
            roots=(*roots, replace(ours.newest, slots=slots)),
            recipients=recipients,
            pending=tuple(each for each in ours.pending if each in theirs.pending),
            **fields,
        )
    except (FormatError, PolicyError) as problem:
        raise ConflictError(f"the two headers do not go together: {problem}", hint=_TAKE_ONE) from None
    return merged, tuple(notes)


def _after_rotation(base: Header | None, ours: Header, theirs: Header) -> tuple[Header, tuple[str, ...]]:
    """The header under the newer root. What the base had already is not told: it is in the lead, or was taken away."""
    lead, other = (ours, theirs) if ours.root > theirs.root else (theirs, ours)
    if not any(root.number == other.root and root.id == other.newest.id for root in lead.roots):
        raise ConflictError(
            f"root {lead.root} of one branch does not follow from root {other.root} of the other", hint=_TAKE_ONE
        )
    had = (lead,) if base is None else (lead, base)
    known = {each.fingerprint for header in had for each in header.recipients}
    labels = {slot.label for header in had for slot in header.slots}
    notes = [
        f"{each.name!r} ({each.fingerprint}) is approved on the branch from before the rotation of the root, and not"
        f" here: if he should be, strongroom admin approve {each.fingerprint}"
        for each in other.recipients
        if each.fingerprint not in known
    ]
    notes += [
        f"slot {slot.label!r} of the branch from before the rotation of the root is not taken over"
        for slot in other.slots
        if slot.label and slot.label not in labels
    ]
    return replace(lead, revision=Revision(max(ours.revision, theirs.revision) + 1)), tuple(notes)


def _recipients(base: Header, ours: Header, theirs: Header) -> tuple[Recipient, ...]:
    def by_key(header: Header) -> dict[str, Recipient]:
        return {each.fingerprint: each for each in header.recipients}

    return tuple(_united("recipient", by_key(base), by_key(ours), by_key(theirs)))


def _slots(base: Header, ours: Header, theirs: Header) -> tuple[AnySlot, ...]:
    def by_label(header: Header) -> dict[str, AnySlot]:
        if any(isinstance(slot, DevelopmentSlot) for slot in header.slots):
            raise ConflictError("a development store's header is not merged", hint=_TAKE_ONE)
        return {slot.label: slot for slot in header.slots if not isinstance(slot, OpenPgpSlot)}

    return tuple(_united("slot", by_label(base), by_label(ours), by_label(theirs)))


def _united(what: str, base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterable[Any]:
    for key in dict.fromkeys((*ours, *theirs)):
        before, mine, other = base.get(key), ours.get(key), theirs.get(key)
        if before is not None and None in (mine, other):
            continue  # taken away on one branch: whatever the other did with it, it stays away
        if mine is None or other is None or mine == other:
            yield mine or other
        elif before in (mine, other):
            yield other if mine == before else mine
        else:
            raise ConflictError(f"both branches changed the {what} {key!r}", hint=_TAKE_ONE)


def _field(name: str, base: Header, ours: Header, theirs: Header, notes: list[str]) -> Any:
    before, mine, other = (getattr(each, name) for each in (base, ours, theirs))
    if mine != other and before == mine:
        return other
    if mine != other and before != other:
        notes.append(f"both branches changed the store's {name}: ours stays, {mine!r}; theirs is {other!r}")
    return mine
