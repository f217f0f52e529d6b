"""What keys' owners wait for, and what the hot path pays: `due` over 10,000 keysets; a limit on messages, on and off.

python -m benchmarks.lifecycle
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks._timing import Row, Timing, main, measure
from benchmarks.store import made_store
from strongroom.keystore.duties import due
from strongroom.keystore.opening import open_memory, open_store

KEYSETS = 10_000
SECOND = Timing(1.0, 1.0)
DATA = b"x" * 32


def rows() -> list[Row]:
    """A person waits a second at most for `due`; a limit costs a tenth of an encryption at most."""
    return [_due(), *_limits()]


def _due() -> Row:
    within_s = 86_400 * 365 * 3
    with tempfile.TemporaryDirectory(prefix="sr-bench-", dir="/tmp") as directory:
        place, environ = made_store(Path(directory), KEYSETS)
        with open_store(place, environ=environ) as keystore:
            (ours,) = measure([lambda: due(keystore, within_s=within_s)], number=1, rounds=5)
            found = len(due(keystore, within_s=within_s))
    if found != KEYSETS:
        raise OSError(f"{found} duties were found for {KEYSETS} keysets")
    return Row(f"due over {KEYSETS:,} keysets", "1 s", ours, SECOND, goal=1.0, at_most=True)


def _limits() -> list[Row]:
    with open_memory() as keystore:
        keystore.create("free", "fernet")
        keystore.create("counted", "fernet", max_messages=10**12)
        keystore.create("free-aead", "xaes256-gcm")
        keystore.create("counted-aead", "xaes256-gcm", max_messages=10**12)
        free, counted = keystore.fernet("free"), keystore.fernet("counted")
        free_aead, counted_aead = keystore.aead("free-aead"), keystore.aead("counted-aead")
        off, on, off_aead, on_aead = measure(
            [
                lambda: free.encrypt(DATA),
                lambda: counted.encrypt(DATA),
                lambda: free_aead.encrypt(DATA, b""),
                lambda: counted_aead.encrypt(DATA, b""),
            ],
            rounds=25,
        )
    return [
        Row("Fernet, encrypt 32 B, messages counted", "not counted", on, off, goal=1.1, at_most=True),
        Row("Aead, encrypt 32 B, messages counted", "not counted", on_aead, off_aead, goal=1.1, at_most=True),
    ]


if __name__ == "__main__":
    main(rows)
