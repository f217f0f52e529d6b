"""The faults that were found in the originals, by their numbers: where the stand-in shows the danger, ours is without.

Q1: test_approvals. Q2, Q10, Q11, Q16: test_updating. Q4, Q6, Q8, Q9, Q13: test_deploying. Q12: test_editing.
Q18: test_history. Q7, that a ciphertext proves no origin, is OpenPGP's: a sealed store answers it, this floor does not.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.blackbox import Repository
from strongroom.errors import OpenPGPError, RecipientError
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.secret import SecretBytes
from tests.blackbox.conftest import EngineOf
from tests.blackbox.teams import fill, nothing_changes, plain, status, subjects
from tests.support.blackbox_fixtures import git
from tests.support.gpg import GpgHome, GpgHomes
from tests.support.original_blackbox import Original

Approved = tuple[str, ...]


@pytest.fixture
def theirs(gpg_homes: GpgHomes) -> Iterator[Original]:
    """A repository that the originals made for one admin, with a short path for the agent that they start in it."""
    root = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp")).resolve()
    git(root, "init", "--quiet")
    made = Original(root, gpg_homes("Ann <ann@example.org>"))
    made.initialize()
    made.addadmin("ann@example.org")
    yield made
    made.close()
    shutil.rmtree(root)


def test_q3_two_admins_whose_names_differ_in_a_dot_are_two(
    repo: Repository, theirs: Original, engine_of: EngineOf, gpg_homes: GpgHomes
) -> None:
    people = [gpg_homes(f"{name} <{name}@example.org>") for name in ("b-1", "b1")]
    for user in people:
        GpgHome(Path(theirs.environ["GNUPGHOME"])).import_keys(user.export())
        theirs.addadmin(f"{'b-1' if user is people[0] else 'b1'}@example.org")
    assert len((theirs.root / ".blackbox" / "blackbox-admins.txt").read_text().split()) == 2, "one of three vanished"
    for user, name in zip(people, ("b-1", "b1"), strict=True):
        repo.add_admin(engine_of(user).certificate(user.fingerprint), label=f"{name}@example.org")
    assert set(repo.admins()) == {"alice@example.org", "b-1@example.org", "b1@example.org"}


def test_q5_a_secret_that_was_tracked_leaves_head(repo: Repository, theirs: Original, only_alice: Approved) -> None:
    for root in (repo.root, theirs.root):
        (root / "leak").write_bytes(b"leaked")
        git(root, "add", "leak")
        git(root, "commit", "--quiet", "-m", "oops")
    theirs.register_new_file("leak")
    assert git(theirs.root, "show", "HEAD:leak") == b"leaked"
    done = repo.register("leak", approved=only_alice)
    assert (done.was_tracked, done.exposed) == (True, ("leak",))
    assert b"leak\n" not in git(repo.root, "ls-tree", "--name-only", "HEAD").replace(b"leak.gpg\n", b"")


def test_q14_an_admin_without_a_key_is_looked_for_nowhere_else(
    repo: Repository, alice: GpgHome, bob: GpgHome, only_alice: Approved, tmp_path: Path
) -> None:
    """Not in the network, and not in the user's own keyring, which has one."""
    plain(repo, "f")
    alice_and_bob = GpgHome.of_key(alice.export_secret())
    try:
        alice_and_bob.import_keys(bob.export())
        calls = tmp_path / "calls"
        spy = tmp_path / "gpg"
        spy.write_text(f'#!/bin/sh\necho "$*" >>{calls}\nexec /usr/bin/gpg "$@"\n')
        spy.chmod(0o755)
        engine = GnuPG(home=alice_and_bob.home, program=spy)
        with (repo.data / "blackbox-admins.txt").open("ab") as listed:
            listed.write(b"bob@example.org\n")
        with nothing_changes(repo.root), pytest.raises(RecipientError, match=r"without a key.*'bob@example\.org'"):
            Repository.discover(repo.root, engine=engine).register("f", approved=(*only_alice, bob.fingerprint))
        engine.close()
        assert all(
            "--no-auto-key-locate" in line and "--disable-dirmngr" in line for line in calls.read_text().splitlines()
        )
    finally:
        alice_and_bob.close()


def test_q15_blank_lines_and_words_behind_a_name(repo: Repository, alice: GpgHome, only_alice: Approved) -> None:
    (repo.data / "blackbox-admins.txt").write_bytes(b"\n  \nalice@example.org the first\r\n\n")
    plain(repo, "f")
    assert repo.register("f", approved=only_alice).recipients == only_alice
    assert alice.decrypt((repo.root / "f.gpg").read_bytes()) == b"secret"


def test_q17_with_two_keyring_files_nobody_is_lost(
    repo: Repository, alice: GpgHome, bob: GpgHome, bob_key: Certificate
) -> None:
    (repo.data / "pubring.gpg").write_bytes(alice.export())
    repo.add_admin(bob_key, label="bob@example.org")
    assert [key.fingerprint for key in repo.admin_certificates()] == [alice.fingerprint, bob.fingerprint]
    for name in ("pubring.gpg", "pubring.kbx"):
        raw = (repo.data / name).read_bytes()
        (repo.data / name).rename(repo.root.parent / name)
        assert len(repo.admin_certificates()) == 2, f"each of the two has both: without {name}"
        (repo.data / name).write_bytes(raw)
    repo.remove_admin("bob@example.org")
    assert [key.fingerprint for key in repo.ring()] == [alice.fingerprint], "gone from both"
    assert status(repo.root) == b""


class TestQ19:
    """The mutants that survive the originals' own tests: a command that does nothing, or hides that it failed."""

    def test_q19_every_verb_that_commits_makes_exactly_one_commit(
        self, repo: Repository, bob_key: Certificate, bob: GpgHome, only_alice: Approved
    ) -> None:
        count = len(subjects(repo.root))
        for number, act in enumerate(
            (
                lambda: plain(repo, "f") and repo.register("f", approved=only_alice),
                lambda: repo.write("f", SecretBytes(b"newer"), approved=only_alice),
                lambda: repo.update_all(approved=only_alice, force=True),
                lambda: repo.add_admin(bob_key, label="bob@example.org"),
                lambda: repo.remove_admin(bob.fingerprint),
                lambda: plain(repo, "f", b"newest") and repo.encrypt(["f"], approved=only_alice, commit=True),
                lambda: repo.deregister("f"),
            ),
            start=1,
        ):
            assert act().committed
            assert len(subjects(repo.root)) == count + number
            assert status(repo.root) == b""

    def test_q19_reading_leaves_no_plaintext(self, repo: Repository, only_alice: Approved) -> None:
        fill(repo, ["f"], only_alice)
        with nothing_changes(repo.root):
            repo.read("f")
            repo.editions("f")
            repo.differences()
            repo.update_all(approved=only_alice)

    def test_q19_an_error_of_encryption_is_an_error(
        self, repo: Repository, alice: GpgHome, only_alice: Approved
    ) -> None:
        class CannotEncrypt(GnuPG):
            def encrypt(self, *_: object, **__: object) -> bytes:
                raise OpenPGPError("gpg did not encrypt")

        fill(repo, ["f", "g"], only_alice)
        engine = CannotEncrypt(home=alice.home)
        with nothing_changes(repo.root), pytest.raises(OpenPGPError, match="'f': gpg did not encrypt"):
            Repository.discover(repo.root, engine=engine).update_all(approved=only_alice, force=True)
        engine.close()


def test_q20_the_users_own_keyring_is_not_touched(
    repo: Repository, theirs: Original, gpg_homes: GpgHomes, engine_of: EngineOf, bob: GpgHome, bob_key: Certificate
) -> None:
    ann = GpgHome(Path(theirs.environ["GNUPGHOME"]))
    ann.import_keys(bob.export())
    theirs.addadmin("bob@example.org")
    ann.run("--delete-keys", bob.fingerprint)
    (theirs.root / "f").write_bytes(b"x")
    theirs.register_new_file("f")
    assert bob.fingerprint.encode() in ann.run("--with-colons", "--list-keys").stdout, "theirs brings strangers in"

    erin = gpg_homes("Erin <erin@example.org>")
    repo.add_admin(engine_of(erin).certificate(erin.fingerprint), label="erin@example.org")
    repo.add_admin(bob_key, label="bob@example.org")
    before = erin.export()
    mine: Engine = engine_of(erin)
    seen = Repository.discover(repo.root, engine=mine)
    approved = [erin.fingerprint, bob.fingerprint]
    fill(seen, ["f"], approved)
    seen.update_all(approved=approved, force=True)
    assert seen.read("f").reveal() == b"content of f"
    assert erin.export() == before
