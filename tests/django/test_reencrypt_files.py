"""Files after a rotation: under the primary, each still what it was, nobody's newer file lost, and the truth told."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage, storages
from django.core.management import CommandError, call_command
from django.db import connections

from strongroom.django import switching
from strongroom.django.file_moving import FileMover, move_files
from strongroom.django.storage import EncryptedStorage
from strongroom.errors import PolicyError
from strongroom.exitcodes import REFUSED, WORK_REMAINS
from strongroom.keystore.destruction import schedule
from strongroom.keystore.in_use import Use
from tests.django.file_sites import FILES, Site, file_site, said, text

LONG = b"page after page " * 20_000


class Overwriting(InMemoryStorage):
    """As S3 is by default: what is saved under a taken name takes its place."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: File[Any]) -> str:
        self.delete(name)
        return super()._save(name, content)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with file_site(tmp_path) as made:
        yield made


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as told:
        call_command("strongroom", "reencrypt", *arguments, stdout=StringIO(), stderr=StringIO())
    assert told.value.returncode == REFUSED
    return str(told.value)


def test_in_a_directory_each_file_is_switched_under_its_name(site: Site) -> None:
    one, two = site.saved(site.Scan, b"one"), site.saved(site.Scan, LONG, "b.txt")
    site.Scan.objects.create(title="has none")
    path = site.directory / "a.txt"
    path.chmod(0o640)
    os.utime(path, (1_000_000, 2_000_000))
    site.rotate()
    assert "Scan.page: 2 moved, 0 remain" in said()
    for row, content in ((one, b"one"), (two, LONG)):
        again = site.Scan.objects.get(pk=row.pk)
        assert again.page.name == row.page.name
        assert text(again.page) == content
        assert site.version(again.page.storage, again.page.name) == 2
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.stat().st_mtime == 2_000_000
    assert sorted(each.name for each in site.directory.iterdir()) == ["a.txt", "b.txt"]
    assert "Scan.page: 0 moved, 0 remain" in said()
    site.keystore.compromise(FILES, 1, reason="a test")  # it is needed for nothing any more
    assert text(site.Scan.objects.get(pk=two.pk).page) == LONG


def test_where_nothing_is_replaced_the_row_is_swapped_to_a_new_name(site: Site) -> None:
    rows = [site.saved(site.Remote, text) for text in (b"one", b"two", LONG)]
    site.rotate()
    storage = storages["memory"]
    assert "Remote.page: 3 moved, 0 remain" in said("strongroom.Remote.page")
    for row, content in zip(rows, (b"one", b"two", LONG), strict=True):
        again = site.Remote.objects.get(pk=row.pk)
        assert again.page.name != row.page.name
        assert len(again.page.name) <= 40
        assert text(again.page) == content
        assert not storage.exists(row.page.name)
    assert len(storage.listdir("scans")[1]) == 3
    assert "Remote.page: 0 moved, 0 remain" in said()


def test_names_that_are_encrypted_themselves_are_swapped_in_their_cells(site: Site) -> None:
    row = site.saved(site.Hidden, b"one")
    site.rotate()
    out = said("strongroom.Hidden")
    assert "the files of strongroom.Hidden.page: 1 moved, 0 remain" in out
    assert "the files of strongroom.Hidden.other: 1 moved, 0 remain" in out
    again = site.Hidden.objects.get(pk=row.pk)
    assert (text(again.page), text(again.other)) == (b"one", b"other")
    assert again.page.name != row.page.name
    assert site.Hidden.objects.get(other=again.other.name).pk == row.pk  # the index went along
    assert len(storages["memory"].listdir("")[1]) == 2


def test_a_file_that_was_replaced_while_it_was_read_stays(site: Site) -> None:
    row = site.saved(site.Scan, b"old")
    storage: Any = row.page.storage
    start = storage.start_of("a.txt")
    site.rotate()

    def interfering() -> Iterator[bytes]:
        yield from storage.sealed("a.txt", ContentFile(b"old"))
        storage.delete("a.txt")
        assert storage.save("a.txt", ContentFile(b"newer")) == "a.txt"

    assert not switching.switch(site.directory / "a.txt", interfering(), instead_of=start)
    assert text(storage.open("a.txt")) == b"newer"

    def deleting() -> Iterator[bytes]:
        yield from storage.sealed("a.txt", ContentFile(b"old"))
        storage.delete("a.txt")

    assert not switching.switch(site.directory / "a.txt", deleting(), instead_of=storage.start_of("a.txt"))
    assert list(site.directory.iterdir()) == []  # what was deleted does not come back


def test_a_row_that_was_given_another_file_meanwhile_keeps_it(site: Site) -> None:
    row = site.saved(site.Remote, b"old")
    storage: Any = storages["memory"]
    site.rotate()

    def other(saved: str) -> None:
        made = site.Remote.objects.get(pk=row.pk)
        made.page.save("b.txt", ContentFile(b"newer"))

    storage.inner.interfere = other
    assert "Remote.page: 0 moved, 0 remain" in said("strongroom.Remote.page")
    assert text(site.Remote.objects.get(pk=row.pk).page) == b"newer"
    assert len(storage.listdir("scans")[1]) == 2  # the old file, which nobody deleted, and the newer: no copy of ours


def test_files_go_on_being_replaced_meanwhile_and_none_is_lost(site: Site) -> None:
    rows = [site.saved(site.Scan, b"0", f"{n}.txt") for n in range(6)]
    storage: Any = storages["directory"]
    written = {row.page.name: b"0" for row in rows}
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            name = f"{turn % 6}.txt"
            storage.delete(name)
            assert storage.save(name, ContentFile(b"%d" % turn)) == name
            written[name] = b"%d" % turn
        connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            site.rotate()
            move_files(site.column(site.Scan), "default", FileMover(storage))
    finally:
        stop.set()
        writer.join()
    assert {name: text(storage.open(name)) for name in written} == written
    assert "remain" in said()


def test_two_rows_of_one_file_both_keep_it(site: Site) -> None:
    one = site.saved(site.Remote, b"shared")
    two = site.Remote.objects.create(page=one.page.name)
    site.rotate()
    said()
    for row in (one, two):
        assert text(site.Remote.objects.get(pk=row.pk).page) == b"shared"
    assert not storages["memory"].exists(one.page.name)


@pytest.mark.parametrize("where", ["Scan", "Remote"])
def test_one_that_was_stopped_goes_on_where_it_stopped(site: Site, where: str) -> None:
    model = getattr(site, where)
    rows = [site.saved(model, b"%d" % n) for n in range(5)]
    site.rotate()
    column = site.column(model)
    moved = 0

    class Stopping(FileMover):
        def move(self, *arguments: Any) -> Any:
            nonlocal moved
            if moved == 3:
                raise KeyboardInterrupt
            moved += 1
            return super().move(*arguments)

    with pytest.raises(KeyboardInterrupt):
        move_files(column, "default", Stopping(column.storage))
    assert f"{where}.page: 2 would be moved; 3 are under the primary" in said("--dry-run", status=WORK_REMAINS)
    assert f"{where}.page: 2 moved, 0 remain" in said()
    assert [text(model.objects.get(pk=row.pk).page) for row in rows] == [b"%d" % n for n in range(5)]


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(site: Site) -> None:
    import fcntl

    site.saved(site.Scan, b"one")
    site.rotate()
    dead, living = (site.directory / f".strongroom-{n}.new" for n in "12")
    dead.write_bytes(b"half")
    with living.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said()
        assert not dead.exists()
        assert living.exists()


def test_what_does_not_open_is_told_and_left_and_remains(site: Site) -> None:
    row, gone = site.saved(site.Scan, b"one"), site.saved(site.Scan, b"two", "gone.txt")
    site.rotate()
    path = site.directory / "a.txt"
    flipped = path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])
    path.write_bytes(flipped)
    (site.directory / "gone.txt").unlink()
    out = said(status=WORK_REMAINS)
    assert "Scan.page: 0 moved, 1 remain" in out
    assert f"Scan.page: 1 do not open: {row.pk}\n" in out
    assert path.read_bytes() == flipped
    assert gone.page.name not in out  # there is nothing that could be moved


def test_files_that_no_row_names_are_moved_in_a_directory_and_told_elsewhere(site: Site) -> None:
    storages["directory"].save("deep/er/stray", ContentFile(b"1"))
    storages["memory"].save("stray", ContentFile(b"2"))
    site.rotate()
    out = said(status=WORK_REMAINS)
    assert "the files of STORAGES['directory']: 1 moved, 0 remain" in out
    assert "the files of STORAGES['memory']: 0 moved, 1 remain" in out
    assert "what no row names" in out
    assert text(storages["directory"].open("deep/er/stray")) == b"1"


def test_files_of_a_compromised_version_move_only_when_told_to(site: Site) -> None:
    row = site.saved(site.Scan, b"one")
    site.rotate()
    site.keystore.compromise(FILES, 1, reason="a laptop was stolen")
    assert "1 do not open" in said(status=WORK_REMAINS)
    assert "Scan.page: 1 moved, 0 remain" in said("--compromised-too")
    assert text(row.page.storage.open("a.txt")) == b"one"


@pytest.mark.parametrize("directory", [True, False])
def test_a_storage_that_overwrites_is_moved_when_nobody_writes(site: Site, tmp_path: Path, directory: bool) -> None:
    inner: Storage = Overwriting()
    if directory:
        inner = FileSystemStorage(location=tmp_path / "over", allow_overwrite=True)
    storage = EncryptedStorage(storage=inner, keyset=FILES)
    field: Any = site.Scan._meta.get_field("page")
    before, field.storage = field.storage, storage
    try:
        row = site.saved(site.Scan, LONG)
        site.rotate()
        told = refused("strongroom.Scan")
        assert "overwrites" in told
        assert "--no-writers" in told
        assert site.version(storage, "a.txt") == 1
        assert "Scan.page: 1 moved, 0 remain" in said("strongroom.Scan", "--no-writers")
        assert site.Scan.objects.get(pk=row.pk).page.name == "a.txt"
        assert text(storage.open("a.txt")) == LONG
        assert site.version(storage, "a.txt") == 2
    finally:
        field.storage = before


def test_a_version_that_files_are_under_is_not_destroyed(site: Site) -> None:
    site.saved(site.Scan, b"one")
    site.saved(site.Remote, b"two")
    storage = EncryptedStorage(storage=InMemoryStorage(), keyset=FILES)  # one that STORAGES does not name
    field: Any = site.Scan._meta.get_field("page")
    before, field.storage = field.storage, storage
    try:
        site.saved(site.Scan, b"three", "c.txt")
        site.rotate()
        uses = {use for use in site.keystore.uses(FILES) if use.version == 1}
        assert uses == {
            Use(place="the files of STORAGES['directory']", version=1, count=1),
            Use(place="the files of STORAGES['memory']", version=1, count=1),
            Use(place="the files of strongroom.Scan.page", version=1, count=1),
        }
    finally:
        field.storage = before
    with pytest.raises(PolicyError, match=r"still protects data: version 1 in the files of STORAGES\['directory'\]"):
        schedule(site.keystore, FILES, 1, reason="old")
    said()
    schedule(site.keystore, FILES, 1, reason="old")


def test_a_file_that_goes_while_they_are_counted_hides_no_other(site: Site) -> None:
    """A count that stopped there would let a version be destroyed that other files are under."""
    storage: Any = storages["directory"]
    for name in ("a", "b", "c"):
        storage.save(name, ContentFile(b"x"))
    (site.directory / "b").unlink()
    (site.directory / "b").symlink_to("nowhere")  # it is listed, and is not there
    (use,) = site.keystore.uses(FILES)
    assert use.count == 2


def test_a_report_counts_files_by_version_and_machines_get_json(site: Site) -> None:
    site.saved(site.Scan, b"one")
    site.rotate()
    site.saved(site.Scan, b"two")
    out = said("--report")
    assert "the files of strongroom.Scan.page: files version 1: 1\n" in out
    assert "the files of strongroom.Scan.page: files version 2 (primary): 1\n" in out
    assert "the files of STORAGES['directory']: files version 1: 1\n" in out
    assert "the files of strongroom.Remote.page: none\n" in out
    told = json.loads(said("--json"))
    mine = next(each for each in told if each.get("files") == "strongroom.Scan.page")
    assert (mine["moved"], mine["remaining"], mine["broken"], mine["database"]) == (1, 0, 0, "default")
    assert mine["versions"] == [{"keyset": FILES, "version": 2, "primary": True, "count": 2}]


def test_what_nothing_protects_is_not_moved(site: Site) -> None:
    row = site.saved(site.Scan, b"one")
    site.rotate()
    site.keystore.suspend(FILES, 2, reason="looking into it")
    assert "suspended" in refused("strongroom.Scan")
    assert text(row.page.storage.open("a.txt")) == b"one"
