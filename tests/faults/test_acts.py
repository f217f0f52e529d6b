"""Backups, restorations, shares and merges may be killed, or the disk may fail them, at any step: old state or new."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom.errors import StrongroomError
from strongroom.keystore.backup import create_backup, restore_backup, verify_backup
from strongroom.keystore.merging import MergeFiles, merge_file
from strongroom.keystore.opening import open_store
from strongroom.keystore.recovery import create_recovery, drill_recovery, shares_of_file
from strongroom.model.codec import decode
from strongroom.model.names import parse_name
from tests.merging.scenes import Clone
from tests.support.faults import Point, failed_at, killed_at, points

pytestmark = [pytest.mark.machine, pytest.mark.slow]

CALLS = (
    "openat", "mkdir", "mkdirat", "write", "fchmod", "fsync", "close", "rename", "renameat", "renameat2", "link",
    "linkat", "unlink", "unlinkat", "ftruncate",
)  # fmt: skip
ERRORS = ("ENOSPC", "EIO", "EROFS")


@dataclass
class Scene:
    """An act, how to bring back the state before it, and a judge of the state after it: `old` or `new`."""

    act: Callable[[], object]
    reset: Callable[[], None]
    judge: Callable[[], str]
    log: Path

    def run(self) -> str:
        try:
            self.act()
        except StrongroomError as error:
            return f"{type(error).__name__}: {error}"
        return "done"

    def steps(self) -> list[Point]:
        self.reset()
        self.run()  # whatever is imported late is imported now
        self.reset()
        found = points(self.run, calls=CALLS, log=self.log)
        assert self.judge() == "new"
        return found


def endure(scene: Scene) -> None:
    """Kill the act at each step, and fail each step with each error; afterwards the act succeeds, in the same place."""
    for step in scene.steps():
        scene.reset()
        killed_at(step, scene.run, log=scene.log)
        state = scene.judge()
        assert state in {"old", "new"}, step
        if state == "old":
            assert scene.run() == "done", step
            assert scene.judge() == "new", step
        if step.call == "close":
            continue  # nothing is written any more
        for error in ERRORS:
            scene.reset()
            outcome = failed_at(step, error, scene.run, log=scene.log)
            state = scene.judge()
            assert state in {"old", "new"}, (step, error, outcome)
            assert outcome.told == "done" or "Error: " in outcome.told, (step, error, outcome)
            if outcome.told == "done":
                assert state == "new", (step, error)


def test_a_backup(here: Clone, tmp_path: Path) -> None:
    path = tmp_path / "out" / "keys.backup"
    keystore = here.open()

    def reset() -> None:
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()

    def judge() -> str:
        if not path.exists():
            return "old"
        return "new" if verify_backup(keystore, path, environ=here.environ).differences == () else "broken"

    with keystore:
        endure(Scene(lambda: create_backup(keystore, path), reset, judge, tmp_path / "strace"))


def test_a_restoration(here: Clone, tmp_path: Path) -> None:
    path, target = tmp_path / "keys.backup", tmp_path / "out" / "store"
    with here.open() as keystore:
        create_backup(keystore, path)

    def reset() -> None:
        shutil.rmtree(target.parent, ignore_errors=True)
        target.parent.mkdir()

    def judge() -> str:
        if not os.path.lexists(target):
            return "old"
        with open_store(target, environ=here.environ) as restored:
            return "new" if restored.names() == ("box", "columns") and restored.list() else "broken"

    endure(Scene(lambda: restore_backup(path, target, environ=here.environ), reset, judge, tmp_path / "strace"))


def test_shares(here: Clone, tmp_path: Path) -> None:
    out = tmp_path / "out"
    header = (here.directory / "store.json").read_bytes()
    kept = here.directory / "store.json"

    def reset() -> None:
        shutil.rmtree(out, ignore_errors=True)
        kept.write_bytes(header)

    def act() -> None:
        with here.open() as keystore:
            create_recovery(keystore, threshold=2, shares=2, out=out)

    def judge() -> str:
        with here.open() as keystore:
            slots = [slot.label for slot in keystore.sealed.header.slots]
        if "recovery" not in slots:
            return "old"
        found = []
        for path in sorted(out.glob("*.txt")):
            with contextlib.suppress(StrongroomError):  # what a killed run had begun to write
                found += shares_of_file(path)
        sets = {share.set_name for share in found}
        for name in sets:  # of a killed run before this one there may be files of a set that never counted
            mine = [share for share in found if share.set_name == name]
            try:
                drill_recovery(mine, str(here.directory), environ=here.environ)
            except StrongroomError:
                continue
            return "new"
        return "broken"

    endure(Scene(act, reset, judge, tmp_path / "strace"))


def test_a_merge(here: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = here.directory / "keysets" / "box.json"
    base = record.read_bytes()
    with here.open() as keystore:
        keystore.rotate("box")
    ours = record.read_bytes()
    record.write_bytes(base)
    with here.open() as keystore:
        keystore.accept_witness()
        keystore.compromise("box", 1, reason="leaked")
    theirs = record.read_bytes()
    files = MergeFiles(base=tmp_path / "base", ours=tmp_path / "ours", theirs=tmp_path / "theirs")
    monkeypatch.chdir(here.top)

    def reset() -> None:
        for left in tmp_path.glob("ours*"):
            left.unlink()
        files.base.write_bytes(base)
        files.ours.write_bytes(ours)
        files.theirs.write_bytes(theirs)

    def judge() -> str:
        raw = files.ours.read_bytes()
        if raw == ours:
            return "old"
        return "new" if len(decode(raw, name=parse_name("box")).keyset.versions) == 3 else "broken"

    path = str(record.relative_to(here.top))
    endure(Scene(lambda: merge_file(files, path, environ=here.environ), reset, judge, tmp_path / "strace"))
