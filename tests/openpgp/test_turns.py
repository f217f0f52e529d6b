"""Turns at gpg: two at once, the kernel takes them back from the dead, and nobody waits for a stranger's file."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path

import pytest

from strongroom.openpgp.turns import AT_ONCE, turn


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(runtime)}


def in_child(environ: dict[str, str], log: Path, hold: float) -> int:
    """Take a turn in a child; it writes + and - into the log."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()  # no terminal of whoever runs the tests
            for fd in range(3):
                os.dup2(os.open("/dev/null", os.O_RDWR), fd)
            with turn(environ), log.open("ab", buffering=0) as told:
                told.write(b"+")
                time.sleep(hold)
                told.write(b"-")
            status = 0
        finally:
            os._exit(status)
    return child


def most_at_once(marks: bytes) -> int:
    inside, most = 0, 0
    for mark in marks:
        inside += 1 if mark == ord("+") else -1
        most = max(most, inside)
    return most


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_two_at_once_and_everyone_in_the_end(environ: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    children = [in_child(environ, log, 0.05) for _ in range(12)]
    assert [ended(child) for child in children] == [0] * 12
    marks = log.read_bytes()
    assert (marks.count(b"+"), marks.count(b"-")) == (12, 12)
    assert most_at_once(marks) == AT_ONCE


def test_the_dead_hold_no_turn(environ: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    holders = [in_child(environ, log, 600) for _ in range(AT_ONCE)]
    while not log.exists() or log.read_bytes() != b"+" * AT_ONCE:
        time.sleep(0.01)
    waiting = in_child(environ, log, 0)
    time.sleep(0.2)
    assert log.read_bytes() == b"+" * AT_ONCE
    for holder in holders:
        os.kill(holder, signal.SIGKILL)
        ended(holder)
    assert ended(waiting) == 0


def test_where_no_private_directory_is_to_be_had_one_goes_on(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Path(environ["XDG_RUNTIME_DIR"])
    (runtime / "strongroom").mkdir()
    (runtime / "strongroom").chmod(0o777)  # others could hold the locks in it
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    log = tmp_path / "log"
    assert ended(in_child(environ, log, 0)) == 0
    assert list((runtime / "strongroom").iterdir()) == []


def test_the_files_are_this_users_alone(environ: dict[str, str], tmp_path: Path) -> None:
    assert ended(in_child(environ, tmp_path / "log", 0)) == 0
    made = Path(environ["XDG_RUNTIME_DIR"]) / "strongroom"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in made.iterdir()} == {0o600}
