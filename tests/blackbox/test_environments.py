"""Several environments in one repository, each with its own admins and files; and what a dry run leaves alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from strongroom.blackbox import Repository
from strongroom.blackbox.discovery import environments
from strongroom.errors import (
    BlackBoxError,
    ExistsError,
    NotFoundError,
    PathError,
    RecipientError,
    SettingsError,
    StrongroomError,
)
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.primitives.secret import SecretBytes
from tests.blackbox.teams import fill, nothing_changes, plain, status
from tests.support.gpg import GpgHome

Approved = tuple[str, ...]


@pytest.fixture
def ops(repo: Repository, bob_key: Certificate, as_alice: Engine) -> Repository:
    """bob's environment, beside alice's."""
    return Repository.create(repo.root, data=".blackbox-ops", admin=bob_key, label="bob@example.org", engine=as_alice)


def test_each_environment_has_its_own_admins_and_files(
    repo: Repository, ops: Repository, alice: GpgHome, bob: GpgHome, as_alice: Engine
) -> None:
    fill(repo, ["web.yml"], (alice.fingerprint,))
    fill(ops, ["ops/db.yml"], (bob.fingerprint,))
    assert environments(repo.root) == (".blackbox", ".blackbox-ops")
    assert (repo.admins(), ops.admins()) == (("alice@example.org",), ("bob@example.org",))
    assert (repo.files(), ops.files()) == (("web.yml",), ("ops/db.yml",))
    assert bob.decrypt((repo.root / "ops/db.yml.gpg").read_bytes()) == b"content of ops/db.yml"
    with pytest.raises(AssertionError):
        alice.decrypt((repo.root / "ops/db.yml.gpg").read_bytes())
    assert status(repo.root) == b""
    found = Repository.discover(repo.root / "ops", data=".blackbox-ops", engine=as_alice)
    assert found.files() == ops.files()
    by_variable = Repository.discover(repo.root, environ={"BLACKBOXDATA": ".blackbox-ops"}, engine=as_alice)
    assert by_variable.files() == ops.files()
    assert Repository.discover(repo.root, engine=as_alice).files() == ("web.yml",)


def test_an_environment_within_the_first_one_as_some_teams_have_it(repo: Repository) -> None:
    (repo.data / "team").mkdir()
    (repo.data / "team" / "blackbox-admins.txt").write_bytes(b"")
    assert environments(repo.root) == (".blackbox", ".blackbox/team")


def test_an_environment_is_not_made_twice_and_its_files_are_no_secrets(
    ops: Repository, bob_key: Certificate, as_alice: Engine, bob: GpgHome
) -> None:
    with pytest.raises(ExistsError, match="blackbox-ops"):
        Repository.create(ops.root, data=".blackbox-ops", admin=bob_key, label="bob@example.org", engine=as_alice)
    with pytest.raises(NotFoundError):
        Repository.discover(ops.root, data=".blackbox-none", engine=as_alice)
    for name in (".blackbox-ops/blackbox-files.txt", ".blackbox/blackbox-admins.txt"):
        with pytest.raises(PathError, match="belongs to BlackBox"):
            ops.register(name, approved=(bob.fingerprint,))
        with pytest.raises(PathError, match="belongs to BlackBox"):
            Repository.discover(ops.root, engine=as_alice).register(name, approved=(bob.fingerprint,))


def test_a_line_in_ones_own_list_brings_no_secret_of_another_environment(
    repo: Repository, ops: Repository, alice: GpgHome, bob: GpgHome, as_alice: Engine
) -> None:
    fill(repo, ["web.yml"], (alice.fingerprint,))
    fill(ops, ["db.yml"], (bob.fingerprint,))
    # one who is in both could open it
    (repo.root / "db.yml.gpg").write_bytes(alice.encrypt(b"for both", alice.fingerprint))
    with (repo.data / "blackbox-files.txt").open("ab") as listed:
        listed.write(b"db.yml\n")
    plain(repo, "db.yml", b"opened")
    verbs = (
        partial(repo.update_all, force=True),
        partial(repo.rehearse_all),
        partial(repo.write, "db.yml", SecretBytes(b"x")),
        partial(repo.edit, "db.yml"),
        partial(repo.encrypt, ["db.yml"]),
        partial(ops.update_all, only=["db.yml"]),
    )
    for verb in verbs:
        with nothing_changes(repo.root), pytest.raises(BlackBoxError, match=r"'db\.yml' is in two lists") as caught:
            verb(approved=(alice.fingerprint,))
        assert "blackbox-files.txt" in caught.value.hint
    with nothing_changes(repo.root), pytest.raises(BlackBoxError, match="is in two lists"):
        repo.deregister("db.yml")
    assert repo.update_all(approved=(alice.fingerprint,), only=["web.yml"], force=True).changed == ("web.yml.gpg",)


def test_dry_runs_of_everything_that_writes(
    repo: Repository, alice: GpgHome, bob_key: Certificate, only_alice: Approved
) -> None:
    fill(repo, ["f"], only_alice)
    plain(repo, "new")
    Path(repo.root / "other.gpg").write_bytes(alice.encrypt(b"x", alice.fingerprint))
    with nothing_changes(repo.root):
        done = [
            repo.register("new", approved=only_alice, dry_run=True),
            repo.enlist("other", dry_run=True),
            repo.write("f", SecretBytes(b"x"), approved=only_alice, dry_run=True),
            repo.update_all(approved=only_alice, force=True, dry_run=True),
            repo.add_admin(bob_key, label="bob@example.org", dry_run=True),
            repo.deregister("f", dry_run=True),
        ]
    assert all(each.changed and not each.committed for each in done)


def test_an_environment_below_directories_that_are_not_there_yet_or_in_an_empty_one(
    work_tree: Path, as_alice: Engine, alice_key: Certificate
) -> None:
    def create(data: str) -> Repository:
        return Repository.create(work_tree, data=data, admin=alice_key, label="alice@example.org", engine=as_alice)

    assert create("env/prod").admins() == ("alice@example.org",)
    (work_tree / "env" / "test").mkdir()
    assert create("env/test").admins() == ("alice@example.org",)
    with pytest.raises(ExistsError):
        create("env/test")
    (work_tree / "docs").mkdir()
    (work_tree / "docs" / "page").write_text("page")
    with pytest.raises(BlackBoxError, match="no directory of BlackBox's, and it is not empty"):
        create("docs")
    (work_tree / "file").write_text("file")
    with pytest.raises(StrongroomError):
        create("file/prod")
    with pytest.raises(SettingsError):
        Repository.create(work_tree, data="a/b/c", admin=alice_key, label="-x", engine=as_alice)
    assert not (work_tree / "a").exists(), "nothing is left of what failed"


def test_a_try_that_fails_leaves_an_empty_directory_as_empty_as_it_was(
    tmp_path: Path, as_alice: Engine, alice_key: Certificate
) -> None:
    (tmp_path / "plain" / ".blackbox").mkdir(parents=True)
    with pytest.raises(RecipientError):
        Repository.create(tmp_path / "plain", admin=alice_key, label="nobody@example.org", engine=as_alice)
    assert list((tmp_path / "plain").rglob("*")) == [tmp_path / "plain" / ".blackbox"]
    made = Repository.create(tmp_path / "plain", admin=alice_key, label="alice@example.org", engine=as_alice)
    assert made.admins() == ("alice@example.org",)
