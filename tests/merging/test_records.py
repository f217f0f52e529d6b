"""Two branches that changed one keyset, merged by real git: nothing is lost, and no witness calls it stale."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from strongroom.errors import FormatError
from strongroom.keystore.facade import KeyStore
from strongroom.model.states import KeyState
from tests.cli.program import within
from tests.merging.scenes import Clone


def two_branches(here: Clone) -> tuple[bytes, bytes]:
    """`main` compromises the version of `box`, `side` rotates it; a token of each, and we stand on main."""
    here.branch("side")
    with here.open() as keystore:
        keystore.rotate("box", now=True)
        side = keystore.fernet("box").encrypt(b"side")
    here.commit("rotated on side")
    here.switch("main")
    with here.open() as keystore:
        keystore.compromise("box", 1, reason="leaked")
        main = keystore.fernet("box").encrypt(b"main")
    here.commit("compromised on main")
    return main, side


def states(keystore: KeyStore, name: str = "box") -> list[KeyState]:
    return [version.state for version in keystore.show(name).versions]


@pytest.mark.parametrize("into", ["main", "side"])
def test_one_rotated_and_the_other_compromised_every_version_stays_and_the_sterner_state(
    here: Clone, into: str
) -> None:
    main, side = two_branches(here)
    if into == "side":
        here.switch("side")
    here.git("merge", "--quiet", "--no-edit", "side" if into == "main" else "main")
    with here.open() as keystore:
        assert sorted(each.value for each in states(keystore)) == ["active", "active", "compromised"]
        box = keystore.fernet("box")
        assert {box.decrypt(main), box.decrypt(side)} == {b"main", b"side"}
        assert box.decrypt(box.encrypt(b"after")) == b"after"  # and nothing is stale
        assert keystore.show("box").revision == 3
        keystore.rotate("box")
    assert here.git("status", "--porcelain").split() == ["M", ".strongroom/keysets/box.json"]


def test_both_rotated_and_the_other_keysets_merge_as_ever(here: Clone) -> None:
    here.branch("side")
    with here.open() as keystore:
        keystore.rotate("box")
        keystore.create("api", "secret")
    here.commit("side")
    here.switch("main")
    with here.open() as keystore:
        keystore.rotate("box")
        keystore.rotate("columns")
    here.commit("main")
    here.git("merge", "--quiet", "--no-edit", "side")
    with here.open() as keystore:
        assert [len(each.versions) for each in keystore.list()] == [1, 3, 2]
        assert len(keystore.show("box").pending(keystore.clock.now())) == 2
        assert keystore.sealed.load("box").hindrance is None


def test_two_clones_that_merge_one_another_come_to_rest(here: Clone, tmp_path: Path) -> None:
    there = here.clone(tmp_path / "there")
    for clone, label in ((here, "here"), (there, "there")):
        with clone.open() as keystore:
            keystore.rotate("box")
        clone.commit(f"rotated {label}")
    # criss-cross: each merges the other's tip before it sees the other's merge
    there.git("fetch", "--quiet")
    here.git("fetch", "--quiet", str(there.top), "main:there")
    there.git("merge", "--quiet", "--no-edit", "origin/main")
    here.git("merge", "--quiet", "--no-edit", "there")
    record = ".strongroom/keysets/box.json"
    assert (here.top / record).read_bytes() == (there.top / record).read_bytes()
    for clone in (here, there):  # two merge bases, and both sides changed since
        with clone.open() as keystore:
            keystore.rotate("box")
        clone.commit("rotated again")
    there.git("fetch", "--quiet")
    there.git("merge", "--quiet", "--no-edit", "origin/main")
    with there.open() as keystore:
        assert len(keystore.show("box").versions) == 5
        assert keystore.sealed.load("box").hindrance is None


@pytest.mark.parametrize("how", ["rebase", "cherry-pick"])
def test_a_rebase_and_a_cherry_pick_unite_too(here: Clone, how: str) -> None:
    main, side = two_branches(here)
    if how == "rebase":
        here.switch("side")
        here.git("rebase", "--quiet", "main")
    else:
        here.git("cherry-pick", "side")
    with here.open() as keystore:
        assert len(states(keystore)) == 3
        box = keystore.fernet("box")
        assert (box.decrypt(main), box.decrypt(side)) == (b"main", b"side")


def test_two_branches_that_made_a_keyset_of_one_name(here: Clone) -> None:
    here.branch("side")
    with here.open() as keystore:
        keystore.create("new", "fernet")
        token = keystore.fernet("new").encrypt(b"side")
        keystore.create("other", "fernet")
    here.commit("side")
    here.git("switch", "--quiet", "main")
    with here.open() as keystore:
        for name in ("new", "other"):
            keystore.accept_witness(name)
        keystore.create("new", "fernet")
        keystore.create("other", "ed25519")
    here.commit("main")
    told = here.git("merge", "--quiet", "--no-edit", "side", fails=True)
    assert "another type on the other branch" in told
    assert "conflict" in told.lower()
    with here.open() as keystore:
        assert keystore.fernet("new").decrypt(token) == b"side"  # the one that could be united was
        assert keystore.show("other").type.value == "ed25519"  # ours stays whole: no conflict marker in a record
    assert "UU" in here.git("status", "--porcelain") or "AA" in here.git("status", "--porcelain")


def test_a_merge_that_could_not_open_is_made_up_for_later(here: Clone) -> None:
    two_branches(here)
    key = here.identity
    here.identity = key.with_name("absent")
    told = here.git("merge", "--no-edit", "side", fails=True)
    assert "strongroom: error:" in told
    assert "git checkout --merge -- .strongroom/keysets/box.json" in told
    here.identity = key
    with here.open() as keystore:
        assert len(states(keystore)) == 2  # ours, as it was
    here.git("checkout", "--merge", "--", ".strongroom/keysets/box.json")
    with here.open() as keystore:
        assert len(states(keystore)) == 3


def test_a_record_that_somebody_forged_on_the_other_branch_is_a_conflict(here: Clone) -> None:
    two_branches(here)
    here.git("switch", "--quiet", "side")
    record = here.directory / "keysets" / "box.json"
    record.write_bytes(record.read_bytes().replace(b'"exportable": false', b'"exportable": true'))
    here.commit("forged")
    here.git("switch", "--quiet", "main")
    told = here.git("merge", "--no-edit", "side", fails=True)
    assert "not authentic" in told
    with here.open() as keystore:
        assert len(states(keystore)) == 2


def test_a_record_that_cannot_be_read_is_told_with_the_side_that_has_it(here: Clone) -> None:
    two_branches(here)
    here.git("switch", "--quiet", "side")
    record = here.directory / "keysets" / "box.json"
    record.write_bytes(record.read_bytes()[:-20])
    here.commit("cut off")
    here.git("switch", "--quiet", "main")
    told = here.git("merge", "--no-edit", "side", fails=True)
    assert "on the other side the record of 'box' cannot be read" in told
    assert "git merge --abort" in told
    with here.open() as keystore:
        assert len(states(keystore)) == 2


def test_without_the_driver_in_this_clone_git_merges_text_and_the_result_is_refused(here: Clone) -> None:
    two_branches(here)
    here.git("config", "--remove-section", "merge.strongroom")
    here.git("merge", "--no-edit", "side", fails=True)
    with here.open() as keystore, pytest.raises(FormatError):
        keystore.show("box")


def test_git_setup_says_what_to_add_where_an_older_store_lacks_the_lines(here: Clone) -> None:
    attributes = here.directory / ".gitattributes"
    lines = attributes.read_text().splitlines(keepends=True)
    attributes.write_text("".join(line for line in lines if "store.json" not in line))
    ran = here.run("git-setup")
    assert "git add .strongroom/.gitattributes" in ran.stderr
    assert sorted(attributes.read_text().splitlines(keepends=True)) == sorted(lines)
    assert "to share" not in here.run("git-setup").stderr
    assert here.run("--json", "git-setup").json["settings"]["merge.strongroom.driver"].endswith("%O %A %B %P")


def test_git_setup_outside_git_is_refused(here: Clone, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(here.directory), str(tmp_path / "alone")], check=True)
    ran = here.run("--store", str(tmp_path / "alone"), "git-setup")
    assert (ran.status, "in no git work tree" in ran.stderr) == (1, True)


@pytest.mark.parametrize("path", ["README.md", "/etc/keysets/x.json", "../keysets/x.json", "keysets/x.txt"])
def test_git_merge_takes_files_of_a_store_only(here: Clone, path: str) -> None:
    record = str(here.directory / "keysets" / "box.json")
    ran = within("git-merge", "--", record, record, record, path)
    assert ran.status != 0
    assert "strongroom: error:" in ran.stderr
