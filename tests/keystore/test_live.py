"""Handles that are held: they follow the keyset on the disk, through changes, failures, threads and forks."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.keystore.clocks import HandClock
from tests.keystore.scenes import Scene
from tests.support.called import called

from strongroom.caching.limits import Limits
from strongroom.errors import (
    ConflictError,
    DecryptionError,
    ExistsError,
    FormatError,
    NotFoundError,
    StateError,
    StoreError,
    StrongroomError,
)
from strongroom.keystore.facade import KeyStore


@pytest.fixture
def scene(scene: Scene) -> Scene:
    """A development store: it opens with no gpg, and what is tested here is not how it opens."""
    scene.more["STRONGROOM_DEVELOPMENT"] = "1"
    scene.found(development=True)
    return scene


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def opened(scene: Scene, clock: HandClock, **limits: float) -> KeyStore:
    return scene.open(clock=clock, limits=Limits(**{"recheck": 1, "grace": 5, **limits}))  # type: ignore[arg-type]  # entries is not given


def test_another_processs_change_is_seen_within_the_recheck(scene: Scene, clock: HandClock) -> None:
    with opened(scene, clock) as ours, opened(scene, clock) as theirs:
        ours.create("box", "fernet")
        held = ours.fernet("box")
        assert held.version == 1
        theirs.rotate("box", now=True)
        clock.pass_time(0.99)
        assert held.version == 1
        clock.pass_time(0.01)
        assert held.version == 2
        token = held.encrypt(b"data")
        theirs.suspend("box", 2, reason="to see")
        clock.pass_time(1)
        with pytest.raises(DecryptionError):
            held.decrypt(token)
        with pytest.raises(StateError):
            held.encrypt(b"data")
        theirs.resume("box", 2)
        clock.pass_time(1)
        assert held.decrypt(token) == b"data"


def test_ones_own_change_is_seen_at_once_in_every_kind_of_handle(scene: Scene, clock: HandClock) -> None:
    with opened(scene, clock) as ours:
        for name, kind in (
            ("f", "fernet"),
            ("a", "aes256-gcm"),
            ("m", "hmac-sha256"),
            ("s", "ed25519"),
            ("h", "x25519"),
        ):
            ours.create(name, kind)
        handles = [
            ours.fernet("f"),
            ours.aead("a"),
            ours.mac("m"),
            ours.signer("s"),
            ours.verifier("s"),
            ours.hybrid("h"),
        ]
        for handle in handles:
            assert handle.version == 1
        for name in "famsh":
            ours.rotate(name, now=True)
        assert [handle.version for handle in handles] == [2] * 6


def test_a_promotion_happens_at_its_very_moment_whenever_the_source_was_asked(scene: Scene, clock: HandClock) -> None:
    with opened(scene, clock, recheck=3600) as ours:
        ours.create("box", "fernet", propagation="10m")
        held = ours.fernet("box")
        ours.rotate("box")
        assert held.version == 1
        clock.pass_time(599.999)
        assert held.version == 1
        clock.pass_time(0.001)
        assert held.version == 2


def test_a_source_that_fails_is_borne_for_the_grace_and_then_raised(scene: Scene, clock: HandClock) -> None:
    with opened(scene, clock) as ours:
        ours.create("box", "fernet")
        held = ours.fernet("box")
        token = held.encrypt(b"data")
        record = scene.directory / "keysets" / "box.json"
        raw = record.read_bytes()
        for spoilt, error in ((None, NotFoundError), (raw[:-40], FormatError), (b"", FormatError)):
            clock.pass_time(3600)  # nobody asked for an hour, and then a checkout is in progress
            record.unlink()
            if spoilt is not None:
                record.write_bytes(spoilt)
            assert held.decrypt(token) == b"data"
            clock.pass_time(4.9)
            assert held.decrypt(token) == b"data"
            clock.pass_time(1.1)
            with pytest.raises(error):
                held.decrypt(token)
            with pytest.raises(error):
                held.encrypt(b"data")
            record.write_bytes(raw)
            assert held.decrypt(token) == b"data"  # the next question finds it well, at once


def test_a_keyset_that_never_loaded_has_no_grace(scene: Scene, clock: HandClock) -> None:
    with opened(scene, clock) as ours:
        ours.create("box", "fernet")
        (scene.directory / "keysets" / "box.json").write_bytes(b"{}\n")
        with pytest.raises(FormatError):
            ours.fernet("box")


def test_an_old_record_is_read_again_after_the_maximum_age(scene: Scene, clock: HandClock) -> None:
    """A file that was changed with its times, size and inode kept: only reading it again shows it."""
    with opened(scene, clock, max_age=60, grace=0) as ours:
        ours.create("box", "fernet")
        held = ours.fernet("box")
        held.encrypt(b"data")
        record = scene.directory / "keysets" / "box.json"
        stamp = record.stat()
        raw = bytearray(record.read_bytes())
        raw[-10] ^= 1
        with record.open("r+b") as file:
            file.write(raw)
        os.utime(record, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        clock.pass_time(61)
        with pytest.raises(StrongroomError):
            held.encrypt(b"data")


def test_two_who_create_the_same_name_at_once(scene: Scene, clock: HandClock) -> None:
    with opened(scene, clock) as one, opened(scene, clock) as other:
        made: list[str] = []
        refused: list[StrongroomError] = []
        barrier = threading.Barrier(2)

        def create(keystore: KeyStore) -> None:
            barrier.wait()
            for number in range(10):
                try:
                    keystore.create(f"box-{number}", "fernet")
                    made.append(f"box-{number}")
                except ExistsError as error:
                    refused.append(error)

        threads = [threading.Thread(target=create, args=(keystore,)) for keystore in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(made) == sorted(f"box-{number}" for number in range(10))
        assert len(refused) == 10


def test_two_who_rotate_at_once_lose_no_version(scene: Scene, clock: HandClock) -> None:
    with opened(scene, clock) as one, opened(scene, clock) as other:
        one.create("box", "fernet")
        rotated = [0, 0]
        barrier = threading.Barrier(2)

        def rotate(which: int, keystore: KeyStore) -> None:
            barrier.wait()
            while rotated[which] < 10:
                try:
                    keystore.rotate("box", now=True)
                    rotated[which] += 1
                except ConflictError:
                    continue

        threads = [threading.Thread(target=rotate, args=pair) for pair in enumerate((one, other))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        keyset = one.show("box")
        assert [version.number for version in keyset.versions] == list(range(1, 22))
        assert len({version.key_id for version in keyset.versions}) == 21
        assert keyset.revision == 21


# --- threads and processes

ROTATOR = """
import sys, time
from strongroom.keystore.opening import open_store
with open_store(sys.argv[1]) as keystore:
    end = time.monotonic() + float(sys.argv[2])
    print("ready", flush=True)
    while time.monotonic() < end:
        keystore.rotate("box")
        time.sleep(0.05)
"""


def script(scene: Scene, source: str, *arguments: str) -> subprocess.Popen[str]:
    environ = {**scene.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", source, str(scene.directory), *arguments],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_threads_that_use_handles_while_another_process_rotates_never_fail(scene: Scene) -> None:
    """Propagation is a second, the recheck a tenth of it: whoever looks in time opens everything."""
    with scene.open(limits=Limits(recheck=0.1)) as ours:
        ours.create("box", "fernet", propagation="1s")
        failures: list[BaseException] = []
        done = threading.Event()
        shared: list[bytes] = [ours.fernet("box").encrypt(b"first")]
        uses = [0]

        def use() -> None:
            box = ours.fernet("box")
            try:
                while not done.is_set():
                    token = box.encrypt(b"data")
                    shared.append(token)
                    for each in (token, shared[0], shared[len(shared) // 2]):
                        assert ours.fernet("box").decrypt(each) in {b"data", b"first"}
                    uses[0] += 1
            except BaseException as error:  # noqa: BLE001  the test shows it
                failures.append(error)

        rotator = script(scene, ROTATOR, "3")
        assert rotator.stdout is not None
        assert rotator.stdout.readline() == "ready\n"
        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        _, errors = rotator.communicate(timeout=60)
        done.set()
        for thread in threads:
            thread.join()
        assert rotator.returncode == 0, errors
        assert failures == []
        assert len(ours.show("box").versions) > 5
        assert uses[0] > 100


FORKING = """
import os, sys, threading, time
from strongroom.errors import ConflictError
from strongroom.keystore.opening import open_store

keystore = open_store(sys.argv[1])
box = keystore.fernet("box")
aead = keystore.aead("columns")
tokens = [box.encrypt(b"from the parent")]
stop = threading.Event()

def rotate(name):
    while True:
        try:
            return keystore.rotate(name, now=True)
        except ConflictError:
            pass  # another writer was first, as it should be

def busy():
    # threads that hold every lock again and again: one of them has each at the moment of the fork
    n = 0
    while not stop.is_set():
        n += 1
        keystore.fernet("box").encrypt(b"x")
        for live in list(keystore._live.values()):
            live.expire()
        keystore.show("columns")
        if n % 10 == 0:
            rotate("columns")

threads = [threading.Thread(target=busy, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
children = []
for number in range(6):
    time.sleep(0.05)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert box.decrypt(tokens[0]) == b"from the parent"
            mine = box.encrypt(b"from a child")
            assert keystore.fernet("box").decrypt(mine) == b"from a child"
            assert aead.decrypt(aead.encrypt(b"data", b"ad"), b"ad") == b"data"
            keystore.create(f"child-{number}", "fernet")
            rotate("box")
            keystore.fernet(f"child-{number}").encrypt(b"x")
            deadline = time.monotonic() + 1.2
            while time.monotonic() < deadline:
                box.decrypt(box.encrypt(b"x"))
            keystore.close()
            code = 0
        except BaseException as error:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    children.append(child)
    rotate("box")
deadline = time.monotonic() + 30
codes = []
for child in children:
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            codes.append(os.waitstatus_to_exitcode(status))
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        codes.append("hung")
stop.set()
for thread in threads:
    thread.join()
time.sleep(1.1)
assert box.decrypt(tokens[0]) == b"from the parent"
assert box.version == 13, box.version
print(codes)
"""


def test_forked_children_go_on_while_the_parent_rotates(scene: Scene) -> None:
    with scene.open() as keystore:
        keystore.create("box", "fernet")
        keystore.create("columns", "aes256-gcm")
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(scene.directory)],
        env={**scene.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0, 0, 0, 0, 0, 0]\n", done.stderr
    with scene.open() as keystore:
        assert len([name for name in keystore.names() if name.startswith("child-")]) == 6


def _never(handle: object) -> None:
    raise AssertionError("it was pickled")


def test_a_handle_sent_to_another_process_says_what_to_send_instead(scene: Scene, clock: HandClock) -> None:
    with opened(scene, clock) as ours:
        ours.create("box", "fernet")
        for thing in (ours.fernet("box"), ours):
            with pytest.raises(TypeError, match=r"ask the keystore|open it"):
                pickle.dumps(thing)
            with (
                multiprocessing.get_context("spawn").Pool(1) as pool,
                pytest.raises(TypeError, match=r"ask the keystore|open it"),
            ):
                pool.apply(_never, (thing,))


def test_a_directory_that_is_renamed_away_and_back_is_borne(scene: Scene, clock: HandClock, tmp_path: Path) -> None:
    with opened(scene, clock) as ours:
        ours.create("box", "fernet")
        held = ours.fernet("box")
        token = held.encrypt(b"data")
        away = tmp_path / "away"
        scene.directory.rename(away)
        clock.pass_time(2)
        assert held.decrypt(token) == b"data"
        with pytest.raises((NotFoundError, StoreError)):
            ours.rotate("box")
        away.rename(scene.directory)
        clock.pass_time(2)
        ours.rotate("box", now=True)
        assert held.decrypt(token) == b"data"


def test_a_second_look_up_asks_nothing_of_the_disk(scene: Scene, clock: HandClock) -> None:
    with opened(scene, clock) as ours:
        ours.create("box", "fernet")
        first = ours.fernet("box")
        (scene.directory / "keysets" / "box.json").unlink()
        assert ours.fernet("box") is first
        first.encrypt(b"data")
        with called() as names:
            assert ours.fernet("box") is first
        assert names.isdisjoint({"open", "stat", "lstat", "scandir", "execute"}), "no file and no witness"
