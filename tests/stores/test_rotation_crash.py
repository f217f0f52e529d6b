"""A rotation of the root that is killed, or that the disk fails, at any step: all opens, and the same act goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from strongroom.errors import StrongroomError
from strongroom.model.types import KeyType
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header_codec import decode_header
from strongroom.sealing.root import Root
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.rotation import begin, finish
from strongroom.stores.sealed import SealedStore
from tests.stores.builders import Checkout, new_keyset, new_root
from tests.support.faults import failed_at, killed_at, points

CALLS = ("openat", "write", "fchmod", "fsync", "rename", "renameat", "renameat2", "unlinkat", "flock")
VALUES = {"deep/b": SecretBytes(b"two"), "a": SecretBytes(b"one")}


class Scene:
    """A store at root 1, put back before each fault, and the root 2 that every rotation of it makes."""

    def __init__(self, place: Path) -> None:
        self.checkout = Checkout(place / ".strongroom")
        for name, value in VALUES.items():
            self.checkout.put(new_keyset(self.checkout.root, name, kind=KeyType.SECRET, material=value.reveal()))
        self.second = new_root(2, store=self.checkout.root.store)
        self.kept = place / "kept"
        shutil.copytree(self.checkout.place, self.kept)

    def put_back(self) -> None:
        shutil.rmtree(self.checkout.place)
        shutil.copytree(self.kept, self.checkout.place)

    def opened(self) -> SealedStore:
        """The store, by whichever root its header names: one of the two, never a third thing."""
        directory = DirectoryStore(self.checkout.place)
        unverified = decode_header(directory.header())
        root: Root = self.second if unverified.claims.root == 2 else self.checkout.root
        return SealedStore(directory, root, unverified.verify(root))

    def act(self) -> str:
        """Rotate, or go on with it: what `strongroom root rotate` does."""
        try:
            store = self.opened()
            if store.header.root == 1:
                begin(store, None, self.second, seen=store.header, base=store.header, root_file=b"\x84file")
            finish(store, None)
        except StrongroomError as error:
            return f"{type(error).__name__}: {error}"
        return "rotated"

    def check(self, step: object) -> int:
        """All is there and opens; then the same act ends it, and nothing is left lying about."""
        store = self.opened()
        found = store.header.root
        assert {each.keyset.name: each.material(1) for each in store.load_all()} == VALUES, step
        assert self.act() == "rotated", step
        ended = self.opened()
        assert (ended.header.root, ended.header.pending) == (2, ()), step
        assert {each.keyset.name: each.material(1) for each in ended.load_all()} == VALUES, step
        assert {each.root for each in ended.load_all()} == {self.second.id}, step
        assert not list(self.checkout.place.glob(".new-*")), step
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    assert made.act() == "rotated"  # whatever is imported late is imported now
    made.put_back()
    return made


@pytest.mark.machine
@pytest.mark.slow
def test_a_rotation_killed_at_any_step_leaves_a_store_that_opens_and_goes_on(scene: Scene, tmp_path: Path) -> None:
    log = tmp_path / "strace"
    steps = points(scene.act, calls=CALLS, log=log)
    seen = set()
    for step in steps:
        scene.put_back()
        killed_at(step, scene.act, log=log)
        seen.add(scene.check(step))
    assert seen == {1, 2}


@pytest.mark.machine
@pytest.mark.slow
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
def test_a_disk_that_fails_a_rotation_at_any_step_is_told_and_it_goes_on(
    scene: Scene, tmp_path: Path, error: str
) -> None:
    log = tmp_path / "strace"
    files = points(scene.act, calls=("fsync",), log=log, below=[scene.checkout.place / ".new-"])
    scene.put_back()
    for step in points(scene.act, calls=("write", "fsync", "rename", "renameat", "renameat2"), log=log):
        scene.put_back()
        told = failed_at(step, error, scene.act, log=log).told
        # a directory's comes after the rename: what it holds was written
        kind = "UnsyncedError" if step.call == "fsync" and step not in files else "StoreError"
        assert told.partition(":")[0] == kind, (step, told)
        scene.check(step)
