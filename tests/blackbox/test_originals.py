"""The two repositories that the original scripts wrote: read whole by each admin, and by none that left."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.blackbox import Repository
from strongroom.errors import NoSecretKeyError
from tests.blackbox.conftest import EngineOf, snapshot
from tests.support.blackbox_fixtures import (
    ADDRESSES,
    LEFT,
    REPOSITORIES,
    STAYED,
    clone,
    git,
    names_as_the_original_reads_them,
    plaintext_hashes,
    secret_key,
    sha256,
)
from tests.support.gpg import GpgHome, GpgHomes

People = dict[tuple[str, str], GpgHome]


@pytest.fixture(scope="module")
def people(gpg_homes: GpgHomes) -> People:
    return {
        (repository, person): gpg_homes.of_key(secret_key(repository, person))
        for repository in REPOSITORIES
        for person in (*STAYED, LEFT)
    }


@pytest.mark.parametrize("repository", REPOSITORIES)
class TestRepositoriesOfTheOriginals:
    @pytest.mark.parametrize("person", STAYED)
    def test_every_admin_reads_every_file(
        self, repository: str, person: str, people: People, engine_of: EngineOf, tmp_path: Path
    ) -> None:
        root = clone(repository, tmp_path / "r")
        before = snapshot(root)
        repo = Repository.discover(root / "keys", engine=engine_of(people[repository, person]), environ={})
        assert {name: sha256(repo.read(name).reveal()) for name in repo.files()} == plaintext_hashes(repository)
        assert len(repo.files()) == 11
        assert snapshot(root) == before, "reading leaves nothing behind"

    def test_who_left_opens_nothing_of_today_but_still_what_was(
        self, repository: str, people: People, engine_of: EngineOf, tmp_path: Path
    ) -> None:
        root = clone(repository, tmp_path / "r")
        repo = Repository.discover(root, engine=engine_of(people[repository, LEFT]), environ={})
        for name in repo.files():
            with pytest.raises(NoSecretKeyError):
                repo.read(name)
        git(root, "checkout", "--quiet", "HEAD~1")
        opened = {name: sha256(repo.read(name).reveal()) for name in repo.files()}
        assert opened == plaintext_hashes(repository), "history is not taken back; the secrets must be changed"

    def test_the_admins_are_who_they_are(
        self, repository: str, people: People, engine_of: EngineOf, tmp_path: Path
    ) -> None:
        root = clone(repository, tmp_path / "r")
        repo = Repository.discover(root, engine=engine_of(people[repository, "alice"]), environ={})
        assert repo.admins() == tuple(ADDRESSES[person] for person in STAYED)
        found = [certificate.fingerprint for certificate in repo.admin_certificates()]
        assert found == [people[repository, person].fingerprint for person in STAYED]

    def test_a_file_registered_by_us_is_read_by_the_originals_way(
        self, repository: str, people: People, engine_of: EngineOf, tmp_path: Path
    ) -> None:
        root = clone(repository, tmp_path / "r")
        alice = people[repository, "alice"]
        repo = Repository.discover(root, engine=engine_of(alice))
        (root / "keys" / "[new] one.txt").write_bytes(b"brand new")
        done = repo.register("keys/[new] one.txt", approved=None)
        assert done.committed
        assert set(done.recipients) == {people[repository, person].fingerprint for person in STAYED}
        names = list(names_as_the_original_reads_them(root, str(repo.data.relative_to(root))))
        assert names == sorted([*plaintext_hashes(repository), "keys/[new] one.txt"])
        for person in STAYED:
            sealed = (root / "keys" / "[new] one.txt.gpg").read_bytes()
            assert people[repository, person].decrypt(sealed) == b"brand new"
        changed = git(root, "show", "--name-only", "--format=%s", "HEAD").decode().split("\n")
        data = repo.data.relative_to(root)
        wanted = ["registered in blackbox: keys/[new] one.txt", "", ".gitignore", f"{data}/blackbox-files.txt"]
        assert sorted(changed[:-1]) == sorted([*wanted, "keys/[new] one.txt.gpg"])
        assert git(root, "diff", "HEAD~1", "--stat", "--", str(data), ".gitignore").count(b" 1 +") == 2
        assert git(root, "status", "--porcelain", "--ignored") == b""
