"""An admin's removal that is killed at any step: the old state or the new, it always opens, and the command ends it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.keystore.scenes import Scene
from tests.keystore.test_leaving import subkeys, team
from tests.support.faults import killed_at, points
from tests.support.gpg import GpgHome

from strongroom.blackbox.repository import Repository
from strongroom.errors import CannotOpenError, StrongroomError
from strongroom.keystore import workers
from strongroom.keystore.doctor import examine
from strongroom.keystore.exposures import exposed
from strongroom.keystore.leaving import remove_admin
from strongroom.openpgp.packets import recipients_of

__all__ = ["team"]

CALLS = ("rename", "renameat", "renameat2", "unlink", "unlinkat", "link", "linkat")
"""What changes what others see. Writes and syncs before a rename are of a file that nobody sees; the tests of the
record store, of rotation and of BlackBox's journal kill those."""


@pytest.mark.machine
@pytest.mark.slow
def test_a_removal_killed_at_any_step_opens_and_is_ended_by_the_same_command(
    team: Scene, alice: GpgHome, bob: GpgHome, tmp_path: Path
) -> None:
    log, kept = tmp_path / "strace", tmp_path / "kept"
    with team.open() as keystore:
        workers.create_worker(keystore, "web", tmp_path / "web.identity", bits=2048)
        workers.grant(keystore, "web", ["box"])
        token = keystore.fernet("box").encrypt(b"data")
    shutil.copytree(team.top, kept / "top", symlinks=True)
    shutil.copytree(team.state, kept / "state")

    def put_back() -> None:
        for place, copy in ((team.top, kept / "top"), (team.state, kept / "state")):
            shutil.rmtree(place)
            shutil.copytree(copy, place, symlinks=True)

    def act() -> str:
        try:
            with team.open() as keystore:
                remove_admin(keystore, bob.fingerprint, environ=team.environ)
        except StrongroomError as error:
            return f"{type(error).__name__}: {error}"
        return "removed"

    def check_done(step: object) -> None:
        with team.open() as keystore:
            header = keystore.sealed.header
            assert (header.root, header.pending) == (2, ()), step
            assert [each.fingerprint for each in header.recipients] == [alice.fingerprint], step
            assert len(keystore.show("strongroom.issuer").versions) == 2, step
            assert {row.name: row.replaced for row in exposed(keystore)} == {"box": False, "strongroom.issuer": True}
            assert [row.outdated for row in workers.list_workers(keystore)] == [True], step
            assert keystore.fernet("box").decrypt(token) == b"data", step
        with pytest.raises(CannotOpenError):
            team.open(environ=team.environ_of(bob))
        assert set(recipients_of((team.top / "password.txt.gpg").read_bytes())) == subkeys(alice), step
        repository = Repository.discover(team.top, environ=team.environ)
        assert [each.fingerprint for each in repository.admin_certificates()] == [alice.fingerprint], step
        found = examine(str(team.directory), environ=team.environ).findings
        assert [each for each in found if "the removal of" in each.fact] == [], step

    assert act() == "removed"  # whatever is imported late is imported now
    put_back()
    steps = points(act, calls=CALLS, log=log)
    check_done("unharmed")
    roots = set()
    for step in steps:
        put_back()
        killed_at(step, act, log=log)
        with team.open() as keystore:
            root = keystore.sealed.header.root
            assert keystore.fernet("box").decrypt(token) == b"data", step
            issuers = len(keystore.show("strongroom.issuer").versions)
            assert root == 2 or issuers == 1, (step, "an issuer under the old root would be known to him")
        roots.add(root)
        told = [each.hint for each in examine(str(team.directory), environ=team.environ).findings]
        again = act()
        if again == "removed":
            named = f"strongroom admin remove {bob.fingerprint}" in told
            assert named or root == 1, (step, "doctor names what is not done")
        else:
            assert again.startswith("NotFoundError"), (step, again)  # it was done, and its last step was the killed one
        check_done(step)
    assert roots == {1, 2}
