"""Admins and slots that go: the root goes on without them, and what they knew is listed. Real gpg."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.keystore.clocks import HandClock
from tests.keystore.scenes import PASSPHRASE, Scene, repository
from tests.keystore.test_founding import blackbox_of
from tests.support.gpg import GpgHome

from strongroom._clock import SYSTEM_CLOCK
from strongroom.blackbox.repository import Repository
from strongroom.caching.publication import joined, parse, signed
from strongroom.errors import (
    CannotOpenError,
    ExistsError,
    NotFoundError,
    NotPublishedError,
    PolicyError,
    StrongroomError,
)
from strongroom.keystore import slots, workers
from strongroom.keystore.admins import approve_admin
from strongroom.keystore.doctor import examine
from strongroom.keystore.exposures import exposed, exposures
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.founding import found
from strongroom.keystore.leaving import remove_admin
from strongroom.keystore.opening import open_store
from strongroom.keystore.publishing import publish
from strongroom.keystore.rooting import begin, exposure_of, finish, plan_rotation
from strongroom.keystore.unfinished import as_leaver, unfinished
from strongroom.openpgp.discovery import find_engine
from strongroom.openpgp.packets import recipients_of
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.signing import Ed25519Private


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


def test_the_last_admin_stays_where_blackbox_has_no_other_whatever_else_opens_the_root(team: Scene) -> None:
    with team.open() as keystore:
        slots.add_passphrase_slot(keystore, "office", SecretBytes(PASSPHRASE.encode()))
        remove_admin(keystore, keystore.sealed.header.recipients[1].fingerprint, environ=team.environ)
    before = team.files()
    with team.open() as keystore, pytest.raises(PolicyError, match="last approved admin") as caught:
        remove_admin(keystore, team.user.fingerprint, environ=team.environ)
    assert "strongroom admin add" in caught.value.hint
    assert team.files() == before
    team.open().close()


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


@pytest.mark.slow
def test_what_is_not_done_of_a_removal_is_told_and_done_by_the_same_command(
    team: Scene, alice: GpgHome, bob: GpgHome
) -> None:
    """After each step, as if the process had been killed there; the order of the steps is the code's."""

    def left(keystore: KeyStore, repo: Repository) -> tuple[str, ...]:
        return tuple(word for each in unfinished(keystore, repo) for word in each.left)

    def again() -> None:
        with team.open() as keystore:
            done = remove_admin(keystore, bob.fingerprint, environ=team.environ)
            assert (done.root, str(team.directory) in done.to_add) == (2, True), "what is to be shared is all of it"
            assert unfinished(keystore, Repository.discover(team.top, environ=team.environ)) == ()
            with pytest.raises(NotFoundError):
                remove_admin(keystore, bob.fingerprint, environ=team.environ)

    with team.open() as keystore:
        workers.create_worker(keystore, "web", team.top.parent / "web.identity", bits=2048)
    saved = team.top.parent / "saved"
    shutil.copytree(team.top, saved)
    steps = ("root", "issuer", "records", "files")
    for number, _ in enumerate(steps):
        shutil.rmtree(team.top)
        shutil.copytree(saved, team.top)
        shutil.rmtree(team.state)
        with team.open() as keystore:
            engine = find_engine(environ=team.environ)
            repo = Repository.discover(team.top, environ=team.environ, engine=engine)
            base = keystore.sealed.header.without_recipient(bob.fingerprint)
            who = as_leaver(keystore.sealed.header.recipient(bob.fingerprint))
            exposure = exposure_of(keystore, who=who, reason="an admin left")
            begin(keystore, plan_rotation(keystore, base, exposure, repo, engine))
            told = left(keystore, repo)
            assert "under root 1" in told[0]
            if number >= 1:
                keystore.rotate("strongroom.issuer", now=True)
                assert "the key that signs publications" not in " ".join(left(keystore, repo))
            if number >= 2:
                finish(keystore, environ=team.environ)
                assert left(keystore, repo) == ("BlackBox's files list him",)
            if number >= 3:
                repo.update_all(approved=[alice.fingerprint], protected=[team.directory], commit=False)
                assert left(keystore, repo) == ("BlackBox's files list him",)
        again()


def test_files_that_an_older_removal_left_behind_are_sealed_to_the_others(
    team: Scene, alice: GpgHome, bob: GpgHome
) -> None:
    with team.open() as keystore:
        before = (team.top / "password.txt.gpg").read_bytes()
        remove_admin(keystore, bob.fingerprint, environ=team.environ)
        (team.top / "password.txt.gpg").write_bytes(before)
        told = unfinished(keystore, Repository.discover(team.top, environ=team.environ))
        assert [each.left for each in told] == [("1 of BlackBox's files are sealed to a key that no admin has",)]
        assert remove_admin(keystore, bob.fingerprint, environ=team.environ).files == ("password.txt",)
        assert set(recipients_of((team.top / "password.txt.gpg").read_bytes())) == subkeys(alice)


def test_the_issuer_goes_on_without_him_and_workers_follow_with_no_failed_call(
    team: Scene, bob: GpgHome, tmp_path: Path
) -> None:
    """Bob copies what he can while he is an admin, and afterwards writes to where the worker looks."""
    place = tmp_path / "publication"
    clock = HandClock()
    clock.pass_time((SYSTEM_CLOCK.now() - clock.now()) / 1000 + 1)  # gpg's keys were made just now
    with team.open(clock=clock) as keystore:
        workers.create_worker(keystore, "web", tmp_path / "web.identity", bits=2048)
        workers.grant(keystore, "web", ["box"])
        publish(keystore, out=place)
        before = place.read_bytes()
        knew = keystore.sealed.load("strongroom.issuer").material(1)
        token = keystore.fernet("box").encrypt(b"data")
        machine = team.bare(STRONGROOM_IDENTITY_FILE=str(tmp_path / "web.identity"))
        with open_store(f"file:{place}?group=web", environ=machine, clock=clock) as worker:
            box = worker.fernet("box")
            assert box.decrypt(token) == b"data"
            done = remove_admin(keystore, bob.fingerprint, environ=team.environ)
            assert done.issuer is not None
            assert (done.issuer.version, done.issuer.outdated) == (2, ("web",))
            assert [(row.name, row.replaced) for row in done.exposed] == [
                ("box", False),
                ("strongroom.issuer", True),
            ]
            clock.pass_time(5)
            assert box.decrypt(token) == b"data"
            publish(keystore, out=place)
            clock.pass_time(5)
            assert box.decrypt(keystore.fernet("box").encrypt(b"new")) == b"new"
            assert worker.standing is not None
            assert (worker.standing.moved_on, worker.standing.places[0].trouble) == (True, "")
            told = examine(str(team.directory), clock=clock, environ=team.environ).findings
            assert [(each.about, each.hint[:28]) for each in told if each.level == "warning"] == [
                ("exposed", "strongroom rotate --exposed,"),
                ("worker group web", "strongroom worker rotate web"),
            ]
            told = examine(f"file:{place}?group=web", environ=machine).findings
            assert [each.about for each in told if each.level == "warning"] == ["identity"]
            serial = worker.standing.serial
            true = parse(before)
            later = true.header.replace(b'"serial":%d' % true.serial, b'"serial":%d' % (serial + 9))
            forged = joined(later, Ed25519Private(knew, b"").sign(signed(later)), true.tokens)
            for planted, trouble in ((before, "was seen"), (forged, "the issuer did not sign it")):
                place.write_bytes(planted)
                clock.pass_time(60)
                assert box.decrypt(token) == b"data"
                assert worker.standing.serial == serial
                assert trouble in worker.standing.places[0].trouble
        place.write_bytes(before)
        with pytest.raises(NotPublishedError, match="did not sign"):
            open_store(f"file:{place}?group=web", environ={**machine, "STRONGROOM_TIMEOUT": "0s"}, clock=clock)
    examined = examine(f"file:{place}?group=web", environ=machine)
    assert not examined.opens
    with team.open(clock=clock) as keystore:
        slots.create_hpke_slot(keystore, "office", tmp_path / "office.identity", suite="x25519")
        slots.remove_slot(keystore, "office", environ=team.environ)
        assert [row.name for row in exposed(keystore) if not row.replaced] == ["box", "strongroom.issuer"]
        assert unfinished(keystore, None) == (), "whoever had the slot knows the issuer of now; he who left does not"


def test_what_blackbox_would_refuse_is_refused_before_anything_is_written(team: Scene, bob: GpgHome) -> None:
    with team.open() as keystore:
        (team.top / ".blackbox" / "blackbox-files.txt").write_text("../outside\n")
        before = team.files()
        with pytest.raises(StrongroomError):
            remove_admin(keystore, bob.fingerprint, environ=team.environ)
        assert team.files() == before
        assert exposed(keystore) == ()


def test_a_file_that_does_not_open_is_told_before_anything_is_written(team: Scene, bob: GpgHome) -> None:
    sealed = team.top / "password.txt.gpg"
    whole = sealed.read_bytes()
    sealed.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    before = team.files()
    with team.open() as keystore:
        with pytest.raises(StrongroomError, match=r"'password\.txt'"):
            remove_admin(keystore, bob.fingerprint, environ=team.environ)
        assert team.files() == before
        assert exposed(keystore) == ()
        sealed.write_bytes(whole)
        done = remove_admin(keystore, bob.fingerprint, environ=team.environ)
    assert done.files == ("password.txt",)


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
        with pytest.raises(PolicyError, match="last slot") as caught:
            slots.remove_slot(keystore, "passphrase", environ=bare(tmp_path))
        assert "strongroom slot add LABEL" in caught.value.hint
        with pytest.raises(NotFoundError):
            slots.remove_slot(keystore, "office", environ=bare(tmp_path))
    with pytest.raises(CannotOpenError):
        open_store(place, passphrase=other, environ=bare(tmp_path))
