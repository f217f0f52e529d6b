"""Backup of 10,000 keysets, verified as it is written, and the comparison of it with the store.

python -m benchmarks.backup
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

from tests.support.gpg import GpgHome

from benchmarks._timing import Row, main, measure
from strongroom.keystore.backup import create_backup, verify_backup
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from strongroom.keystore.restoring import restore_backup

KEYSETS = 10_000


def rows() -> list[Row]:
    """What has no other program to be held against is held against the least work that it contains."""
    with tempfile.TemporaryDirectory(prefix="sr-bench-", dir="/tmp") as directory:
        base = Path(directory)
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "STRONGROOM_DEVELOPMENT": "1",
            "STRONGROOM_STATE": str(base / "state"),
        }
        place = base / "store"
        found(place, development=True, environ=environ)
        with open_store(place, environ=environ) as keystore:
            for number in range(KEYSETS):
                keystore.create(f"keyset-{number:05}", "fernet")
        numbers = count()

        def verify_all() -> None:
            with open_store(place, environ=environ) as fresh:
                for opened in fresh.source.load_all():
                    opened.material(1)

        with open_store(place, environ=environ) as keystore:
            home = GpgHome.user("Bench <bench@example.org>")
            try:
                tarred = _tar_and_gpg(place, base, home)
                backup, tar = measure(
                    [lambda: create_backup(keystore, base / f"{next(numbers)}.backup"), tarred], number=1, rounds=5
                )
            finally:
                home.close()
            kept = base / "0.backup"
            verify, alone = measure(
                [lambda: verify_backup(keystore, kept, environ=environ), verify_all], number=1, rounds=5
            )
            restore, copied = measure(
                [
                    lambda: restore_backup(kept, base / f"{next(numbers)}", environ=environ),
                    lambda: _copied(place, base / f"{next(numbers)}"),
                ],
                number=1,
                rounds=3,
            )
    return [
        Row("backup of 10,000 keysets, each verified", "tar | gpg --encrypt", backup, tar, goal=2, at_most=True),
        Row(
            "backup verify: opened twice and compared", "opened and verified once", verify, alone, goal=4, at_most=True
        ),
        Row("backup restore of 10,000, each verified", "cp -r; sync", restore, copied, goal=4, at_most=True),
    ]


def _tar_and_gpg(place: Path, base: Path, home: GpgHome) -> Callable[[], None]:
    def run() -> None:
        command = (
            f"tar -C {place} -cf - . | gpg --batch --yes --quiet --trust-model always --recipient {home.fingerprint}"
            f" --output {base}/tarred.gpg --encrypt && sync {base}/tarred.gpg"
        )
        subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, env=home.env)

    return run


def _copied(place: Path, target: Path) -> None:
    subprocess.run(["cp", "-r", str(place), str(target)], check=True)
    os.sync()


if __name__ == "__main__":
    main(rows)
