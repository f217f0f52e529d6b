"""Twenty processes write into one store at once, through the API and the CLI: no act is lost, and none done twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from strongroom.keystore import slots, workers
from strongroom.keystore.admins import add_admin
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.leaving import remove_admin
from strongroom.keystore.opening import open_store
from strongroom.keystore.rooting import rotate_root
from strongroom.model.states import KeyState
from strongroom.primitives.secret import SecretBytes
from tests.keystore.scenes import Scene, repository
from tests.keystore.test_founding import blackbox_of
from tests.merging.scenes import Clone
from tests.support.gpg import GpgHome, GpgHomes

pytestmark = [pytest.mark.machine, pytest.mark.slow]

TOP = Path(__file__).parents[2]
Acts = list[list[str]]


class Writers:
    """Twenty of them: fifteen with an open store each, and five that start the command for every act."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self._running = [self._started(directory, environ, number) for number in range(20)]

    @staticmethod
    def _started(directory: Path, environ: Mapping[str, str], number: int) -> subprocess.Popen[str]:
        work = ("12", "api") if number < 15 else ("6", "cli")
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.writer", str(directory), str(number), *work],
            cwd=TOP,
            env={**environ, "PYTHONPATH": f"{TOP}{os.pathsep}{TOP / 'src'}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def done(self) -> Acts:
        """Every act that was acknowledged; all of them, since each was tried until it was."""
        acts: Acts = []
        for each in self._running:
            told, trouble = each.communicate(timeout=540)
            assert each.returncode == 0, trouble
            acts += json.loads(told)
        return acts

    def end(self) -> None:
        for each in self._running:
            each.kill()
            each.communicate()


def prepared(keystore: KeyStore, out: Path) -> None:
    keystore.create("shared", "fernet")
    keystore.create("board", "fernet")
    workers.create_worker(keystore, "web", out / "web.identity", bits=2048)


def check(keystore: KeyStore, acts: Acts, *, moved: int = 0) -> None:
    """Each act is in the store, once: versions and revisions count them, one by one. `moved`: rotations of the root."""
    changes: Counter[str] = Counter()
    versions: Counter[str] = Counter()
    for verb, *rest in acts:
        if verb != "worker":
            changes[rest[0]] += 1
        versions[rest[0]] += verb in {"create", "rotate"}
    for common in ("shared", "board"):
        changes[common] += 1
        versions[common] += 1
    assert set(changes) <= set(keystore.names())
    found = {keyset.name: keyset for keyset in keystore.list()}
    for name, count in changes.items():
        keyset = found[name]
        assert len(keyset.versions) == versions[name], name
        # a rotation of the root counts as a change of each record that was there by then
        assert count <= keyset.revision <= count + moved, name
        suspended = [each.number for each in keyset.versions if each.state is KeyState.SUSPENDED]
        assert suspended == [int(act[2]) for act in acts if act[0] == "suspend" and act[1] == name]
    labels = dict(act[3].split("=") for act in acts if act[0] == "policy")  # of each writer the last one
    assert dict(found["board"].labels) == labels
    granted = {each.keyset for row in workers.list_workers(keystore) for each in row.grants}
    assert granted == {act[3] for act in acts if act[0] == "worker"}
    key_ids = [each.key_id for keyset in found.values() for each in keyset.versions]
    assert len(set(key_ids)) == len(key_ids)
    for opened in keystore.sealed.load_all():
        assert opened.hindrance is None
        for each in opened.keyset.versions:
            opened.material(each.number)
    witnessed = keystore.witnessed()
    assert not witnessed.absence
    assert [row.differences for row in witnessed.rows] == [()] * len(witnessed.rows)
    assert {row.name: row.revision for row in witnessed.rows} == {
        each.keyset.name: each.keyset.revision for each in keystore.sealed.load_all()
    }


def test_twenty_writers_lose_nothing(here: Clone, tmp_path: Path) -> None:
    with here.open() as keystore:
        prepared(keystore, tmp_path)
    writers = Writers(here.directory, here.environ)
    try:
        acts = writers.done()
    finally:
        writers.end()
    assert len(acts) == 15 * 12 + 5 * 6
    with here.open() as keystore:
        check(keystore, acts)


@pytest.fixture
def team(tmp_path: Path, gpg_homes: GpgHomes, alice: GpgHome, bob: GpgHome) -> Scene:
    """A store of Alice's and Bob's, which the writers open with an identity file."""
    user = gpg_homes.of_key(alice.export_secret())
    user.import_keys(bob.export())
    scene = Scene(top=repository(tmp_path / "repo"), state=tmp_path / "state", user=user)
    blackbox_of(scene, user)
    scene.found()
    with scene.open() as keystore:
        prepared(keystore, tmp_path)
        add_admin(keystore, bob.fingerprint, environ=scene.environ)
        slots.create_hpke_slot(keystore, "writers", tmp_path / "writers.identity", suite="x25519")
        slots.add_passphrase_slot(keystore, "office", SecretBytes(b"violet anchor 42 drums"))
    return scene


def test_nor_while_the_root_is_rotated_and_an_admin_and_a_slot_go(
    team: Scene, tmp_path: Path, alice: GpgHome, bob: GpgHome
) -> None:
    environ = {**team.bare(STRONGROOM_IDENTITY_FILE=str(tmp_path / "writers.identity")), "PATH": os.environ["PATH"]}
    writers = Writers(team.directory, environ)
    try:
        for act in ("rotate", "remove", "slot"):
            with team.open() as keystore:
                if act == "rotate":
                    rotate_root(keystore, environ=team.environ)
                elif act == "remove":
                    remove_admin(keystore, bob.fingerprint, environ=team.environ)
                else:
                    slots.remove_slot(keystore, "office", environ=team.environ)
        acts = writers.done()
    finally:
        writers.end()
    with open_store(team.directory, environ=environ) as keystore:
        check(keystore, acts, moved=3)
        header = keystore.sealed.header
        assert (header.root, header.pending) == (4, ())
        assert [each.fingerprint for each in header.recipients] == [alice.fingerprint]
        assert {each.root for each in keystore.sealed.records()} == {header.newest.id}
