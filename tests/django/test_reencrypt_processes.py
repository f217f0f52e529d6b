"""Re-encryption by several processes: the work is shared, a killed one's is done by another, and nothing is lost."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, Storage, storages
from django.db import connections
from django.test import override_settings

from strongroom.django.file_moving import FileMover
from strongroom.django.file_workforce import move_all_files, move_all_listed
from strongroom.django.reencryption import Moved, Tell
from strongroom.django.storage import EncryptedStorage
from strongroom.django.stored import listed_files
from strongroom.django.workforce import Part, share
from strongroom.errors import StateError, StoreError
from tests.django.file_sites import FILES, KILL, READERS, Directory, Elsewhere, Site, file_site, said, text

COUNT = 12


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with file_site(tmp_path) as made:
        yield made


ROOT = InMemoryStorage()


class Common(InMemoryStorage):
    """Memory that all instances have in common: a new one sees what the others saved, where it is of their process."""

    def __init__(self) -> None:
        super().__init__()
        vars(self).update(vars(ROOT))


@pytest.fixture(params=["directory", "elsewhere"])
def storage(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> Iterator[EncryptedStorage]:
    """A storage that processes share, which the scans lie in."""
    place = tmp_path / "shared"
    place.mkdir()
    inner: Storage = Directory(location=str(place)) if request.param == "directory" else Elsewhere(str(place))
    with scans_in(site, inner) as made:
        yield made


class scans_in:  # noqa: N801  read as a word
    """Have the files of Scan in this storage."""

    def __init__(self, site: Site, inner: Storage) -> None:
        self._field: Any = site.Scan._meta.get_field("page")
        self._storage = EncryptedStorage(storage=inner, keyset=FILES)

    def __enter__(self) -> EncryptedStorage:
        self._before, self._field.storage = self._field.storage, self._storage
        return self._storage

    def __exit__(self, *_: object) -> None:
        self._field.storage = self._before


def scans(site: Site) -> list[Any]:
    return [site.saved(site.Scan, b"%d" % n, f"{n}.txt") for n in range(COUNT)]


def contents(site: Site) -> list[bytes]:
    return [text(row.page) for row in site.Scan.objects.order_by("pk")]


WHOLE = [b"%d" % n for n in range(COUNT)]


def moved_by(site: Site, storage: EncryptedStorage, processes: int) -> Moved:
    told = Moved()
    done = move_all_files(
        site.column(site.Scan), "default", FileMover(storage), processes=processes, tell=lambda moved: told.add(moved)
    )
    assert done == told
    return done


def left_in(storage: EncryptedStorage) -> int:
    return len(set(storage.listdir("")[1]) - {KILL, READERS})


@pytest.mark.parametrize("processes", [2, 5])
def test_files_are_shared_by_processes_and_each_is_moved_once(
    site: Site, storage: EncryptedStorage, tmp_path: Path, processes: int
) -> None:
    scans(site)
    site.rotate()
    done = moved_by(site, storage, processes)
    assert (done.read, done.moved, done.missed, done.broken) == (COUNT, COUNT, 0, 0)
    readers = dict(reversed(line.split()) for line in (tmp_path / "shared" / READERS).read_text().splitlines())
    shares = Counter(readers[f"{n}.txt"] for n in range(COUNT))
    assert len(shares) == processes
    assert max(shares.values()) <= COUNT // processes + 1
    assert contents(site) == WHOLE
    assert {site.version(storage, row.page.name) for row in site.Scan.objects.all()} == {2}
    assert left_in(storage) == COUNT  # no copy was left


def test_a_killed_processs_files_are_moved_by_another(site: Site, storage: EncryptedStorage, tmp_path: Path) -> None:
    scans(site)
    site.rotate()
    (tmp_path / "shared" / KILL).write_text("1.txt\n7.txt\n")
    done = moved_by(site, storage, 3)
    assert done.broken == 0
    assert contents(site) == WHOLE
    assert {site.version(storage, row.page.name) for row in site.Scan.objects.all()} == {2}
    assert left_in(storage) == COUNT
    assert "Scan.page: 0 moved, 0 remain" in said("strongroom.Scan")


def test_where_the_second_is_killed_too_that_is_told_and_the_next_run_goes_on(
    site: Site, storage: EncryptedStorage, tmp_path: Path
) -> None:
    scans(site)
    site.rotate()
    (tmp_path / "shared" / KILL).write_text("1.txt\n1.txt\n")
    with pytest.raises(StoreError, match="1 of 2 processes died"):
        moved_by(site, storage, 2)
    assert contents(site) == WHOLE
    assert "Scan.page: 6 moved, 0 remain" in said("strongroom.Scan", "--processes", "2")
    assert contents(site) == WHOLE


def test_a_listing_is_shared_by_names(site: Site, storage: EncryptedStorage) -> None:
    if isinstance(storage.inner, Elsewhere):
        return  # what no row names is moved in a directory only
    for number in range(COUNT):
        storage.save(f"{number % 3}/{number}.txt", ContentFile(b"%d" % number))
    site.rotate()
    done = move_all_listed(FileMover(storage), lambda: listed_files("directory", storage), processes=4)
    assert (done.moved, done.read) == (COUNT, COUNT)
    assert [text(storage.open(f"{number % 3}/{number}.txt")) for number in range(COUNT)] == WHOLE


def test_files_that_only_one_process_would_have_are_moved_by_one(site: Site) -> None:
    rows = [site.saved(site.Remote, b"%d" % n) for n in range(4)]
    with scans_in(site, Common()) as common:
        scans(site)
        site.rotate()
        assert "Remote.page: 4 moved, 0 remain" in said("strongroom.Remote", "--processes", "3")
        assert "Scan.page: 12 moved, 0 remain" in said("strongroom.Scan", "--processes", "3")
        assert contents(site) == WHOLE
        assert left_in(common) == COUNT
    assert [text(site.Remote.objects.get(pk=row.pk).page) for row in rows] == [b"%d" % n for n in range(4)]
    assert len(storages["memory"].listdir("scans")[1]) == 4
    assert storages["memory"].listdir("")[1] == []  # what was tried with is gone


def test_encrypted_names_are_swapped_by_several_processes(site: Site, tmp_path: Path) -> None:
    elsewhere = {"BACKEND": f"{Elsewhere.__module__}.Elsewhere", "OPTIONS": {"place": str(tmp_path / "elsewhere")}}
    ours = {
        "BACKEND": "strongroom.django.storage.EncryptedStorage",
        "OPTIONS": {"storage": elsewhere, "keyset": FILES},
    }
    with override_settings(STORAGES={"memory": ours}):
        before = [site.Hidden._meta.get_field(name).storage for name in ("page", "other")]
        for name in ("page", "other"):
            site.Hidden._meta.get_field(name).storage = storages["memory"]
        try:
            rows = [site.saved(site.Hidden, b"%d" % n, f"{n}.txt") for n in range(5)]
            site.rotate()
            out = said("strongroom.Hidden", "--processes", "2")
            assert "the files of strongroom.Hidden.page: 5 moved, 0 remain" in out
            assert "the files of strongroom.Hidden.other: 5 moved, 0 remain" in out
            for number, row in enumerate(rows):
                again = site.Hidden.objects.get(pk=row.pk)
                assert (text(again.page), text(again.other)) == (b"%d" % number, b"other")
        finally:
            for name, held in zip(("page", "other"), before, strict=True):
                site.Hidden._meta.get_field(name).storage = held


def test_a_file_that_rows_of_several_processes_name_is_kept_for_all(site: Site, storage: EncryptedStorage) -> None:
    first = site.saved(site.Scan, b"shared")
    for _ in range(7):
        site.Scan.objects.create(page=first.page.name)
    site.rotate()
    assert "0 remain" in said("strongroom.Scan", "--processes", "4")
    assert contents(site) == [b"shared"] * 8
    assert {site.version(storage, row.page.name) for row in site.Scan.objects.all()} == {2}
    assert left_in(storage) == len({row.page.name for row in site.Scan.objects.all()})


def test_what_one_of_them_raises_is_raised(site: Site, storage: EncryptedStorage) -> None:
    scans(site)
    site.rotate()
    site.keystore.suspend(FILES, 2, reason="looking into it")
    with pytest.raises(StateError, match="suspended"):
        moved_by(site, storage, 2)
    assert contents(site) == WHOLE


def test_what_the_site_saves_while_processes_move_stays(site: Site, storage: EncryptedStorage) -> None:
    """Files that the site replaces meanwhile are its newer ones, whichever process came to them."""
    rows = scans(site)
    for turn in range(3):
        site.rotate()

        def save(moved: Moved, turn: int = turn) -> None:
            row = site.Scan.objects.get(pk=rows[turn].pk)
            row.page.save(f"new{turn}.txt", ContentFile(b"new %d" % turn))
            connections.close_all()

        move_all_files(site.column(site.Scan), "default", FileMover(storage), processes=3, tell=save)
    assert "Scan.page: " in said("strongroom.Scan")
    assert contents(site) == [b"new 0", b"new 1", b"new 2", *WHOLE[3:]]


def killed_at_first(marker: Path) -> Part:
    """A part that is killed half way, the first time."""

    def part(tell: Tell) -> None:
        tell(Moved(read=1, moved=1))
        if marker.exists():
            marker.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        tell(Moved(read=10, moved=2))

    return part


def test_a_killed_processs_part_is_done_by_another_and_what_it_had_told_counts(site: Site, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.touch()
    told: list[Moved] = []
    done = share([killed_at_first(marker), lambda tell: tell(Moved(read=100))], told.append)
    assert (done.read, done.moved) == (112, 4)
    assert sorted(each.read for each in told) == [1, 1, 10, 100]


def test_one_that_fails_by_itself_is_not_done_again(
    site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tries = tmp_path / "tries"

    def failing(tell: Tell) -> None:
        with tries.open("a") as file:
            file.write("1")
        raise ZeroDivisionError("a bug of ours")

    with pytest.raises(StoreError, match="1 of 2 processes died"):
        share([failing, lambda tell: tell(Moved(read=1))], lambda moved: None)
    assert tries.read_text() == "1"
    assert "ZeroDivisionError: a bug of ours" in capfd.readouterr().err  # whoever mends it needs to see where


def test_no_process_outlives_its_parent(site: Site, tmp_path: Path) -> None:
    """Each notices at the next thing it tells that nobody listens; none holds the end that another's parent had."""
    done = tmp_path / "done"

    def endless(tell: Tell) -> None:
        for _ in range(200_000):
            tell(Moved(read=1))
        done.touch()

    def stop(moved: Moved) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        share([endless, endless, endless], stop)  # it waits for all of them
    assert not done.exists()
