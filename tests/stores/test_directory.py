"""The directory keeps the contract, and git, links, other hands and forks do it no harm."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import (
    ConflictError,
    ExistsError,
    FormatError,
    InvalidNameError,
    LockError,
    NotFoundError,
    SettingsError,
    StoreError,
)
from strongroom.model.codec import MAX_RECORD, decode
from strongroom.model.names import KeysetName, Revision, parse_name
from strongroom.stores.base import Store
from strongroom.stores.directory import DirectoryStore
from strongroom.testing.contracts import StoreContract, record_of

NAME = KeysetName("student-records")


class TestDirectoryStore(StoreContract):
    def make_store(self) -> Store:
        return DirectoryStore.create(self.directory / "store")

    def reopened(self, store: Store) -> Store:
        return DirectoryStore(store.location)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.create(tmp_path / ".strongroom")


def put(store: DirectoryStore, name: str) -> Path:
    store.write(KeysetName(name), record_of(name), replaces=None)
    return store.path_of(KeysetName(name))


# -- making it


def test_a_new_store_has_what_git_wants_and_no_header(store: DirectoryStore) -> None:
    top = Path(store.location)
    assert sorted(each.name for each in top.iterdir()) == [".gitattributes", ".gitignore", ".lock", "keysets"]
    assert store.travels_by_git
    with pytest.raises(NotFoundError, match="no store") as caught:
        store.header()
    assert "strongroom init" in caught.value.hint


def test_a_store_is_not_made_where_there_is_one_or_anything_else(tmp_path: Path, store: DirectoryStore) -> None:
    store.write_header(b"header\n", replaces=None)
    with pytest.raises(ExistsError, match="there is a store"):
        DirectoryStore.create(store.location)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("mine")
    with pytest.raises(ExistsError, match="letter"):
        DirectoryStore.create(tmp_path / "home")
    assert [each.name for each in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_records_without_a_header_are_not_taken_for_an_empty_place(store: DirectoryStore) -> None:
    put(store, "student-records")
    with pytest.raises(ExistsError, match="keysets"):
        DirectoryStore.create(store.location)


def test_making_goes_on_where_a_killed_one_stopped(store: DirectoryStore) -> None:
    top = Path(store.location)
    (top / ".gitignore").unlink()
    (top / ".new-0123456789abcdef").write_bytes(b"half")
    DirectoryStore.create(top)
    assert (top / ".gitignore").read_bytes()
    assert not (top / ".new-0123456789abcdef").exists()


def test_a_path_that_none_can_have_is_a_setting_error() -> None:
    with pytest.raises(SettingsError):
        DirectoryStore("a\0b")


def test_an_empty_store_that_git_cloned_has_no_names_and_can_be_written(store: DirectoryStore) -> None:
    (Path(store.location) / "keysets").rmdir()
    assert store.names() == ()
    put(store, "billing/api-token")
    assert store.names() == ("billing/api-token",)


# -- what is on the disk


def test_files_are_for_all_readers_of_the_checkout_whatever_the_umask(store: DirectoryStore) -> None:
    before = os.umask(0o077)
    try:
        path = put(store, "student-records")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_write_leaves_no_temporary_file_and_no_other_change(store: DirectoryStore) -> None:
    put(store, "student-records")
    store.write(NAME, record_of("student-records", 2), replaces=Revision(1))
    found = sorted(str(each.relative_to(store.location)) for each in Path(store.location).rglob("*"))
    assert found == [".gitattributes", ".gitignore", ".lock", "keysets", "keysets/student-records.json"]


def test_what_a_killed_writer_left_is_no_record_and_goes_with_the_next_write(store: DirectoryStore) -> None:
    top = Path(store.location)
    left = top / ".new-0011223344556677"
    left.write_bytes(b"half a record")
    other = top / ".new-and-not-ours"
    other.write_bytes(b"somebody's")
    assert store.names() == ()
    assert store.oddities() == ()
    put(store, "student-records")
    assert not left.exists()
    assert other.exists()


def test_a_plaintext_root_beside_the_sealed_one_is_noticed(store: DirectoryStore) -> None:
    store.write_attachment("root.1.gpg", b"\x84")
    assert not store.lies_open(1)
    (Path(store.location) / "root.1").write_text("plaintext")
    assert store.lies_open(1)
    assert not store.lies_open(2)


@pytest.mark.parametrize(
    "name", ["store.json", "../root.1.gpg", "root.0.gpg", "root.1.gpg\n", "root.1", "a/root.1.gpg"]
)
def test_only_root_files_are_attachments(store: DirectoryStore, name: str) -> None:
    with pytest.raises(StoreError):
        store.write_attachment(name, b"x")
    with pytest.raises(StoreError):
        store.attachment(name)


# -- hostile entries


def test_what_is_no_record_is_listed_apart_and_never_opened(store: DirectoryStore, tmp_path: Path) -> None:
    put(store, "student-records")
    keysets = Path(store.location) / "keysets"
    target = tmp_path / "elsewhere.json"
    target.write_bytes(record_of("linked"))
    (keysets / "linked.json").symlink_to(target)
    (keysets / "linked-directory").symlink_to(tmp_path)
    (keysets / "Upper.json").write_bytes(b"{}")
    (keysets / "notes.txt").write_bytes(b"")
    (keysets / "con.json").write_bytes(b"{}")
    (keysets / "a..b.json").write_bytes(b"{}")
    (keysets / "two\nlines.json").write_bytes(b"{}")
    (keysets / os.fsdecode(b"\xff.json")).write_bytes(b"{}")
    (keysets / "directory.json").mkdir()
    (keysets / ".git").mkdir()
    os.mkfifo(keysets / "pipe.json")
    assert store.names() == ("student-records",)
    assert {each.place: each.problem.split(":")[0] for each in store.oddities()} == {
        "linked.json": "is a symbolic link",
        "linked-directory": "is a symbolic link",
        "Upper.json": "is no record",
        "notes.txt": "does not end in '.json'",
        "con.json": "is no record",
        "a..b.json": "is no record",
        "two\nlines.json": "is no record",
        os.fsdecode(b"\xff.json"): "is no record",
        "directory.json/": "is a directory that no keyset's name leads to",
        ".git/": "is a directory that no keyset's name leads to",
        "pipe.json": "is not a regular file",
    }


@given(st.lists(st.text(alphabet="abc019-_.Zé\n", min_size=1, max_size=70), max_size=8, unique=True))
def test_the_listing_has_exactly_the_names_that_the_law_allows(segments: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="sr-", dir="/tmp") as place:
        store = DirectoryStore.create(Path(place) / "s")
        lawful = set()
        for segment in segments:
            try:
                (Path(store.location) / "keysets" / f"{segment}.json").write_bytes(b"")
            except OSError:
                continue
            with contextlib.suppress(InvalidNameError):
                lawful.add(parse_name(segment, reserved=True))
        assert set(store.names()) == lawful


@pytest.mark.parametrize("deep", [False, True])
def test_a_link_in_a_records_place_is_not_followed(store: DirectoryStore, tmp_path: Path, deep: bool) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "token.json").write_bytes(record_of("billing/token"))
    keysets = Path(store.location) / "keysets"
    if deep:
        (keysets / "billing").symlink_to(target)
    else:
        (keysets / "billing").mkdir()
        (keysets / "billing" / "token.json").symlink_to(target / "token.json")
    name = KeysetName("billing/token")
    with pytest.raises(StoreError, match="link"):
        store.read(name)
    with pytest.raises(StoreError, match="link"):
        store.write(name, record_of("billing/token", 2), replaces=Revision(1))
    assert (target / "token.json").read_bytes() == record_of("billing/token")


def test_a_linked_directory_of_records_is_neither_read_nor_written(store: DirectoryStore, tmp_path: Path) -> None:
    keysets = Path(store.location) / "keysets"
    keysets.rmdir()
    (tmp_path / "outside").mkdir()
    keysets.symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError):
        store.names()
    with pytest.raises(StoreError):
        store.write(NAME, record_of("student-records"), replaces=None)
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_in_place_of_header_or_lock_is_refused(store: DirectoryStore, tmp_path: Path) -> None:
    top = Path(store.location)
    (tmp_path / "secret").write_text("not ours")
    (top / "store.json").symlink_to(tmp_path / "secret")
    with pytest.raises(StoreError, match="link"):
        store.header()
    (top / ".lock").unlink()
    (top / ".lock").symlink_to(tmp_path / "made-by-link")
    with pytest.raises(StoreError, match="lock"):
        put(store, "student-records")
    assert not (tmp_path / "made-by-link").exists()


def test_a_pipe_or_a_directory_in_a_records_place_does_not_hold_us_up(store: DirectoryStore) -> None:
    os.mkfifo(store.path_of(NAME))
    assert store.read(NAME) == b""  # no codec lets that through
    store.path_of(NAME).unlink()
    store.path_of(NAME).mkdir()
    with pytest.raises(StoreError, match="directory"):
        store.read(NAME)


def test_a_file_of_any_size_is_read_up_to_the_limit(store: DirectoryStore) -> None:
    path = put(store, "student-records")
    for size in (8191, 8192, 8193, MAX_RECORD):
        path.write_bytes(b"x" * size)
        assert len(store.read(NAME)) == size
    path.write_bytes(b"x" * (MAX_RECORD + 1))
    with pytest.raises(FormatError, match="limit"):
        store.read(NAME)
    with pytest.raises(FormatError, match="limit"):
        store.read_many([NAME])


def test_a_record_that_cannot_be_read_is_not_overwritten(store: DirectoryStore) -> None:
    path = put(store, "student-records")
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"\n", b"\r\n"))
    with pytest.raises(FormatError):
        store.write(NAME, record_of("student-records", 2), replaces=Revision(1))
    with pytest.raises(ExistsError):
        store.write(NAME, record_of("student-records"), replaces=None)
    assert path.read_bytes() == raw.replace(b"\n", b"\r\n")


def test_a_store_that_is_gone_is_told_as_it_is(store: DirectoryStore, tmp_path: Path) -> None:
    Path(store.location).rename(tmp_path / "moved")
    for question in (store.names, store.header, lambda: store.read(NAME), lambda: store.stamp(NAME)):
        with pytest.raises(NotFoundError):
            question()
    with pytest.raises(StoreError):
        store.write(NAME, record_of("student-records"), replaces=None)


# -- the lock


def test_a_lock_file_that_git_clean_removed_keeps_nobody_out_and_lets_nobody_slip_in(store: DirectoryStore) -> None:
    with store.lock():
        (Path(store.location) / ".lock").unlink()
        put(store, "student-records")
    other = DirectoryStore(store.location)
    with store.lock(), pytest.raises(LockError), other.lock(wait=0.05):
        raise AssertionError("two writers at once")


def test_a_child_forked_under_the_lock_neither_holds_nor_keeps_it(store: DirectoryStore) -> None:
    told, tell = os.pipe()
    go, start = os.pipe()
    with store.lock():
        child = os.fork()
        if child == 0:
            answer = b"?"
            try:
                with store.lock(wait=0.05):
                    answer = b"held"
            except LockError:
                answer = b"waited"
            os.write(tell, answer)
            os.read(go, 1)  # live on, so that a shared lock would show
            os._exit(0)
        assert os.read(told, 10) == b"waited"
    try:
        with DirectoryStore(store.location).lock(wait=1):
            pass
        with store.lock(wait=1):
            pass
    finally:
        os.write(start, b"x")
        os.waitpid(child, 0)
        for file in (told, tell, go, start):
            os.close(file)


def test_a_child_forked_while_a_thread_held_the_lock_may_write(store: DirectoryStore) -> None:
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with store.lock():
            holding.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(60)
    child = os.fork()
    if child == 0:
        with contextlib.ExitStack() as at_the_end:
            at_the_end.callback(os._exit, 1)
            store.write(NAME, record_of("student-records"), replaces=None)  # waits for the parent's thread
            os._exit(0)
    release.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.read(NAME) == record_of("student-records")


WRITER = """
import sys
from strongroom.errors import ConflictError
from strongroom.model.codec import decode
from strongroom.model.names import KeysetName, Revision
from strongroom.stores.directory import DirectoryStore
from strongroom.testing.contracts import record_of

store, name, done, lost = DirectoryStore(sys.argv[1]), KeysetName("student-records"), 0, 0
while done < 5:
    revision = decode(store.read(name), name=name).keyset.revision
    try:
        store.write(name, record_of(name, revision + 1), replaces=Revision(revision))
        done += 1
    except ConflictError:
        lost += 1
print(lost)
"""


def test_twenty_writing_processes_lose_no_update(store: DirectoryStore, python: str) -> None:
    put(store, "student-records")
    writers = [
        subprocess.Popen([python, "-c", WRITER, store.location], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(20)
    ]
    outcomes = [writer.communicate(timeout=120) for writer in writers]
    assert [(writer.returncode, told[1]) for writer, told in zip(writers, outcomes, strict=True)] == [(0, b"")] * 20
    assert decode(store.read(NAME), name=NAME).keyset.revision == 1 + 20 * 5


def test_who_waited_too_long_is_told_the_lock_that_he_waited_for(store: DirectoryStore) -> None:
    other = DirectoryStore(store.location)
    with store.lock(), pytest.raises(LockError, match=r"\.lock") as caught, other.lock(wait=0.01):
        raise AssertionError("two writers at once")
    assert isinstance(caught.value, ConflictError)
