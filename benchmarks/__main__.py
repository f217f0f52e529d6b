"""All benchmarks in one run and one table: `python -m benchmarks [NAME ...] [--json] [--strict]`.

Every module beside this one whose name begins with no underscore has `rows()`. A row that misses its goal says MISSED;
with --strict the exit status is then 1. What cannot run, for want of an extra, is named on stderr, and exits 1.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from pathlib import Path

from benchmarks._timing import Row, as_json, table


def names() -> list[str]:
    """The benchmarks that there are."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def collect(name: str) -> list[Row]:
    """Measure one module."""
    print(f"bench: {name} ...", file=sys.stderr, flush=True)
    rows: list[Row] = importlib.import_module(f"benchmarks.{name}").rows()
    return rows


def machine() -> str:
    """What the figures were measured on; only their ratios travel."""
    cryptography = importlib.import_module("cryptography").__version__
    cpus = os.cpu_count()
    return f"Python {platform.python_version()}, cryptography {cryptography}, {platform.machine()}, {cpus} CPUs"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="ours, theirs, the ratio and the goal")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names())}; all if none is named")
    parser.add_argument("--json", action="store_true", help="for programs; times in seconds")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(names()))
    if unknown:
        parser.error(f"no benchmark {', '.join(map(repr, unknown))}; there are {', '.join(names())}")

    rows: list[Row] = []
    failed = False
    print(f"bench: {machine()}", file=sys.stderr)
    for name in arguments.names or names():
        try:
            rows += collect(name)
        except Exception as error:  # noqa: BLE001  the other benchmarks are measured all the same, and the exit says so
            failed = True
            print(f"bench: error: {name}: {type(error).__name__}: {error}", file=sys.stderr)
    print(as_json(rows) if arguments.json else table(rows))
    missed = [row for row in rows if not row.reached]
    print(f"bench: {len(rows) - len(missed)} of {len(rows)} goals reached", file=sys.stderr)
    return int(failed or (arguments.strict and bool(missed)))


if __name__ == "__main__":
    sys.exit(main())
