"""One of many writers: a process that makes its acts in a store, tries again where another was first, and tells each.

python -m tests.faults.writer DIRECTORY NUMBER ACTS api|cli
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from strongroom.errors import ConflictError
from strongroom.keystore import workers
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_store
from tests.cli.program import program

STALE = 6
"""The exit status of a conflict (DESIGN section 12)."""


def acts_of(number: int, count: int) -> list[tuple[str, ...]]:
    """What writer `number` does, as words of the command line; its own keysets begin with its name."""
    me, made = f"w{number}", []
    for turn in range(count):
        own = f"{me}/{turn // 6}"
        made.append(
            [
                ("create", own, "--type", "fernet"),
                ("rotate", "shared"),
                ("policy", "board", "--label", f"{me}={turn}"),
                ("rotate", own),
                ("worker", "grant", "web", own),
                ("suspend", own, "1", "--reason", "a doubt"),
            ][turn % 6]
        )
    return made


def by_api(keystore: KeyStore, act: tuple[str, ...]) -> object:
    verb, *rest = act
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: keystore.create(rest[0], rest[2]),
        "rotate": lambda: keystore.rotate(rest[0]),
        "policy": lambda: keystore.set_labels(rest[0], dict([rest[2].split("=")])),
        "worker": lambda: workers.grant(keystore, rest[1], rest[2:]),
        "suspend": lambda: keystore.suspend(rest[0], int(rest[1]), reason=rest[3]),
    }
    return calls[verb]()


def main(directory: str, number: str, count: str, way: str) -> None:
    """Each act until it is done; then a line with all of them."""
    done = []
    if way == "cli":
        for act in acts_of(int(number), int(count)):
            while (ran := program("--store", directory, *act, cwd=Path(directory))).status == STALE:
                pass
            assert ran.status == 0, (act, ran)
            done.append(act)
    else:
        with open_store(directory) as keystore:
            for act in acts_of(int(number), int(count)):
                while True:
                    try:
                        by_api(keystore, act)
                    except ConflictError:
                        continue
                    break
                done.append(act)
    sys.stdout.write(json.dumps(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
