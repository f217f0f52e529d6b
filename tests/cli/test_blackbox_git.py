"""git shows and merges secrets decrypted, once one command has set it up; and keeps no plaintext."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import program
from tests.cli.test_blackbox import as_user, bb
from tests.support.blackbox_fixtures import git
from tests.support.gpg import GpgHome


@pytest.fixture
def me(alice: GpgHome) -> dict[str, str]:
    return as_user(alice)


@pytest.fixture
def repo(place: Path, me: dict[str, str]) -> Path:
    git(place, "init", "--quiet", "--initial-branch=main")
    bb(place, me, "initialize", "--commit")
    (place / "it's a secret").write_text("one\ntwo\nthree\nfour\nfive\n")
    bb(place, me, "register-new-file", "it's a secret")
    bb(place, me, "git-setup", "--commit")
    return place


def run_git(repo: Path, me: dict[str, str], *argv: str, status: int = 0) -> str:
    done = subprocess.run(["git", *argv], cwd=repo, env={**os.environ, **me}, capture_output=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout.decode() + done.stderr.decode()


def edited(repo: Path, me: dict[str, str], change: str) -> None:
    bb(repo, me | {"EDITOR": f"sed -i {change}"}, "edit", "--commit", "it's a secret")


def on_two_branches(repo: Path, me: dict[str, str], ours: str, theirs: str) -> None:
    run_git(repo, me, "checkout", "--quiet", "-b", "theirs")
    edited(repo, me, theirs)
    run_git(repo, me, "checkout", "--quiet", "main")
    edited(repo, me, ours)


def test_only_the_attributes_and_this_clone_s_configuration_are_written(repo: Path, me: dict[str, str]) -> None:
    assert git(repo, "show", "--name-only", "--format=", "HEAD").decode().split() == [".gitattributes"]
    head = git(repo, "rev-parse", "HEAD")
    bb(repo, me, "git-setup", "--commit")
    assert git(repo, "rev-parse", "HEAD") == head
    assert (repo / ".gitattributes").read_text().count("*.gpg") == 1


def test_log_and_diff_are_decrypted(repo: Path, me: dict[str, str]) -> None:
    edited(repo, me, "s/three/3/")
    assert "-three\n+3\n" in run_git(repo, me, "log", "-p", "-1")
    assert git(repo, "for-each-ref", "refs/notes") == b"", "no plaintext is cached"


def test_who_cannot_open_it_sees_a_line(repo: Path, me: dict[str, str], bob: GpgHome) -> None:
    edited(repo, me, "s/three/3/")
    assert "(not opened: " in run_git(repo, as_user(bob), "log", "-p", "-2")


def test_the_root_of_a_store_is_never_shown(repo: Path, me: dict[str, str]) -> None:
    assert program("init", cwd=repo, env=me).status == 0
    (root,) = (repo / ".strongroom").glob("root.*.gpg")
    assert bb(repo, me, "git-textconv", str(root)).text == "(the root of a store)\n"


def test_two_changes_in_different_places_are_merged(repo: Path, me: dict[str, str], alice: GpgHome) -> None:
    on_two_branches(repo, me, "s/one/1/", "s/five/5/")
    run_git(repo, me, "merge", "--quiet", "--no-edit", "theirs")
    assert bb(repo, me, "cat", "it's a secret").stdout == b"1\ntwo\nthree\nfour\n5\n"
    assert alice.decrypt((repo / "it's a secret.gpg").read_bytes()) == b"1\ntwo\nthree\nfour\n5\n"
    assert not (repo / "it's a secret").exists()


def test_a_conflict_leaves_both_sides(repo: Path, me: dict[str, str], alice: GpgHome) -> None:
    on_two_branches(repo, me, "s/three/mine/", "s/three/yours/")
    told = run_git(repo, me, "merge", "--no-edit", "theirs", status=1)
    assert "both sides changed the same lines" in told
    sides = [alice.decrypt(git(repo, "show", f":{side}:it's a secret.gpg")) for side in (2, 3)]
    assert [b"mine" in sides[0], b"yours" in sides[1]] == [True, True]
    assert b"mine" in bb(repo, me, "cat", "it's a secret").stdout, "ours stands in the work tree, whole"
