"""The repositories that the original scripts wrote, on a host that has one secret key and no gpg."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.blackbox import Repository
from strongroom.errors import NoSecretKeyError
from strongroom.openpgp.sequoia import Sequoia
from strongroom.primitives.secret import SecretBytes
from tests.blackbox.conftest import snapshot
from tests.support.blackbox_fixtures import (
    ADDRESSES,
    LEFT,
    REPOSITORIES,
    STAYED,
    clone,
    git,
    plaintext_hashes,
    secret_key,
    sha256,
)
from tests.support.gpg import GpgHomes

pytestmark = pytest.mark.parametrize("repository", REPOSITORIES)


def opened_by(person: str, repository: str, place: Path) -> Repository:
    """Its clone, opened with this person's test key; gpg is out of reach."""
    engine = Sequoia(SecretBytes(secret_key(repository, person)))
    return Repository.discover(clone(repository, place / "r"), engine=engine, environ={"PATH": "/nowhere"})


@pytest.mark.parametrize("person", STAYED)
def test_every_admin_reads_every_file(repository: str, person: str, tmp_path: Path) -> None:
    repo = opened_by(person, repository, tmp_path)
    before = snapshot(repo.root)
    assert {name: sha256(repo.read(name).reveal()) for name in repo.files()} == plaintext_hashes(repository)
    assert len(repo.files()) == 11
    assert snapshot(repo.root) == before, "reading leaves nothing behind"


def test_who_left_opens_nothing_of_today_but_still_what_was(repository: str, tmp_path: Path) -> None:
    repo = opened_by(LEFT, repository, tmp_path)
    for name in repo.files():
        with pytest.raises(NoSecretKeyError):
            repo.read(name)
    git(repo.root, "checkout", "--quiet", "HEAD~1")
    assert {name: sha256(repo.read(name).reveal()) for name in repo.files()} == plaintext_hashes(repository)


def test_the_admins_are_found_and_what_is_sealed_to_them_opens_with_gpg(
    repository: str, tmp_path: Path, gpg_homes: GpgHomes
) -> None:
    repo = opened_by("deploy", repository, tmp_path)
    homes = [gpg_homes.of_key(secret_key(repository, person)) for person in STAYED]
    assert repo.admins() == tuple(ADDRESSES[person] for person in STAYED)
    admins = repo.admin_certificates()
    assert [each.fingerprint for each in admins] == [home.fingerprint for home in homes]
    sealed = Sequoia().encrypt(SecretBytes(b"new content\n"), to=admins)
    for home in homes:
        assert home.decrypt(sealed) == b"new content\n"
