"""One writer at a time: the second waits, gives up in the end, and a forked child holds nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom.blackbox.locking import LOCK, locked
from strongroom.errors import LockError, StoreError


def test_the_second_writer_gives_up_after_its_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path, clock=SYSTEM_CLOCK),
        pytest.raises(LockError, match="another process has held"),
        locked(tmp_path, clock=SYSTEM_CLOCK, wait=0.1),
    ):
        pass


def test_the_lock_is_free_afterwards_and_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path, clock=SYSTEM_CLOCK):
        raise ZeroDivisionError
    with locked(tmp_path, clock=SYSTEM_CLOCK, wait=0):
        pass


def test_a_forked_child_does_not_keep_it(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with locked(tmp_path, clock=SYSTEM_CLOCK):
        child = os.fork()
        if not child:
            os.close(writing)
            os.read(reading, 1)  # lives until the parent has looked
            os._exit(0)
    os.close(reading)
    try:
        with locked(tmp_path, clock=SYSTEM_CLOCK, wait=60):  # until the child has run its hook
            pass
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the child lives"
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_a_planted_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot open the lock"), locked(tmp_path, clock=SYSTEM_CLOCK):
        pass
    assert not (tmp_path / "elsewhere").exists()
