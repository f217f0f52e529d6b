"""When a program waits: what a test sends to one that is still on its way to waiting may be noticed too late."""

from __future__ import annotations

import time
from pathlib import Path

LIMIT_S = 60
_MOMENT_S = 0.01


def until_it_waits(pid: int) -> None:
    """Return once the process sleeps in the kernel and stays there for a moment.

    Python notices a signal between two bytecodes or where it ends a system call. One that comes after the last bytecode
    and before `read` blocks is noticed with the next byte only. No person is so quick; a test is.
    """
    deadline = time.monotonic() + LIMIT_S
    before = None
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status").read_text()
        now = [line for line in status.splitlines() if line.startswith(("State:", "voluntary_ctxt_switches:"))]
        if now == before and "State:\tS (sleeping)" in now:
            return
        before = now
        time.sleep(_MOMENT_S)
    raise AssertionError(f"process {pid} does not wait")
