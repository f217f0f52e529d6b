"""Two headers of one store: what either took away stays away, and an older root vouches for nobody."""

from __future__ import annotations

import pytest

from strongroom.errors import ConflictError
from strongroom.sealing.header import Header, Recipient
from strongroom.sealing.header_merging import unite_headers
from strongroom.sealing.slots import OpenPgpSlot
from tests.stores.builders import NOW, header_of, new_root

ROOT = new_root()
BASE = header_of(ROOT)


def person(digit: str) -> Recipient:
    return Recipient(fingerprint=digit * 40, subkeys=(digit * 39 + "0",), name=f"admin {digit}", role=False, added=NOW)


def names(header: Header) -> list[str]:
    return [each.name for each in header.recipients]


def test_recipients_that_two_branches_approved_both_stay_and_the_root_file_is_told_of() -> None:
    ours, theirs = BASE.with_recipient(person("A")), BASE.with_recipient(person("B"))
    merged, notes = unite_headers(BASE, ours, theirs)
    assert names(merged) == ["admin A", "admin B"]
    assert merged.openpgp == OpenPgpSlot.of(1)
    assert merged.revision == 3
    assert "root.1.gpg must be sealed" in notes[0]


def test_a_recipient_whom_one_branch_took_away_stays_away_whatever_the_other_did() -> None:
    base = BASE.with_recipient(person("A")).with_recipient(person("B"))
    ours = base.without_recipient("A" * 40)
    theirs = base.with_subkeys("A" * 40, ["C" * 40])
    for one, other in ((ours, theirs), (theirs, ours)):
        merged, _ = unite_headers(base, one, other)
        assert names(merged) == ["admin B"]


def test_the_last_recipient_takes_the_openpgp_slot_along() -> None:
    base = BASE.with_recipient(person("A"))
    merged, _ = unite_headers(base, base.without_recipient("A" * 40), base.with_propagation(60))
    assert merged.openpgp is None
    assert merged.propagation == 60


def test_one_recipient_changed_on_both_branches_is_a_conflict() -> None:
    base = BASE.with_recipient(person("A"))
    ours, theirs = (base.with_subkeys("A" * 40, [digit * 40]) for digit in "CD")
    with pytest.raises(ConflictError, match="both branches changed the recipient"):
        unite_headers(base, ours, theirs)


def test_without_a_base_nothing_is_guessed() -> None:
    with pytest.raises(ConflictError, match="nothing tells"):
        unite_headers(None, BASE.with_propagation(60), BASE.with_propagation(90))


def test_a_field_that_both_changed_stays_ours_and_is_told() -> None:
    merged, notes = unite_headers(BASE, BASE.with_propagation(60), BASE.with_propagation(90))
    assert merged.propagation == 60
    assert "both branches changed the store's propagation" in notes[0]


def test_what_an_older_root_approved_is_not_approved_under_the_newer_one() -> None:
    rotated = BASE.rotated(ROOT, new_root(2, store=ROOT.store), pending=())
    old = BASE.with_recipient(person("A"))
    for one, other in ((rotated, old), (old, rotated)):
        merged, notes = unite_headers(BASE, one, other)
        assert (merged.root, names(merged)) == (2, [])
        assert f"strongroom admin approve {'A' * 40}" in notes[0]


def test_nobody_is_asked_to_approve_again_whom_the_rotation_took_away() -> None:
    old = BASE.with_recipient(person("A"))
    rotated = old.without_recipient("A" * 40).rotated(ROOT, new_root(2, store=ROOT.store), pending=())
    for one, other in ((rotated, old.with_propagation(60)), (old.with_propagation(60), rotated)):
        assert unite_headers(old, one, other)[1] == ()


def test_headers_of_two_stores_do_not_go_together() -> None:
    with pytest.raises(ConflictError, match="another store"):
        unite_headers(None, BASE, header_of(new_root()))


def test_a_newer_root_that_does_not_follow_is_a_conflict() -> None:
    other = new_root(store=ROOT.store)
    foreign = header_of(other).rotated(other, new_root(2, store=ROOT.store), pending=())
    with pytest.raises(ConflictError, match="does not follow"):
        unite_headers(BASE, BASE, foreign)
