"""A rotation of the root over 10,000 records, each rewritten and on the disk when it is counted.

python -m benchmarks.roots
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.stores.builders import Checkout, new_keyset, new_root

from benchmarks._timing import Row, Timing, main, measure
from strongroom.stores.rotation import begin, finish

RECORDS = 10_000
SECONDS = 20.0
"""The goal: "in seconds" (DESIGN section 8), on a disk that syncs a small file in half a millisecond."""


def rows() -> list[Row]:
    """A whole rotation but its one gpg call; and the disk's part of it, as many small files written and synced."""
    with tempfile.TemporaryDirectory(prefix="sr-bench-", dir="/tmp") as directory:
        base = Path(directory)
        checkout = Checkout(base / "store")
        for number in range(RECORDS):
            checkout.put(new_keyset(checkout.root, f"keyset-{number:05}"))
        store = checkout.open()
        store.load_all()  # the witness has seen them

        def rotate() -> None:
            new = new_root(store.header.root + 1, store=store.root.store)
            begin(store, None, new, seen=store.header, base=store.header, root_file=None)
            assert finish(store, None) == RECORDS

        def sync_as_much() -> None:
            for number in range(RECORDS):
                fresh = base / "probe.new"
                descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.write(descriptor, b"x" * 700)
                os.fsync(descriptor)
                os.close(descriptor)
                fresh.rename(base / f"probe-{number % 200}")

        rotated, synced = measure([rotate, sync_as_much], number=1, rounds=2)
    return [
        Row("rotate the root of 10,000 versions", "20 s", rotated, Timing(SECONDS, SECONDS), goal=1, at_most=True),
        Row("rotate the root of 10,000 versions", "as many files, synced", rotated, synced, goal=4, at_most=True),
    ]


if __name__ == "__main__":
    main(rows)
