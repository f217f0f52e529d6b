"""A store in git: branches that touch different keysets merge, bytes stay bytes, and a bad merge is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from strongroom.errors import FormatError, IntegrityError
from tests.stores.builders import Checkout, added, new_keyset


def git(where: Path, *arguments: str, fails: bool = False) -> str:
    done = subprocess.run(["git", *arguments], cwd=where, capture_output=True, text=True, check=False)
    assert bool(done.returncode) is fails, (arguments, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture
def work_tree(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main", "work")
    return tmp_path / "work"


@pytest.fixture
def checkout(work_tree: Path) -> Checkout:
    checkout = Checkout(work_tree / ".strongroom", state=work_tree.parent)
    store = checkout.open()
    for name in ("alpha", "beta", "billing/token"):
        store.create(new_keyset(checkout.root, name))
    commit(work_tree, "a store")
    return checkout


def commit(work_tree: Path, message: str) -> None:
    git(work_tree, "add", "--all")
    git(work_tree, "commit", "--quiet", "--message", message)


def change(checkout: Checkout, name: str, **labels: str) -> None:
    store = checkout.open()
    keyset = store.load(name).keyset
    store.replace(keyset.with_labels(labels), replaces=keyset.revision)


def test_the_lock_stays_out_of_git_and_everything_else_is_in(work_tree: Path, checkout: Checkout) -> None:
    (checkout.place / ".new-0123456789abcdef").write_bytes(b"what a killed writer left")
    assert git(work_tree, "status", "--porcelain") == ""
    assert git(work_tree, "ls-files").splitlines() == [
        ".strongroom/.gitattributes",
        ".strongroom/.gitignore",
        ".strongroom/keysets/alpha.json",
        ".strongroom/keysets/beta.json",
        ".strongroom/keysets/billing/token.json",
        ".strongroom/store.json",
    ]
    assert {line.split()[0] for line in git(work_tree, "ls-files", "--stage").splitlines()} == {"100644"}


def test_two_branches_that_touch_different_keysets_merge_without_conflict(work_tree: Path, checkout: Checkout) -> None:
    git(work_tree, "switch", "--quiet", "--create", "side")
    change(checkout, "alpha", owner="side")
    checkout.open().create(new_keyset(checkout.root, "gamma"))
    commit(work_tree, "side")
    git(work_tree, "switch", "--quiet", "main")
    change(checkout, "beta", owner="main")
    commit(work_tree, "main")
    git(work_tree, "merge", "--quiet", "--no-edit", "side")
    loaded = {each.keyset.name: each for each in checkout.open().load_all()}
    assert sorted(loaded) == ["alpha", "beta", "billing/token", "gamma"]
    assert loaded["alpha"].keyset.labels == {"owner": "side"}
    assert loaded["beta"].keyset.labels == {"owner": "main"}
    assert [each.hindrance for each in loaded.values()] == [None] * 4


def test_two_branches_that_change_one_keyset_conflict_and_the_result_is_refused(
    work_tree: Path, checkout: Checkout
) -> None:
    git(work_tree, "switch", "--quiet", "--create", "side")
    change(checkout, "alpha", owner="side")
    commit(work_tree, "side")
    git(work_tree, "switch", "--quiet", "main")
    assert checkout.open().accept() == ("alpha",)  # this host has seen the side's record
    change(checkout, "alpha", owner="main")
    commit(work_tree, "main")
    # the merge driver is named in .gitattributes and not set up here: git merges as text
    git(work_tree, "merge", "--quiet", "--no-edit", "side", fails=True)
    assert "<<<<<<<" in (checkout.place / "keysets" / "alpha.json").read_text()
    with pytest.raises(FormatError):
        checkout.open().load("alpha")
    assert checkout.open().load("beta").keyset.name == "beta"


def test_a_record_that_git_merged_as_text_without_a_word_is_refused_too(work_tree: Path, checkout: Checkout) -> None:
    store = checkout.open()
    keyset = store.load("alpha").keyset
    for _ in range(3):
        wider = added(checkout.root, keyset)
        store.replace(wider, replaces=keyset.revision)
        keyset = wider
    commit(work_tree, "versions")
    raw = (checkout.place / "keysets" / "alpha.json").read_bytes()
    merged = raw.replace(b'"state": "active"', b'"state": "suspended"', 1)
    assert merged != raw
    (checkout.place / "keysets" / "alpha.json").write_bytes(merged)
    with pytest.raises((FormatError, IntegrityError), match="alpha"):
        checkout.open().load("alpha")


@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.autocrlf=input", "core.eol=crlf"])
def test_no_setting_of_git_changes_a_line_end(
    work_tree: Path, checkout: Checkout, tmp_path: Path, setting: str
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "-c", setting, str(work_tree), str(clone))
    for name in ("store.json", "keysets/alpha.json"):
        assert (clone / ".strongroom" / name).read_bytes() == (checkout.place / name).read_bytes()
    assert git(clone, "-c", setting, "status", "--porcelain") == ""


def test_a_checkout_of_an_older_commit_is_stale_and_a_pull_makes_it_fresh(work_tree: Path, checkout: Checkout) -> None:
    change(checkout, "alpha", owner="registrar")
    commit(work_tree, "changed")
    git(work_tree, "checkout", "--quiet", "HEAD~1")
    assert "revision 2 was seen" in str(checkout.open().load("alpha").hindrance)
    git(work_tree, "checkout", "--quiet", "main")
    assert checkout.open().load("alpha").hindrance is None


def test_the_root_file_is_binary_for_git(work_tree: Path, checkout: Checkout) -> None:
    checkout.directory.write_attachment("root.1.gpg", b"\x84\r\n\r\nbytes")
    told = git(work_tree, "check-attr", "--all", ".strongroom/root.1.gpg")
    assert "binary: set" in told
    assert "merge: unset" in told
    assert "merge: strongroom" in git(work_tree, "check-attr", "merge", ".strongroom/keysets/billing/token.json")
