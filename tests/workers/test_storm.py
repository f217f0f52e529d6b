"""A rotation storm: holders and workers, a process each, read one another while the key rotates all the time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom.keystore import publishing, workers
from strongroom.sealing.identities import write_identity
from tests.support.redis_server import RedisServer
from tests.workers.scenes import Site

EVERY_S = 0.2
PROPAGATION_S = 6


@pytest.mark.parametrize("seconds", [9, pytest.param(60, marks=pytest.mark.slow)])
def test_no_decryption_fails_while_the_key_rotates(place: Path, redis_server: RedisServer, seconds: int) -> None:
    site = Site.make(place / ".strongroom", SYSTEM_CLOCK)
    site.keystore.create("box", "fernet", propagation=f"{PROPAGATION_S}s")
    write_identity(place / "web.identity", site.group("web"))
    workers.grant(site.keystore, "web", ["box"])
    publishing.publish(site.keystore, to=[redis_server.url])
    shared = {**os.environ, "STRONGROOM_STATE": str(place / "state"), "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = {"STRONGROOM_STORE": str(site.directory), "STRONGROOM_DEVELOPMENT": "1"}
    worker = {
        "STRONGROOM_STORE": f"{redis_server.url}?group=web",
        "STRONGROOM_IDENTITY_FILE": str(place / "web.identity"),
    }
    script = str(Path(__file__).with_name("storm.py"))
    running = [
        subprocess.Popen(
            [sys.executable, script, redis_server.url, str(number), str(seconds)],
            env={**shared, **(holder if number % 2 else worker)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    rotations = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        site.keystore.rotate("box")
        publishing.publish(site.keystore, to=[redis_server.url])
        rotations += 1
        time.sleep(max(0.0, begun + EVERY_S - time.monotonic()))
    site.keystore.close()
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        told = json.loads(out)
        assert told["failed"] == []
        assert told["made"] > 10
        assert told["opened"] > told["made"]
        assert told["versions"] > 2
    assert rotations > seconds  # four of five may be slow on a loaded machine
