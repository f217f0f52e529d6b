"""The driver: an act meets the n-th fault, for every n; whatever stands then is the old state or the new, and opens.

Each step meets one fault of the four in turn, so that four steps of a kind see them all. With STRONGROOM_FAULTS=all
every step meets every fault, which takes minutes an act.
"""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strongroom.errors import StrongroomError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.rooting import groups_of
from strongroom.model.names import KeyId
from strongroom.primitives.secret import SecretBytes
from tests.support.faults import Outcome, Point, met, points

CALLS = (
    "openat", "mkdir", "mkdirat", "write", "pwrite64", "ftruncate", "fchmod", "fsync", "fdatasync", "close", "rename",
    "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "flock",
)  # fmt: skip
FAULTS = ("KILL", "ENOSPC", "EIO", "EROFS")
WHOLE = os.environ.get("STRONGROOM_FAULTS") == "all"


@dataclass
class Endured:
    """An act on what lies in `places`, which are put back before each fault.

    state: what stands, without what is drawn at random; it raises where anything is amiss. tidy: what a person does who
    was told that a file is in the way, before the same command again. halves: that a state between the two may stand,
    from which the same act goes on.
    """

    act: Callable[[], object]
    state: Callable[[], Hashable]
    places: Sequence[Path]
    work: Path
    tidy: Callable[[], object] = lambda: None
    halves: bool = False
    every: int = 1
    """Of so many steps one is taken, for acts that take long; with STRONGROOM_FAULTS=all each is."""
    told: list[tuple[str, str, str]] = field(default_factory=list)

    def run(self) -> str:
        try:
            self.act()
        except StrongroomError as error:
            return f"{type(error).__name__}: {error} ({error.hint})"
        except Exception as error:  # noqa: BLE001  the judge tells of it, and at which step
            return f"foreign {type(error).__name__}: {error}\n{traceback.format_exc()}"
        return "done"

    def endure(self) -> None:
        """All of it."""
        self._keep()
        log = self.work / "strace"
        assert self.run() == "done"  # whatever is imported late is imported now
        self.new = self.state()
        self._put_back()
        self.old = self.state()
        assert self.old != self.new
        self._put_back()
        steps = points(self.run, calls=CALLS, log=log, below=self.places, reads=False)
        missed = 0
        for number, step in enumerate(steps if WHOLE else steps[:: self.every]):
            for fault in FAULTS if WHOLE else (FAULTS[(number + step.number) % len(FAULTS)],):
                self._put_back()
                outcome = met(step, fault, self.run, log=log)
                if not outcome.reached:
                    missed += 1
                self._judge(step, fault, outcome)
        assert missed <= len(steps) // 10, f"{missed} faults were never met"

    def _judge(self, step: Point, fault: str, outcome: Outcome) -> None:
        told = outcome.told
        self.told.append((str(step), fault, told))
        stands = self.state()
        where = step, fault, told
        if not self.halves:
            assert stands in (self.old, self.new), where
        assert not told.startswith("foreign"), "\n".join(map(str, where))
        if told == "done":
            assert stands == self.new, where
        if "old state stands" in told or "nothing was written" in told:
            assert stands != self.new, where
        if told.startswith("UnsyncedError"):
            assert stands != self.old, where
        if "removed again" in told:
            assert stands == self.old, where
        if stands != self.new:
            self.tidy()
            again = self.run()
            assert again == "done", (*where, again)
            assert self.state() == self.new, where

    def _keep(self) -> None:
        for number, place in enumerate(self.places):
            if place.exists():
                shutil.copytree(place, self.work / f"kept-{number}", symlinks=True)

    def _put_back(self) -> None:
        for number, place in enumerate(self.places):
            shutil.rmtree(place, ignore_errors=True)
            kept = self.work / f"kept-{number}"
            if kept.exists():
                shutil.copytree(kept, place, symlinks=True)


@dataclass
class Standing:
    """What a store holds, by the names and numbers that do not change from one run to the next.

    `meant` is what each key id stood for when it was seen first: it never stands for anything else.
    """

    meant: dict[tuple[str, KeyId], SecretBytes] = field(default_factory=dict)

    def of(self, keystore: KeyStore) -> Hashable:
        """The state, after a look at every version's material. AssertionError for anything amiss."""
        store = keystore.sealed
        found: list[Hashable] = []
        for opened in store.load_all():
            assert opened.hindrance is None, opened.hindrance
            keyset = opened.keyset
            for version in keyset.versions:
                if version.sealed is not None:
                    held = opened.material(version.number)
                    assert self.meant.setdefault((keyset.name, version.key_id), held) == held
            rows = tuple(
                (each.number, each.state, each.promote_at is None, each.destroy_at is None) for each in keyset.versions
            )
            found.append((keyset.name, keyset.policy, tuple(sorted(keyset.labels.items())), rows))
        groups = groups_of(keystore)
        if groups is not None:
            found += [(each, groups.read(each).grants) for each in groups.names()]
        header = store.header
        slots = tuple((slot.kind, slot.label) for slot in header.slots)
        people = tuple(sorted(each.fingerprint for each in header.recipients if not each.role))
        roles = sum(each.role for each in header.recipients)
        return (
            *found,
            slots,
            people,
            roles,
            header.root,
            len(header.roots),
            tuple(each.name for each in header.pending),
        )


def files(place: Path) -> Any:
    """The names of what lies in a directory, temporary ones left out."""
    return tuple(sorted(str(each.relative_to(place)) for each in place.rglob("*") if not each.name.startswith(".")))
