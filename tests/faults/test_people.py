"""Admins and role accounts come and go, and stores are founded, while the process dies or the disk fails. Real gpg."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

import pytest

from strongroom.blackbox.repository import Repository
from strongroom.errors import RecipientError
from strongroom.keystore.admins import add_admin, approve_admin, create_role
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.founding import found
from strongroom.keystore.leaving import remove_admin
from strongroom.openpgp.gnupg import GnuPG
from strongroom.openpgp.packets import recipients_of
from tests.faults.enduring import Endured, Standing, files
from tests.keystore.scenes import Scene, repository
from tests.keystore.test_founding import blackbox_of
from tests.support.gpg import GpgHome

pytestmark = [pytest.mark.machine, pytest.mark.slow]
ROLE = "web@role.strongroom.invalid"


@pytest.fixture
def team(tmp_path: Path, gpg_homes: Callable[..., GpgHome], alice: GpgHome, bob: GpgHome) -> Scene:
    """A store that Alice made in a BlackBox repository of hers; she has Bob's key; there is a registered file."""
    user = gpg_homes.of_key(alice.export_secret())  # type: ignore[attr-defined]  # GpgHomes
    user.import_keys(bob.export())
    scene = Scene(top=repository(tmp_path / "repo"), state=tmp_path / "state", user=user)
    blackbox_of(scene, user)
    scene.found()
    with scene.open() as keystore:
        keystore.create("box", "fernet")
    (scene.top / "password.txt").write_text("hunter2")
    Repository.discover(scene.top, environ=scene.environ).register(
        "password.txt", approved=(user.fingerprint,), commit=False
    )
    return scene


def enduring(team: Scene, tmp_path: Path, act: Callable[[KeyStore], object], **more: object) -> Endured:
    standing = Standing()
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)

    def done() -> None:
        with team.open() as keystore:
            act(keystore)

    def state() -> Hashable:
        """The store, whom BlackBox lists, to how many keys each file is sealed, and what else lies about."""
        with team.open() as keystore:
            held = standing.of(keystore)
            root = keystore.sealed.header.root
            keystore.fernet("box").encrypt(b"data")
        blackbox = Repository.discover(team.top, environ=team.environ)
        try:
            known = blackbox.admin_certificates()
        except RecipientError:  # a swap of its files was killed; the next act undoes it
            return "between"
        listed = tuple(sorted(each.fingerprint for each in known if "invalid" not in each.label))
        sealed = [team.top / "password.txt.gpg", team.directory / f"root.{root}.gpg"]
        return held, listed, tuple(len(recipients_of(each.read_bytes())) for each in sealed), files(out)

    work = tmp_path / "work"
    work.mkdir()
    places = (team.top, team.state, out)
    return Endured(act=done, state=state, places=places, work=work, halves=True, **more)  # type: ignore[arg-type]  # as it says


def test_an_admin_who_leaves(team: Scene, tmp_path: Path, bob: GpgHome) -> None:
    with team.open() as keystore:
        add_admin(keystore, bob.fingerprint, environ=team.environ)
    everyone = (team.user.fingerprint, bob.fingerprint)
    Repository.discover(team.top, environ=team.environ).update_all(approved=everyone, commit=False)
    enduring(team, tmp_path, lambda ks: remove_admin(ks, bob.fingerprint, environ=team.environ), every=17).endure()


def test_an_admin_who_comes(team: Scene, tmp_path: Path, bob: GpgHome) -> None:
    enduring(team, tmp_path, lambda ks: add_admin(ks, bob.fingerprint, environ=team.environ), every=13).endure()


def test_an_admin_who_is_approved(team: Scene, tmp_path: Path, bob: GpgHome) -> None:
    blackbox = Repository.discover(team.top, environ=team.environ)
    engine = GnuPG(environ=team.environ)
    blackbox.add_admin(engine.certificate(bob.fingerprint), label="bob@example.org", commit=False)
    engine.close()
    enduring(team, tmp_path, lambda ks: approve_admin(ks, bob.fingerprint, environ=team.environ), every=7).endure()


def test_a_role_account(team: Scene, tmp_path: Path) -> None:
    path = tmp_path / "out" / "web.identity"
    blackbox = Repository.discover(team.top, environ=team.environ)

    def tidy() -> None:
        """What the messages name."""
        blackbox.settle()
        with team.open() as keystore:
            if not any(each.role for each in keystore.sealed.header.recipients):
                path.unlink(missing_ok=True)
                if ROLE in blackbox.admins():
                    blackbox.remove_admin(ROLE, commit=False)

    def act(keystore: KeyStore) -> None:
        roles = [each for each in keystore.sealed.header.recipients if each.role]
        if roles:
            approve_admin(keystore, roles[0].fingerprint, environ=team.environ)
        else:
            create_role(keystore, "web", path, environ=team.environ)

    enduring(team, tmp_path, act, tidy=tidy, every=17).endure()


def test_a_store_is_founded(tmp_path: Path, alice: GpgHome) -> None:
    scene = Scene(top=repository(tmp_path / "repo"), state=tmp_path / "state", user=alice)
    work = tmp_path / "work"
    work.mkdir()

    def state() -> Hashable:
        if not (scene.directory / "store.json").exists():
            return "none"
        with (
            scene.open() as keystore
        ):  # BlackBox's files come after it: `admin add` makes them where a kill came between
            assert keystore.names() == ()
        return "whole"

    def act() -> None:
        found(scene.directory, environ=scene.environ)

    Endured(act=act, state=state, places=(scene.top, scene.state), work=work, every=7).endure()
