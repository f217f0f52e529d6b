"""Which servers that this test process started, at any remove, still run. It sees no one else's.

gpg starts its agent as a daemon: no parent, no terminal, an environment built from nothing, a home that only the caller
knew. One thing every child of ours does inherit, through any number of forks and execs, is its resource limits.
So each test process lowers a limit that nothing here uses (POSIX message queues) to a number of its own.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

DAEMONS = frozenset(
    {"gpg-agent", "scdaemon", "dirmngr", "keyboxd", "redis-server", "git-daemon", "postgres", "mariadbd"}
)
_LINE = "Max msgqueue size"


@dataclass(frozen=True, slots=True)
class Leftover:
    """A server that should have been ended."""

    pid: int
    program: str
    command: str

    def __str__(self) -> str:
        return f"{self.program} (pid {self.pid}): {self.command}"


class Marked:
    """While entered, every process that starts below this one carries a number; `leftovers` finds them by it."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None
        self.mark = 0

    def __enter__(self) -> Self:
        if sys.platform == "linux":
            _, hard = self._before = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
            room = hard if hard != resource.RLIM_INFINITY else 1 << 40
            self.mark = room - 1 - os.getpid() % (room // 2)
            resource.setrlimit(resource.RLIMIT_MSGQUEUE, (self.mark, hard))
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            resource.setrlimit(resource.RLIMIT_MSGQUEUE, self._before)

    def leftovers(self, *, patience_s: float = 3.0) -> tuple[Leftover, ...]:
        """The servers of ours that still run when `patience_s` seconds, which a killed agent may need, are over."""
        deadline = time.monotonic() + patience_s
        while (found := self._found()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _found(self) -> tuple[Leftover, ...]:
        if not self.mark:
            return ()
        processes = (_daemon(Path(entry.path), self.mark) for entry in os.scandir("/proc") if entry.name.isdecimal())
        return tuple(leftover for leftover in processes if leftover is not None)


def _daemon(process: Path, mark: int) -> Leftover | None:
    try:
        program = (process / "comm").read_text().strip()
        if program not in DAEMONS or not _carries(process, mark):
            return None
        command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:  # it ended while we looked, or belongs to another user
        return None
    return Leftover(int(process.name), program, command) if command else None  # a zombie has no command line


def _carries(process: Path, mark: int) -> bool:
    limits = (process / "limits").read_text().splitlines()
    return any(line.startswith(_LINE) and line.removeprefix(_LINE).split()[0] == str(mark) for line in limits)


def end(leftovers: tuple[Leftover, ...]) -> None:
    """End them, each by its pid."""
    for leftover in leftovers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leftover.pid, signal.SIGTERM)
