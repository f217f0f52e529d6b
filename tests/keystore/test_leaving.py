"""Admins and slots that go: the root goes on without them, and what they knew is listed. Real gpg."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.keystore.scenes import PASSPHRASE, Scene, repository
from tests.keystore.test_founding import blackbox_of
from tests.support.gpg import GpgHome

from strongroom.blackbox.repository import Repository
from strongroom.errors import CannotOpenError, ExistsError, NotFoundError, PolicyError, StrongroomError
from strongroom.keystore import slots
from strongroom.keystore.admins import approve_admin
from strongroom.keystore.exposures import exposed, exposures
from strongroom.keystore.founding import found
from strongroom.keystore.leaving import remove_admin
from strongroom.keystore.opening import open_store
from strongroom.keystore.rooting import begin, plan_rotation
from strongroom.openpgp.discovery import find_engine
from strongroom.openpgp.packets import recipients_of
from strongroom.primitives.secret import SecretBytes


@pytest.fixture
def team(tmp_path: Path, alice: GpgHome, bob: GpgHome) -> Scene:
    """A store that Alice made in a BlackBox repository of hers and Bob's, who is approved; with a registered file."""
    scene = Scene(top=repository(tmp_path / "repo"), state=tmp_path / "state", user=alice)
    blackbox_of(scene, alice, bob)
    scene.found()
    scene.commit()
    with scene.open() as keystore:
        keystore.create("box", "fernet")
        approve_admin(keystore, bob.fingerprint, environ=scene.environ)
    (scene.top / "password.txt").write_text("hunter2")
    files = Repository.discover(scene.top, environ=scene.environ)
    files.register("password.txt", approved=(alice.fingerprint, bob.fingerprint), commit=False)
    return scene


def subkeys(user: GpgHome) -> set[str]:
    return {each[-16:] for each in user.encryption_subkeys(user.fingerprint)}


def test_a_removed_admin_opens_nothing_that_is_sealed_from_then_on(team: Scene, alice: GpgHome, bob: GpgHome) -> None:
    with team.open() as keystore:
        done = remove_admin(keystore, bob.fingerprint, environ=team.environ)
        assert done.root == 2
        assert done.pin == keystore.pin
        assert [(row.name, row.versions) for row in done.exposed] == [("box", (1,))]
        assert done.files == ("password.txt",)
        assert [each.fingerprint for each in keystore.sealed.header.recipients] == [alice.fingerprint]
        assert bob.fingerprint in exposures(keystore.sealed)[-1].who
    with pytest.raises(CannotOpenError):
        team.open(environ=team.environ_of(bob))
    for sealed in (team.directory / "root.2.gpg", team.top / "password.txt.gpg"):
        assert set(recipients_of(sealed.read_bytes())) == subkeys(alice)
    listed = Repository.discover(team.top, environ=team.environ).admin_certificates()
    assert [each.fingerprint for each in listed] == [alice.fingerprint]
    with team.open() as keystore:
        with pytest.raises(NotFoundError):
            remove_admin(keystore, bob.fingerprint, environ=team.environ)
        with pytest.raises(PolicyError):
            remove_admin(keystore, alice.fingerprint, environ=team.environ)


def test_a_removal_that_was_broken_off_goes_on_with_the_same_command(team: Scene, bob: GpgHome) -> None:
    with team.open() as keystore:
        base = keystore.sealed.header.without_recipient(bob.fingerprint)
        engine = find_engine(environ=team.environ)
        repo = Repository.discover(team.top, environ=team.environ, engine=engine)
        begin(keystore, plan_rotation(keystore, base, None, repo, engine))
    with team.open() as keystore:
        assert keystore.sealed.header.pending
        done = remove_admin(keystore, bob.fingerprint, environ=team.environ)
        assert keystore.sealed.header.pending == ()
        assert (done.root, done.files) == (2, ("password.txt",))


def test_what_blackbox_would_refuse_is_refused_before_anything_is_written(team: Scene, bob: GpgHome) -> None:
    with team.open() as keystore:
        (team.top / ".blackbox" / "blackbox-files.txt").write_text("../outside\n")
        before = team.files()
        with pytest.raises(StrongroomError):
            remove_admin(keystore, bob.fingerprint, environ=team.environ)
        assert team.files() == before
        assert exposed(keystore) == ()


# -- slots


@pytest.fixture
def place(tmp_path: Path) -> Path:
    found(tmp_path / "s", passphrase=PASSPHRASE, environ=bare(tmp_path))
    return tmp_path / "s"


def bare(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"PATH": "/nonexistent", "STRONGROOM_STATE": str(tmp_path / "state"), **more}


def test_each_slot_opens_alone(place: Path, tmp_path: Path) -> None:
    private, public = tmp_path / "vault.pem", tmp_path / "vault.pub"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    other = "another long one 77 drums"
    with open_store(place, passphrase=PASSPHRASE, environ=bare(tmp_path)) as keystore:
        keystore.create("box", "fernet")
        slots.add_passphrase_slot(keystore, "office", SecretBytes(other.encode()))
        slots.add_rsa_slot(keystore, "vault", public)
        for suite in ("x25519", "mlkem768-x25519"):
            slots.create_hpke_slot(keystore, suite, tmp_path / f"{suite}.identity", suite=suite)
        with pytest.raises(ExistsError):
            slots.create_hpke_slot(keystore, "x25519", tmp_path / "again.identity", suite="x25519")
        assert not (tmp_path / "again.identity").exists()
        with pytest.raises(PolicyError, match="in the store"):
            slots.create_hpke_slot(keystore, "inside", place / "x.identity", suite="x25519")
    with open_store(place, passphrase=other, environ=bare(tmp_path)) as keystore:
        assert keystore.names() == ("box",)
    for identity in (private, tmp_path / "x25519.identity", tmp_path / "mlkem768-x25519.identity"):
        environ = bare(tmp_path, STRONGROOM_IDENTITY_FILE=str(identity))
        opens = [each.slot.label for each in slots.try_slots(place, environ=environ) if each.opens]
        assert opens == [identity.name.split(".")[0]]
        with open_store(place, environ=environ) as keystore:
            assert keystore.names() == ("box",)


def test_a_removed_slot_opens_nothing_any_more_and_the_last_one_stays(place: Path, tmp_path: Path) -> None:
    other = "another long one 77 drums"
    with open_store(place, passphrase=PASSPHRASE, environ=bare(tmp_path)) as keystore:
        keystore.create("box", "fernet")
        slots.add_passphrase_slot(keystore, "office", SecretBytes(other.encode()))
        assert [row.label for row in slots.list_slots(keystore)] == ["passphrase", "office"]
        assert slots.remove_slot(keystore, "office", environ=bare(tmp_path)).number == 2
        assert [row.name for row in exposed(keystore)] == ["box"]
        with pytest.raises(PolicyError, match="last slot"):
            slots.remove_slot(keystore, "passphrase", environ=bare(tmp_path))
        with pytest.raises(NotFoundError):
            slots.remove_slot(keystore, "office", environ=bare(tmp_path))
    with pytest.raises(CannotOpenError):
        open_store(place, passphrase=other, environ=bare(tmp_path))
