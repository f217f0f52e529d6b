"""What the command line adds to Python's own start: processor time, which other processes of the machine do not move.

python -m benchmarks.startup
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks._timing import Row, Timing, main

LIMIT = Timing(0.100, 0.100)
ROUNDS = 15
# what `strongroom blackbox cat` imports before it starts gpg, which takes its own time
CAT = "import strongroom.cli.front, strongroom.blackbox.reading, strongroom.openpgp.discovery"


def rows() -> list[Row]:
    """The start-up figures of the command line."""
    strongroom = str(Path(sys.executable).with_name("strongroom"))
    commands = {
        "--help": [strongroom, "--help"],
        "create --help": [strongroom, "create", "--help"],
        "blackbox cat, before gpg": [sys.executable, "-c", CAT],
    }
    with tempfile.TemporaryDirectory(prefix="sr-bench-") as directory:
        place = Path(directory)
        bare = _spent([sys.executable, "-c", "pass"], place)
        return [
            Row(f"strongroom {name}: adds to Python", "100 ms", _added(argv, bare, place), LIMIT, goal=1, at_most=True)
            for name, argv in commands.items()
        ]


def _added(argv: Sequence[str], bare: Timing, place: Path) -> Timing:
    spent = _spent(argv, place)
    return Timing(spent.least - bare.least, spent.median - bare.median)


def _spent(argv: Sequence[str], place: Path) -> Timing:
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(place / "cache")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
    times = []
    for _ in range(ROUNDS + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, cwd=place, env=environment, capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return Timing(min(times[1:]), statistics.median(times[1:]))  # the first one wrote the bytecode


if __name__ == "__main__":
    main(rows)
