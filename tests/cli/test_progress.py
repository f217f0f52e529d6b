"""A sign of life: only on a terminal, only after a second, and the line is as if it had not been."""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

import pytest

from strongroom.cli.progress import PATIENCE, busy
from tests.cli.program import on_terminal, program


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "seconds", "seen"), [(Screen, 1.4, True), (Screen, 0.0, False), (io.StringIO, 1.2, False)]
)
def test_only_a_person_who_waits_sees_it(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], seconds: float, seen: bool
) -> None:
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    with busy("making a key"):
        time.sleep(seconds)
    assert ("making a key" in shown.getvalue()) is seen
    if seen:
        assert shown.getvalue().endswith("\r\x1b[K")
        assert PATIENCE >= 1


def test_an_error_in_the_block_goes_on_and_ends_the_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Screen()
    monkeypatch.setattr(sys, "stderr", shown)

    def fail_late() -> None:
        with busy("making a key"):
            time.sleep(1.2)
            raise KeyError("it")

    with pytest.raises(KeyError):
        fail_late()
    assert shown.getvalue().endswith("\r\x1b[K")


def test_a_terminal_that_is_gone_hinders_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Screen()
    monkeypatch.setattr(sys, "stderr", shown)
    with busy("making a key"):
        shown.close()
        time.sleep(1.2)


def test_a_quick_verb_shows_none_on_a_terminal(store: Path) -> None:
    shown = on_terminal("create", "it", "--type", "fernet", cwd=store.parent)
    assert shown.status == 0
    assert "\r\x1b[K" not in shown.stderr


def test_no_pipe_ever_sees_it(store: Path) -> None:
    ran = program("create", "it", "--type", "rsa-4096", "--purpose", "sign", cwd=store.parent, env=dict(os.environ))
    assert ran.status == 0
    assert "\r" not in ran.stderr
