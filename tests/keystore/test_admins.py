"""Who can open the root: approved by name, whatever the repository's lists say. Real gpg, real machines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.keystore.scenes import PASSPHRASE, Scene, copied, repository
from tests.keystore.test_founding import blackbox_of
from tests.support.gpg import SAFE_PATH, GpgHome, GpgHomes

from strongroom.blackbox.repository import Repository
from strongroom.errors import (
    ConflictError,
    ExistsError,
    ExposedRootError,
    NoSecretKeyError,
    NotFoundError,
    PolicyError,
    RecipientError,
    SettingsError,
    StrongroomError,
)
from strongroom.exitcodes import REFUSED, exit_code
from strongroom.keystore.admins import add_admin, approve_admin, create_role, list_admins
from strongroom.keystore.facade import KeyStore
from strongroom.openpgp.packets import recipients_of


def root_file(scene: Scene) -> Path:
    return scene.directory / "root.1.gpg"


def recipients(scene: Scene) -> set[str]:
    return set(recipients_of(root_file(scene).read_bytes()))


def subkeys(user: GpgHome) -> set[str]:
    return {each[-16:] for each in user.encryption_subkeys(user.fingerprint)}


@pytest.fixture(scope="module")
def made_team(tmp_path_factory: pytest.TempPathFactory, alice: GpgHome, bob: GpgHome) -> Scene:
    place = tmp_path_factory.mktemp("team")
    made = Scene(top=repository(place / "repo"), state=place / "state", user=alice)
    blackbox_of(made, alice, bob)
    made.found()
    with made.open() as keystore:
        keystore.create("box", "fernet")
    return made


@pytest.fixture
def team(made_team: Scene, tmp_path: Path) -> Scene:
    """A store that Alice made in a BlackBox repository where Bob is listed too; it has a keyset `box`."""
    return copied(made_team, tmp_path)


# --- approving and adding


def test_a_listed_admin_opens_the_store_once_he_is_approved(team: Scene, bob: GpgHome) -> None:
    with pytest.raises(NoSecretKeyError):
        team.open(environ=team.environ_of(bob))
    with team.open() as keystore:
        assert [(row.approved, row.listed) for row in list_admins(keystore, environ=team.environ)] == [
            (True, True),
            (False, True),
        ]
        change = approve_admin(keystore, bob.fingerprint, environ=team.environ)
        assert change.total == 2
        assert {Path(path).name for path in change.to_add} == {"store.json", "root.1.gpg"}
        assert all(row.approved and row.listed for row in list_admins(keystore, environ=team.environ))
        keystore.create("after", "fernet")  # and whoever approved goes on writing
    with team.open(environ=team.environ_of(bob)) as his:
        token = his.fernet("box").encrypt(b"data")
    with team.open() as mine:
        assert mine.fernet("box").decrypt(token) == b"data"
    assert recipients(team) == subkeys(team.user) | subkeys(bob)


def test_a_fingerprint_is_taken_as_people_copy_it_and_nothing_shorter(team: Scene, bob: GpgHome) -> None:
    fingerprint = bob.fingerprint
    with team.open() as keystore:
        for short in (fingerprint[-16:], fingerprint[-8:], "bob@example.org", "", fingerprint + "0"):
            with pytest.raises(SettingsError):
                approve_admin(keystore, short, environ=team.environ)
        spaced = " ".join(fingerprint[at : at + 4] for at in range(0, 40, 4)).lower()
        assert approve_admin(keystore, spaced, environ=team.environ).fingerprint == fingerprint


def test_nobody_is_approved_who_is_not_listed(team: Scene, carol: GpgHome) -> None:
    before = team.files()
    with team.open() as keystore, pytest.raises(NotFoundError) as caught:
        approve_admin(keystore, carol.fingerprint, environ=team.environ)
    assert f"admin add {carol.fingerprint}" in caught.value.hint
    assert team.files() == before


def test_adding_lists_him_for_blackbox_too(team: Scene, carol: GpgHome, gpg_homes: GpgHomes) -> None:
    team.user = gpg_homes.of_key(team.user.export_secret())  # Alice, with Carol's key in her ring
    team.user.import_keys(carol.export())
    with team.open() as keystore:
        change = add_admin(keystore, carol.fingerprint, environ=team.environ)
        names = {Path(path).name for path in change.to_add}
        assert {"store.json", "root.1.gpg", "blackbox-admins.txt"} <= names
        with pytest.raises(ExistsError):
            add_admin(keystore, carol.fingerprint, environ=team.environ)
        with pytest.raises(RecipientError):
            add_admin(keystore, "0" * 40, environ=team.environ)
    assert "carol@example.org" in Repository.discover(team.top).admins()
    team.open(environ=team.environ_of(carol)).close()


def test_two_who_add_at_once_do_not_lose_one_another(team: Scene, bob: GpgHome) -> None:
    with team.open() as one, team.open() as other:
        approve_admin(one, bob.fingerprint, environ=team.environ)
        with pytest.raises(ConflictError):
            create_role(other, "web", team.top.parent / "web.identity", environ=team.environ)
    assert not (team.top.parent / "web.identity").exists()
    team.open(environ=team.environ_of(bob)).close()


# --- role accounts


MACHINE = """
import sys
from strongroom.keystore.opening import open_store
with open_store(sys.argv[1], witness=None) as keystore:
    box = keystore.fernet("box")
    assert box.decrypt(box.encrypt(b"data")) == b"data"
    print("opened", len(keystore.notices))
"""


@pytest.mark.parametrize("how", ["file", "text"])
def test_a_role_opens_the_store_with_no_terminal_and_no_home(team: Scene, how: str) -> None:
    path = team.top.parent / "web.identity"
    with team.open() as keystore:
        made = create_role(keystore, "web-deploy", path, environ=team.environ)
        assert made.path == path
        assert any(row.role and row.approved for row in list_admins(keystore, environ=team.environ))
    assert path.stat().st_mode & 0o777 == 0o600
    given = {"STRONGROOM_IDENTITY_FILE": str(path)} if how == "file" else {"STRONGROOM_IDENTITY": path.read_text()}
    done = subprocess.run(
        ["setsid", "--wait", sys.executable, "-c", MACHINE, str(team.top)],
        env={"PATH": SAFE_PATH, "PYTHONPATH": os.pathsep.join(sys.path), "ODD": "\x7f", "TMPDIR": "/nowhere", **given},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60, cwd="/",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "opened 1\n"), done.stderr  # one notice: it has no pin yet


def test_a_second_role_and_an_admin_join_a_store_that_began_with_a_passphrase(scene: Scene, bob: GpgHome) -> None:
    scene.found(passphrase=PASSPHRASE)
    with scene.open(passphrase=PASSPHRASE) as keystore:
        keystore.create("box", "fernet")
        for name in ("web", "worker"):
            create_role(keystore, name, scene.top.parent / f"{name}.identity", environ=scene.environ)
        add_admin(keystore, scene.user.fingerprint, environ=scene.environ)
        rows = list_admins(keystore, environ=scene.environ)
    assert [(row.role, row.approved, row.listed) for row in rows] == [(True, True, True)] * 2 + [(False, True, True)]
    for name in ("web", "worker"):
        scene.open(identity=scene.top.parent / f"{name}.identity", environ=scene.bare()).close()
    scene.open().close()
    scene.open(passphrase=PASSPHRASE, environ=scene.environ_of(bob)).close()


def test_a_roles_name_is_taken_once_and_its_file_lies_outside(team: Scene, tmp_path: Path) -> None:
    with team.open() as keystore:
        create_role(keystore, "web", tmp_path / "web.identity", environ=team.environ)
        before = team.files()
        with pytest.raises(ExistsError):
            create_role(keystore, "web", tmp_path / "again.identity", environ=team.environ)
        with pytest.raises(ExistsError):
            create_role(keystore, "other", tmp_path / "web.identity", environ=team.environ)
        with pytest.raises(PolicyError):
            create_role(keystore, "inside", team.directory / "inside.identity", environ=team.environ)
        for name in ("", "Web", "a b", "../a", "-x", "a\n", "x" * 65, "é"):
            with pytest.raises(SettingsError):
                create_role(keystore, name, tmp_path / "bad.identity", environ=team.environ)
    assert team.files() == before
    assert sorted(path.name for path in tmp_path.glob("*.identity")) == ["web.identity"]


def test_a_role_that_cannot_be_made_leaves_no_identity(team: Scene, tmp_path: Path) -> None:
    spoil(team, team.user.encrypt(line_of(team), team.user.fingerprint, options=("--throw-keyids",)))
    before = team.files()
    with team.open() as keystore, pytest.raises(ExposedRootError):
        create_role(keystore, "web", tmp_path / "web.identity", environ=team.environ)
    assert not (tmp_path / "web.identity").exists()
    assert team.files() == before


# --- a writer to the repository


def line_of(scene: Scene) -> bytes:
    return scene.user.decrypt(root_file(scene).read_bytes())


def spoil(scene: Scene, ciphertext: bytes) -> None:
    root_file(scene).write_bytes(ciphertext)


def injected(scene: Scene, *people: GpgHome) -> None:
    """What an attacker can do with a text editor and gpg: list himself, and add his key to the tracked keyring."""
    data = scene.top / ".blackbox"
    for person in people:
        ring = str(data / "pubring.kbx")
        person.run("--no-default-keyring", "--keyring", ring, "--import", stdin=person.export())
        [address] = re.findall(
            r"^uid:.*<(.+?)>", person.run("--list-keys", "--with-colons").stdout.decode(), re.MULTILINE
        )
        with (data / "blackbox-admins.txt").open("a") as admins:
            admins.write(f"{address}\n")


def test_whoever_injects_himself_gets_nothing(team: Scene, bob: GpgHome, carol: GpgHome) -> None:
    injected(team, carol)
    with team.open() as keystore:
        approve_admin(keystore, bob.fingerprint, environ=team.environ)
        create_role(keystore, "web", team.top.parent / "web.identity", environ=team.environ)
        keystore.rotate("box", now=True)
        rows = {row.fingerprint: row for row in list_admins(keystore, environ=team.environ)}
    assert not rows[carol.fingerprint].approved
    assert rows[carol.fingerprint].listed
    assert not recipients(team) & subkeys(carol)
    with pytest.raises(NoSecretKeyError):
        team.open(environ=team.environ_of(carol))


def test_a_key_with_an_admins_name_does_not_take_his_place(team: Scene, bob: GpgHome, gpg_homes: GpgHomes) -> None:
    impostor = gpg_homes("Bob <bob@example.org>")
    data = team.top / ".blackbox"
    impostor.run("--no-default-keyring", "--keyring", str(data / "pubring.kbx"), "--import", stdin=impostor.export())
    with team.open() as keystore:
        with pytest.raises(StrongroomError):  # which Bob is listed cannot be told
            approve_admin(keystore, bob.fingerprint, environ=team.environ)
        rows = list_admins(keystore, environ=team.environ)
    assert rows[0].approved
    assert any("bob@example.org" in (row.problem or "") for row in rows)
    assert not recipients(team) & subkeys(impostor)


@pytest.mark.parametrize(
    "spoilt", [b"nobody@example.org\n", b"\xff\xfe\n", b"--homedir=/tmp\n", b"a\r\n", b"x" * 100_000, b"\x1b[2J\n"]
)
def test_spoilt_lists_do_not_hide_who_is_approved(team: Scene, spoilt: bytes) -> None:
    with (team.top / ".blackbox" / "blackbox-admins.txt").open("ab") as admins:
        admins.write(spoilt)
    with team.open() as keystore:
        rows = list_admins(keystore, environ=team.environ)
        assert rows[0].fingerprint == team.user.fingerprint
        assert rows[0].approved
        keystore.create("after", "fernet")  # and they do not matter to who writes keys


@pytest.mark.parametrize("hidden", [False, True])
def test_a_root_that_others_can_open_is_read_and_protects_nothing(
    team: Scene, bob: GpgHome, gpg_homes: GpgHomes, hidden: bool
) -> None:
    """An honest admin ran the old scripts over an injected list."""
    with team.open() as keystore:
        token = keystore.fernet("box").encrypt(b"data")
        keystore.create("mac", "hmac-sha256")
        keystore.create("sign", "ed25519")
        tag, signature = keystore.mac("mac").compute(b"x"), keystore.signer("sign").sign(b"x")
    before = {name: raw for name, raw in team.files().items() if "keysets" in name}
    both = gpg_homes.of_key(team.user.export_secret())
    both.import_keys(bob.export())
    options = ("--throw-keyids",) if hidden else ()
    spoil(team, both.encrypt(line_of(team), team.user.fingerprint, bob.fingerprint, options=options))
    with team.open() as keystore:
        assert keystore.fernet("box").decrypt(token) == b"data"
        keystore.mac("mac").verify(tag, b"x")
        keystore.verifier("sign").verify(signature, b"x")
        assert keystore.show("box").name == "box"
        writes = (
            lambda: keystore.fernet("box").encrypt(b"x"),
            lambda: keystore.fernet("box").rotate(token),
            lambda: keystore.mac("mac").compute(b"x"),
            lambda: keystore.signer("sign").sign(b"x"),
            lambda: keystore.create("new", "fernet"),
            lambda: keystore.rotate("box"),
            lambda: keystore.compromise("box", 1, reason="because"),
            lambda: keystore.import_key("s", b"value", "secret"),
        )
        for write in writes:
            with pytest.raises(ExposedRootError) as caught:
                write()
            assert exit_code(caught.value) == REFUSED
    assert {name: raw for name, raw in team.files().items() if "keysets" in name} == before
    if hidden:
        with team.open() as keystore, pytest.raises(ExposedRootError):  # who it is cannot be known
            approve_admin(keystore, bob.fingerprint, environ=team.environ)
        return
    with team.open() as keystore:
        approve_admin(keystore, bob.fingerprint, environ=team.environ)
        assert keystore.fernet("box").decrypt(keystore.fernet("box").encrypt(b"x")) == b"x"
    with team.open(environ=team.environ_of(bob)) as keystore:
        keystore.rotate("box", now=True)


def test_a_root_file_that_is_gone_is_named(team: Scene, tmp_path: Path) -> None:
    with team.open() as keystore:
        made = create_role(keystore, "web", tmp_path / "web.identity", environ=team.environ)
    root_file(team).unlink()
    with pytest.raises(NotFoundError) as caught:
        team.open(identity=made.path, environ=team.bare())
    assert "root.1.gpg" in str(caught.value)


# --- keys that end


def expire(scene: Scene, user: GpgHome, *, subkey: bool = False) -> None:
    """Let a key in the tracked keyring have expired, as its owner would: by a new self-signature."""
    if subkey:
        user.edit(user.fingerprint, "key 1", "expire", "seconds=1", "save")
    else:
        user.edit(user.fingerprint, "expire", "seconds=1", "save")
    import time

    time.sleep(1.1)
    refresh(scene, user)


def refresh(scene: Scene, user: GpgHome) -> None:
    """Bring a person's public key in the tracked keyring up to date, as `blackbox_addadmin` again would."""
    ring = str(scene.top / ".blackbox" / "pubring.kbx")
    user.run("--no-default-keyring", "--keyring", ring, "--import", stdin=user.export())


@pytest.fixture
def leaving(team: Scene, gpg_homes: GpgHomes) -> GpgHome:
    """Judy, who was approved."""
    judy = gpg_homes("Judy <judy@example.org>")
    ring = str(team.top / ".blackbox" / "pubring.kbx")
    judy.run("--no-default-keyring", "--keyring", ring, "--import", stdin=judy.export())
    with (team.top / ".blackbox" / "blackbox-admins.txt").open("a") as admins:
        admins.write("judy@example.org\n")
    with team.open() as keystore:
        approve_admin(keystore, judy.fingerprint, environ=team.environ)
    return judy


@pytest.mark.parametrize("end", ["expired", "revoked", "subkey expired"])
def test_an_admin_whose_key_has_ended_blocks_by_name_before_anything_is_written(
    team: Scene, leaving: GpgHome, bob: GpgHome, tmp_path: Path, end: str
) -> None:
    if end == "revoked":
        leaving.revoke(leaving.fingerprint)
        refresh(team, leaving)
    else:
        expire(team, leaving, subkey=end != "expired")
    before = team.files()
    with team.open() as keystore:
        adds = (
            lambda: approve_admin(keystore, bob.fingerprint, environ=team.environ),
            lambda: create_role(keystore, "web", tmp_path / "web.identity", environ=team.environ),
        )
        for add in adds:
            with pytest.raises(RecipientError) as caught:
                add()
            assert "judy@example.org" in str(caught.value)
            assert end.rsplit(maxsplit=1)[-1] in str(caught.value)
            assert team.files() == before
        row = {each.fingerprint: each for each in list_admins(keystore, environ=team.environ)}[leaving.fingerprint]
        assert end.rsplit(maxsplit=1)[-1] in (row.problem or "")
        keystore.create("after", "fernet")  # keys go on being made: no root file is written for that
    assert not (tmp_path / "web.identity").exists()


def test_an_admins_new_subkey_is_taken_in_by_approving_him_again(team: Scene, leaving: GpgHome) -> None:
    quiet = ("--pinentry-mode", "loopback", "--passphrase", "", "--trust-model", "always")
    leaving.run(*quiet, "--quick-add-key", leaving.fingerprint, "cv25519", "encr", "never")
    refresh(team, leaving)
    old, new = (each[-16:] for each in leaving.encryption_subkeys())
    assert recipients(team) == {old} | subkeys(team.user)
    with team.open() as keystore:
        approve_admin(keystore, leaving.fingerprint, environ=team.environ)
        assert keystore.sealed.header.recipient(leaving.fingerprint).subkeys == leaving.encryption_subkeys()
    assert recipients(team) == {old, new} | subkeys(team.user)
    leaving.revoke_subkey(leaving.fingerprint)
    refresh(team, leaving)
    with team.open() as keystore:
        assert len(list_admins(keystore, environ=team.environ)) == 3
        approve_admin(keystore, leaving.fingerprint, environ=team.environ)
    assert recipients(team) == {new} | subkeys(team.user)


def test_a_root_sealed_to_an_unknown_subkey_of_an_admin_is_resolved_by_approving_him(
    team: Scene, leaving: GpgHome, gpg_homes: GpgHomes
) -> None:
    """The original scripts, with Judy's newest key, encrypt to a subkey that nobody approved."""
    quiet = ("--pinentry-mode", "loopback", "--passphrase", "", "--trust-model", "always")
    leaving.run(*quiet, "--quick-add-key", leaving.fingerprint, "cv25519", "encr", "never")
    refresh(team, leaving)
    both = gpg_homes.of_key(team.user.export_secret())
    both.import_keys(leaving.export())
    new = leaving.encryption_subkeys(leaving.fingerprint)[-1]
    spoil(team, both.encrypt(line_of(team), team.user.fingerprint, f"{new}!"))
    with team.open() as keystore:
        with pytest.raises(ExposedRootError):
            keystore.rotate("box")
        approve_admin(keystore, leaving.fingerprint, environ=team.environ)
        keystore.rotate("box", now=True)


def test_only_a_sealed_store_has_admins(memory: KeyStore, alice: GpgHome) -> None:
    assert list_admins(memory, environ=alice.env) == ()
    with pytest.raises(StrongroomError):
        approve_admin(memory, alice.fingerprint, environ=alice.env)


@pytest.fixture
def memory() -> KeyStore:
    from strongroom.keystore.opening import open_memory

    return open_memory()
