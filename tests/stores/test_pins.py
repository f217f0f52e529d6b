"""A pin or a witness decides which store is ours; with neither, the first opening is trusted, loudly."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ForeignStoreError, SettingsError
from strongroom.model.names import RootId, StoreId
from strongroom.sealing.header import Header
from strongroom.sealing.root import Root
from strongroom.stores.pins import Pin, check_origin
from strongroom.stores.seen import NoWitness, Witness
from strongroom.stores.witness import open_witness
from tests.stores.builders import header_of, new_root

OURS = new_root()
HEADER = header_of(OURS)
NEXT = new_root(2, store=OURS.store)
ROTATED = HEADER.rotated(OURS, NEXT, pending=())
FORGED = new_root(1, store=OURS.store)
FOREIGN = new_root()
RIVAL = new_root(2, store=OURS.store)
"""What an admin who was removed makes of the root that he knew, with a link that is as good as ours."""
FORKED = HEADER.rotated(OURS, RIVAL, pending=())
FORKED_ON_ROOT = new_root(3, store=OURS.store)
FORKED_ON = FORKED.rotated(RIVAL, FORKED_ON_ROOT, pending=())
NONE = NoWitness("there is no home directory")


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return witness_of(OURS, tmp_path)


def witness_of(root: Root, tmp_path: Path) -> Witness:
    return open_witness(root.store, tmp_path / "checkout", setting=tmp_path / "witnesses")


def check(
    root: Root, header: Header, witness: Witness, *, pin: str | None = None, strict: bool = False
) -> tuple[str, ...]:
    return check_origin(header, root, pin=pin, witness=witness, strict=strict)


# -- the pin itself


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_a_pin_is_read_as_it_was_printed(store: bytes, root: bytes) -> None:
    pin = Pin(store=StoreId(store), root=RootId(root))
    assert len(str(pin)) == 45
    assert Pin.parse(f" {pin}\n") == pin


@pytest.mark.parametrize("damage", ["empty", "colon", "word", "short", "long", "semicolon", "accents"])
def test_what_is_no_pin_is_a_setting_error_that_says_how_one_looks(damage: str) -> None:
    pin = str(Pin.of(OURS))
    text = {
        "empty": "",
        "colon": ":",
        "word": "abc",
        "short": pin[:-1],
        "long": f"{pin}A",
        "semicolon": pin.replace(":", ";"),
        "accents": "é" * 45,
    }[damage]
    with pytest.raises(SettingsError) as caught:
        Pin.parse(text)
    assert "strongroom pin" in caught.value.hint


# -- with a pin


def test_the_pinned_store_is_ours_without_a_word(witness: Witness) -> None:
    assert check(OURS, HEADER, witness, pin=str(Pin.of(OURS)), strict=True) == ()
    assert witness.roots() == {OURS.id: 1}


@pytest.mark.parametrize("root", [FOREIGN, FORGED])
def test_another_store_or_root_than_the_pinned_is_foreign(root: Root, witness: Witness) -> None:
    with pytest.raises(ForeignStoreError, match="pin names"):
        check(root, header_of(root), witness, pin=str(Pin.of(OURS)))
    assert witness.roots() == {}


def test_a_pinned_host_follows_a_rotation_and_is_told_the_new_pin() -> None:
    (notice,) = check(NEXT, ROTATED, NONE, pin=str(Pin.of(OURS)), strict=True)
    assert str(Pin.of(NEXT)) in notice


def test_a_pinned_host_does_not_follow_a_root_without_a_link() -> None:
    with pytest.raises(ForeignStoreError, match="does not follow"):
        check(FORGED, header_of(FORGED), NONE, pin=str(Pin.of(OURS)))


def test_a_pin_overrules_what_the_witness_would_refuse(tmp_path: Path, witness: Witness) -> None:
    check(OURS, HEADER, witness)
    foreign = witness_of(FOREIGN, tmp_path)
    with pytest.raises(ForeignStoreError):
        check(FOREIGN, header_of(FOREIGN), foreign)
    assert check(FOREIGN, header_of(FOREIGN), foreign, pin=str(Pin.of(FOREIGN))) == ()
    assert check(FOREIGN, header_of(FOREIGN), foreign, strict=True) == ()


# -- with a witness


def test_the_first_opening_is_trusted_loudly_and_the_second_quietly(witness: Witness) -> None:
    (notice,) = check(OURS, HEADER, witness)
    assert str(Pin.of(OURS)) in notice
    assert "never opened" in notice
    assert check(OURS, HEADER, witness) == ()
    assert check(OURS, HEADER, witness, strict=True) == ()


def test_strict_refuses_the_first_opening_and_learns_nothing(witness: Witness) -> None:
    with pytest.raises(ForeignStoreError, match="STRICT"):
        check(OURS, HEADER, witness, strict=True)
    assert witness.roots() == {}


def test_another_root_of_a_witnessed_store_is_foreign(witness: Witness) -> None:
    check(OURS, HEADER, witness)
    with pytest.raises(ForeignStoreError, match="does not follow"):
        check(FORGED, header_of(FORGED), witness)
    assert witness.roots() == {OURS.id: 1}


def test_a_witnessed_host_follows_a_rotation_quietly(witness: Witness) -> None:
    check(OURS, HEADER, witness)
    assert check(NEXT, ROTATED, witness, strict=True) == ()
    assert witness.roots() == {OURS.id: 1, NEXT.id: 2}


@pytest.mark.parametrize(("root", "header"), [(RIVAL, FORKED), (FORKED_ON_ROOT, FORKED_ON)])
@pytest.mark.parametrize("pin", [None, str(Pin.of(OURS))], ids=["no pin", "an older pin"])
def test_a_root_that_a_removed_admin_linked_is_foreign_once_the_true_one_was_seen(
    root: Root, header: Header, pin: str | None, witness: Witness
) -> None:
    check(OURS, HEADER, witness)
    check(NEXT, ROTATED, witness)
    with pytest.raises(ForeignStoreError, match="does not follow"):
        check(root, header, witness, pin=pin)
    assert witness.roots() == {OURS.id: 1, NEXT.id: 2}


def test_an_unseen_root_below_the_newest_that_was_seen_is_foreign(witness: Witness) -> None:
    third = new_root(3, store=OURS.store)
    check(OURS, HEADER, witness)
    check(third, ROTATED.rotated(NEXT, third, pending=()), witness)
    assert witness.roots() == {OURS.id: 1, third.id: 3}
    with pytest.raises(ForeignStoreError, match="root 3, which was"):
        check(RIVAL, FORKED, witness)


def test_a_root_that_was_replaced_is_not_opened_again_but_where_the_pin_names_it(witness: Witness) -> None:
    check(OURS, HEADER, witness)
    check(NEXT, ROTATED, witness)
    pin = str(Pin.of(OURS))
    with pytest.raises(ForeignStoreError, match="root 2 was seen here") as caught:
        check(OURS, HEADER, witness, strict=True)
    assert f"STRONGROOM_PIN={pin}" in caught.value.hint
    (notice,) = check(OURS, HEADER, witness, pin=pin, strict=True)
    assert "was replaced" in notice
    assert witness.roots() == {OURS.id: 1, NEXT.id: 2}


def test_a_branch_from_before_a_rotation_is_merged_where_the_newer_root_was_seen(witness: Witness) -> None:
    check(OURS, HEADER, witness)
    check(NEXT, ROTATED, witness)
    assert check_origin(HEADER, OURS, pin=None, witness=witness, strict=True, learn=False) == ()
    with pytest.raises(ForeignStoreError):
        check_origin(FORKED, RIVAL, pin=None, witness=witness, learn=False)


def test_of_two_roots_of_one_number_a_pin_says_which_is_ours_and_it_is_remembered(witness: Witness) -> None:
    check(OURS, HEADER, witness)
    check(RIVAL, FORKED, witness)
    assert check(NEXT, ROTATED, witness, pin=str(Pin.of(NEXT))) == ()
    assert witness.roots() == {OURS.id: 1, NEXT.id: 2}
    assert check(NEXT, ROTATED, witness, strict=True) == ()
    with pytest.raises(ForeignStoreError, match="not the root 2 that was seen"):
        check(RIVAL, FORKED, witness)


def test_a_memory_that_holds_two_roots_of_one_number_vouches_for_neither_until_a_pin_does(
    tmp_path: Path, witness: Witness
) -> None:
    check(OURS, HEADER, witness)
    check(NEXT, ROTATED, witness)
    witness.close()
    (file,) = (tmp_path / "witnesses").glob("*.sqlite")
    with sqlite3.connect(file) as older:  # as a release before 0.2 left it
        older.execute("INSERT INTO root (id, number) VALUES (?, 2)", (RIVAL.id,))
    older.close()
    for root, header in ((NEXT, ROTATED), (RIVAL, FORKED)):
        with pytest.raises(ForeignStoreError, match="several roots 2"):
            check(root, header, witness)
    check(NEXT, ROTATED, witness, pin=str(Pin.of(NEXT)))
    assert witness.roots() == {OURS.id: 1, NEXT.id: 2}


def test_another_store_in_a_witnessed_place_is_foreign(tmp_path: Path, witness: Witness) -> None:
    check(OURS, HEADER, witness)
    with pytest.raises(ForeignStoreError, match="stands where"):
        check(FOREIGN, header_of(FOREIGN), witness_of(FOREIGN, tmp_path))
    assert check(OURS, HEADER, witness, strict=True) == ()


def test_a_refused_store_leaves_no_trace_that_would_keep_ours_out(tmp_path: Path, witness: Witness) -> None:
    with pytest.raises(ForeignStoreError):
        check(FOREIGN, header_of(FOREIGN), witness_of(FOREIGN, tmp_path), strict=True)
    assert len(check(OURS, HEADER, witness)) == 1


# -- with neither


def test_with_neither_each_opening_is_trusted_loudly_and_strict_refuses() -> None:
    for _ in range(2):
        (notice,) = check(OURS, HEADER, NONE)
        assert "no home directory" in notice
    with pytest.raises(ForeignStoreError):
        check(OURS, HEADER, NONE, strict=True)


def test_a_damaged_memory_vouches_for_nothing_but_lets_the_store_be_opened(tmp_path: Path, witness: Witness) -> None:
    check(OURS, HEADER, witness)
    witness.close()
    (file,) = (tmp_path / "witnesses").iterdir()
    file.write_bytes(b"rubbish" * 1000)
    damaged, trusted = check(OURS, HEADER, witness)
    assert "damaged" in damaged
    assert str(Pin.of(OURS)) in trusted
    with pytest.raises(ForeignStoreError):
        check(OURS, HEADER, witness, strict=True)
    assert len(check(OURS, HEADER, witness, pin=str(Pin.of(OURS)), strict=True)) == 1
    with pytest.raises(ForeignStoreError):
        check(FOREIGN, header_of(FOREIGN), witness, pin=str(Pin.of(OURS)))


def test_a_root_that_cannot_be_remembered_is_told(tmp_path: Path, witness: Witness) -> None:
    check(OURS, HEADER, witness)
    witness.close()
    (file,) = (tmp_path / "witnesses").iterdir()
    blocker = sqlite3.connect(file, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    witness.wait = 0.05  # type: ignore[attr-defined]  # a file's own
    try:
        (notice,) = check(NEXT, ROTATED, witness)
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    assert "not remembered" in notice
