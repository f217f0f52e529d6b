"""Many files in one step: all of them or none, and nothing that need not be done."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom._encoding import Timestamp
from strongroom.blackbox import Repository, journal
from strongroom.blackbox.files import Tree
from strongroom.blackbox.journal import TEMPORARY
from strongroom.errors import (
    BlackBoxError,
    ExistsError,
    FormatError,
    GitError,
    OpenPGPError,
    PathError,
    RecipientError,
    StoreError,
)
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.secret import SecretBytes
from tests.blackbox.conftest import EngineOf, snapshot
from tests.blackbox.teams import CountedGpg, fill, nothing_changes, plain, status, subjects
from tests.blackbox.test_files import largest_file
from tests.support.blackbox_fixtures import git
from tests.support.gpg import GpgHome, GpgHomes

Approved = tuple[str, ...]
MANY = tuple(f"s/f{number:02}" for number in range(12))


@pytest.fixture
def filled(repo: Repository, only_alice: Approved) -> Repository:
    fill(repo, MANY, only_alice)
    return repo


@pytest.fixture
def both(alice: GpgHome, bob: GpgHome) -> Approved:
    return (alice.fingerprint, bob.fingerprint)


def test_where_git_would_convert_a_ciphertext_no_verb_writes_one(
    filled: Repository, only_alice: Approved, bob_key: Certificate
) -> None:
    opened = plain(filled, MANY[0], b"another content")
    fresh = plain(filled, "fresh", b"secret")
    (filled.root / ".gitattributes").write_text("* text\n")
    verbs = (
        partial(filled.register, "fresh", approved=only_alice),
        partial(filled.encrypt, [MANY[0]], approved=only_alice),
        partial(filled.write, MANY[1], SecretBytes(b"new"), approved=only_alice),
        partial(filled.edit, MANY[1], approved=only_alice),
        partial(filled.update_all, approved=only_alice, force=True),
        partial(filled.add_admin, bob_key, label="bob@example.org"),
    )
    for verb, dry in itertools.product(verbs, (True, False)):
        with nothing_changes(filled.root), pytest.raises(GitError, match="byte for byte"):
            verb(dry_run=dry)
    assert (opened.read_bytes(), fresh.read_bytes()) == (b"another content", b"secret")
    assert not filled.update_all(approved=only_alice).changed, "nothing is due, so nothing can be spoilt"


def test_a_conflict_is_settled_by_a_person_and_not_by_an_update(filled: Repository, only_alice: Approved) -> None:
    mine, other = (f"{name}.gpg" for name in MANY[:2])
    (filled.root / ".git" / "info" / "attributes").write_text("*.gpg binary\n")  # else one with no NUL gets markers
    filled.write(MANY[0], SecretBytes(b"theirs"), approved=only_alice, commit=False)
    git(filled.root, "stash", "push", "--quiet")
    filled.write(MANY[0], SecretBytes(b"mine"), approved=only_alice)
    with pytest.raises(AssertionError, match="stash"):  # a conflict without a MERGE_HEAD, as a rebase makes it, too
        git(filled.root, "stash", "pop")
    assert git(filled.root, "diff", "--name-only", "--diff-filter=U").decode().split() == [mine]
    with nothing_changes(filled.root), pytest.raises(GitError, match=f"{mine}.*unmerged"):
        filled.update_all(approved=only_alice, force=True)
    assert filled.write(MANY[1], SecretBytes(b"new"), approved=only_alice).changed == (other,), "others are free"


class TestRegisteringMany:
    def test_many_files_are_one_commit_and_one_start_of_gpg_each(
        self, repo: Repository, alice: GpgHome, only_alice: Approved, tmp_path: Path
    ) -> None:
        counted = CountedGpg(tmp_path / "bin")
        for name in MANY:
            plain(repo, name, name.encode())
        told: list[tuple[int, int]] = []
        with closing(GnuPG(home=alice.home, program=counted.program)) as engine:
            seen = Repository.discover(repo.root, engine=engine)
            done = seen.register_all(
                MANY, approved=only_alice, progress=lambda done, total, _name: told.append((done, total))
            )
        assert counted.take() <= len(MANY) + 4, "the originals start gpg three times a file"
        assert told == [(number, len(MANY)) for number in range(1, len(MANY) + 1)]
        assert done.files == MANY
        assert subjects(repo.root)[0] == f"registered in blackbox: {len(MANY)} files"
        assert git(repo.root, "log", "-1", "--format=%b").decode().split() == list(MANY)
        assert status(repo.root) == b""
        assert [repo.read(name).reveal() for name in MANY] == [name.encode() for name in MANY]
        assert not any((repo.root / name).exists() for name in MANY)

    def test_one_that_cannot_be_registered_stops_all(self, repo: Repository, only_alice: Approved) -> None:
        for name in ("a", "b", "c"):
            plain(repo, name)
        plain(repo, "c.gpg")
        plain(repo, "empty", b"")
        for bad, error in (("c", ExistsError), ("empty", BlackBoxError), ("../x", PathError)):
            with nothing_changes(repo.root), pytest.raises(error):
                repo.register_all(["a", "b", bad], approved=only_alice)

    def test_a_dry_run_writes_nothing(self, repo: Repository, only_alice: Approved) -> None:
        plain(repo, "f")
        with nothing_changes(repo.root):
            done = repo.register_all(["f"], approved=only_alice, dry_run=True)
        assert (done.files, done.committed, done.recipients) == (("f",), False, only_alice)
        assert "f.gpg" in done.changed

    def test_a_file_of_another_environment_is_not_registered_twice(
        self, filled: Repository, as_alice: Engine, alice_key: Certificate, only_alice: Approved
    ) -> None:
        team = Repository.create(
            filled.root, data=".blackbox-ops", admin=alice_key, label="alice@example.org", engine=as_alice
        )
        plain(team, MANY[0])
        with pytest.raises(ExistsError, match=r"registered already, in '\.blackbox'"):
            team.register(MANY[0], approved=only_alice)


class TestDeregistering:
    def test_the_file_leaves_the_list_and_git_sees_its_plaintext_again(self, filled: Repository) -> None:
        before = (filled.root / ".gitignore").read_bytes()
        path = plain(filled, MANY[3])
        done = filled.deregister(f"{MANY[3]}.gpg")
        assert done.committed
        assert MANY[3] not in filled.files()
        assert not (filled.root / f"{MANY[3]}.gpg").exists()
        assert (filled.root / ".gitignore").read_bytes() == before.replace(f"/{MANY[3]}\n".encode(), b"")
        assert path.read_bytes() == b"secret"
        assert status(filled.root) == f"?? {MANY[3]}\0".encode()
        assert subjects(filled.root)[0] == f"Removing from blackbox: {MANY[3]}"

    def test_the_order_and_the_line_ends_of_the_list_are_kept(self, filled: Repository) -> None:
        listed = filled.data / "blackbox-files.txt"
        listed.write_bytes(b"\r\n".join(name.encode() for name in reversed(MANY)))
        filled.deregister(MANY[3], commit=False)
        assert listed.read_bytes() == b"\r\n".join(name.encode() for name in reversed(MANY) if name != MANY[3])

    def test_the_only_copy_is_not_removed(self, filled: Repository, only_alice: Approved) -> None:
        plain(filled, "new")
        filled.register("new", approved=only_alice, commit=False)
        with nothing_changes(filled.root), pytest.raises(BlackBoxError, match="the only copy"):
            filled.deregister("new")

    def test_a_dry_run_and_a_failing_git(self, filled: Repository, as_alice: Engine) -> None:
        with nothing_changes(filled.root):
            assert filled.deregister(MANY[0], dry_run=True).changed
        nobody = {key: "" if key.startswith(("GIT_A", "GIT_COM")) else value for key, value in os.environ.items()}
        with nothing_changes(filled.root), pytest.raises(GitError):
            Repository.discover(filled.root, engine=as_alice, environ=nobody).deregister(MANY[0])


class TestUpdatingAll:
    def test_a_new_admin_reads_everything_afterwards_and_nothing_was_on_the_disk(
        self, filled: Repository, bob: GpgHome, bob_key: Certificate, both: Approved
    ) -> None:
        filled.add_admin(bob_key, label="bob@example.org")
        decrypted = plain(filled, MANY[0], b"changed by hand")
        done = filled.update_all(approved=both)
        assert done.committed
        assert set(done.recipients) == set(both)
        assert subjects(filled.root)[0] == "Re-encrypted keys"
        assert status(filled.root) == b""
        assert decrypted.read_bytes() == b"changed by hand", "a plaintext is neither read nor removed"
        for name in MANY:
            assert bob.decrypt((filled.root / f"{name}.gpg").read_bytes()) == f"content of {name}".encode()

    def test_nothing_to_do_starts_gpg_for_no_file_and_commits_nothing(
        self, filled: Repository, alice: GpgHome, only_alice: Approved, tmp_path: Path
    ) -> None:
        counted = CountedGpg(tmp_path / "bin")
        with closing(GnuPG(home=alice.home, program=counted.program)) as engine, nothing_changes(filled.root):
            done = Repository.discover(filled.root, engine=engine).update_all(approved=only_alice)
        assert counted.take() <= 4, "the tracked keyring is looked at, and the user's copies of its keys"
        assert (done.changed, done.unchanged, done.committed) == ((), MANY, False)

    def test_force_and_only(self, filled: Repository, only_alice: Approved) -> None:
        before = snapshot(filled.root)
        done = filled.update_all(approved=only_alice, only=[MANY[1]], force=True)
        assert done.changed == (f"{MANY[1]}.gpg",)
        after = snapshot(filled.root)
        assert {name for name in before if before[name] != after[name]} == {f"{MANY[1]}.gpg"}

    def test_older_ciphertexts_that_a_killed_process_left_go(self, filled: Repository, only_alice: Approved) -> None:
        below = next(name for name in filled.files() if "/" in name)
        left = (filled.root / below).with_name(".strongroom-blackbox-0123456789abcdef.tmp")
        left.write_bytes(b"sealed to one who left")
        filled.update_all(approved=only_alice)
        assert not left.exists()

    def test_what_is_protected_is_left_to_its_owner(self, filled: Repository, only_alice: Approved) -> None:
        before = snapshot(filled.root)
        filled.update_all(approved=only_alice, force=True, protected=[filled.root / MANY[2]])
        after = snapshot(filled.root)
        assert before[f"{MANY[2]}.gpg"] == after[f"{MANY[2]}.gpg"]
        assert before[f"{MANY[1]}.gpg"] != after[f"{MANY[1]}.gpg"]

    def test_a_corrupt_file_is_named_and_all_others_stay(self, filled: Repository, only_alice: Approved) -> None:
        sealed = filled.root / f"{MANY[9]}.gpg"
        raw = bytearray(sealed.read_bytes())
        raw[-5] ^= 1
        sealed.write_bytes(raw)
        with nothing_changes(filled.root), pytest.raises(OpenPGPError, match=MANY[9]):
            filled.update_all(approved=only_alice, force=True)
        sealed.write_bytes(b"<<<<<<< HEAD\n")
        with nothing_changes(filled.root), pytest.raises(FormatError, match=MANY[9]):
            filled.update_all(approved=only_alice, force=True)

    def test_a_hostile_name_on_the_list_stops_it(self, filled: Repository, only_alice: Approved) -> None:
        with (filled.data / "blackbox-files.txt").open("ab") as listed:
            listed.write(b"../outside\n")
        with nothing_changes(filled.root), pytest.raises(PathError, match="outside"):
            filled.update_all(approved=only_alice, force=True)

    def test_a_disk_that_fills_up_in_the_middle(self, filled: Repository, only_alice: Approved) -> None:
        plain(filled, "s/zz-big", os.urandom(8192))
        filled.register("s/zz-big", approved=only_alice)
        with nothing_changes(filled.root), largest_file(4096), pytest.raises(StoreError, match="zz-big"):
            filled.update_all(approved=only_alice, force=True)

    def test_a_failing_commit_takes_everything_back(
        self, filled: Repository, as_alice: Engine, only_alice: Approved
    ) -> None:
        nobody = {key: "" if key.startswith(("GIT_A", "GIT_COM")) else value for key, value in os.environ.items()}
        with nothing_changes(filled.root), pytest.raises(GitError):
            Repository.discover(filled.root, engine=as_alice, environ=nobody).update_all(
                approved=only_alice, force=True
            )


@pytest.mark.slow
def test_a_failure_at_file_150_of_200_leaves_all_200_as_they_were(repo: Repository, only_alice: Approved) -> None:
    names = [f"f{number:03}" for number in range(1, 201)]
    fill(repo, names, only_alice)
    sealed = repo.root / "f150.gpg"
    raw = sealed.read_bytes()
    sealed.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with nothing_changes(repo.root), pytest.raises(OpenPGPError, match="'f150'"):
        repo.update_all(approved=only_alice, force=True)
    sealed.write_bytes(raw)
    assert repo.update_all(approved=only_alice, force=True).files == tuple(names)


KILLED = """
import os, sys
from pathlib import Path
from strongroom.blackbox import staging
from strongroom.blackbox.changes import Change
from strongroom.blackbox.files import Tree

root, undo, after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
with Change(Tree(root), undo=undo) as change:
    for number in range(6):
        change.write(f"d{number % 2}/f{number}", b"new")
    change.write("fresh", b"new")
    change.remove("d0/gone")
    place, count = staging.Staged.place, 0
    def dying(staged):
        global count
        if count == after:
            os.kill(os.getpid(), 9)
        count += 1
        place(staged)
    staging.Staged.place = dying
    change.apply()
"""


class TestTheJournal:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Tree:
        root = tmp_path / "root"
        for number in range(6):
            path = root / f"d{number % 2}" / f"f{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"old")
        (root / "d0" / "gone").write_bytes(b"old")
        return Tree(root)

    @pytest.mark.parametrize("after", range(9))
    def test_a_process_killed_among_the_renames_is_undone_by_the_next(
        self, tree: Tree, tmp_path: Path, after: int
    ) -> None:
        before = snapshot(tree.root)
        command = [sys.executable, "-c", KILLED, str(tree.root), str(tmp_path), str(after)]
        ended = subprocess.run(command, check=False, timeout=60).returncode
        if after == 8:  # all are placed
            assert ended == 0
            assert journal.recover(tmp_path, tree) == ()
            assert (tree.root / "fresh").read_bytes() == b"new"
            return
        assert ended == -9
        undone = journal.recover(tmp_path, tree)
        assert len(undone) == after
        assert journal.recover(tmp_path, tree) == ()
        assert snapshot(tree.root) == before

    def test_what_somebody_wrote_after_the_crash_is_not_undone(self, tree: Tree, tmp_path: Path) -> None:
        command = [sys.executable, "-c", KILLED, str(tree.root), str(tmp_path), "3"]
        subprocess.run(command, check=False, timeout=60)
        (tree.root / "d0" / "f0").unlink()
        (tree.root / "d0" / "f0").write_bytes(b"from git checkout")
        journal.recover(tmp_path, tree)
        assert (tree.root / "d0" / "f0").read_bytes() == b"from git checkout"
        assert (tree.root / "d1" / "f1").read_bytes() == b"old"

    @pytest.mark.parametrize(
        "raw", [b"", b"{}", b"[]", b'[["2e2e2f78","",""]]', b'[["78","../../etc/passwd",""]]', b'[["zz","",""]]']
    )
    def test_a_planted_journal_is_refused(self, tree: Tree, tmp_path: Path, raw: bytes) -> None:
        before = snapshot(tree.root)
        (tmp_path / journal.JOURNAL).write_bytes(raw)
        with pytest.raises((FormatError, PathError)):
            journal.recover(tmp_path, tree)
        assert snapshot(tree.root) == before


def _update(root: Path, home: Path, approved: Sequence[str]) -> None:
    engine = GnuPG(home=home)
    try:
        Repository.discover(root, engine=engine).update_all(approved=approved, force=True)
    finally:
        engine.close()


def test_q2_two_updates_at_once_corrupt_nothing(filled: Repository, alice: GpgHome, only_alice: Approved) -> None:
    spawning = multiprocessing.get_context("spawn")
    racers = [spawning.Process(target=_update, args=(filled.root, alice.home, only_alice)) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(120)
    assert [racer.exitcode for racer in racers] == [0, 0]
    assert [filled.read(name).reveal() for name in MANY] == [f"content of {name}".encode() for name in MANY]
    assert status(filled.root) == b""


def test_q11_a_commit_sweeps_nothing_along(filled: Repository, only_alice: Approved) -> None:
    plain(filled, "staged")
    git(filled.root, "add", "staged")
    filled.update_all(approved=only_alice, force=True)
    assert status(filled.root) == b"A  staged\0"
    changed = git(filled.root, "show", "--name-only", "--format=", "HEAD").decode().split()
    assert changed == [f"{name}.gpg" for name in MANY]


@dataclass
class Later:
    """A clock that is some days ahead."""

    days: int

    def now(self) -> Timestamp:
        return Timestamp(SYSTEM_CLOCK.now() + self.days * 86_400_000)

    def monotonic(self) -> float:
        return SYSTEM_CLOCK.monotonic()


def test_q10_q16_an_expired_admin_is_named_before_anything_is_written(
    filled: Repository, as_alice: Engine, engine_of: EngineOf, gpg_homes: GpgHomes, only_alice: Approved
) -> None:
    dan = gpg_homes("Dan <dan@example.org>", expires="1d")
    filled.add_admin(engine_of(dan).certificate(dan.fingerprint), label="dan@example.org")
    approved = (*only_alice, dan.fingerprint)
    assert filled.update_all(approved=approved, dry_run=True).recipients == approved
    later = Repository.discover(filled.root, engine=as_alice, clock=Later(2))
    with nothing_changes(filled.root), pytest.raises(RecipientError, match=r"'dan@example\.org'.*expired on"):
        later.update_all(approved=approved)


def test_what_is_planted_under_the_names_of_our_temporary_files_hinders_nothing(
    filled: Repository, only_alice: Approved
) -> None:
    aside = filled.root / "aside"
    aside.write_bytes(b"somebody's")
    (filled.root / f"{TEMPORARY}link").symlink_to(aside)
    os.mkfifo(filled.root / f"{TEMPORARY}pipe")
    (filled.root / f"{TEMPORARY}directory").mkdir()
    os.link(aside, filled.root / f"{TEMPORARY}name")
    filled.update_all(approved=only_alice, force=True)
    assert [each.name for each in filled.root.glob(f"{TEMPORARY}*")] == [f"{TEMPORARY}directory"]
    assert aside.read_bytes() == b"somebody's"
