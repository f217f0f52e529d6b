"""Faults at chosen system calls: an act is run in a child, which strace kills or fails at its n-th call of a name."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_CALL = re.compile(r"([a-z_0-9]+)\(")
_ANYONE = 0x59616D61, ctypes.c_ulong(-1)  # PR_SET_PTRACER, PR_SET_PTRACER_ANY: strace is no ancestor of the child


@dataclass(frozen=True, slots=True)
class Point:
    """The `number`-th call of this name that the act makes."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call}-{self.number}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an act: what it told (nothing when it was killed), and the calls that it made."""

    told: str
    killed: bool
    calls: tuple[str, ...]
    reached: bool = True
    """Whether the fault was met: the number of calls that an act makes may differ from run to run."""


def points(
    act: Callable[[], str], *, calls: Sequence[str], log: Path, below: Sequence[Path] = (), reads: bool = True
) -> list[Point]:
    """Every one of these calls that the act makes when nothing fails.

    below: only those about what lies in these directories. Without `reads`, only files that are made are opened.
    """
    counts: Counter[str] = Counter()
    found: list[Point] = []
    _run(act, ["-y", "-e", f"trace={','.join(calls)}"], log)
    for line, call in _calls(log):
        counts[call] += 1
        if below and not any(str(place) in line for place in below):
            continue
        if reads or call != "openat" or "O_CREAT" in line:
            found.append(Point(call, counts[call]))
    assert found, "the act makes none of these calls"
    return found


def met(point: Point, fault: str, act: Callable[[], str], *, log: Path) -> Outcome:
    """Run the act; at the call it is killed (`KILL`), or told this error. It may end before it gets there."""
    return _run(act, _inject(point, "signal=KILL" if fault == "KILL" else f"error={fault}"), log)


def killed_at(point: Point, act: Callable[[], str], *, log: Path) -> None:
    """Run the act; the kernel kills it as it enters the call."""
    outcome = _run(act, _inject(point, "signal=KILL"), log)
    assert outcome.killed, f"{point} was never reached"


def failed_at(point: Point, error: str, act: Callable[[], str], *, log: Path) -> Outcome:
    """Run the act; the call fails with this error."""
    outcome = _run(act, _inject(point, f"error={error}"), log)
    assert not outcome.killed
    return outcome


def _inject(point: Point, fault: str) -> list[str]:
    return ["-e", f"trace={point.call}", "-e", f"inject={point.call}:{fault}:when={point.number}"]


def _run(act: Callable[[], str], options: Sequence[str], log: Path) -> Outcome:
    go, start = os.pipe()
    answer, tell = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ctypes.CDLL(None).prctl(*_ANYONE, 0, 0, 0)
            os.read(go, 1)
            told = act()
            os.writev(tell, [told.encode()])  # not write, which is one of the calls that acts make
            status = 0
        finally:
            os._exit(status)
    os.close(go)
    os.close(tell)
    with subprocess.Popen(
        ["strace", "-o", str(log), *options, "-p", str(child)], stderr=subprocess.PIPE, text=True
    ) as strace:
        assert strace.stderr is not None
        attached = strace.stderr.readline()
        assert "attached" in attached, attached
        os.write(start, b"x")
        os.close(start)
        with os.fdopen(answer, "rb") as stream:
            told = stream.read().decode()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        strace.communicate()
    assert status in {0, -9}, f"the act ended with {status}"
    killed = status == -9
    return Outcome(
        told=told,
        killed=killed,
        calls=tuple(call for _, call in _calls(log)),
        reached=killed or any("(INJECTED)" in line for line, _ in _calls(log)),
    )


def _calls(log: Path) -> list[tuple[str, str]]:
    lines = log.read_text("utf-8", "replace").splitlines()
    return [(line, found[1]) for line in lines if (found := _CALL.match(line)) is not None]
