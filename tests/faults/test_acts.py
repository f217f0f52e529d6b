"""Backups, restorations, shares, merges, slots and roots may be killed, or the disk may fail them, at any step."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Hashable
from pathlib import Path

import pytest

from strongroom.errors import StrongroomError
from strongroom.keystore import slots, workers
from strongroom.keystore.backup import create_backup, verify_backup
from strongroom.keystore.drilling import drill_recovery
from strongroom.keystore.drills import sharings
from strongroom.keystore.exposures import rotate_exposed
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.merging import MergeFiles, merge_file
from strongroom.keystore.opening import open_store
from strongroom.keystore.recovery import create_recovery, restore_recovery, shares_of_file
from strongroom.keystore.restoring import restore_backup
from strongroom.keystore.rooting import destroy_root, rotate_root
from strongroom.model.codec import decode
from strongroom.model.names import parse_name
from strongroom.primitives.secret import SecretBytes
from tests.faults.enduring import Endured, Standing, files
from tests.merging.scenes import Clone
from tests.support.faults import failed_at, points

pytestmark = [pytest.mark.machine, pytest.mark.slow]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    return made


def opened(here: Clone) -> Callable[[], Hashable]:
    standing = Standing()

    def state() -> Hashable:
        with here.open() as keystore:
            return standing.of(keystore)

    return state


def test_a_backup(here: Clone, work: Path, out: Path) -> None:
    path = out / "keys.backup"
    with here.open() as keystore:

        def state() -> Hashable:
            if not path.exists():
                return "none"
            assert verify_backup(keystore, path, environ=here.environ).differences == ()
            return "whole"

        Endured(act=lambda: create_backup(keystore, path), state=state, places=(out,), work=work).endure()


def test_a_backup_whose_directory_cannot_be_opened_to_be_synced_is_not_left_there(
    here: Clone, work: Path, out: Path
) -> None:
    with here.open() as keystore:

        def act() -> str:
            try:
                create_backup(keystore, out / "keys.backup")
            except StrongroomError as error:
                return type(error).__name__
            return "done"

        steps = points(act, calls=("openat",), log=work / "strace", below=(out,))
        assert len(steps) == 2
        for step in steps:
            (out / "keys.backup").unlink(missing_ok=True)
            assert failed_at(step, "EACCES", act, log=work / "strace").told == "StoreError"
            assert list(out.iterdir()) == []


def test_a_restoration(here: Clone, tmp_path: Path, work: Path, out: Path) -> None:
    path, target = tmp_path / "keys.backup", out / "store"
    with here.open() as keystore:
        create_backup(keystore, path)

    def state() -> Hashable:
        if not os.path.lexists(target):
            return "none"
        with open_store(target, environ=here.environ) as restored:
            assert restored.names() == ("box", "columns")
            assert restored.list()
        return "whole"

    Endured(
        act=lambda: restore_backup(path, target, environ=here.environ), state=state, places=(out,), work=work, every=3
    ).endure()


def test_shares(here: Clone, work: Path, out: Path) -> None:
    def act() -> None:
        with here.open() as keystore:
            create_recovery(keystore, threshold=2, shares=2, out=out)

    def state() -> Hashable:
        with here.open() as keystore:
            labels = [slot.label for slot in keystore.sealed.header.slots]
        if "recovery" not in labels:
            return "none"
        found = []
        for path in sorted(out.glob("*.txt")):
            with contextlib.suppress(StrongroomError):  # what a killed run had begun to write
                found += shares_of_file(path)
        for name in {
            share.set_name for share in found
        }:  # of a killed run there may be files of a set that never counted
            with contextlib.suppress(StrongroomError):
                drill_recovery(
                    [share for share in found if share.set_name == name], str(here.directory), environ=here.environ
                )
                return "shared"
        raise AssertionError("the slot counts, and no shares open it")

    Endured(act=act, state=state, places=(here.directory, here.state, out), work=work, every=2).endure()


def test_the_note_of_a_drill(here: Clone, work: Path, out: Path) -> None:
    """The proof stands whatever fails; the day is noted, or it is told that it is not."""
    with here.open() as keystore:
        create_recovery(keystore, threshold=2, shares=2, out=out)
    shares = [share for path in sorted(out.glob("*.txt")) for share in shares_of_file(path)]

    def act() -> None:
        drill = drill_recovery(shares, str(here.directory), environ=here.environ)
        assert drill.indices == (1, 2)
        if drill.problem is not None:
            raise drill.problem

    def state() -> Hashable:
        with here.open() as keystore:
            (one,) = sharings(keystore)
            return "noted" if one.tried else "not yet"

    Endured(act=act, state=state, places=(here.directory, here.state), work=work, every=2).endure()


def test_a_merge(here: Clone, tmp_path: Path, work: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = here.directory / "keysets" / "box.json"
    base = record.read_bytes()
    with here.open() as keystore:
        keystore.rotate("box")
    ours = record.read_bytes()
    record.write_bytes(base)
    with here.open() as keystore:
        keystore.accept_witness()
        keystore.compromise("box", 1, reason="leaked")
    theirs = record.read_bytes()
    copies = MergeFiles(base=out / "base", ours=out / "ours", theirs=out / "theirs")
    for path, raw in ((copies.base, base), (copies.ours, ours), (copies.theirs, theirs)):
        path.write_bytes(raw)
    monkeypatch.chdir(here.top)

    def state() -> Hashable:
        raw = copies.ours.read_bytes()
        return "ours" if raw == ours else len(decode(raw, name=parse_name("box")).keyset.versions)

    path = str(record.relative_to(here.top))
    Endured(
        act=lambda: merge_file(copies, path, environ=here.environ), state=state, places=(out, here.state), work=work
    ).endure()


# -- ways in, and the root


def acting(here: Clone, act: Callable[[KeyStore], object]) -> Callable[[], None]:
    def done() -> None:
        with here.open() as keystore:
            act(keystore)

    return done


def test_a_slot_that_comes(here: Clone, work: Path, out: Path) -> None:
    """Whoever is told that it failed has no identity file, unless the slot counts: then its only key is there."""
    path = out / "office.identity"
    inner = opened(here)

    def state() -> Hashable:
        opens = False
        if path.exists():
            environ = {**here.environ, "STRONGROOM_IDENTITY_FILE": str(path)}
            with contextlib.suppress(StrongroomError):  # what a killed run had begun to write
                opens = any(
                    each.opens
                    for each in slots.try_slots(here.directory, environ=environ)
                    if each.slot.label == "office"
                )
        with here.open() as keystore:
            counts = any(slot.label == "office" for slot in keystore.sealed.header.slots)
        assert opens or not counts
        return inner()

    Endured(
        act=acting(here, lambda ks: slots.create_hpke_slot(ks, "office", path, suite="x25519")),
        state=state,
        places=(here.directory, here.state, out),
        work=work,
        every=2,
        tidy=lambda: path.unlink(missing_ok=True),
    ).endure()


def test_a_slot_that_goes(here: Clone, work: Path, out: Path) -> None:
    with here.open() as keystore:
        slots.create_hpke_slot(keystore, "office", out / "office.identity", suite="x25519")
        workers.create_worker(keystore, "web", out / "web.identity", bits=2048)

    def act(keystore: KeyStore) -> None:
        if any(slot.label == "office" for slot in keystore.sealed.header.slots):
            slots.remove_slot(keystore, "office", environ=here.environ)
        else:  # what the notice at opening says
            rotate_root(keystore, environ=here.environ)

    Endured(
        act=acting(here, act), state=opened(here), places=(here.directory, here.state), work=work, halves=True, every=5
    ).endure()


def test_a_rotation_of_the_root(here: Clone, work: Path, out: Path) -> None:
    with here.open() as keystore:
        workers.create_worker(keystore, "web", out / "web.identity", bits=2048)

    def act(keystore: KeyStore) -> None:
        if keystore.sealed.header.root == 1 or keystore.sealed.header.pending:
            rotate_root(keystore, exposed="a stick was lost", environ=here.environ)

    Endured(
        act=acting(here, act), state=opened(here), places=(here.directory, here.state), work=work, halves=True, every=5
    ).endure()


def test_the_end_of_an_old_root(here: Clone, work: Path) -> None:
    here.rotate_root()
    Endured(
        act=acting(here, lambda ks: destroy_root(ks, 1)),
        state=opened(here),
        places=(here.directory, here.state),
        work=work,
    ).endure()


def test_a_walk_over_what_is_exposed(here: Clone, work: Path) -> None:
    with here.open() as keystore:
        rotate_root(keystore, exposed="a stick was lost", environ=here.environ)

    def act(keystore: KeyStore) -> None:
        left = rotate_exposed(keystore).left
        if left:
            raise StrongroomError(f"left: {left}")

    Endured(
        act=acting(here, act), state=opened(here), places=(here.directory, here.state), work=work, halves=True, every=5
    ).endure()


def test_an_older_record_is_accepted(here: Clone, work: Path) -> None:
    record = here.directory / "keysets" / "box.json"
    before = record.read_bytes()
    with here.open() as keystore:
        keystore.set_labels("box", {"owner": "me"})
    record.write_bytes(before)

    def state() -> Hashable:
        with here.open() as keystore:
            return keystore.sealed.load(parse_name("box")).hindrance is None

    Endured(
        act=acting(here, lambda ks: ks.accept_witness()), state=state, places=(here.directory, here.state), work=work
    ).endure()


def test_a_store_that_is_restored_from_shares(here: Clone, work: Path, out: Path) -> None:
    with here.open() as keystore:
        create_recovery(keystore, threshold=2, shares=2, out=out)
    shares = [share for path in sorted(out.glob("*.txt")) for share in shares_of_file(path)]
    word = SecretBytes(b"violet anchor 42 drums")
    Endured(
        act=lambda: restore_recovery(shares, str(here.directory), passphrase=word, environ=here.environ),
        state=opened(here),
        places=(here.directory, here.state),
        work=work,
        every=25,  # each try hashes a passphrase
    ).endure()
    assert files(out)
