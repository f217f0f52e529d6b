"""How every benchmark measures: ours and theirs in turn, in one process, on one machine; only the ratio is a result.

A benchmark is a module with a function `rows() -> list[Row]`, run alone by `python -m benchmarks.NAME [--json]`:

    def rows() -> list[Row]:
        ours, theirs = measure([lambda: box.encrypt(data), lambda: their_box.encrypt(data)])
        return [Row("fernet 32 B, encrypt", "cryptography", ours, theirs, goal=3.0)]

    if __name__ == "__main__":
        main(rows)

`measure` interleaves rounds, so that a noisy neighbour or a warming CPU meets each side alike. The least time of a
round is what the code costs; the median, printed beside it, tells how quiet the machine was.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for one call: the least of the rounds, and their median."""

    least: float
    median: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of DESIGN's table. The ratio is theirs / ours where faster is the aim, ours / theirs where `at_most`.

    goal: what the ratio must reach (or, with `at_most`, may not pass).
    """

    name: str
    against: str
    ours: Timing
    theirs: Timing
    goal: float
    at_most: bool = False

    @property
    def ratio(self) -> float:
        ours, theirs = self.ours.least, self.theirs.least
        return ours / theirs if self.at_most else theirs / ours

    @property
    def reached(self) -> bool:
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal


def measure(
    calls: Sequence[Callable[[], object]], *, number: int | None = None, rounds: int = 15, round_s: float = 0.02
) -> list[Timing]:
    """Time each call. number: calls a round, else as many as fill `round_s` seconds. Collection of garbage is off."""
    numbers = [number or _number(call, round_s) for call in calls]
    seen: list[list[float]] = [[] for _ in calls]
    collects = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for call, count, times in zip(calls, numbers, seen, strict=True):
                start = time.perf_counter()
                for _ in range(count):
                    call()
                times.append((time.perf_counter() - start) / count)
    finally:
        if collects:
            gc.enable()
    return [Timing(min(times), statistics.median(times)) for times in seen]


def _number(call: Callable[[], object], round_s: float) -> int:
    call()  # warm
    count = 1
    while True:
        start = time.perf_counter()
        for _ in range(count):
            call()
        if (taken := time.perf_counter() - start) > round_s / 4:
            return max(1, int(count * round_s / taken))
        count *= 4


def table(rows: Iterable[Row]) -> str:
    """Ours, theirs, ratio and goal, a line each; the times are least (median)."""
    head = ("", "against", "ours", "theirs", "ratio", "goal", "")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    sign = "<=" if row.at_most else ">="
    verdict = "reached" if row.reached else "MISSED"
    ratio, goal = f"{row.ratio:.2f} x", f"{sign} {row.goal:g} x"
    return (row.name, row.against, _timed(row.ours), _timed(row.theirs), ratio, goal, verdict)


def _timed(timing: Timing) -> str:
    unit, scale = ("µs", 1e6) if timing.least < 1e-3 else ("ms", 1e3) if timing.least < 1 else ("s", 1.0)
    return f"{timing.least * scale:.2f} ({timing.median * scale:.2f}) {unit}"


def as_json(rows: Iterable[Row]) -> str:
    """The same for programs; times in seconds."""
    return json.dumps(
        [
            {
                "name": row.name,
                "against": row.against,
                "ours": row.ours.least,
                "ours_median": row.ours.median,
                "theirs": row.theirs.least,
                "theirs_median": row.theirs.median,
                "ratio": row.ratio,
                "goal": row.goal,
                "at_most": row.at_most,
                "reached": row.reached,
            }
            for row in rows
        ],
        indent=2,
    )


def main(rows: Callable[[], list[Row]]) -> None:
    """What `python -m benchmarks.NAME` does: a table, or JSON with --json."""
    measured = rows()
    print(as_json(measured) if "--json" in sys.argv[1:] else table(measured))
