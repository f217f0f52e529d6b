"""A store on a host with one identity file, no gpg and no home: opened and changed through sequoia."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.keystore.scenes import Scene, copied

from strongroom.errors import EngineMissingError, SealError, StrongroomError
from strongroom.keystore.admins import create_role

MACHINE = """
import shutil, sys
import strongroom
assert shutil.which("gpg") is None
with strongroom.open(sys.argv[1], witness=None) as keystore:
    box = keystore.fernet("box")
    assert box.decrypt(box.encrypt(b"data")) == b"data"
    keystore.create("made-here", "fernet")
    keystore.rotate("box", now=True)
    assert "pysequoia" in sys.modules
    print("opened")
"""


@pytest.mark.parametrize("how", ["file", "text"])
def test_a_role_opens_the_store_where_no_gpg_is(store: Scene, role: Path, tmp_path: Path, how: str) -> None:
    given = {"STRONGROOM_IDENTITY_FILE": str(role)} if how == "file" else {"STRONGROOM_IDENTITY": role.read_text()}
    done = subprocess.run(
        [sys.executable, "-c", MACHINE, str(store.top)],
        env={"PATH": str(tmp_path / "empty"), "PYTHONPATH": os.pathsep.join(sys.path), **given},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60, cwd="/",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "opened\n"), done.stderr
    with store.open() as keystore:  # Alice, with gpg
        assert {"box", "made-here"} <= set(keystore.names())
        assert len(keystore.show("box").versions) == 2


def test_without_the_identity_nothing_opens_there(store: Scene, role: Path, tmp_path: Path) -> None:
    with pytest.raises(StrongroomError) as caught:
        store.open(environ=store.bare(PATH=str(tmp_path)))
    assert isinstance(caught.value, EngineMissingError | SealError)


def test_a_store_that_sequoia_sealed_is_opened_by_gpg(tmp_path: Path, made_store: Scene) -> None:
    """The admin who makes the role has it forced; then each of the two opens what the other wrote."""
    scene = copied(made_store, tmp_path)
    path = tmp_path / "web.identity"
    with scene.open() as keystore:
        keystore.create("box", "fernet")
        token = keystore.fernet("box").encrypt(b"data")
        create_role(keystore, "web", path, environ=scene.environ | {"STRONGROOM_ENGINE": "sequoia"})
    for environ in (scene.environ, scene.bare(), scene.bare(STRONGROOM_ENGINE="sequoia")):
        identity = None if environ == scene.environ else path
        with scene.open(environ=environ, identity=identity) as keystore:
            assert keystore.fernet("box").decrypt(token) == b"data"
