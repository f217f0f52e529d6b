"""Servers as sites run them: gunicorn with preload, uvicorn, Celery with a pool of forks. No handle travels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom.keystore import publishing, workers
from strongroom.sealing.identities import write_identity
from tests.support.redis_server import RedisServer
from tests.workers.scenes import Site
from tests.workers.served.launching import Launched, free_port

ROOT = Path(__file__).parents[2]


class Scene:
    """A site, its Redis, and the environment of those who open it."""

    def __init__(self, site: Site, place: Path, server: RedisServer) -> None:
        self.site = site
        self.place = place
        self.server = server
        shared = {
            "PATH": os.environ["PATH"],
            "HOME": str(place),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}",
            "SERVED_BROKER": server.url.replace("/0", "/3"),
        }
        self.holder = {
            **shared,
            "STRONGROOM_STORE": str(site.directory),
            "STRONGROOM_DEVELOPMENT": "1",
            "STRONGROOM_STATE": str(place / "state"),
        }
        self.worker = {
            **shared,
            "STRONGROOM_STORE": f"{server.url}?group=web",
            "STRONGROOM_IDENTITY_FILE": str(place / "web.identity"),
        }

    def publish(self) -> None:
        publishing.publish(self.site.keystore, to=[self.server.url])


@pytest.fixture
def scene(place: Path) -> Iterator[Scene]:
    site = Site.make(place / ".strongroom", SYSTEM_CLOCK)
    site.keystore.create("box", "fernet")
    write_identity(place / "web.identity", site.group("web"))
    workers.grant(site.keystore, "web", ["box"])
    with RedisServer() as server:
        made = Scene(site, place, server)
        made.publish()
        yield made
    site.keystore.close()


def hammered(server: Launched, scene: Scene, *, requests: int = 200) -> list[dict[str, Any]]:
    """Many clients at once: each posts what another answer held, and all of it opens as what it was."""

    def one(number: int) -> dict[str, Any]:
        made = server.asks(f"words-{number}")
        opened = server.asks(token=made["token"])
        assert opened["opened"] == f"words-{number}"
        return made

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(one, range(requests)))
    box = scene.site.keystore.fernet("box")
    assert all(box.decrypt(each["token"].encode()).startswith(b"words-") for each in said)
    assert all("box" in each["names"] for each in said)
    return said


def follows(server: Launched, scene: Scene, pids: set[int]) -> None:
    """A rotation reaches each of the processes, and old tokens open there."""
    old = server.asks("before")["token"]
    scene.site.keystore.rotate("box", now=True)
    scene.publish()
    changed: set[int] = set()

    def seen() -> bool:
        said = server.asks(token=old)
        assert said["opened"] == "before"
        if said["version"] == 2:
            changed.add(said["pid"])
        return changed == pids

    server.wait(seen)


@pytest.mark.parametrize("kind", ["worker", "holder"])
def test_gunicorn_with_preload_and_threads(scene: Scene, kind: str) -> None:
    port = free_port()
    arguments = ["gunicorn", "--preload", "--workers", "2", "--threads", "4", "--bind", f"127.0.0.1:{port}"]
    env = scene.worker if kind == "worker" else scene.holder
    log = scene.place / "gunicorn.log"
    with Launched([*arguments, "tests.workers.served.wsgi_app:application"], env, log, port=port) as server:
        said = hammered(server, scene)
        pids = {each["pid"] for each in said}
        assert len(pids) == 2
        assert len({each["thread"] for each in said}) > 2
        (parent,) = {each["opened_in"] for each in said}  # one opening, before the forks
        assert parent not in pids
        follows(server, scene, pids)
        if kind == "worker":
            scene.server.stop()  # what they have serves, in every process
            assert {each["version"] for each in hammered(server, scene, requests=40)} == {2}
    assert "Traceback" not in log.read_text()


def test_uvicorn_awaits_and_goes_on(scene: Scene) -> None:
    port = free_port()
    arguments = ["uvicorn", "--port", str(port), "--log-level", "warning", "tests.workers.served.asgi_app:application"]
    log = scene.place / "uvicorn.log"
    with Launched(arguments, scene.worker, log, port=port) as server:
        said = hammered(server, scene)
        assert len({each["thread"] for each in said}) == 1
        with ThreadPoolExecutor(16) as pool:  # requests that wait side by side
            slow = list(pool.map(lambda _: server.asks(path="/slow"), range(32)))
        assert {each["version"] for each in slow} == {1}
        follows(server, scene, {each["pid"] for each in said})
    assert "Traceback" not in log.read_text()


@pytest.mark.slow
def test_celery_forks_a_pool_and_no_handle_travels(scene: Scene) -> None:
    log = scene.place / "celery.log"
    worker = ["celery", "-A", "tests.workers.served.celery_app", "worker", "-P", "prefork", "-c", "2", "-l", "WARNING"]
    with Launched(worker, {**scene.worker, "SERVED_OPENS": "1", "C_FORCE_ROOT": "1"}, log):
        client = subprocess.run(
            [sys.executable, "-m", "tests.workers.served.celery_client"],
            env=scene.worker,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert client.returncode == 0, (client.stderr, log.read_text())
    said = json.loads(client.stdout)
    assert said["opened"] == said["read here"] == [True] * 40
    assert len(set(said["pids"])) == 2
    (parent,) = set(said["opened_in"])
    assert parent not in said["pids"]
    assert {said["json argument"], said["pickle argument"], said["keystore argument"]} <= {"EncodeError", "TypeError"}
    assert said["result state"] == "FAILURE"
    assert "EncodeError" in said["result"] or "TypeError" in said["result"]
