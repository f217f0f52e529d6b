"""One history, two implementations: what ours writes is used by the originals' steps, and the other way round."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.blackbox import Repository
from strongroom.errors import NoSecretKeyError
from strongroom.primitives.secret import SecretBytes
from tests.blackbox.conftest import EngineOf
from tests.blackbox.teams import plain, status
from tests.blackbox.test_vcs import ODD
from tests.support.blackbox_fixtures import (
    ADDRESSES,
    DATA,
    LEFT,
    REPOSITORIES,
    STAYED,
    clone,
    git,
    plaintext_hashes,
    secret_key,
    sha256,
)
from tests.support.gpg import GpgHome, GpgHomes
from tests.support.original_blackbox import Original, OriginalError

People = dict[str, GpgHome]


@pytest.fixture
def people(gpg_homes: GpgHomes) -> People:
    """Three people with homes of their own for each test, because the originals fill them with keys."""
    return {name: gpg_homes(f"{name.title()} <{name}@example.org>") for name in ("ann", "ben", "cleo")}


@pytest.fixture
def root() -> Iterator[Path]:
    """An empty work tree with a short path, because the originals have gpg make an agent's socket in it."""
    root = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp")).resolve()
    git(root, "init", "--quiet")
    yield root
    shutil.rmtree(root)


@pytest.fixture
def originals() -> Iterator[list[Original]]:
    made: list[Original] = []
    yield made
    for each in made:
        each.close()


def approved(people: People, *names: str) -> list[str]:
    return [people[name].fingerprint for name in names]


def ours(root: Path, engine_of: EngineOf, user: GpgHome, tmp_path: Path) -> Repository:
    environ = {**os.environ, "STRONGROOM_STATE": str(tmp_path / "state")}
    return Repository.discover(root, engine=engine_of(user), environ=environ)


def test_a_repository_of_ours_is_used_by_the_originals_steps(
    root: Path, people: People, engine_of: EngineOf, originals: list[Original], tmp_path: Path
) -> None:
    ann, ben = people["ann"], people["ben"]
    admin = engine_of(ann).certificate(ann.fingerprint)
    repo = Repository.create(root, admin=admin, label="ann@example.org", engine=engine_of(ann))
    repo.add_admin(engine_of(ben).certificate(ben.fingerprint), label=ben.fingerprint)
    names = [name for name in ODD if name[0] not in "-:"]  # which the originals hand to git as options and magic
    for name in (*names, "conf/deep/x.yml"):
        plain(repo, name, name.encode("utf-8", "surrogateescape"))
    repo.register_all([*names, "conf/deep/x.yml"], approved=approved(people, "ann", "ben"))

    theirs = Original(root, ben)
    originals.append(theirs)
    assert sorted(theirs.list_files()) == sorted([*names, "conf/deep/x.yml"])
    theirs.postdeploy()
    for name in repo.files():
        assert (root / name).read_bytes() == name.encode("utf-8", "surrogateescape")
    assert status(root) == b"", "none of the plaintexts is seen by git"
    theirs.shred_all_files()
    assert theirs.cat("conf/deep/x.yml") == b"conf/deep/x.yml"

    theirs.edit_start("conf/deep/x.yml")
    (root / "conf/deep/x.yml").write_bytes(b"edited by theirs")
    theirs.edit_end("conf/deep/x.yml")
    git(root, "commit", "--quiet", "-am", "conf/deep/x.yml.gpg updated")
    assert repo.read("conf/deep/x.yml").reveal() == b"edited by theirs"

    plain(repo, "new one", b"registered by theirs")
    theirs.register_new_file("new one")
    theirs.update_all_files()
    theirs.deregister_file("with space.gpg")
    assert repo.read("new one").reveal() == b"registered by theirs"
    assert "with space" not in repo.files()
    cleo = people["cleo"]
    ben.import_keys(cleo.export())
    theirs.addadmin("cleo@example.org")
    assert {key.fingerprint for key in repo.admin_certificates()} == set(approved(people, *people))
    assert git(root, "status", "--porcelain", "--untracked-files=no") == b""
    git(root, "fsck", "--strict")


def test_a_repository_of_the_originals_is_used_by_ours_and_given_back(
    root: Path, people: People, engine_of: EngineOf, originals: list[Original], tmp_path: Path
) -> None:
    ann, ben, cleo = people["ann"], people["ben"], people["cleo"]
    theirs = Original(root, ann)
    originals.append(theirs)
    theirs.initialize()
    theirs.addadmin("ann@example.org")
    ann.import_keys(ben.export())
    theirs.addadmin("ben@example.org")
    (root / "a.yml").write_bytes(b"a of theirs")
    (root / "b *.yml").write_bytes(b"b of theirs")
    theirs.register_new_file("a.yml", "b *.yml")

    repo = ours(root, engine_of, ben, tmp_path)
    both = approved(people, "ann", "ben")
    assert repo.read("a.yml").reveal() == b"a of theirs"
    assert repo.update_all(approved=both).changed == (), "the originals' recipients are ours: nothing to do"
    plain(repo, "c.yml", b"c of ours")
    repo.register("c.yml", approved=both)
    repo.write("a.yml", SecretBytes(b"a of ours"), approved=both)
    repo.deregister("b *.yml")
    assert b"b \\*.yml" not in (root / ".gitignore").read_bytes()
    repo.add_admin(engine_of(cleo).certificate(cleo.fingerprint), label="cleo@example.org")
    repo.update_all(approved=approved(people, "ann", "ben", "cleo"))
    assert repo.remove_admin("ann@example.org").committed

    hers = Original(root, cleo)
    originals.append(hers)
    assert hers.cat("a.yml") == b"a of ours"
    hers.update_all_files()
    hers.postdeploy()
    assert (root / "c.yml").read_bytes() == b"c of ours"
    with pytest.raises(AssertionError):
        ann.decrypt((root / "c.yml.gpg").read_bytes())
    assert repo.decrypt_all().written == ("a.yml", "c.yml"), "what others wrote is not believed to be ours"
    assert (root / "c.yml").stat().st_mode & 0o777 == 0o600
    repo.shred_all()
    hers.removeadmin("ben@example.org")
    hers.update_all_files()
    with pytest.raises(NoSecretKeyError):
        repo.read("a.yml")


def test_the_stand_in_has_the_faults_of_the_originals(root: Path, people: People, originals: list[Original]) -> None:
    """Else the tests that show our side without them would show nothing."""
    ann = people["ann"]
    theirs = Original(root, ann)
    originals.append(theirs)
    theirs.initialize()
    theirs.addadmin("ann@example.org")
    with pytest.raises(OriginalError):
        theirs.addadmin("nobody@example.org")
    listed = (root / ".blackbox" / "blackbox-admins.txt").read_text()
    assert "nobody@example.org" in listed, "listed before the key is looked for"
    git(root, "checkout", "--", ".blackbox/blackbox-admins.txt")
    (root / "leak").write_bytes(b"x")
    git(root, "add", "leak")
    git(root, "commit", "--quiet", "-m", "oops")
    theirs.register_new_file("leak")
    assert git(root, "show", "HEAD:leak") == b"x", "Q5: the secret is still in HEAD"
    theirs.postdeploy()
    assert (root / "leak").stat().st_mode & 0o777 == 0o644, "Q9"
    with pytest.raises(OriginalError, match="in the way"):
        theirs.update_all_files()


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_every_verb_of_ours_runs_on_a_repository_of_the_originals(
    repository: str, gpg_homes: GpgHomes, engine_of: EngineOf, originals: list[Original], tmp_path: Path
) -> None:
    root = clone(repository, tmp_path / "r")
    users = {person: gpg_homes.of_key(secret_key(repository, person)) for person in (*STAYED, LEFT)}
    repo = ours(root, engine_of, users["alice"], tmp_path)
    stayed = [users[person].fingerprint for person in STAYED]
    hashes = plaintext_hashes(repository)
    names = tuple(repo.files())

    assert [each.problem for each in repo.admin_statuses(approved=stayed)] == [None] * 3
    assert {each.state.value for each in repo.file_statuses()} == {"sealed"}
    left = engine_of(users[LEFT]).certificate(users[LEFT].fingerprint)
    exposed = repo.readable_by(left)
    assert {each.name for each in exposed} == set(names)
    assert not any(each.now for each in exposed)
    assert len(repo.editions(names[0])) == 2

    assert repo.decrypt_all().written == names
    assert {name: sha256((root / name).read_bytes()) for name in names} == hashes
    assert repo.differences() == ()
    assert repo.encrypt([names[0]], approved=stayed).unchanged == (names[0],)
    assert repo.decrypt([names[0]]).written == (names[0],)
    assert set(repo.shred_all().removed) == set(names)

    assert repo.update_all(approved=stayed).unchanged == names
    assert repo.update_all(approved=stayed, force=True).committed
    assert {name: sha256(repo.read(name).reveal()) for name in names} == hashes
    plain(repo, "keys/new", b"new")
    assert repo.register("keys/new", approved=stayed).committed
    assert repo.write("keys/new", SecretBytes(b"newer"), approved=stayed).committed
    repo.environ["EDITOR"] = "sed -i s/newer/edited/"
    assert repo.edit("keys/new", approved=stayed, commit=True).committed
    assert repo.read("keys/new").reveal() == b"edited"
    assert repo.deregister("keys/new").committed
    repo.add_admin(left, label="carol@example.org")
    assert repo.update_all(approved=[*stayed, left.fingerprint]).committed
    assert users[LEFT].decrypt((root / f"{names[0]}.gpg").read_bytes())
    assert repo.remove_admin(left.fingerprint).committed
    assert repo.update_all(approved=stayed).committed
    assert status(root) == b""

    theirs = Original(root, users["deploy"])
    originals.append(theirs)
    assert theirs.data == DATA[repository]
    theirs.postdeploy()
    assert {name: sha256((root / name).read_bytes()) for name in names} == hashes
    theirs.shred_all_files()
    theirs.update_all_files()
    assert {name: sha256(repo.read(name).reveal()) for name in names} == hashes
    assert repo.admins() == tuple(ADDRESSES[person] for person in STAYED)
