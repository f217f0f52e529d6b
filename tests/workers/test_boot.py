"""Many processes start at once: workers never start gpg, holders start it once each, and two at once at most."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom.keystore import publishing, workers
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from strongroom.keystore.rooting import rotate_root
from strongroom.sealing.identities import write_identity
from tests.cli.program import program
from tests.openpgp.test_turns import most_at_once
from tests.support.gpg import GpgHome
from tests.support.redis_server import RedisServer
from tests.workers.scenes import Site

OPEN = """
import strongroom
with strongroom.open() as keystore:
    box = keystore.fernet("box")
    assert box.decrypt(box.encrypt(b"x")) == b"x"
"""


def counting_gpg(place: Path) -> tuple[Path, Path]:
    """A gpg that notes its beginning and its end, and the notes."""
    real = shutil.which("gpg")
    assert real is not None
    log = place / "calls"
    log.touch()
    script = place / "counting-gpg"
    script.write_text(f'#!/bin/sh\nprintf + >>{log}\n{real} "$@"\nstatus=$?\nprintf - >>{log}\nexit $status\n')
    script.chmod(0o700)
    return script, log


def start(count: int, env: dict[str, str]) -> None:
    """So many processes at once, each of which opens the store and uses a key."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no terminal: nobody is at hand to be asked
        )
        for _ in range(count)
    ]
    for process in running:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err.decode()


@pytest.fixture
def bare(place: Path) -> dict[str, str]:
    """What every process has."""
    (place / "run").mkdir(mode=0o700)
    gpg, _ = counting_gpg(place)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "GPG": str(gpg),
        "XDG_RUNTIME_DIR": str(place / "run"),
        "STRONGROOM_STATE": str(place / "state"),
    }


@pytest.mark.parametrize("count", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_holders_start_gpg_once_each_and_two_at_once(
    place: Path, bare: dict[str, str], alice: GpgHome, count: int
) -> None:
    directory = place / "sealed" / ".strongroom"
    directory.parent.mkdir()
    environ = {**os.environ, **alice.env}
    found(directory, environ=environ)
    with open_store(directory, environ=environ) as keystore:
        keystore.create("box", "fernet")
    start(count, {**bare, **alice.env, "PATH": bare["PATH"], "STRONGROOM_STORE": str(directory)})
    calls = (place / "calls").read_bytes()
    assert calls.count(b"+") == calls.count(b"-") == count
    assert most_at_once(calls) <= 2


def test_a_holder_that_publishes_goes_on_when_another_rotates_the_root(place: Path, alice: GpgHome) -> None:
    directory = place / "sealed" / ".strongroom"
    directory.parent.mkdir()
    environ = {**os.environ, **alice.env, "STRONGROOM_STATE": str(place / "state")}
    found(directory, environ=environ)
    with open_store(directory, environ=environ) as keystore, open_store(directory, environ=environ) as other:
        keystore.create("box", "fernet")
        workers.create_worker(keystore, "web", place / "web.identity", bits=2048)
        workers.grant(keystore, "web", ["box"])
        rounds = publishing.watch(keystore, to=[f"file:{place}/p"])
        assert isinstance(next(rounds), tuple)
        for number in (2, 3):
            rotate_root(other, environ=environ)
            other.rotate("box", now=True)
            done = next(rounds)
            assert isinstance(done, tuple), done
            assert done[0].written
            with open_store(f"file:{place}/p", identity=place / "web.identity", environ={}) as worker:
                assert worker.fernet("box").version == number


@pytest.mark.parametrize("count", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_workers_start_no_gpg_and_boot_from_the_file_when_redis_was_flushed(
    place: Path, bare: dict[str, str], count: int
) -> None:
    site = Site.make(place / ".strongroom", SYSTEM_CLOCK)
    site.keystore.create("box", "fernet")
    write_identity(place / "web.identity", site.group("web"))
    workers.grant(site.keystore, "web", ["box"])
    with RedisServer() as server:
        publishing.publish(site.keystore, to=[server.url], out=place / "web.publication")
        site.keystore.close()  # no publisher runs from here on
        env = {
            **bare,
            "STRONGROOM_STORE": f"{server.url}?group=web file:{place}/web.publication?group=web",
            "STRONGROOM_IDENTITY_FILE": str(place / "web.identity"),
        }
        start(count, env)
        server.command("FLUSHALL")
        start(count, env)
        server.stop()
        start(1, env)
    assert (place / "calls").read_bytes() == b""


def test_an_orchestrator_is_told_whether_a_worker_is_ready(place: Path, bare: dict[str, str]) -> None:
    site = Site.make(place / ".strongroom", SYSTEM_CLOCK)
    write_identity(place / "web.identity", site.group("web"))
    env = {
        **bare,
        "STRONGROOM_STORE": f"file:{place}/web.publication?group=web",
        "STRONGROOM_IDENTITY_FILE": str(place / "web.identity"),
        "STRONGROOM_TIMEOUT": "0s",
    }
    waiting = program("doctor", "--ready", cwd=place, env=env)
    assert (waiting.status, waiting.stdout) == (69, b"")
    publishing.publish(site.keystore, out=place / "web.publication")
    site.keystore.close()
    ready = program("doctor", "--ready", cwd=place, env=env)
    assert (ready.status, ready.stdout, ready.stderr) == (0, b"", "")
    told = program("doctor", cwd=place, env=env)
    assert told.status == 0
    assert "serial" in told.text
    assert (place / "calls").read_bytes() == b""  # what opens without gpg is looked at without it
