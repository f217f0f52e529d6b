"""A writer may be killed, or the disk may fail it, at any step: the old state or the new one stands, never a third."""

from __future__ import annotations

import contextlib
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.errors import StoreError, StrongroomError
from strongroom.model.codec import decode
from strongroom.model.names import KeysetName, Revision
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.seen import NoWitness
from strongroom.testing.contracts import record_of
from tests.stores.builders import Checkout, added, new_keyset
from tests.support.faults import Point, failed_at, killed_at, points

NAME = KeysetName("billing/api-token")

CALLS = (
    "openat",
    "mkdirat",
    "write",
    "fchmod",
    "fsync",
    "close",
    "rename",
    "renameat",
    "renameat2",
    "flock",
    "unlinkat",
)


def writing(store: DirectoryStore, revision: int) -> Callable[[], str]:
    """A writer that puts this revision in place of the one before, and tells how it went."""

    def act() -> str:
        try:
            store.write(NAME, record_of(NAME, revision), replaces=Revision(revision - 1) if revision > 1 else None)
        except StrongroomError as error:
            return f"{type(error).__name__}: {error}"
        return "written"

    return act


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.create(tmp_path / "store")


def starting(store: DirectoryStore, revision: int) -> None:
    """The state before: the revision before this one, or nothing at all."""
    shutil.rmtree(store.location)
    DirectoryStore.create(store.location)
    if revision > 1:
        store.write(NAME, record_of(NAME, revision - 1), replaces=None)


def state(store: DirectoryStore) -> int:
    """The revision that stands; 0 for none. Whatever is listed is whole."""
    for name in store.names():
        assert name == NAME
        return decode(store.read(name), name=name).keyset.revision
    return 0


def leftovers(store: DirectoryStore) -> list[str]:
    return [each.name for each in Path(store.location).iterdir() if each.name.startswith(".new-")]


@pytest.mark.machine
@pytest.mark.parametrize("revision", [1, 2])
def test_a_writer_killed_at_any_step_leaves_the_old_record_or_the_new_one(
    store: DirectoryStore, tmp_path: Path, revision: int
) -> None:
    act, log = writing(store, revision), tmp_path / "strace"
    starting(store, revision)
    seen: dict[str, set[int]] = {}
    for step in points(act, calls=CALLS, log=log):
        starting(store, revision)
        killed_at(step, act, log=log)
        stands = state(store)
        assert stands in {revision - 1, revision}, step
        seen.setdefault(step.call, set()).add(stands)
        # the next writer waits for nobody, cleans up, and goes on from what stands
        store.write(NAME, record_of(NAME, stands + 1), replaces=Revision(stands) if stands else None)
        assert state(store) == stands + 1
        assert leftovers(store) == []
    assert {call for call in seen if call.startswith("rename")}, "the commit point was among the steps"
    assert seen["fsync"] == {revision - 1, revision}, "one fsync is before the rename and one after it"


@pytest.mark.machine
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS", "EACCES"])
def test_a_disk_that_fails_at_any_step_leaves_the_old_record_and_no_rubbish(
    store: DirectoryStore, tmp_path: Path, error: str
) -> None:
    act, log = writing(store, 2), tmp_path / "strace"
    starting(store, 2)
    steps = points(act, calls=("openat", "write", "fchmod", "fsync", "rename", "renameat", "renameat2"), log=log)
    last = [step for step in steps if step.call == "fsync"][-1]
    for step in steps:
        starting(store, 2)
        told = failed_at(step, error, act, log=log).told
        assert told.startswith("UnsyncedError" if step == last else "StoreError"), (step, told)
        if step == last:
            assert "does not promise" in told
            assert state(store) == 2
            continue
        assert state(store) == 1, step
        assert leftovers(store) == [], step
        store.write(NAME, record_of(NAME, 2), replaces=Revision(1))
        assert state(store) == 2


@pytest.mark.machine
def test_a_failed_fsync_is_never_tried_again(store: DirectoryStore, tmp_path: Path) -> None:
    act, log = writing(store, 2), tmp_path / "strace"
    starting(store, 2)
    outcome = failed_at(Point("fsync", 1), "EIO", act, log=log)
    assert "old state stands" in outcome.told
    assert outcome.calls == ("fsync",)


@pytest.mark.machine
def test_a_sealed_writer_killed_at_any_step_leaves_store_and_witness_in_agreement(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / ".strongroom")
    keyset = new_keyset(checkout.root)
    log = tmp_path / "strace"
    first = checkout.put(keyset)

    def act() -> str:
        # closed by word: a connection that the collector closes makes another number of calls in each run
        with contextlib.closing(checkout.open()) as store:
            store.replace(keyset.with_labels({"changed": "yes"}), replaces=keyset.revision)
        return "written"

    def start() -> None:
        shutil.rmtree(checkout.state / "witnesses", ignore_errors=True)
        checkout.directory.path_of(keyset.name).write_bytes(first)
        with contextlib.closing(checkout.open()) as store:
            store.load(keyset.name)

    start()
    calls = ("openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "unlink", "unlinkat", "fcntl")
    for step in points(act, calls=calls, log=log):
        start()
        killed_at(step, act, log=log)
        with contextlib.closing(checkout.open()) as store:
            opened = store.load(keyset.name)
            assert opened.hindrance is None, step
            assert opened.keyset.revision in {1, 2}
            assert len(opened.material(1)) == 32
            store.replace(added(checkout.root, opened.keyset), replaces=opened.keyset.revision)


LIMITED = """
import resource, signal, sys
from strongroom.errors import StoreError, StrongroomError
from strongroom.model.names import KeysetName, Revision
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.seen import NoWitness
from strongroom.testing.contracts import record_of

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    DirectoryStore(sys.argv[1]).write(
        KeysetName("billing/api-token"), record_of("billing/api-token", 2), replaces=Revision(1))
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [0, 1, 100, 500])
def test_a_write_that_the_system_cuts_short_is_counted_and_given_up(
    store: DirectoryStore, python: str, limit: int
) -> None:
    assert resource.RLIM_INFINITY != limit < len(record_of(NAME, 2))
    store.write(NAME, record_of(NAME, 1), replaces=None)
    done = subprocess.run(
        [python, "-c", LIMITED, store.location, str(limit)], capture_output=True, text=True, check=True
    )
    assert "too large" in done.stdout
    assert "old state stands" in done.stdout
    assert state(store) == 1
    assert leftovers(store) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 64 KiB, in a directory of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "strongroom-test", str(place)], check=True)
    return place


@pytest.mark.machine
def test_a_full_disk_is_told_and_the_old_record_stands(small_disk: Path) -> None:
    try:
        store = DirectoryStore.create(small_disk / "store")
        store.write(NAME, record_of(NAME, 1), replaces=None)
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(512)):
                pass
        with pytest.raises(StoreError, match="No space left") as caught:
            store.write(NAME, record_of(NAME, 2), replaces=Revision(1))
        assert "old state stands" in str(caught.value)
        assert "df" in caught.value.hint
        assert state(store) == 1
        assert leftovers(store) == []
        filler.unlink()
        store.write(NAME, record_of(NAME, 2), replaces=Revision(1))
        assert state(store) == 2
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)


@pytest.mark.machine
def test_a_read_only_disk_is_read_and_told_when_it_is_to_be_written(small_disk: Path) -> None:
    try:
        checkout = Checkout(small_disk / "store", state=small_disk.parent)  # a witness keeps its file open
        keyset = new_keyset(checkout.root)
        checkout.open().create(keyset)
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        store = checkout.open(witness=NoWitness("the disk is read-only"))
        assert len(store.load(keyset.name).material(1)) == 32
        with pytest.raises(StoreError, match="Read-only"):
            store.replace(added(checkout.root, keyset), replaces=keyset.revision)
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)
