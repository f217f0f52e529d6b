"""The frame of every run: a private home, a real Redis for who asks, and no server left behind.

The home is set before anything is collected, and each worker of pytest-xdist has its own.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

from tests.support import left_running
from tests.support.isolation import PrivateHome
from tests.support.redis_server import RedisServer

pytest_plugins = ["tests.support.gpg_fixtures"] if find_spec("tests.support.gpg_fixtures") else []

_stack = ExitStack()
_marked = pytest.StashKey[left_running.Marked]()
_left = pytest.StashKey[list[str]]()
_REPORT = "strongroom_left_running"  # the word under which a worker of xdist hands its list over


# a busy machine is no finding: no example has a deadline
settings.register_profile("strongroom", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("strongroom")


def pytest_configure(config: pytest.Config) -> None:
    missing = [program for program in ("gpg", "git") if shutil.which(program) is None]
    if missing:
        raise pytest.UsageError(f"the tests need {' and '.join(missing)}: apt-get install git gnupg")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as for a job in the background of a script
        signal.signal(signal.SIGINT, signal.default_int_handler)  # or whoever is to be interrupted goes on for ever
    config.stash[_left] = []
    config.stash[_marked] = _stack.enter_context(left_running.Marked())
    _stack.enter_context(PrivateHome())


def pytest_unconfigure(config: pytest.Config) -> None:
    _stack.close()


@pytest.hookimpl(trylast=True)  # after the fixtures of the session are torn down
def pytest_sessionfinish(session: pytest.Session) -> None:
    leftovers = session.config.stash[_marked].leftovers()
    left_running.end(leftovers)
    left = session.config.stash[_left]
    left.extend(map(str, leftovers))
    workeroutput = getattr(session.config, "workeroutput", None)
    if workeroutput is not None:
        workeroutput[_REPORT] = left
    elif left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """A worker of xdist has ended: take over what it found."""
    config = getattr(node, "config")  # noqa: B009  xdist's class has no types
    config.stash[_left].extend(getattr(node, "workeroutput", {}).get(_REPORT, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left = config.stash[_left]
    if left:
        terminalreporter.section("left running: the run has failed", red=True)
        for line in left:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def _session_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(_session_redis: RedisServer) -> RedisServer:
    """A running redis-server with nothing in it. A test that stops, fills or configures one makes a `RedisServer`."""
    _session_redis.command("FLUSHALL")
    return _session_redis
