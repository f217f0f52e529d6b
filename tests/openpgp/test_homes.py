"""Private homes: ours alone, in memory, short of path, and gone however the process ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.gpg import GpgHome

from strongroom.errors import StoreError
from strongroom.openpgp.homes import MAX_SOCKET_PATH, PrivateHome, agent_answers


def test_a_home_is_ours_alone_and_short_enough_for_sockets() -> None:
    home = PrivateHome({})
    try:
        assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
        assert len(os.fsencode(home.path / "S.gpg-agent.browser")) <= MAX_SOCKET_PATH
        assert home.mine
    finally:
        home.close()
    home.close()
    assert not home.mine
    assert not home.path.exists()


def test_it_lies_in_memory_where_the_path_is_short_enough(base: Path) -> None:
    """Not below a long or relative path: the agent's socket would have no place, or another one."""
    too_long = base / ("x" * 100)
    too_long.mkdir()
    for runtime, inside in ((str(base), True), (str(too_long), False), ("relative", False), ("", False)):
        home = PrivateHome({"XDG_RUNTIME_DIR": runtime})
        try:
            assert (home.path.parent == base) is inside
        finally:
            home.close()


def test_it_goes_with_its_last_holder() -> None:
    home = PrivateHome({})
    path = home.path
    del home
    assert not path.exists()


def test_its_agent_ends_with_it(alice: GpgHome) -> None:
    home = PrivateHome({})
    there = GpgHome(home.path)
    there.import_keys(alice.export_secret())
    agent = there.agent_pid()
    assert agent_answers(home.path / "S.gpg-agent")
    home.close()
    for _ in range(1000):
        if not Path(f"/proc/{agent}").exists():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the agent still runs")
    assert not agent_answers(home.path / "S.gpg-agent")


LEAVE = """
import os, signal, sys
from strongroom.openpgp.homes import PrivateHome
home = PrivateHome({}, bases=[sys.argv[1]])
print(home.path, flush=True)
if sys.argv[2] == "killed": os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "waits": sys.stdin.read()
if sys.argv[2] == "fails": raise SystemExit(3)
"""


@pytest.fixture
def base() -> Iterator[Path]:
    """Short, and nobody else's."""
    home = GpgHome.make()
    yield home.home
    home.close()


@pytest.mark.parametrize("end", ["returns", "fails"])
def test_it_goes_with_its_process(base: Path, end: str) -> None:
    done = subprocess.run([sys.executable, "-c", LEAVE, str(base), end], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(str(base))
    assert list(base.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_and_no_living_ones(base: Path) -> None:
    command = [sys.executable, "-c", LEAVE, str(base)]
    killed = subprocess.run([*command, "killed"], capture_output=True, text=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    with subprocess.Popen([*command, "waits"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout is not None
        alive = Path(living.stdout.readline().strip())
        assert not left.exists()  # the living one swept when it began
        home = PrivateHome({}, bases=[str(base)])
        assert alive.is_dir()
        home.close()
        living.communicate("")
    assert list(base.iterdir()) == []


def test_a_strangers_directory_is_not_swept(base: Path) -> None:
    for name in ("strongroom-stranger", "other"):
        (base / name).mkdir()
    (base / "strongroom-link").symlink_to(base / "other")
    (base / "other" / "owned").write_text("")
    PrivateHome({}, bases=[str(base)]).close()
    assert sorted(entry.name for entry in base.iterdir()) == ["other", "strongroom-link", "strongroom-stranger"]
    assert (base / "other" / "owned").exists()


def test_no_place_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no temporary directory"):
        PrivateHome({}, bases=["/nonexistent", "relative", "", str(tmp_path / ("x" * 100))])


KILLED_REMOVING = """
import os, signal, sys
from strongroom.openpgp.homes import PrivateHome
home = PrivateHome({}, bases=[sys.argv[1]])
(home.path / "private-keys-v1.d").mkdir()
for name in ("private-keys-v1.d/x.key", "a", "z"):
    (home.path / name).write_text("a test's, and no key")
left = int(sys.argv[2])
def kill(event, arguments):
    global left
    if event in ("os.remove", "os.rmdir"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
home.close()
print("whole")
"""


def test_one_that_is_killed_while_it_removes_its_home_leaves_nothing_that_stays(base: Path) -> None:
    for number in range(1, 20):
        command = [sys.executable, "-c", KILLED_REMOVING, str(base), str(number)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        PrivateHome({}, bases=[str(base)]).close()
        # the very last step leaves an empty directory at most
        assert not [path for path in base.rglob("*") if path.is_file()], number
        if done.stdout == "whole\n":
            break
        assert done.returncode == -signal.SIGKILL
    else:
        pytest.fail("it was never killed too late")
    assert number > 4
