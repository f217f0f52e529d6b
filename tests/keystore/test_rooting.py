"""Root rotation as a person asks for it: with gpg, with slots, with worker groups, and after an exposure."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.keystore.clocks import HandClock
from tests.keystore.scenes import PASSPHRASE, Scene
from tests.support.gpg import GpgHome

from strongroom.errors import ExposedRootError, IntegrityError, NotFoundError, PolicyError, StrongroomError
from strongroom.keystore import workers
from strongroom.keystore.exposures import exposed, exposures, rotate_exposed
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from strongroom.keystore.publishing import publish
from strongroom.keystore.rooting import begin, destroy_root, list_roots, plan_rotation, rotate_root


def test_a_rotated_root_opens_for_the_same_people_and_holds_the_same_keys(store: Scene, role: Path) -> None:
    pin = ""
    with store.open() as keystore:
        pin = keystore.pin
        token = keystore.fernet("box").encrypt(b"data")
        done = rotate_root(keystore, environ=store.environ)
        assert (done.number, done.moved, done.resumed) == (2, 1, False)
        assert done.pin != pin
        assert keystore.fernet("box").decrypt(token) == b"data"
        assert [(row.number, row.newest) for row in list_roots(keystore)] == [(1, False), (2, True)]
    assert (store.directory / "root.2.gpg").is_file()
    with store.open(pin=pin, strict=True) as keystore:
        assert done.pin in keystore.notices[0], "a pinned host follows, and is told the new pin"
        assert keystore.fernet("box").decrypt(token) == b"data"
    machine = store.bare(STRONGROOM_IDENTITY_FILE=str(role), STRONGROOM_PIN=done.pin)
    with store.open(environ=machine, strict=True) as keystore:
        assert keystore.fernet("box").decrypt(token) == b"data"
        assert keystore.notices == ()


def test_a_store_of_a_passphrase_rotates_with_no_gpg_and_no_passphrase(tmp_path: Path) -> None:
    environ = {"PATH": "/nonexistent", "STRONGROOM_STATE": str(tmp_path / "state")}
    found(tmp_path / "s", passphrase=PASSPHRASE, environ=environ)
    with open_store(tmp_path / "s", passphrase=PASSPHRASE, environ=environ) as keystore:
        keystore.create("box", "fernet")
        assert rotate_root(keystore, environ=environ).number == 2
    with open_store(tmp_path / "s", passphrase=PASSPHRASE, environ=environ) as keystore:
        assert keystore.names() == ("box",)


def passphrase_store(tmp_path: Path, clock: HandClock | None = None) -> tuple[Path, dict[str, str]]:
    environ = {"PATH": "/nonexistent", "STRONGROOM_STATE": str(tmp_path / "state")}
    found(tmp_path / "s", passphrase=PASSPHRASE, environ=environ, clock=clock or HandClock())
    return tmp_path / "s", environ


def test_a_holder_that_runs_on_follows_a_rotation_that_another_process_made(tmp_path: Path) -> None:
    clock = HandClock()
    place, environ = passphrase_store(tmp_path, clock)
    with (
        open_store(place, passphrase=PASSPHRASE, environ=environ, clock=clock) as holder,
        open_store(place, passphrase=PASSPHRASE, environ=environ, clock=clock) as admin,
    ):
        holder.create("box", "fernet")
        handle = holder.fernet("box")
        token = handle.encrypt(b"data")
        plan = plan_rotation(admin, admin.sealed.header, None, None, None)
        begin(admin, plan)
        clock.pass_time(60)
        assert handle.decrypt(token) == b"data"
        assert holder.pin == admin.pin
        rotate_root(admin, environ=environ)
        clock.pass_time(60)
        assert handle.decrypt(token) == b"data"
        holder.rotate("box", now=True)
        holder.create("more", "fernet")
        clock.pass_time(60)
        assert admin.fernet("box").decrypt(handle.encrypt(b"new")) == b"new"


def test_what_was_broken_off_is_told_at_opening_and_ended_by_the_same_command(tmp_path: Path) -> None:
    place, environ = passphrase_store(tmp_path)
    with open_store(place, passphrase=PASSPHRASE, environ=environ) as keystore:
        keystore.create("box", "fernet")
        begin(keystore, plan_rotation(keystore, keystore.sealed.header, None, None, None))
    with open_store(place, passphrase=PASSPHRASE, environ=environ) as keystore:
        assert any("strongroom root rotate" in notice for notice in keystore.notices)
        keystore.fernet("box")
        with pytest.raises(PolicyError, match="still under"):
            destroy_root(keystore, 1)
        done = rotate_root(keystore, environ=environ)
        assert (done.number, done.resumed, done.moved) == (2, True, 1)
    with open_store(place, passphrase=PASSPHRASE, environ=environ) as keystore:
        assert keystore.notices == ()


def test_worker_groups_are_taken_along_and_published_all_the_while(tmp_path: Path) -> None:
    clock = HandClock()
    place, environ = passphrase_store(tmp_path, clock)
    with open_store(place, passphrase=PASSPHRASE, environ=environ, clock=clock) as keystore:
        keystore.create("box", "fernet")
        workers.create_worker(keystore, "web", tmp_path / "web.identity", bits=2048)
        workers.grant(keystore, "web", ["box"])
        publish(keystore, out=tmp_path / "publication")
        begin(keystore, plan_rotation(keystore, keystore.sealed.header, None, None, None))
        assert "strongroom.workers/web" in [each.name for each in keystore.sealed.header.pending]
        keystore.rotate("box", now=True)
        assert publish(keystore, out=tmp_path / "publication")[0].written, "no --force is asked for"
        workers.grant(keystore, "web", ["box"])
        rotate_root(keystore, environ=environ)
        assert workers.list_workers(keystore)[0].name == "web"
        publish(keystore, out=tmp_path / "publication")
        rotate_root(keystore, environ=environ)
        publish(keystore, out=tmp_path / "publication")
        assert destroy_root(keystore, 2).to_add == (str(place / "store.json"),), "git would not know another path"
        clock.pass_time(1)
        rotate_root(keystore, exposed="an admin left", environ=environ)
        clock.pass_time(1)
        walked = rotate_exposed(keystore)
        assert (walked.rotated, walked.left) == (("box", "strongroom.issuer"), ())
        assert all(row.replaced for row in exposed(keystore))
        publish(keystore, out=tmp_path / "publication")
        url = f"file:{tmp_path / 'publication'}?group=web"
        with open_store(url, identity=tmp_path / "web.identity", environ=environ, clock=clock) as worker:
            assert worker.standing is not None
            assert worker.standing.moved_on, "by the word of the issuer that its identity names"
        workers.rotate_worker(keystore, "web", tmp_path / "new.identity", bits=2048)
        publish(keystore, out=tmp_path / "publication")
        with open_store(url, identity=tmp_path / "new.identity", environ=environ, clock=clock) as worker:
            assert worker.names() == ("box",)
    with open_store(place, passphrase=PASSPHRASE, environ=environ) as keystore:
        assert [grant.keyset for grant in workers.list_workers(keystore)[0].grants] == ["box"]


def test_a_group_from_before_the_rotation_counts_only_as_the_header_lists_it(tmp_path: Path) -> None:
    place, environ = passphrase_store(tmp_path)
    with open_store(place, passphrase=PASSPHRASE, environ=environ) as keystore:
        keystore.create("box", "fernet")
        workers.create_worker(keystore, "web", tmp_path / "web.identity", bits=2048)
        workers.grant(keystore, "web", ["box"])
        file = place / "workers" / "web.json"
        granted = file.read_bytes()
        workers.revoke(keystore, "web", ["box"])
        revoked = file.read_bytes()
        begin(keystore, plan_rotation(keystore, keystore.sealed.header, None, None, None))
        file.write_bytes(granted)
        with pytest.raises(IntegrityError, match="web"):
            workers.list_workers(keystore)
        with pytest.raises(IntegrityError, match="web"):
            rotate_root(keystore, environ=environ)
        file.write_bytes(revoked)
        assert workers.list_workers(keystore)[0].grants == ()
        rotate_root(keystore, environ=environ)
        file.write_bytes(revoked)
        with pytest.raises(IntegrityError, match="web"):
            workers.list_workers(keystore)


def test_a_destroyed_root_is_gone_and_the_newest_cannot_go(store: Scene) -> None:
    with store.open() as keystore:
        keystore.create("box", "fernet")
        with pytest.raises(PolicyError, match="newest"):
            destroy_root(keystore, 1)
        for _ in range(2):
            rotate_root(keystore, environ=store.environ)
        there = [each for each in store.directory.glob("root.*") if each.name != "root.3.gpg"]
        ended = destroy_root(keystore, 2)
        assert (ended.numbers, ended.to_add[0]) == ((1, 2), str(store.directory / "store.json"))
        assert set(ended.to_add[1:]) == set(map(str, there))
        with pytest.raises(NotFoundError):
            destroy_root(keystore, 1)
        keystore.fernet("box")
    assert sorted(each.name for each in store.directory.glob("root.*")) == ["root.3.gpg"]
    with store.open() as keystore:
        assert keystore.fernet("box").encrypt(b"x")


def test_an_exposed_root_is_ended_by_a_rotation_and_a_walk_over_all_its_keys(tmp_path: Path) -> None:
    clock = HandClock()
    place, environ = passphrase_store(tmp_path, clock)

    def opened() -> KeyStore:
        return open_store(place, passphrase=PASSPHRASE, environ=environ, clock=clock)

    with opened() as keystore:
        keystore.create("box", "fernet")
        keystore.create("password", "secret")
        keystore.create("sign", "ed25519")
        assert exposed(keystore) == ()
    (place / "root.1").write_text("strongroom/1 root ...")
    with opened() as keystore:
        with pytest.raises(ExposedRootError) as caught:
            keystore.rotate("box")
        assert "strongroom root rotate" in caught.value.hint
        rotate_root(keystore, environ=environ)
        (noted,) = exposures(keystore.sealed)
        assert noted.root == 1
        assert "clear" in noted.reason
        assert [(row.name, row.versions, row.replaced) for row in exposed(keystore)] == [
            ("box", (1,), False),
            ("password", (1,), False),
            ("sign", (1,), False),
        ]
        clock.pass_time(1)
        walked = rotate_exposed(keystore)
        assert walked.rotated == ("box", "sign")
        assert [name for name, _ in walked.left] == ["password"]
        assert "--value-file" in walked.left[0][1]
        keystore.rotate("password", generate=True)
        rows = exposed(keystore)
        assert all(row.replaced and not row.done for row in rows), "a promotion is settled, and has not come"
        day = 24 * 3600
        assert {row.protects_until for row in rows} == {clock.now() + 1000 * day}
        clock.pass_time(day)
        assert all(row.done for row in exposed(keystore))
        assert rotate_exposed(keystore).rotated == ()
        keystore.create("later", "fernet")
        assert "later" not in [row.name for row in exposed(keystore)]


def test_what_a_host_made_whose_clock_is_ahead_is_exposed_and_what_comes_after_is_not(tmp_path: Path) -> None:
    clock, ahead = HandClock(), HandClock()
    ahead.pass_time(3600)
    place, environ = passphrase_store(tmp_path, clock)
    with (
        open_store(place, passphrase=PASSPHRASE, environ=environ, clock=ahead) as other,
        open_store(place, passphrase=PASSPHRASE, environ=environ, clock=clock) as keystore,
    ):
        keystore.create("box", "fernet")
        other.create("early", "fernet")
        other.rotate("box", now=True)
        rotate_root(keystore, exposed="a laptop was lost", environ=environ)
        keystore.create("later", "fernet")
        assert [(row.name, row.versions) for row in exposed(keystore)] == [("box", (1, 2)), ("early", (1,))]
        (noted,) = exposures(keystore.sealed)
        assert len(noted.ahead) == 3, "the first version of box was made in this very millisecond"
        clock.pass_time(1)
        rotate_root(keystore, exposed="another one", environ=environ)
        assert [row.name for row in exposed(keystore)] == ["box", "early", "later"]
        clock.pass_time(7200)
        assert rotate_exposed(keystore, now=True).rotated == ("box", "early", "later")
        assert all(row.replaced for row in exposed(keystore))


def test_a_rotation_for_the_calendar_exposes_nothing_and_one_for_a_reason_does(tmp_path: Path) -> None:
    clock = HandClock()
    place, environ = passphrase_store(tmp_path, clock)
    with open_store(place, passphrase=PASSPHRASE, environ=environ, clock=clock) as keystore:
        keystore.create("box", "fernet")
        rotate_root(keystore, environ=environ)
        assert exposed(keystore) == ()
        rotate_root(keystore, exposed="a laptop was lost", environ=environ)
        assert [row.since.reason for row in exposed(keystore)] == ["a laptop was lost"]
        assert exposures(keystore.sealed)[0].root == 2


def test_a_registered_root_file_stays_registered(scene: Scene, alice: GpgHome) -> None:
    scene.found(register=True)
    with scene.open() as keystore:
        rotate_root(keystore, environ=scene.environ)
    listed = (scene.top / ".blackbox" / "blackbox-files.txt").read_text().split()
    assert ".strongroom/root.2" in listed


def test_a_recipient_who_cannot_be_sealed_to_refuses_it_before_anything_is_written(store: Scene) -> None:
    with store.open() as keystore:
        keystore.create("box", "fernet")
        before = store.files()
        shutil.move(store.top / ".blackbox", store.top.parent / "elsewhere")
        empty = {**store.environ, "GNUPGHOME": str(store.top.parent / "no-home")}
        with pytest.raises(StrongroomError):
            rotate_root(keystore, environ=empty)
        shutil.move(store.top.parent / "elsewhere", store.top / ".blackbox")
        assert store.files() == before
