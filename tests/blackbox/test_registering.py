"""Registering a file and writing a new version: every name, one commit, all or nothing."""

from __future__ import annotations

import multiprocessing
import os
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.blackbox import Repository
from strongroom.blackbox import git as git_module
from strongroom.errors import (
    BlackBoxError,
    ConflictError,
    ExistsError,
    GitError,
    NotFoundError,
    PathError,
    RecipientError,
    StoreError,
    UnsupportedError,
)
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.secret import SecretBytes
from tests.blackbox.conftest import snapshot
from tests.blackbox.test_files import largest_file
from tests.blackbox.test_vcs import ODD
from tests.support.blackbox_fixtures import git, names_as_the_original_reads_them
from tests.support.gpg import GpgHome

Approved = tuple[str, ...]


def _plain(repo: Repository, name: str, content: bytes = b"secret") -> Path:
    path = repo.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _subjects(root: Path) -> list[str]:
    return git(root, "log", "--format=%s").decode("utf-8", "surrogateescape").split("\n")[:-1]


class TestRegistering:
    @pytest.mark.parametrize("name", [*ODD, "deep dir/sub/with space.txt", "a\rb"])
    def test_a_name_of_any_kind(self, repo: Repository, alice: GpgHome, only_alice: Approved, name: str) -> None:
        plain = _plain(repo, name)
        done = repo.register(name, approved=only_alice)
        assert not plain.exists()
        assert done.committed
        assert done.ignored
        assert done.recipients == only_alice
        sealed = (repo.root / f"{name}.gpg").read_bytes()
        assert alice.decrypt(sealed) == b"secret"
        assert repo.files() == (name,)
        assert repo.read(name).reveal() == b"secret"
        assert list(names_as_the_original_reads_them(repo.root, ".blackbox")) == [name]
        assert git(repo.root, "status", "--porcelain", "-z", "-uall") == b""
        plain.write_bytes(b"decrypted again")
        assert git(repo.root, "status", "--porcelain", "-z", "-uall") == b"", "git does not see the plaintext"
        git(repo.root, "add", "--all")
        tracked = git(repo.root, "ls-files", "-z").split(b"\0")
        assert os.fsencode(name) not in tracked
        assert os.fsencode(f"{name}.gpg") in tracked
        assert not list(repo.root.rglob("pwned"))

    def test_the_files_are_as_the_original_leaves_them(self, repo: Repository, only_alice: Approved) -> None:
        before = os.umask(0o077)
        try:
            for name in ("b", "a/c", "a-b"):
                _plain(repo, name).chmod(0o600)
                repo.register(name, approved=only_alice)
        finally:
            os.umask(before)
        assert (repo.data / "blackbox-files.txt").read_bytes() == b"a-b\na/c\nb\n"
        assert (repo.root / ".gitignore").read_bytes().endswith(b"/.blackbox/secring.gpg\n/b\n/a/c\n/a-b\n")
        assert stat.S_IMODE((repo.root / "b.gpg").stat().st_mode) == 0o644
        assert _subjects(repo.root)[:3] == [f"registered in blackbox: {name}" for name in ("a-b", "a/c", "b")]

    def test_the_message_carries_the_files_own_name(
        self, repo: Repository, alice: GpgHome, only_alice: Approved
    ) -> None:
        _plain(repo, "dir/name.txt")
        repo.register("dir/name.txt", approved=only_alice)
        packets = alice.run("--list-packets", stdin=(repo.root / "dir" / "name.txt.gpg").read_bytes()).stdout
        assert b'name="name.txt"' in packets

    def test_a_secret_that_git_tracked_leaves_head_in_the_same_commit(
        self, repo: Repository, only_alice: Approved
    ) -> None:
        _plain(repo, "leaked")
        git(repo.root, "add", "leaked")
        git(repo.root, "commit", "--quiet", "-m", "oops")
        done = repo.register("leaked", approved=only_alice)
        assert done.was_tracked
        assert b"leaked\n" not in git(repo.root, "ls-tree", "--name-only", "HEAD").replace(b"leaked.gpg\n", b"")
        assert git(repo.root, "show", "HEAD~1:leaked") == b"secret", "history is not rewritten, and the result says so"
        assert git(repo.root, "status", "--porcelain") == b""

    def test_a_secret_that_was_staged_and_never_committed(self, repo: Repository, only_alice: Approved) -> None:
        _plain(repo, "leaking")
        git(repo.root, "add", "leaking")
        assert repo.register("leaking", approved=only_alice).was_tracked
        assert git(repo.root, "status", "--porcelain") == b""
        assert b"leaking" not in git(repo.root, "ls-files", "-z").split(b"\0")

    def test_what_else_is_staged_stays_staged(self, repo: Repository, only_alice: Approved) -> None:
        _plain(repo, "other")
        git(repo.root, "add", "other")
        _plain(repo, "f")
        repo.register("f", approved=only_alice)
        assert git(repo.root, "status", "--porcelain") == b"A  other\n"

    def test_what_a_killed_process_had_not_committed_is_gone_on_with(
        self, repo: Repository, only_alice: Approved
    ) -> None:
        for name in ("a", "b", "c"):
            _plain(repo, name)
        repo.register_all(["a", "b"], approved=only_alice, commit=False)
        sealed = (repo.root / "a.gpg").read_bytes()
        _plain(repo, "b")  # as if the kill had come before its removal
        stray = _plain(repo, ".strongroom-blackbox-0123456789abcdef.tmp")
        done = repo.register_all(["a", "b", "c"], approved=only_alice)
        assert done.committed
        assert (repo.root / "a.gpg").read_bytes() == sealed
        assert git(repo.root, "ls-files", ":(glob)*.gpg").split() == [b"a.gpg", b"b.gpg", b"c.gpg"]
        assert not any((repo.root / name).exists() for name in ("a", "b", "c"))
        assert not stray.exists()
        with pytest.raises(ExistsError, match="registered already"):
            repo.register("a", approved=only_alice)

    def test_what_a_killed_process_had_staged_is_gone_on_with(self, repo: Repository, only_alice: Approved) -> None:
        _plain(repo, "a")
        repo.register("a", approved=only_alice, commit=False)
        git(repo.root, "add", "--all")  # as if the kill had come between the two calls of git
        done = repo.register("a", approved=only_alice)
        assert done.committed
        assert _subjects(repo.root)[0] == "registered in blackbox: a"
        assert git(repo.root, "status", "--porcelain", "--", "a.gpg", ".gitignore") == b""
        with pytest.raises(ExistsError, match="registered already"):
            repo.register("a", approved=only_alice)

    def test_a_plaintext_that_was_changed_since_the_kill_stays(self, repo: Repository, only_alice: Approved) -> None:
        _plain(repo, "a")
        repo.register("a", approved=only_alice, commit=False)
        _plain(repo, "a", b"changed")
        before = snapshot(repo.root)
        with pytest.raises(ExistsError, match="changed since"):
            repo.register("a", approved=only_alice)
        assert snapshot(repo.root) == before

    def test_without_commit_the_index_is_not_touched_and_the_result_says_what_to_add(
        self, repo: Repository, only_alice: Approved
    ) -> None:
        _plain(repo, "leaked")
        git(repo.root, "add", "leaked")
        git(repo.root, "commit", "--quiet", "-m", "oops")
        index = git(repo.root, "ls-files", "--stage")
        done = repo.register("leaked", approved=only_alice, commit=False)
        assert not done.committed
        assert git(repo.root, "ls-files", "--stage") == index
        assert set(done.changed) == {"leaked.gpg", ".blackbox/blackbox-files.txt", ".gitignore", "leaked"}
        git(repo.root, "add", "--", *done.changed)
        git(repo.root, "commit", "--quiet", "-m", "by hand")
        assert git(repo.root, "status", "--porcelain") == b""

    def test_a_later_rule_that_brings_the_plaintext_back_is_reported(
        self, repo: Repository, only_alice: Approved
    ) -> None:
        _plain(repo, "sub/.gitignore", b"!f\n")
        _plain(repo, "sub/f")
        assert not repo.register("sub/f", approved=only_alice).ignored

    def test_without_version_control(
        self, tmp_path: Path, as_alice: Engine, alice_key: Certificate, only_alice: Approved
    ) -> None:
        repo = Repository.create(tmp_path, admin=alice_key, label="alice@example.org", engine=as_alice)
        _plain(repo, "f")
        done = repo.register("f", approved=only_alice)
        assert (repo.version_control, done.committed) == ("none", False)
        assert repo.read("f").reveal() == b"secret"

    @pytest.mark.parametrize("kind", ["hg", "svn"])
    def test_hg_and_svn_are_refused_before_anything_is_written(
        self, tmp_path: Path, as_alice: Engine, alice_key: Certificate, only_alice: Approved, kind: str
    ) -> None:
        repo = Repository.create(tmp_path, admin=alice_key, label="alice@example.org", engine=as_alice)
        (tmp_path / f".{kind}").mkdir()
        _plain(repo, "f")
        before = snapshot(tmp_path)
        with pytest.raises(UnsupportedError, match=kind):
            repo.register("f", approved=only_alice)
        assert snapshot(tmp_path) == before
        assert repo.files() == ()


class TestRefusals:
    """Each leaves every file, git's index and its history as they were."""

    @pytest.fixture(autouse=True)
    def _nothing_changes(self, repo: Repository) -> object:
        _plain(repo, "f")
        _plain(repo, "staged")
        git(repo.root, "add", "staged")
        history = _subjects(repo.root)
        index = git(repo.root, "ls-files", "--stage")
        yield
        assert (repo.root / "f").read_bytes() == b"secret"
        assert not (repo.root / "f.gpg").exists()
        assert repo.files() == ()
        assert b"/f\n" not in (repo.root / ".gitignore").read_bytes()
        assert git(repo.root, "ls-files", "--stage") == index
        assert _subjects(repo.root) == history
        assert not list(repo.root.rglob("*.tmp"))

    def test_nobody_is_approved(self, repo: Repository) -> None:
        with pytest.raises(RecipientError, match=r"no approved admin to encrypt to; listed: 'alice@example\.org'"):
            repo.register("f", approved=())

    def test_a_protected_path(self, repo: Repository, only_alice: Approved) -> None:
        for guarded in ("f", "f.gpg", "F"):
            for path in (Path(guarded), repo.root / guarded):
                with pytest.raises(PathError, match="protected"):
                    repo.register("f", approved=only_alice, protected=[path])

    @pytest.mark.parametrize(
        "name",
        ["../f", "/etc/passwd", "", "f.gpg", ".blackbox/blackbox-files.txt", ".gitignore", ".git/config", "a/.."],
    )
    def test_a_name_that_cannot_be_a_secret(self, repo: Repository, only_alice: Approved, name: str) -> None:
        with pytest.raises(PathError):
            repo.register(name, approved=only_alice)

    def test_a_protected_directory_guards_what_is_in_it(self, repo: Repository, only_alice: Approved) -> None:
        _plain(repo, "store/deep/root.1")
        for path in (Path("store"), repo.root / "store" / "deep", repo.root, repo.root.parent):
            with pytest.raises(PathError, match="protected"):
                repo.register("store/deep/root.1", approved=only_alice, protected=[path])

    def test_links_and_what_is_no_file(self, repo: Repository, only_alice: Approved) -> None:
        outside = repo.root.parent / "outside"
        outside.write_bytes(b"keep me")
        (repo.root / "soft").symlink_to(outside)
        (repo.root / "hard").hardlink_to(outside)
        (repo.root / "dir").mkdir()
        (repo.root / "up").symlink_to(repo.root.parent)
        for name in ("soft", "hard", "dir", "up/outside"):
            with pytest.raises(PathError):
                repo.register(name, approved=only_alice)
        assert outside.read_bytes() == b"keep me"

    @pytest.mark.parametrize("taken", ["f.gpg", ".gitignore", ".blackbox/blackbox-files.txt"])
    @pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
    def test_links_in_the_place_of_what_is_written(
        self, repo: Repository, only_alice: Approved, taken: str, plant: Callable[[Path, Path], None]
    ) -> None:
        outside = repo.root.parent / "outside"
        outside.write_bytes(b"")
        kept = (repo.root / taken).read_bytes() if (repo.root / taken).exists() else None
        (repo.root / taken).unlink(missing_ok=True)
        plant(repo.root / taken, outside)
        with pytest.raises((PathError, ExistsError)):
            repo.register("f", approved=only_alice)
        assert outside.read_bytes() == b""
        (repo.root / taken).unlink()
        if kept is not None:
            (repo.root / taken).write_bytes(kept)

    def test_missing_and_present(self, repo: Repository, only_alice: Approved) -> None:
        with pytest.raises(NotFoundError, match="'missing'"):
            repo.register("missing", approved=only_alice)
        _plain(repo, "g")
        _plain(repo, "g.gpg")
        with pytest.raises(ExistsError, match=r"'g\.gpg'"):
            repo.register("g", approved=only_alice)

    def test_an_empty_file(self, repo: Repository, only_alice: Approved) -> None:
        _plain(repo, "empty", b"")
        with pytest.raises(BlackBoxError, match="'empty' is empty"):
            repo.register("empty", approved=only_alice)
        assert (repo.root / "empty").exists()

    def test_an_unfinished_merge_and_a_locked_index(
        self, repo: Repository, only_alice: Approved, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(git_module, "_PATIENCE", 2)
        for name in ("index.lock", "MERGE_HEAD"):
            (repo.root / ".git" / name).write_bytes(b"")
            with pytest.raises(GitError, match=name) as caught:
                repo.register("f", approved=only_alice)
            assert caught.value.hint
            (repo.root / ".git" / name).unlink()

    @pytest.mark.parametrize("tracked", [False, True])
    def test_git_that_fails_at_the_very_end(
        self, repo: Repository, as_alice: Engine, only_alice: Approved, tracked: bool
    ) -> None:
        name = "staged" if tracked else "f"
        nobody = {
            key: ("" if key.startswith(("GIT_AUTHOR", "GIT_COMMITTER")) else os.environ[key]) for key in os.environ
        }
        (repo.root / name).chmod(0o600)
        with pytest.raises(GitError, match="git commit ended with 128"):
            Repository.discover(repo.root, engine=as_alice, environ=nobody).register(name, approved=only_alice)
        assert (repo.root / name).read_bytes() == b"secret"
        assert stat.S_IMODE((repo.root / name).stat().st_mode) == 0o600

    def test_a_full_disk(self, repo: Repository, only_alice: Approved) -> None:
        _plain(repo, "big", os.urandom(8192))
        before = snapshot(repo.root)
        with largest_file(4096), pytest.raises(StoreError, match=r"'big\.gpg'"):
            repo.register("big", approved=only_alice)
        assert snapshot(repo.root) == before

    def test_a_secret_keyring_among_the_tracked_files(self, repo: Repository, only_alice: Approved) -> None:
        (repo.data / "secring.gpg").write_bytes(b"x")
        with pytest.raises(BlackBoxError, match="holds secret keys"):
            repo.register("f", approved=only_alice)

    def test_a_planted_filter_of_names_is_no_shell(self, repo: Repository, only_alice: Approved) -> None:
        (repo.data / "blackbox-admins.txt").write_bytes(b"--output=pwned\n")
        with pytest.raises(RecipientError, match="without a key in the tracked keyring: '--output=pwned'"):
            repo.register("f", approved=only_alice)


class TestWritingANewVersion:
    @pytest.fixture
    def filled(self, repo: Repository, only_alice: Approved) -> Repository:
        _plain(repo, "f")
        repo.register("f", approved=only_alice)
        return repo

    def test_it_is_what_is_read_afterwards(self, filled: Repository, only_alice: Approved) -> None:
        (filled.root / "f.gpg").chmod(0o640)
        done = filled.write("f.gpg", SecretBytes(b"newer"), approved=only_alice)
        assert done.changed == ("f.gpg",)
        assert filled.read("f").reveal() == b"newer"
        assert _subjects(filled.root)[0] == "f.gpg updated"
        assert stat.S_IMODE((filled.root / "f.gpg").stat().st_mode) == 0o640
        assert not (filled.root / "f").exists()

    def test_a_failure_keeps_the_old_version(self, filled: Repository, only_alice: Approved) -> None:
        before = snapshot(filled.root)
        with pytest.raises(NotFoundError):
            filled.write("g", SecretBytes(b"x"), approved=only_alice)
        with pytest.raises(RecipientError):
            filled.write("f", SecretBytes(b"x"), approved=("0" * 40,))
        with pytest.raises(PathError, match="protected"):
            filled.write("f", SecretBytes(b"x"), approved=only_alice, protected=[filled.root / "f.gpg"])
        with pytest.raises(BlackBoxError, match="empty"):
            filled.write("f", SecretBytes(b""), approved=only_alice)
        with largest_file(4096), pytest.raises(StoreError):
            filled.write("f", SecretBytes(os.urandom(8192)), approved=only_alice)
        assert snapshot(filled.root) == before
        assert filled.read("f").reveal() == b"secret"

    def test_a_ciphertext_of_somebody_elses_making_can_be_listed(
        self, filled: Repository, alice: GpgHome, only_alice: Approved
    ) -> None:
        (filled.root / "root.1.gpg").write_bytes(alice.encrypt(b"sealed elsewhere", alice.fingerprint))
        filled.enlist("root.1")
        assert filled.read("root.1").reveal() == b"sealed elsewhere"
        assert _subjects(filled.root)[0] == "registered in blackbox: root.1"
        with pytest.raises(ExistsError):
            filled.enlist("root.1")
        with pytest.raises(NotFoundError):
            filled.enlist("root.2")


def _register_one(root: Path, home: Path, fingerprint: str, name: str, start: float) -> None:
    engine = GnuPG(home=home)
    try:
        repo = Repository.discover(root, engine=engine)
        time.sleep(max(0.0, start - time.time()))
        repo.register(name, approved=(fingerprint,))
    finally:
        engine.close()


def test_racing_registrations_lose_nothing(repo: Repository, alice: GpgHome) -> None:
    names = [f"race-{number}" for number in range(6)]
    for name in names:
        _plain(repo, name, name.encode())
    spawning = multiprocessing.get_context("spawn")
    start = time.time() + 2
    racers = [
        spawning.Process(target=_register_one, args=(repo.root, alice.home, alice.fingerprint, name, start))
        for name in names
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0] * len(names)
    assert repo.files() == tuple(names)
    assert {name: repo.read(name).reveal() for name in names} == {name: name.encode() for name in names}
    assert git(repo.root, "status", "--porcelain", "-uall") == b""
    assert sorted(_subjects(repo.root)[:-1]) == [f"registered in blackbox: {name}" for name in names]


def test_a_plaintext_that_changes_while_it_is_encrypted_is_not_lost(
    work_tree: Path, repo: Repository, alice: GpgHome, only_alice: Approved
) -> None:
    class AnEditorMeanwhile(GnuPG):
        """alice's engine; at the moment of encrypting, somebody saves the file."""

        def encrypt(self, plaintext: SecretBytes, *, to: Sequence[Certificate], filename: str = "") -> bytes:
            (work_tree / "f").write_bytes(b"saved by an editor")
            return super().encrypt(plaintext, to=to, filename=filename)

    _plain(repo, "f")
    engine = AnEditorMeanwhile(home=alice.home)
    with closing(engine), pytest.raises(ConflictError, match="'f' was changed"):
        Repository.discover(work_tree, engine=engine).register("f", approved=only_alice)
    assert (work_tree / "f").read_bytes() == b"saved by an editor"
    assert not (work_tree / "f.gpg").exists()
    assert repo.files() == ()
