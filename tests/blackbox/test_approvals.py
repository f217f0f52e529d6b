"""Who may receive is remembered where those who write to the repository cannot reach."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from strongroom.blackbox import Repository
from strongroom.blackbox.approvals import Approvals
from strongroom.errors import (
    FormatError,
    NotFoundError,
    PolicyError,
    RecipientError,
    SettingsError,
    StoreError,
)
from strongroom.openpgp.engine import Certificate, Engine
from tests.blackbox.teams import fill
from tests.support.blackbox_fixtures import git
from tests.support.gpg import GpgHome, GpgHomes

Approved = tuple[str, ...]


@pytest.fixture
def mine(repo: Repository, as_alice: Engine, tmp_path: Path, only_alice: Approved) -> Repository:
    fill(repo, ["f"], only_alice)
    environ = {**os.environ, "STRONGROOM_STATE": str(tmp_path / "state")}
    return Repository.discover(repo.root, engine=as_alice, environ=environ)


def everybody(listed: Sequence[Certificate]) -> list[str]:
    return [key.fingerprint for key in listed]


def test_the_first_use_asks_and_the_next_one_does_not(mine: Repository, only_alice: Approved) -> None:
    with pytest.raises(PolicyError, match="nobody has said yet which of the 1 listed admins") as caught:
        Approvals.load(mine).settled(None)
    assert caught.value.hint.startswith("strongroom blackbox approve")
    asked: list[list[str]] = []

    def ask(listed: Sequence[Certificate]) -> list[str]:
        asked.append(everybody(listed))
        return everybody(listed)

    assert Approvals.load(mine).settled(ask).fingerprints == only_alice
    assert Approvals.load(mine).settled(ask).fingerprints == only_alice
    assert asked == [list(only_alice)]
    assert mine.update_all(approved=Approvals.load(mine).fingerprints).recipients == only_alice


def test_a_person_may_refuse_all(mine: Repository) -> None:
    assert Approvals.load(mine).settled(lambda _: ()).fingerprints == ()
    assert Approvals.load(mine).begun
    with pytest.raises(RecipientError, match="no approved admin"):
        mine.update_all(approved=Approvals.load(mine).settled(None).fingerprints, force=True)


def test_the_file_is_private_and_outside_the_repository(mine: Repository, tmp_path: Path) -> None:
    Approvals.load(mine).settled(everybody)
    (path,) = (tmp_path / "state" / "blackbox").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert mine.root not in path.parents


def test_each_checkout_and_each_environment_has_its_own(
    mine: Repository, as_alice: Engine, alice_key: Certificate
) -> None:
    Approvals.load(mine).settled(everybody)
    team = Repository.create(
        mine.root, data=".blackbox-ops", admin=alice_key, label="alice@example.org", engine=as_alice,
        environ=mine.environ,
    )  # fmt: skip
    assert not Approvals.load(team).begun
    assert Approvals.load(mine).begun


def test_approving_and_withdrawing(mine: Repository, bob_key: Certificate, bob: GpgHome, only_alice: Approved) -> None:
    approvals = Approvals.load(mine).settled(everybody)
    mine.add_admin(bob_key, label="bob@example.org")
    assert [key.fingerprint for key in approvals.unapproved()] == [bob.fingerprint]
    done = mine.update_all(approved=approvals.fingerprints)
    assert (done.left_out, done.changed) == (("bob@example.org",), ())
    approvals = approvals.approve(bob_key).approve(bob_key)
    assert Approvals.load(mine).fingerprints == (*only_alice, bob.fingerprint)
    assert approvals.unapproved() == ()
    assert mine.update_all(approved=approvals.fingerprints).changed == ("f.gpg",)
    assert bob.decrypt((mine.root / "f.gpg").read_bytes()) == b"content of f"
    assert Approvals.load(mine).withdraw(bob.fingerprint.lower()).fingerprints == only_alice
    with pytest.raises(NotFoundError):
        Approvals.load(mine).withdraw(bob.fingerprint)


def test_who_left_the_list_is_approved_again_by_a_person_when_he_comes_back(
    mine: Repository, bob_key: Certificate, bob: GpgHome, only_alice: Approved
) -> None:
    Approvals.load(mine).settled(everybody).approve(bob_key)
    mine.add_admin(bob_key, label="bob@example.org")
    assert Approvals.load(mine).settled(None).fingerprints == (*only_alice, bob.fingerprint)
    git(mine.root, "revert", "--no-edit", "HEAD")
    assert Approvals.load(mine).settled(None, dry_run=True).fingerprints == only_alice
    assert Approvals.load(mine).fingerprints == (*only_alice, bob.fingerprint), "a dry run remembers nothing"
    settled = Approvals.load(mine).settled(None)
    assert (settled.fingerprints, [gone.fingerprint for gone in settled.lapsed]) == (only_alice, [bob.fingerprint])
    git(mine.root, "revert", "--no-edit", "HEAD")
    assert "bob@example.org" in mine.admins(), "a revert brought him back"
    settled = Approvals.load(mine).settled(None)
    assert (settled.fingerprints, settled.lapsed) == (only_alice, ())
    assert [key.fingerprint for key in settled.unapproved()] == [bob.fingerprint]


def test_a_store_that_appears_decides_only_once_it_adds_nobody(
    mine: Repository, bob_key: Certificate, bob: GpgHome, only_alice: Approved
) -> None:
    both = (*only_alice, bob.fingerprint)
    assert Approvals.load(mine).yield_to("a store", both).yielded_to == "", "nobody was asked here: nothing to defend"
    Approvals.load(mine).settled(everybody)
    mine.add_admin(bob_key, label="bob@example.org")
    with pytest.raises(PolicyError, match="whom nobody has approved in this checkout") as caught:
        Approvals.load(mine).yield_to("a store", both)
    assert bob.fingerprint in caught.value.hint
    assert Approvals.load(mine).yield_to("a store", (*only_alice, "0" * 40)).yielded_to == "a store"
    assert Approvals.load(mine).yield_to("a store", both).fingerprints == only_alice, "it decides from now on"
    with pytest.raises(PolicyError):
        Approvals.load(mine).yield_to("another store", both)
    Approvals.load(mine).approve(bob_key)
    assert Approvals.load(mine).yield_to("another store", both).yielded_to == "another store"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b'{"format": "strongroom/2 approvals", "root": "", "data": "", "admins": []}',
        b'{"format": "strongroom/1 approvals", "root": "", "data": "", "admins": [], "more": 1}',
        (b'{"format": "strongroom/1 approvals", "root": "", "data": "",'
        b' "admins": [{"fingerprint": "alice@example.org", "name": "", "approved": 1}]}'),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused_and_not_taken_for_the_first_use(mine: Repository, raw: bytes) -> None:
    path = Approvals.load(mine).settled(everybody).path
    path.write_bytes(raw)
    with pytest.raises(FormatError, match="no list of approvals"):
        Approvals.load(mine)


def test_a_file_that_others_may_write_is_refused(mine: Repository) -> None:
    path = Approvals.load(mine).settled(everybody).path
    path.chmod(0o620)
    with pytest.raises(StoreError, match="written by others"):
        Approvals.load(mine)
    path.chmod(0o600)
    path.parent.chmod(0o777)
    with pytest.raises(StoreError, match="written by others"):
        Approvals.load(mine)


def test_where_there_is_no_place_it_says_so(mine: Repository, as_alice: Engine) -> None:
    bare = Repository.discover(mine.root, engine=as_alice, environ={"PATH": os.environ["PATH"]})
    with pytest.raises(SettingsError, match="no directory to remember") as caught:
        Approvals.load(bare)
    assert "STRONGROOM_STATE" in caught.value.hint


def test_q1_a_committed_key_with_an_admins_name_gets_nothing(
    mine: Repository, bob_key: Certificate, bob: GpgHome, gpg_homes: GpgHomes, only_alice: Approved
) -> None:
    mine.add_admin(bob_key, label="bob@example.org")
    approved = (*only_alice, bob.fingerprint)
    mallory = gpg_homes("Bob <bob@example.org>")
    ring = GpgHome(mine.data)
    ring.run("--no-autostart", "--import", stdin=mallory.export())
    before = (mine.root / "f.gpg").read_bytes()
    with pytest.raises(RecipientError, match="more than one key"):
        mine.update_all(approved=approved, force=True)
    assert (mine.root / "f.gpg").read_bytes() == before
    (mine.data / "blackbox-admins.txt").write_text(f"alice@example.org\n{mallory.fingerprint}\n")
    done = mine.update_all(approved=approved, force=True)
    assert (done.recipients, done.left_out) == (only_alice, (mallory.fingerprint,))
    with pytest.raises(AssertionError, match="No secret key"):
        mallory.decrypt((mine.root / "f.gpg").read_bytes())
