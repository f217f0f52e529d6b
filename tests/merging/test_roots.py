"""A branch from before a rotation of the root still merges, and nothing of it widens what the new root gives away."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.errors import IntegrityError, StateError, StrongroomError
from strongroom.model.codec import decode
from strongroom.model.names import parse_name
from strongroom.model.states import KeyState
from strongroom.primitives.hpke import public_of
from strongroom.sealing.header_codec import encode_header
from strongroom.sealing.hpke import HpkeSlot, generate_private
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.merging import Lineage
from tests.merging.scenes import Clone


def rotated_on_main(here: Clone) -> bytes:
    """`main` rotates the root; `side`, from before it, rotates `box` and compromises a version of `columns`."""
    here.branch("side")
    with here.open() as keystore:
        keystore.rotate("box", now=True)
        keystore.compromise("columns", 1, reason="leaked")
        token = keystore.fernet("box").encrypt(b"side")
    here.commit("side")
    here.switch("main")
    here.rotate_root()
    here.commit("rotated the root")
    with here.open() as keystore:
        keystore.rotate("box", now=True)
    here.commit("and box")
    return token


@pytest.mark.parametrize("into", ["main", "side"])
def test_a_branch_from_before_a_rotation_of_the_root_merges_either_way_round(here: Clone, into: str) -> None:
    token = rotated_on_main(here)
    if into == "side":
        here.git("switch", "--quiet", "side")
    told = here.git("merge", "--no-edit", "side" if into == "main" else "main")
    assert here.header().root == 2
    with here.open() as keystore:
        here_now = keystore.show("box")
        assert len(here_now.versions) == 3
        assert keystore.fernet("box").decrypt(token) == b"side"
        assert keystore.show("columns").version(1).state is KeyState.COMPROMISED
        newest = keystore.sealed.root.id
        for name in keystore.names():
            raw = DirectoryStore(here.directory).read(parse_name(name))
            assert decode(raw, name=parse_name(name)).root == newest
    # the version of the old branch reads, and does not become primary: who knew root 1 could have made it
    assert "which was replaced" in told
    brought = [each for each in here_now.versions if each.promote_at is None]
    assert len(brought) == 1


def test_a_former_admin_s_branch_brings_no_key_of_his_into_use(here: Clone) -> None:
    with here.open() as keystore:
        root, header = keystore.sealed.root, keystore.sealed.header
    here.branch("side")
    with here.open() as keystore:
        keystore.rotate("box", now=True)  # he knows root 1, so this is what he can write
        theirs = keystore.show("box").versions[-1].key_id
    here.commit("side")
    here.switch("main")
    here.rotate_root()
    here.commit("rotated the root")
    here.git("merge", "--quiet", "--no-edit", "side")
    with here.open() as keystore:
        assert keystore.show("box").protecting(keystore.clock.now()).key_id != theirs
        assert Lineage(keystore.sealed.header, keystore.sealed.root).number(root.id) == header.root == 1


def compromised_elsewhere(here: Clone) -> None:
    """Here the root is rotated; a clone, of somebody who may have been removed, compromises `columns` before that."""
    theirs = here.clone(here.state.parent / "theirs")
    with theirs.open() as keystore:
        keystore.compromise("columns", 1, reason="leaked")
    theirs.commit("theirs")
    here.rotate_root()
    here.commit("rotated the root")
    here.git("fetch", "--quiet", str(theirs.top), "main:theirs")


def test_a_compromise_of_an_old_branch_counts_and_is_taken_back_by_git_before_anybody_looks(here: Clone) -> None:
    compromised_elsewhere(here)
    told = here.git("merge", "--no-edit", "theirs")
    assert "becomes compromised: so it is on a branch under root 1, which was replaced" in told
    here.git("reset", "--quiet", "--hard", "ORIG_HEAD")
    with here.open() as keystore:
        assert keystore.show("columns").version(1).state is KeyState.ACTIVE
        keystore.aead("columns").encrypt(b"as before", b"")


def test_and_afterwards_by_a_new_version_while_the_old_data_is_read_by_whoever_asks(here: Clone) -> None:
    with here.open() as keystore:
        cell = keystore.aead("columns").encrypt(b"before", b"")
    compromised_elsewhere(here)
    here.git("merge", "--no-edit", "theirs")
    with here.open() as keystore:
        with pytest.raises(StateError, match="nothing can be protected"):
            keystore.aead("columns").encrypt(b"after", b"")
        with pytest.raises(StrongroomError):
            keystore.aead("columns").decrypt(cell, b"")
        assert keystore.aead("columns").decrypt(cell, b"", compromised_too=True) == b"before"
        keystore.rotate("columns", now=True)
        box = keystore.aead("columns")
        assert box.decrypt(box.encrypt(b"after", b""), b"") == b"after"


def test_a_keyset_that_only_the_old_branch_has_counts_once_it_is_named(here: Clone) -> None:
    here.branch("side")
    with here.open() as keystore:
        keystore.create("new", "fernet")
        token = keystore.fernet("new").encrypt(b"side")
    here.commit("side")
    here.switch("main")
    here.rotate_root()
    here.commit("rotated the root")
    here.git("merge", "--quiet", "--no-edit", "side")
    with here.open() as keystore, pytest.raises(IntegrityError, match="is under root"):
        keystore.show("new")
    assert here.run("adopt").text == "new\n"
    ran = here.run("adopt", "new", "box")
    assert (ran.status, "'box' is not under an older root" in ran.stderr) == (1, True)
    ran = here.run("adopt", "new")
    assert "git add .strongroom/keysets/new.json" in ran.stderr
    with here.open() as keystore:
        assert keystore.fernet("new").decrypt(token) == b"side"
        keystore.rotate("new")
    assert here.run("--json", "adopt").json == {"waiting": []}


def test_a_keyset_that_is_adopted_is_exposed_to_whom_the_old_root_was_exposed_to(here: Clone, tmp_path: Path) -> None:
    """It was made after he left, and under the root that he knew: whoever fetched that branch reads it with that."""
    theirs = here.clone(tmp_path / "theirs")
    assert here.run("root", "rotate", "--exposed", "an admin left").status == 0
    assert here.run("rotate", "--exposed", "--now").status == 0
    here.commit("an admin left")
    for name in ("new", "newer"):
        assert theirs.run("create", name, "--type", "fernet").status == 0
    theirs.commit("theirs, where nobody had heard of it")
    here.git("fetch", "--quiet", str(theirs.top), "main")
    here.git("merge", "--quiet", "--no-edit", "FETCH_HEAD")
    ran = here.run("adopt", "new", "newer")
    assert "new could be read by whom the older root was exposed to: strongroom exposed" in ran.stderr
    assert ran.stderr.count("strongroom.exposures.json") == 1, "what is to be shared names it once"
    rows = {row["name"]: row["replaced"] for row in here.run("--json", "exposed").json["keysets"]}
    assert (rows["box"], rows["new"], rows["newer"]) == (True, False, False)
    assert "rotated 2 keysets: new, newer" in here.run("rotate", "--exposed", "--now").stderr
    assert here.run("exposed").status == 0


def with_slot(here: Clone, label: str) -> None:
    """Another way to open the newest root, on the branch that is checked out."""
    with here.open() as keystore:
        public = public_of("x25519", generate_private("x25519"))
        slot = HpkeSlot.create(keystore.sealed.root, public, suite="x25519", label=label)
        keystore.sealed.replace_header(keystore.sealed.header.with_slot(slot))


def labels(here: Clone) -> list[str]:
    return [slot.label for slot in here.header().slots]


def test_slots_that_two_branches_added_both_stay(here: Clone) -> None:
    here.branch("side")
    with_slot(here, "side")
    here.commit("side")
    here.switch("main")
    with_slot(here, "main")
    here.commit("main")
    here.git("merge", "--quiet", "--no-edit", "side")
    assert labels(here) == ["tests", "main", "side"]
    with here.open() as keystore:
        keystore.rotate("box")  # and the header is authentic


def test_a_slot_that_one_branch_took_away_stays_away(here: Clone) -> None:
    with_slot(here, "office")
    here.commit("office")
    here.branch("side")
    with_slot(here, "side")
    here.commit("side")
    here.switch("main")
    with here.open() as keystore:
        keystore.sealed.replace_header(keystore.sealed.header.without_slot("office"))
    here.commit("without")
    here.git("merge", "--quiet", "--no-edit", "side")
    assert labels(here) == ["tests", "side"]


def test_one_slot_changed_on_both_branches_is_a_conflict_that_leaves_ours_whole(here: Clone) -> None:
    here.branch("side")
    with_slot(here, "office")
    here.commit("side")
    here.switch("main")
    with_slot(here, "office")
    here.commit("main")
    before = (here.directory / "store.json").read_bytes()
    told = here.git("merge", "--no-edit", "side", fails=True)
    assert "both branches changed the slot 'office'" in told
    assert (here.directory / "store.json").read_bytes() == before


def test_what_the_old_branch_approved_must_be_approved_again_after_a_rotation(here: Clone) -> None:
    here.branch("side")
    with_slot(here, "side")
    here.commit("side")
    here.switch("main")
    here.rotate_root()
    here.commit("rotated the root")
    told = here.git("merge", "--no-edit", "side")
    assert "slot 'side' of the branch from before the rotation of the root is not taken over" in told
    assert labels(here) == ["tests"]
    with here.open() as keystore:
        keystore.rotate("box")


def test_two_branches_that_both_rotated_the_root_do_not_merge(here: Clone) -> None:
    here.branch("side")
    here.rotate_root()
    here.commit("side")
    here.git("switch", "--quiet", "main")
    here.state = here.state.with_name("other-state")  # a host that has not seen the other root
    here.rotate_root()
    here.commit("main")
    told = here.git("merge", "--no-edit", "side", fails=True)
    assert "do not lead to one another" in told
    with here.open() as keystore:
        assert keystore.names() == ("box", "columns")


def test_a_branch_of_a_foreign_store_does_not_merge(here: Clone) -> None:
    from tests.stores.builders import header_of, new_root

    here.branch("side")
    root = new_root()
    (here.directory / "store.json").write_bytes(encode_header(header_of(root), root))
    here.commit("foreign")
    here.git("switch", "--quiet", "main")
    with_slot(here, "main")
    here.commit("main")
    told = here.git("merge", "--no-edit", "side", fails=True)
    assert "strongroom: error:" in told
    assert labels(here) == ["tests", "main"]
