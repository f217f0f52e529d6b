"""Plaintexts in the work tree: private, whole, only where they are asked for, and gone when they should be."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.blackbox import Repository, state
from strongroom.errors import (
    BlackBoxError,
    FormatError,
    NotFoundError,
    OpenPGPError,
    PathError,
    SettingsError,
    StoreError,
    UnsupportedError,
)
from strongroom.openpgp.engine import Engine
from strongroom.openpgp.gnupg import GnuPG
from tests.blackbox.conftest import snapshot
from tests.blackbox.teams import CountedGpg, fill, nothing_changes, plain, status, subjects
from tests.blackbox.test_files import largest_file
from tests.support.blackbox_fixtures import git
from tests.support.gpg import GpgHome

Approved = tuple[str, ...]
NAMES = ("a.yml", "conf/b b.yml", "conf/c")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "STRONGROOM_STATE": str(tmp_path / "state")}


@pytest.fixture
def filled(repo: Repository, as_alice: Engine, environ: dict[str, str], only_alice: Approved) -> Repository:
    fill(repo, NAMES, only_alice)
    return Repository.discover(repo.root, engine=as_alice, environ=environ)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestDecryptingAll:
    def test_every_file_is_written_beside_its_ciphertext_and_git_sees_none(self, filled: Repository) -> None:
        told: list[int] = []
        done = filled.decrypt_all(progress=lambda done, _total, _name: told.append(done))
        assert (done.written, done.unchanged, told) == (NAMES, (), [1, 2, 3])
        for name in NAMES:
            assert (filled.root / name).read_bytes() == f"content of {name}".encode()
        assert status(filled.root) == b""
        assert not list((filled.root / ".git").glob("*.tmp"))

    def test_nothing_changed_starts_no_gpg_and_writes_nothing(
        self, filled: Repository, alice: GpgHome, environ: dict[str, str], tmp_path: Path
    ) -> None:
        counted = CountedGpg(tmp_path / "bin")
        with closing(GnuPG(home=alice.home, program=counted.program)) as engine:
            repo = Repository.discover(filled.root, engine=engine, environ=environ)
            repo.decrypt_all()
            assert counted.take() == 2, "the first alone, the two others with one start"
            before = {name: (repo.root / name).stat() for name in NAMES}
            done = repo.decrypt_all()
            assert (counted.take(), done.written, done.unchanged) == (0, (), NAMES)
            assert {name: (repo.root / name).stat().st_ctime_ns for name in NAMES} == {
                name: found.st_ctime_ns for name, found in before.items()
            }
            assert repo.decrypt_all(force=True).written == NAMES

    @pytest.mark.parametrize("change", ["plaintext", "ciphertext", "removed", "replaced"])
    def test_what_changed_is_written_again(
        self, filled: Repository, only_alice: Approved, alice: GpgHome, change: str
    ) -> None:
        filled.decrypt_all()
        path = filled.root / NAMES[1]
        content = path.read_bytes()
        match change:
            case "plaintext":
                path.write_bytes(b"X" * len(content))
            case "ciphertext":
                content = b"newer"
                path.with_name(f"{path.name}.gpg").write_bytes(alice.encrypt(content, alice.fingerprint))
            case "removed":
                path.unlink()
            case _:
                path.rename(path.with_name("old"))
                path.write_bytes(content)
        assert filled.decrypt_all().written == (NAMES[1],)
        assert path.read_bytes() == content

    def test_q9_plaintexts_are_private_whatever_the_mode_of_the_ciphertext(self, filled: Repository) -> None:
        before = os.umask(0)
        try:
            (filled.root / "a.yml.gpg").chmod(0o666)
            filled.decrypt_all()
            assert mode(filled.root / "a.yml") == 0o600
            (filled.root / "a.yml").chmod(0o644)
            assert filled.decrypt_all().unchanged == NAMES
            assert mode(filled.root / "a.yml") == 0o600, "what was widened is narrowed, without gpg"
        finally:
            os.umask(before)

    @pytest.mark.parametrize(("umask", "wanted"), [("0022", 0o644), ("077", 0o600), ("0027", 0o640)])
    def test_decrypt_umask_is_honoured(
        self, filled: Repository, as_alice: Engine, environ: dict[str, str], umask: str, wanted: int
    ) -> None:
        repo = Repository.discover(filled.root, engine=as_alice, environ={**environ, "DECRYPT_UMASK": umask})
        repo.decrypt_all()
        assert mode(filled.root / "a.yml") == wanted

    def test_a_group_may_read(self, filled: Repository) -> None:
        groups = [group for group in os.getgroups() if group != os.getgid()] or [os.getgid()]
        filled.decrypt_all(group=str(groups[0]))
        found = (filled.root / "a.yml").stat()
        assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (groups[0], 0o640)

    def test_an_unknown_group_or_umask(self, filled: Repository, as_alice: Engine, environ: dict[str, str]) -> None:
        with nothing_changes(filled.root):
            for group in ("nobodies", "99999999999", str(2**32 - 1)):
                with pytest.raises(SettingsError, match=f"no group '{group}'"):
                    filled.decrypt_all(group=group)
            with pytest.raises(SettingsError, match="DECRYPT_UMASK"):
                Repository.discover(
                    filled.root, engine=as_alice, environ={**environ, "DECRYPT_UMASK": "u=rwx"}
                ).decrypt_all()

    def test_what_is_protected_is_never_written_in_the_clear(self, filled: Repository) -> None:
        done = filled.decrypt_all(protected=[filled.root / "conf"])
        assert (done.written, done.protected) == (NAMES[:1], NAMES[1:])
        assert not (filled.root / "conf" / "c").exists()
        with pytest.raises(PathError, match="protected"):
            filled.decrypt([NAMES[1]], protected=[filled.root / NAMES[1]])

    def test_a_dry_run(self, filled: Repository) -> None:
        with nothing_changes(filled.root):
            assert filled.decrypt_all(dry_run=True).written == NAMES
            assert filled.decrypt([NAMES[0]], dry_run=True).written == NAMES[:1]
            assert filled.shred_all(dry_run=True).missing == NAMES

    def test_q4_a_manipulated_ciphertext_reaches_no_disk(self, filled: Repository) -> None:
        sealed = filled.root / "conf/b b.yml.gpg"
        raw = bytearray(sealed.read_bytes())
        raw[-3] ^= 1
        sealed.write_bytes(raw)
        with nothing_changes(filled.root), pytest.raises(OpenPGPError, match=r"conf/b b\.yml"):
            filled.decrypt_all()

    def test_conflict_markers_in_a_ciphertext(self, filled: Repository) -> None:
        (filled.root / "conf/c.gpg").write_bytes(b"<<<<<<< HEAD\nx\n=======\ny\n>>>>>>> b\n")
        with nothing_changes(filled.root), pytest.raises(FormatError, match="conf/c"):
            filled.decrypt_all()

    def test_q8_who_reads_meanwhile_sees_the_whole_old_one(self, filled: Repository, only_alice: Approved) -> None:
        filled.decrypt_all()
        with (filled.root / "a.yml").open("rb") as reader:
            filled.decrypt_all(force=True)
            assert reader.read() == b"content of a.yml"

    @pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
    def test_q13_a_link_in_the_place_of_a_plaintext(
        self, filled: Repository, plant: Callable[[Path, Path], None]
    ) -> None:
        outside = filled.root.parent / "outside"
        outside.write_bytes(b"keep me")
        plant(filled.root / "a.yml", outside)
        with nothing_changes(filled.root):
            for attempt in (filled.decrypt_all, lambda: filled.decrypt(["a.yml"])):
                with pytest.raises(PathError):
                    attempt()
            with pytest.raises(BlackBoxError):
                filled.shred_all()
        assert outside.read_bytes() == b"keep me"

    def test_q13_a_directory_that_is_a_link_and_a_name_that_leaves(self, filled: Repository) -> None:
        (filled.root.parent / "away").mkdir()
        (filled.root / "conf").rename(filled.root / "was")
        (filled.root / "conf").symlink_to(filled.root.parent / "away")
        with pytest.raises(PathError):
            filled.decrypt_all()
        (filled.data / "blackbox-files.txt").write_bytes(b"../home/authorized_keys\n")
        with pytest.raises(PathError):
            filled.decrypt_all()
        assert list((filled.root.parent / "away").iterdir()) == []

    def test_a_disk_that_is_full(self, filled: Repository, only_alice: Approved) -> None:
        plain(filled, "big", os.urandom(8192))
        filled.register("big", approved=only_alice)
        with largest_file(4096), pytest.raises(StoreError, match="'big'"):
            filled.decrypt_all()
        assert not (filled.root / "big").exists()
        assert not list(filled.root.rglob("*.tmp"))

    def test_without_version_control_and_with_svn(self, filled: Repository) -> None:
        (filled.root / ".git").rename(filled.root.parent / "no-longer-git")
        assert filled.decrypt_all().written == NAMES
        (filled.root / ".svn").mkdir()
        with pytest.raises(UnsupportedError):
            filled.decrypt_all()


class TestTheMemory:
    def test_it_holds_no_name_and_no_trace_of_a_plaintext(self, filled: Repository, tmp_path: Path) -> None:
        filled.decrypt_all()
        (memory,) = (tmp_path / "state" / "blackbox").iterdir()
        assert mode(memory) == 0o600
        assert mode(memory.parent) == 0o700
        assert b"content of" not in memory.read_bytes()

    @pytest.mark.parametrize("harm", ["corrupt", "others write it", "gone", "no place"])
    def test_without_it_everything_is_decrypted_again(
        self, filled: Repository, as_alice: Engine, environ: dict[str, str], tmp_path: Path, harm: str
    ) -> None:
        filled.decrypt_all()
        (memory,) = (tmp_path / "state" / "blackbox").iterdir()
        repo = filled
        match harm:
            case "corrupt":
                memory.write_bytes(memory.read_bytes()[:-2])
            case "others write it":
                memory.chmod(0o666)
            case "gone":
                memory.unlink()
            case _:
                bare = {key: value for key, value in environ.items() if key == "PATH"}
                repo = Repository.discover(filled.root, engine=as_alice, environ=bare)
        assert repo.decrypt_all().written == NAMES

    def test_a_file_that_others_could_have_written_is_not_believed(self, tmp_path: Path) -> None:
        path = tmp_path / "memory"
        path.write_bytes(b"{}")
        path.chmod(0o606)
        with pytest.raises(StoreError, match="written by others"):
            state.read(path)


class TestEditStartAndEnd:
    def test_a_plaintext_is_written_once_and_not_overwritten(self, filled: Repository) -> None:
        assert filled.decrypt(["a.yml.gpg"]).written == ("a.yml",)
        (filled.root / "a.yml").write_bytes(b"being edited")
        assert filled.decrypt(["a.yml"]).in_the_way == ("a.yml",)
        assert (filled.root / "a.yml").read_bytes() == b"being edited"
        (filled.root / "a.yml").write_bytes(b"")
        assert filled.decrypt(["a.yml"]).written == ("a.yml",), "an empty file is no plaintext, as in the original"
        with pytest.raises(NotFoundError, match=r"'b\.yml' is not among the 3"):
            filled.decrypt(["b.yml"])

    def test_the_end_seals_what_changed_and_removes_the_plaintexts(
        self, filled: Repository, only_alice: Approved
    ) -> None:
        filled.decrypt_all()
        (filled.root / "a.yml").write_bytes(b"edited")
        before = snapshot(filled.root)
        done = filled.encrypt(["a.yml", "conf/c"], approved=only_alice)
        after = snapshot(filled.root)
        assert (done.changed, done.unchanged, done.committed) == (("a.yml.gpg",), ("conf/c",), False)
        assert filled.read("a.yml").reveal() == b"edited"
        assert after["conf/c.gpg"] == before["conf/c.gpg"]
        assert {"a.yml", "conf/c"} & after.keys() == set()

    def test_a_commit_of_its_own_paths(self, filled: Repository, only_alice: Approved) -> None:
        plain(filled, "staged")
        git(filled.root, "add", "staged")
        plain(filled, "a.yml", b"edited")
        assert filled.encrypt(["a.yml"], approved=only_alice, commit=True).committed
        assert subjects(filled.root)[0] == "a.yml.gpg updated"
        assert status(filled.root) == b"A  staged\0"

    def test_what_fails_leaves_all_plaintexts(self, filled: Repository, only_alice: Approved) -> None:
        plain(filled, "a.yml", b"edited")
        plain(filled, "conf/c", b"")
        with nothing_changes(filled.root):
            with pytest.raises(BlackBoxError, match="is empty"):
                filled.encrypt(["a.yml", "conf/c"], approved=only_alice)
            with pytest.raises(NotFoundError):
                filled.encrypt(["a.yml", "conf/b b.yml"], approved=only_alice)
            assert filled.encrypt(["a.yml"], approved=only_alice, dry_run=True).changed == ("a.yml.gpg",)

    def test_who_can_only_encrypt_encrypts(
        self, filled: Repository, bob: GpgHome, only_alice: Approved, environ: dict[str, str]
    ) -> None:
        plain(filled, "a.yml", b"edited by bob")
        with closing(GnuPG(home=bob.home)) as engine:
            Repository.discover(filled.root, engine=engine, environ=environ).encrypt(["a.yml"], approved=only_alice)
        assert filled.read("a.yml").reveal() == b"edited by bob"


KILLED_WHILE_OVERWRITING = """
import os, sys
from pathlib import Path
from strongroom.blackbox.files import Tree
from strongroom.blackbox.placing import remove

os.urandom = lambda size: os.kill(os.getpid(), 9)
remove(Tree(Path(sys.argv[1])), "a.yml")
"""


class TestShredding:
    def test_every_plaintext_goes_and_what_was_not_there_is_told(self, filled: Repository) -> None:
        filled.decrypt(["a.yml", "conf/c"])
        with (filled.root / "a.yml").open("rb") as held:
            done = filled.shred_all()
            assert b"content" not in held.read()
        assert (done.removed, done.missing) == (("a.yml", "conf/c"), ("conf/b b.yml",))
        assert not (filled.root / "conf" / "c").exists()

    def test_what_a_killed_postdeploy_had_not_placed_yet_goes_too(self, filled: Repository) -> None:
        left = [filled.root / at / ".strongroom-blackbox-0123456789abcdef.tmp" for at in (".git", "conf")]
        for path in left:
            path.write_bytes(b"plaintext")
        filled.shred_all()
        assert not any(path.exists() for path in left)

    def test_one_that_is_killed_leaves_no_random_bytes_in_the_place_of_a_secret(self, filled: Repository) -> None:
        filled.decrypt(["a.yml"])
        command = [sys.executable, "-c", KILLED_WHILE_OVERWRITING, str(filled.root)]
        assert subprocess.run(command, check=False, timeout=60).returncode == -9
        assert not (filled.root / "a.yml").exists()

    def test_one_that_cannot_be_removed_does_not_keep_the_others(self, filled: Repository) -> None:
        filled.decrypt(["a.yml", "conf/c"])
        (filled.root / "link").hardlink_to(filled.root / "a.yml")
        with pytest.raises(BlackBoxError, match=r"1 plaintexts were removed, 1 could not be: 'a\.yml' has 2 names"):
            filled.shred_all()
        assert not (filled.root / "conf" / "c").exists()

    def test_q6_a_name_that_a_shell_would_run(
        self, filled: Repository, only_alice: Approved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        names = ("$(touch pwned)", 'quo"te', "$HOME", "`touch pwned`", "-rf")
        fill(filled, names, only_alice)
        filled.decrypt_all()
        assert set(names) <= set(filled.shred_all().removed)
        assert not any(path.name == "pwned" for path in tmp_path.rglob("*"))
