"""Two branches that each approved somebody: after the merge both are, by the commands that the page names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from strongroom.keystore.admins import add_admin
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from tests.cli.program import STRONGROOM
from tests.support.gpg import GpgHome, GpgHomes


@pytest.mark.slow
def test_two_branches_that_each_added_an_admin(
    tmp_path: Path, gpg_homes: GpgHomes, bob: GpgHome, carol: GpgHome
) -> None:
    alice = gpg_homes("Alice <alice@example.org>")  # others count on what is in the one of the session
    top = tmp_path / "repo"
    top.mkdir()
    environ = {**os.environ, **alice.env, "STRONGROOM_STATE": str(tmp_path / "state")}
    for person in (bob, carol):
        alice.import_keys(person.export())

    def run(*argv: str, fails: bool = False) -> str:
        done = subprocess.run(argv, cwd=top, env=environ, capture_output=True, text=True, check=False)
        assert bool(done.returncode) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("git", "init", "-q", "-b", "main")
    found(top / ".strongroom", environ=environ)
    run(STRONGROOM, "git-setup")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "a store")
    for branch, person in (("side", bob), ("main", carol)):
        run("git", "switch", "-q", *(("-c",) if branch == "side" else ()), branch)
        with open_store(top / ".strongroom", environ=environ) as keystore:
            keystore.accept_witness()  # the other branch's header was seen here
            add_admin(keystore, person.fingerprint, environ=environ)
        run("git", "add", "-A")
        run("git", "commit", "-qm", branch)
    told = run("git", "merge", "side", fails=True)
    assert "root.1.gpg must be sealed to all who are approved now" in told
    with open_store(top / ".strongroom", environ=environ) as keystore:
        assert len(keystore.sealed.header.recipients) == 3  # store.json merged; what is sealed or binary is a conflict
    run("git", "checkout", "--ours", ".strongroom/root.1.gpg", ".blackbox")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "merged")
    run(STRONGROOM, "blackbox", "addadmin", bob.fingerprint)
    run(STRONGROOM, "admin", "approve", bob.fingerprint)
    for person in (bob, carol):
        theirs = {**os.environ, **person.env, "STRONGROOM_STATE": str(tmp_path / "theirs")}
        with open_store(top / ".strongroom", environ=theirs) as keystore:
            assert keystore.names() == ()
