"""Who could read what, what changed, and how things stand: nothing is written, nothing is checked out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom._encoding import Timestamp
from strongroom.blackbox import Repository
from strongroom.blackbox.overview import FileState
from strongroom.errors import BlackBoxError, GitError, NotFoundError, PathError, UnsupportedError
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.primitives.secret import SecretBytes
from tests.blackbox.conftest import EngineOf
from tests.blackbox.teams import fill, nothing_changes, plain, status, subjects
from tests.support.blackbox_fixtures import git
from tests.support.gpg import GpgHome, GpgHomes

Approved = tuple[str, ...]
NAMES = ("a", "conf/b", "schl\u00fcssel [x]")


@pytest.fixture
def shared(
    repo: Repository, as_alice: Engine, alice: GpgHome, bob: GpgHome, bob_key: Certificate, tmp_path: Path
) -> Repository:
    """alice's and bob's secrets, and one that alice made before bob came and that was never updated."""
    fill(repo, ["before bob"], (alice.fingerprint,))
    repo.add_admin(bob_key, label="bob@example.org")
    fill(repo, NAMES, (alice.fingerprint, bob.fingerprint))
    environ = {**os.environ, "STRONGROOM_STATE": str(tmp_path / "state")}
    return Repository.discover(repo.root, engine=as_alice, environ=environ)


class TestRemovingAnAdmin:
    def test_q18_it_tells_every_secret_that_the_one_who_left_could_read(
        self, shared: Repository, bob: GpgHome, only_alice: Approved
    ) -> None:
        git(shared.root, "checkout", "--quiet", "-b", "side")
        shared.deregister("conf/b")
        git(shared.root, "checkout", "--quiet", "-")
        shared.write("a", SecretBytes(b"newer"), approved=(*only_alice, bob.fingerprint))
        done = shared.remove_admin("BOB@example.org")
        assert (done.listed, done.fingerprints, done.committed) == (("bob@example.org",), (bob.fingerprint,), True)
        found = {exposure.name: exposure for exposure in done.exposed}
        assert found.keys() == set(NAMES)
        assert (found["a"].now, found["a"].versions) == (True, 2)
        assert git(shared.root, "log", "-1", "--format=%s", found["a"].first) == b"registered in blackbox: 3 files\n"
        shared.update_all(approved=only_alice)
        later = shared.readable_by(
            *[
                bob_certificate(shared, bob),
            ]
        )
        assert {exposure.name: exposure.now for exposure in later} == dict.fromkeys(NAMES, False)
        with pytest.raises(AssertionError):
            bob.decrypt((shared.root / "a.gpg").read_bytes())

    def test_the_line_and_the_key_are_gone_and_gpg_agrees(
        self, shared: Repository, alice: GpgHome, bob: GpgHome
    ) -> None:
        shared.remove_admin(bob.fingerprint)
        assert shared.admins() == ("alice@example.org",)
        assert [key.fingerprint for key in shared.admin_certificates()] == [alice.fingerprint]
        ring = str(shared.data / "pubring.kbx")
        listed = alice.run("--no-default-keyring", "--keyring", ring, "--with-colons", "--list-keys").stdout
        assert alice.fingerprint.encode() in listed
        assert bob.fingerprint.encode() not in listed
        assert subjects(shared.root)[0] == "REMOVED ADMIN: bob@example.org"
        assert status(shared.root) == b""

    def test_a_key_that_another_line_means_stays(self, shared: Repository, bob: GpgHome) -> None:
        with (shared.data / "blackbox-admins.txt").open("ab") as listed:
            listed.write(bob.fingerprint.encode() + b"\n")
        done = shared.remove_admin("bob@example.org")
        assert (done.listed, done.fingerprints, done.exposed) == (("bob@example.org",), (), ())
        assert shared.admins() == ("alice@example.org", bob.fingerprint)
        assert bob.fingerprint in {key.fingerprint for key in shared.admin_certificates()}

    def test_refusals_and_dry_runs_change_nothing(self, shared: Repository, as_alice: Engine, bob: GpgHome) -> None:
        with nothing_changes(shared.root):
            with pytest.raises(NotFoundError, match=r"'alice@example\.org', 'bob@example\.org'"):
                shared.remove_admin("carol@example.org")
            assert len(shared.remove_admin("bob@example.org", dry_run=True).exposed) == len(NAMES)
            nobody = {key: "" if key.startswith(("GIT_A", "GIT_COM")) else value for key, value in os.environ.items()}
            with pytest.raises(GitError):
                Repository.discover(shared.root, engine=as_alice, environ=nobody).remove_admin("bob@example.org")
        shared.remove_admin("bob@example.org")
        with nothing_changes(shared.root), pytest.raises(BlackBoxError, match="no admin left"):
            shared.remove_admin("alice@example.org")

    def test_a_name_without_a_key_can_be_removed(self, shared: Repository) -> None:
        with (shared.data / "blackbox-admins.txt").open("ab") as listed:
            listed.write(b"ghost@example.org\n")
        assert shared.remove_admin("ghost@example.org").fingerprints == ()
        assert shared.admins() == ("alice@example.org", "bob@example.org")

    def test_whoever_left_is_found_in_the_keyrings_that_git_keeps(
        self, shared: Repository, bob: GpgHome, only_alice: Approved
    ) -> None:
        shared.remove_admin("bob@example.org")
        shared.update_all(approved=only_alice)
        for who in ("bob@example.org", bob.fingerprint, f"0x{bob.fingerprint.lower()}"):
            assert {key.fingerprint for key in shared.keys_of(who)} == {bob.fingerprint}
        assert {exposure.name for exposure in shared.readable_by(*shared.keys_of("bob@example.org"))} == set(NAMES)
        assert shared.keys_of("carol@example.org") == ()
        (shared.root / ".git").rename(shared.root.parent / "no-longer-git")
        assert shared.keys_of("bob@example.org") == ()
        assert len(shared.keys_of("alice@example.org")) == 1

    def test_what_an_older_key_of_the_same_person_opened_is_told_too(
        self, shared: Repository, as_alice: Engine, gpg_homes: GpgHomes, only_alice: Approved
    ) -> None:
        shared.remove_admin("bob@example.org")
        shared.update_all(approved=only_alice)
        (renewed,) = as_alice.certificates(gpg_homes("Bob <bob@example.org>").export())
        shared.add_admin(renewed, label="bob@example.org")
        assert {exposure.name for exposure in shared.remove_admin("bob@example.org").exposed} == set(NAMES)

    def test_an_older_keyring_that_is_damaged_hides_nobody(self, shared: Repository, bob: GpgHome) -> None:
        ring = shared.data / "pubring.kbx"
        whole = ring.read_bytes()
        for content in (whole[:-7], b"nothing of gpg's", whole):
            ring.write_bytes(content)
            git(shared.root, "commit", "--quiet", "--all", "--allow-empty", "--message", "the keyring")
        shared.remove_admin("bob@example.org")
        assert {key.fingerprint for key in shared.keys_of("bob@example.org")} == {bob.fingerprint}

    def test_without_git_the_files_of_now_are_looked_at(self, shared: Repository, bob: GpgHome) -> None:
        (shared.root / ".git").rename(shared.root.parent / "no-longer-git")
        found = shared.remove_admin("bob@example.org").exposed
        assert {(exposure.name, exposure.now, exposure.versions) for exposure in found} == {
            (name, True, 0) for name in NAMES
        }


def bob_certificate(shared: Repository, bob: GpgHome) -> Certificate:
    return next(key for key in shared.engine.certificates(bob.export()) if key.fingerprint == bob.fingerprint)


class TestWhatIsNew:
    def test_the_last_versions_are_opened_in_memory(self, shared: Repository, only_alice: Approved) -> None:
        for content in (b"second", b"third"):
            shared.write(NAMES[2], SecretBytes(content), approved=only_alice)
        with nothing_changes(shared.root):
            newest, older = shared.editions(f"{NAMES[2]}.gpg")
            assert (newest.plaintext.reveal(), older.plaintext.reveal()) == (b"third", b"second")
            assert newest.author == "Ada Author"
            assert len(shared.editions(NAMES[2], most=10)) == 3
        assert status(shared.root) == b""

    def test_what_is_not_committed_or_not_in_git(self, shared: Repository, only_alice: Approved) -> None:
        plain(shared, "new")
        shared.register("new", approved=only_alice, commit=False)
        with pytest.raises(NotFoundError, match="is committed"):
            shared.editions("new")
        (shared.root / ".git").rename(shared.root.parent / "no-longer-git")
        with pytest.raises(UnsupportedError):
            shared.editions("a")


class TestDifferences:
    def test_only_plaintexts_that_differ_are_told_with_both_sides(self, shared: Repository) -> None:
        plain(shared, "a", b"changed\\n %s \x1b[2J")
        plain(shared, "conf/b", b"content of conf/b")
        (found,) = shared.differences()
        assert (found.name, found.sealed.reveal()) == ("a", b"content of a")
        assert found.plaintext.reveal() == b"changed\\n %s \x1b[2J"
        assert shared.differences(["conf/b"]) == ()

    def test_links_and_hostile_names(self, shared: Repository) -> None:
        (shared.root / "a").symlink_to("/etc/passwd")
        with pytest.raises(PathError):
            shared.differences()
        (shared.data / "blackbox-files.txt").write_bytes(b"../x\n")
        with pytest.raises(PathError):
            shared.differences()


@dataclass
class Later:
    days: float

    def now(self) -> Timestamp:
        return Timestamp(int(SYSTEM_CLOCK.now() + self.days * 86_400_000))

    def monotonic(self) -> float:
        return SYSTEM_CLOCK.monotonic()


class TestOverview:
    def test_the_days_that_each_key_has_left(
        self, shared: Repository, as_alice: Engine, engine_of: EngineOf, gpg_homes: GpgHomes, only_alice: Approved
    ) -> None:
        dan = gpg_homes("Dan <dan@example.org>", expires="30d")
        shared.add_admin(engine_of(dan).certificate(dan.fingerprint), label="dan@example.org")
        with (shared.data / "blackbox-admins.txt").open("ab") as listed:
            listed.write(b"ghost@example.org\n")
        in_ten = Repository.discover(shared.root, engine=as_alice, clock=Later(10))
        found = {each.listed: each for each in in_ten.admin_statuses(approved=only_alice)}
        assert (found["alice@example.org"].days_left, found["alice@example.org"].approved) == (None, True)
        assert (found["dan@example.org"].days_left, found["dan@example.org"].approved) == (19, False)
        assert found["dan@example.org"].problem is None
        assert (found["ghost@example.org"].certificates, found["ghost@example.org"].problem) == ((), "has no key there")
        in_forty = Repository.discover(shared.root, engine=as_alice, clock=Later(40)).admin_statuses()
        (expired,) = [each for each in in_forty if each.listed == "dan@example.org"]
        assert expired.days_left == -11
        assert expired.problem is not None
        assert expired.problem.startswith("expired on ")
        assert expired.approved is None

    def test_the_state_of_each_file(self, shared: Repository) -> None:
        shared.decrypt(["a"])
        plain(shared, "conf/b", b"by hand")
        (shared.root / f"{NAMES[2]}.gpg").write_bytes(b"<<<<<<< HEAD")
        (shared.root / "before bob.gpg").unlink()
        with (shared.data / "blackbox-files.txt").open("ab") as listed:
            listed.write(b"../x\n")
        found = {each.name: each for each in shared.file_statuses()}
        assert {name: each.state for name, each in found.items()} == {
            "a": FileState.DECRYPTED,
            "conf/b": FileState.CHANGED,
            NAMES[2]: FileState.BROKEN,
            "before bob": FileState.MISSING,
            "../x": FileState.BROKEN,
        }
        assert len(found["a"].recipients) == 2
        assert "goes upwards" in found["../x"].problem
