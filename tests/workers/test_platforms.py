"""As containers run: a uid that nobody knows, no HOME, a read-only root, secrets as 0440 links or in variables."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom.keystore import publishing, workers
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from strongroom.sealing.identities import write_identity
from tests.cli.program import program
from tests.support.gpg import GpgHome
from tests.support.redis_server import RedisServer
from tests.workers.scenes import Site

pytestmark = [
    pytest.mark.machine,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else, and mount"),
]

ROOT = Path(__file__).parents[2]
NOBODY = 54_321
USE = """
import os, sys, strongroom
assert os.getuid() == os.getgid() == 54321
assert "HOME" not in os.environ
for place in ("/tmp/x", sys.argv[1] + "/x"):
    try:
        open(place, "w")
    except OSError as error:
        assert error.strerror == "Read-only file system", error
    else:
        raise SystemExit(f"{place} can be written")
with strongroom.open() as ks:
    box = ks.fernet("box")
    print(box.decrypt(box.encrypt(b"it opens")).decode())
    for notice in ks.notices:
        print(notice, file=sys.stderr)
"""


def in_a_container(place: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Use the store as a container would: mounts of its own, all of the root read only, and this environment alone."""
    variables = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONDONTWRITEBYTECODE": "1",
        **env,
    }
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    command = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    command += [*become, sys.executable, "-c", USE, str(place)]
    script = " && ".join(
        ["mount --make-rprivate /", *reached(place / "hold"), "mount --bind / /", "cd /", "mount -o remount,ro,bind /"]
    )
    script += f" && exec chroot / {shlex.join(command)}"
    return subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=120)


def reached(hold: Path) -> list[str]:
    """Commands that bring Python and this project to where they are, for somebody who may not pass through a home."""
    needed = [Path(sys.base_prefix), ROOT]
    closed = {parent for each in needed for parent in reversed(each.parents) if not parent.stat().st_mode & 0o001}
    said = []
    for top in sorted(closed)[:1]:
        inside = [each for each in needed if each.is_relative_to(top)]
        for number, each in enumerate(inside):
            said += [f"mkdir -p {hold}/{number}", f"mount --rbind {each} {hold}/{number}"]
        said += [f"mount -t tmpfs -o mode=755 tmpfs {top}"]
        for number, each in enumerate(inside):
            said += [f"mkdir -p {each}", f"mount --rbind {hold}/{number} {each}"]
        said.append(f"mount -o remount,ro {top}")
    return said


@pytest.fixture
def readable(place: Path) -> Path:
    """A place that everybody may pass through."""
    place.chmod(0o755)
    return place


@pytest.fixture
def site(readable: Path) -> Iterator[Site]:
    made = Site.make(readable / ".strongroom", SYSTEM_CLOCK)
    made.keystore.create("box", "fernet")
    write_identity(readable / "web.identity", made.group("web"))
    workers.grant(made.keystore, "web", ["box"])
    yield made
    made.keystore.close()


def mounted(secret: Path, place: Path) -> Path:
    """A secret as Kubernetes mounts it: root's, mode 0440, behind two links."""
    data = place / "secrets" / "..2026_11_27"
    data.mkdir(parents=True)
    (data / "identity").write_bytes(secret.read_bytes())
    (data / "identity").chmod(0o440)
    os.chown(data / "identity", 0, NOBODY)
    (place / "secrets" / "..data").symlink_to(data.name)
    (place / "secrets" / "identity").symlink_to("..data/identity")
    secret.unlink()
    return place / "secrets" / "identity"


def test_a_worker_with_its_identity_behind_a_link(site: Site, readable: Path, redis_server: RedisServer) -> None:
    publishing.publish(site.keystore, to=[redis_server.url], out=readable / "web.publication")
    identity = mounted(readable / "web.identity", readable)
    for store in (f"{redis_server.url}?group=web", f"file:{readable}/web.publication?group=web"):
        env = {"STRONGROOM_STORE": store, "STRONGROOM_IDENTITY_FILE": str(identity)}
        done = in_a_container(readable, env)
        assert (done.stdout, done.stderr) == ("it opens\n", "")


def test_a_worker_with_its_identity_in_a_variable(site: Site, readable: Path, redis_server: RedisServer) -> None:
    publishing.publish(site.keystore, to=[redis_server.url])
    text = (readable / "web.identity").read_text()
    done = in_a_container(readable, {"STRONGROOM_STORE": f"{redis_server.url}?group=web", "STRONGROOM_IDENTITY": text})
    assert (done.stdout, done.stderr) == ("it opens\n", "")


@pytest.fixture
def role(readable: Path, alice: GpgHome) -> Path:
    """A sealed store in `sealed`, and the identity file of a role account that opens it."""
    directory = readable / "sealed" / ".strongroom"
    directory.parent.mkdir()
    environ = {**os.environ, **alice.env, "STRONGROOM_STATE": str(readable / "state")}
    found(directory, environ=environ)
    with open_store(directory, environ=environ) as keystore:
        keystore.create("box", "fernet")
    out = readable / "role.identity"
    env = {**alice.env, "STRONGROOM_STATE": str(readable / "state"), "STRONGROOM_STORE": str(directory)}
    made = program("role", "create", "web-deploy", "--out", str(out), cwd=readable, env=env)
    assert made.status == 0, made.stderr
    return out


@pytest.mark.parametrize("how", ["link", "variable"])
def test_a_holder_with_a_role_and_no_gpg(readable: Path, role: Path, how: str) -> None:
    env = {"STRONGROOM_STORE": str(readable / "sealed" / ".strongroom"), "STRONGROOM_ENGINE": "sequoia"}
    if how == "link":
        env["STRONGROOM_IDENTITY_FILE"] = str(mounted(role, readable))
    else:
        env["STRONGROOM_IDENTITY"] = role.read_text()
    done = in_a_container(readable, env)
    assert done.stdout == "it opens\n", done.stderr
    assert "pin" in done.stderr  # nowhere to remember the store: it says so


def test_what_others_may_read_is_refused(site: Site, readable: Path) -> None:
    publishing.publish(site.keystore, out=readable / "web.publication")
    identity = mounted(readable / "web.identity", readable)
    identity.resolve().chmod(0o444)
    env = {"STRONGROOM_STORE": f"file:{readable}/web.publication", "STRONGROOM_IDENTITY_FILE": str(identity)}
    done = in_a_container(readable, env)
    assert done.returncode != 0
    assert "others could read or write it" in done.stderr
