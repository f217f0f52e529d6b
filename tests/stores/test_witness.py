"""The witness remembers what was seen, on every process of the host, and forgets only what a person accepts."""

from __future__ import annotations

import faulthandler
import logging
import os
import sqlite3
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from strongroom.errors import FormatError, NewerFormatError, StoreError
from strongroom.model.codec import encode
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName, StoreId
from strongroom.model.states import KeyState
from strongroom.stores.seen import Cause, NoWitness, Witness
from strongroom.stores.witness import open_witness, witness_directory
from strongroom.stores.witness_file import FileWitness
from tests.stores.builders import added, later, new_keyset, new_root, record_under

ROOT = new_root()
FIRST = new_keyset(ROOT)
SECOND = added(ROOT, FIRST)
THIRD = SECOND.compromise(1, now=later(1), reason="laptop stolen")
NAME = FIRST.name


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "witnesses"


@pytest.fixture
def witness(place: Path, tmp_path: Path) -> FileWitness:
    return opened(place, tmp_path)


def opened(place: Path, checkout: Path) -> FileWitness:
    witness = open_witness(ROOT.store, checkout, setting=place)
    assert isinstance(witness, FileWitness)
    return witness


def causes(witness: Witness, keyset: Keyset) -> list[Cause]:
    return [each.cause for each in witness.check(record_under(ROOT, keyset)).differences]


# -- what it says


def test_a_record_that_was_never_seen_is_fresh_and_learned(witness: FileWitness) -> None:
    assert causes(witness, FIRST) == []
    assert witness.known_names() == {NAME}
    (seen,) = witness.show()
    assert (seen.name, seen.revision, seen.key_ids) == (NAME, 1, FIRST.key_ids)


def test_the_same_record_stays_fresh_and_a_newer_one_is_learned(witness: FileWitness) -> None:
    for keyset in (FIRST, FIRST, SECOND, SECOND, THIRD):
        assert causes(witness, keyset) == []
    assert witness.show(NAME)[0].revision == 3


def test_an_older_record_is_told_and_not_learned(witness: FileWitness, place: Path, tmp_path: Path) -> None:
    causes(witness, SECOND)
    assert causes(witness, FIRST) == [Cause.OLDER, Cause.KEY_MISSING]
    assert causes(opened(place, tmp_path), FIRST) == [Cause.OLDER, Cause.KEY_MISSING]
    assert witness.show(NAME)[0].revision == 2


def test_an_equal_revision_with_another_mac_is_told(witness: FileWitness) -> None:
    causes(witness, SECOND)
    other = SECOND.with_labels({"owner": "mallory"}).as_revision(SECOND.revision)
    assert causes(witness, other) == [Cause.OTHER]


def test_a_newer_record_without_a_version_that_was_seen_is_told_and_not_learned(witness: FileWitness) -> None:
    causes(witness, SECOND)
    branch = added(ROOT, FIRST).with_labels({"branch": "b"})
    assert branch.revision > SECOND.revision
    assert causes(witness, branch) == [Cause.KEY_MISSING]
    assert witness.show(NAME)[0].revision == 2


def test_the_differences_are_sentences_that_name_revisions_and_key_ids(witness: FileWitness) -> None:
    causes(witness, SECOND)
    told = [str(each) for each in witness.check(record_under(ROOT, FIRST)).differences]
    assert told[0] == "revision 1 is here, and revision 2 was seen"
    assert f"{SECOND.version(2).key_id:08x}" in told[1]


def test_states_that_are_final_are_remembered_for_older_records(witness: FileWitness) -> None:
    causes(witness, THIRD)
    verdict = witness.check(record_under(ROOT, SECOND))
    assert verdict.states == {FIRST.version(1).key_id: KeyState.COMPROMISED}
    assert witness.sterner_states(NAME) == verdict.states


def test_states_are_kept_through_newer_records_that_lift_them(witness: FileWitness) -> None:
    causes(witness, THIRD)
    lifted = SECOND.with_labels({"branch": "b"}).with_labels({"branch": "c"})
    assert lifted.revision > THIRD.revision
    assert causes(witness, lifted) == []
    assert witness.sterner_states(NAME) == {FIRST.version(1).key_id: KeyState.COMPROMISED}


def test_many_records_are_judged_like_each_one(witness: FileWitness) -> None:
    keysets = [new_keyset(ROOT, f"many/keyset-{number:03d}") for number in range(300)]
    records = [record_under(ROOT, keyset) for keyset in keysets]
    assert all(not verdict.differences for verdict in witness.check_all(records))
    assert witness.known_names() == {keyset.name for keyset in keysets}
    newer = added(ROOT, keysets[7])
    verdicts = witness.check_all([record_under(ROOT, newer), *records[8:10]])
    assert [verdict.differences for verdict in verdicts] == [(), (), ()]
    found = witness.check_all(records)
    assert [number for number, verdict in enumerate(found) if verdict.differences] == [7]


def test_a_compromise_that_was_seen_is_told_in_bulk_too(witness: FileWitness) -> None:
    causes(witness, THIRD)
    records = [record_under(ROOT, THIRD), record_under(ROOT, SECOND)]
    assert [verdict.states for verdict in witness.check_all(records)] == [witness.sterner_states(NAME)] * 2


# -- accepting


def test_an_accepted_record_is_the_newest_from_then_on(witness: FileWitness) -> None:
    causes(witness, SECOND)
    witness.accept(NAME, record_under(ROOT, FIRST))
    assert causes(witness, FIRST) == []
    assert causes(witness, SECOND) == []


def test_accepting_never_lifts_what_is_final(witness: FileWitness) -> None:
    causes(witness, THIRD)
    witness.accept(NAME, record_under(ROOT, FIRST))
    assert witness.check(record_under(ROOT, FIRST)).states == {FIRST.version(1).key_id: KeyState.COMPROMISED}
    witness.accept(NAME, None)
    assert witness.known_names() == frozenset()
    assert witness.check(record_under(ROOT, FIRST)).states == {FIRST.version(1).key_id: KeyState.COMPROMISED}


def test_accepting_is_logged_as_an_event(witness: FileWitness, caplog: pytest.LogCaptureFixture) -> None:
    causes(witness, SECOND)
    with caplog.at_level(logging.WARNING, logger="strongroom"):
        witness.accept(NAME, record_under(ROOT, FIRST))
    assert "keyset=student-records seen=2 accepted=1 event=witness-accepted" in caplog.text


# -- roots and places


def test_roots_are_remembered_with_their_numbers(witness: FileWitness) -> None:
    assert witness.roots() == {}
    following = new_root(2, store=ROOT.store)
    witness.learn_root(ROOT)
    witness.learn_root(following)
    assert witness.roots() == {ROOT.id: 1, following.id: 2}
    witness.accept_root(ROOT)
    assert witness.roots() == {ROOT.id: 1}


def test_asking_makes_no_file_and_learning_makes_a_private_one(witness: FileWitness, place: Path) -> None:
    assert witness.roots() == {}
    assert witness.known_names() == frozenset()
    assert list(place.iterdir()) == []
    witness.learn_root(ROOT)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in place.iterdir()} == {0o600}
    witness.close()
    assert [file.name for file in place.iterdir()] == [witness.path.name]


def test_another_checkout_of_the_store_has_a_memory_of_its_own(
    witness: FileWitness, place: Path, tmp_path: Path
) -> None:
    causes(witness, SECOND)
    (tmp_path / "other").mkdir()
    assert causes(opened(place, tmp_path / "other"), FIRST) == []


def test_a_checkout_reached_through_a_link_is_the_same(witness: FileWitness, place: Path, tmp_path: Path) -> None:
    causes(witness, SECOND)
    (tmp_path / "link").symlink_to(tmp_path.parent)
    assert Cause.OLDER in causes(opened(place, tmp_path / "link" / tmp_path.name), FIRST)


def test_a_link_in_the_place_of_a_checkout_is_that_place(witness: FileWitness, place: Path, tmp_path: Path) -> None:
    here = tmp_path / "store"
    here.mkdir()
    causes(opened(place, here), SECOND)
    here.rename(tmp_path / "older copy")
    here.symlink_to("older copy")
    assert Cause.OLDER in causes(opened(place, here), FIRST)


def test_other_stores_in_the_same_place_are_known(witness: FileWitness, place: Path, tmp_path: Path) -> None:
    foreign = new_root()
    other = open_witness(foreign.store, tmp_path, setting=place)
    assert other.other_stores() == ()
    witness.learn_root(ROOT)
    assert other.other_stores() == (ROOT.store,)
    assert witness.other_stores() == ()
    elsewhere = open_witness(foreign.store, tmp_path / "elsewhere", setting=place)
    assert elsewhere.other_stores() == ()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"STRONGROOM_STATE": "{}/state", "XDG_STATE_HOME": "{}/xdg", "HOME": "{}"}, "state/witness"),
        ({"XDG_STATE_HOME": "{}/xdg", "HOME": "{}"}, "xdg/strongroom/witness"),
        ({"XDG_STATE_HOME": "relative", "HOME": "{}"}, ".local/state/strongroom/witness"),
        ({"HOME": "{}"}, ".local/state/strongroom/witness"),
    ],
)
def test_the_place_follows_the_settings(environ: dict[str, str], expected: str, tmp_path: Path) -> None:
    filled = {name: value.format(tmp_path) for name, value in environ.items()}
    assert witness_directory(environ=filled) == tmp_path / expected
    witness = open_witness(ROOT.store, tmp_path, environ=filled)
    witness.learn_root(ROOT)
    assert Path(witness.location).parent == tmp_path / expected


def test_without_a_home_there_is_none_and_it_says_so(tmp_path: Path) -> None:
    assert witness_directory(environ={}) is None
    witness = open_witness(ROOT.store, tmp_path, environ={})
    assert isinstance(witness, NoWitness)
    assert "STRONGROOM_STATE" in witness.absence
    witness.learn_root(ROOT)
    assert witness.roots() == {}
    assert causes(witness, SECOND) == causes(witness, FIRST) == []
    assert (witness.location, witness.show(), witness.known_names(), witness.other_stores()) == (
        "",
        (),
        frozenset(),
        (),
    )
    assert len(witness.check_all([record_under(ROOT, FIRST)])) == 1
    assert witness.set_aside() is None
    witness.close()


def test_a_place_that_cannot_be_is_told_and_one_that_was_asked_for_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    environ = {"STRONGROOM_STATE": str(tmp_path / "file")}
    assert witness_directory(environ=environ) is None
    witness = open_witness(ROOT.store, tmp_path, environ=environ)
    assert isinstance(witness, NoWitness)
    assert "file" in witness.absence
    with pytest.raises(StoreError, match="file"):
        open_witness(ROOT.store, tmp_path, setting=tmp_path / "file" / "below")
    assert witness_directory(setting=tmp_path / "file" / "below") is None


def test_a_place_that_everyone_may_write_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(StoreError, match="everyone"):
        open_witness(ROOT.store, tmp_path, setting=shared)
    assert witness_directory(setting=shared) is None


@pytest.mark.machine
def test_a_place_of_another_account_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.fail("this test gives a directory away, and needs root")
    other = tmp_path / "other"
    other.mkdir()
    os.chown(other, 12345, -1)
    with pytest.raises(StoreError, match="another account"):
        open_witness(ROOT.store, tmp_path, setting=other)


# -- processes, threads, forks

CHECK = """
import sys
from pathlib import Path
from strongroom.model.codec import decode
from strongroom.model.names import KeysetName, StoreId
from strongroom.stores.witness import open_witness

raw = Path(sys.argv[3]).read_bytes()
witness = open_witness(StoreId(bytes.fromhex(sys.argv[1])), Path(sys.argv[2]), setting=Path(sys.argv[4]))
for _ in range(int(sys.argv[5])):
    verdict = witness.check(decode(raw, name=KeysetName("student-records")))
print(" ".join(each.cause.value for each in verdict.differences))
"""


def test_processes_that_come_together_share_one_memory(python: str, place: Path, tmp_path: Path) -> None:
    for number, keyset in enumerate((FIRST, SECOND, THIRD)):
        (tmp_path / f"{number}.json").write_bytes(encode(record_under(ROOT, keyset)))
    arguments = [python, "-c", CHECK, ROOT.store.hex(), str(tmp_path)]
    run = [
        subprocess.Popen(
            [*arguments, str(tmp_path / f"{number % 3}.json"), str(place), "20"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(9)
    ]
    told = [each.communicate(timeout=60) for each in run]
    assert [error for _, error in told] == [b""] * 9
    assert [told[number][0].strip() for number in (2, 5, 8)] == [b""] * 3, "the newest is fresh for all"
    witness = opened(place, tmp_path)
    assert witness.show(NAME)[0].revision == 3
    assert witness.sterner_states(NAME) == {FIRST.version(1).key_id: KeyState.COMPROMISED}
    assert len(list(place.glob("*.sqlite"))) == 1


def test_a_slow_process_does_not_turn_the_memory_back(place: Path, tmp_path: Path) -> None:
    slow, quick = opened(place, tmp_path), opened(place, tmp_path)
    causes(slow, FIRST)
    causes(quick, THIRD)
    assert Cause.OLDER in causes(slow, SECOND)
    assert slow.show(NAME)[0].revision == 3


def test_threads_share_one_witness(witness: FileWitness) -> None:
    keysets = [new_keyset(ROOT, f"thread/keyset-{number}") for number in range(8)]
    trouble: list[BaseException] = []

    def learn(keyset: Keyset) -> None:
        try:
            for _ in range(20):
                assert causes(witness, keyset) == []
        except BaseException as error:  # noqa: BLE001  whatever it is, the test reports it
            trouble.append(error)

    threads = [threading.Thread(target=learn, args=(keyset,)) for keyset in keysets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []
    assert witness.known_names() == {keyset.name for keyset in keysets}


def test_no_connection_lives_across_a_fork(witness: FileWitness) -> None:
    causes(witness, FIRST)
    child = os.fork()
    if child == 0:
        held = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
        clean = not any(str(witness.path) in each for each in held)
        os._exit(0 if clean and causes(witness, SECOND) == [] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert Cause.OLDER in causes(witness, FIRST)
    assert causes(witness, SECOND) == []


def test_a_fork_under_busy_threads_leaves_both_sides_working(witness: FileWitness) -> None:
    causes(witness, SECOND)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            causes(witness, FIRST)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                # a child that hangs says where, and ends: nobody waits for it for ever
                faulthandler.dump_traceback_later(60, exit=True)
                os._exit(0 if causes(witness, SECOND) == [] else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert causes(witness, SECOND) == []


# -- a memory in trouble


def test_a_damaged_memory_is_told_with_the_command_that_helps(witness: FileWitness) -> None:
    causes(witness, SECOND)
    witness.close()
    for damage in (b"this is no database, whatever its name says" * 100, b""):
        witness.path.write_bytes(damage)
        for question in (witness.roots, witness.known_names, lambda: causes(witness, FIRST)):
            with pytest.raises(FormatError, match="damaged") as caught:
                question()
            assert "strongroom witness accept" in caught.value.hint


def test_a_memory_that_says_what_it_never_wrote_is_damaged(witness: FileWitness) -> None:
    causes(witness, SECOND)
    witness.close()
    for column, value in (("states", "zzzz"), ("states", "00000001=lost"), ("key_ids", "xyz"), ("key_ids", b"\xff")):
        database = sqlite3.connect(witness.path)
        with database:
            database.execute(f"UPDATE record SET {column} = ?", (value,))  # noqa: S608  two literals
        database.close()
        with pytest.raises(FormatError):
            witness.check(record_under(ROOT, FIRST))
        witness.close()


def test_a_memory_without_its_tables_is_damaged(witness: FileWitness) -> None:
    causes(witness, SECOND)
    witness.close()
    database = sqlite3.connect(witness.path)
    database.execute("DROP TABLE record")
    database.close()
    with pytest.raises(FormatError, match="damaged"):
        witness.check(record_under(ROOT, FIRST))


def test_a_damaged_memory_is_set_aside_and_kept(witness: FileWitness, caplog: pytest.LogCaptureFixture) -> None:
    causes(witness, SECOND)
    witness.close()
    witness.path.write_bytes(b"rubbish" * 1000)
    with caplog.at_level(logging.WARNING, logger="strongroom"):
        aside = witness.set_aside()
    assert aside is not None
    assert aside.read_bytes() == b"rubbish" * 1000
    assert "event=witness-set-aside" in caplog.text
    assert causes(witness, FIRST) == []
    witness.close()
    witness.path.write_bytes(b"again" * 1000)
    assert witness.set_aside() != aside


def test_a_memory_of_a_newer_strongroom_is_left_alone(witness: FileWitness) -> None:
    witness.learn_root(ROOT)
    witness.close()
    database = sqlite3.connect(witness.path)
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(NewerFormatError, match="format 9"):
        witness.roots()


def test_a_memory_that_others_may_write_is_refused(witness: FileWitness) -> None:
    witness.learn_root(ROOT)
    witness.close()
    witness.path.chmod(0o666)
    with pytest.raises(StoreError, match="others"):
        witness.roots()


def test_a_link_in_its_place_is_refused(witness: FileWitness, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"")
    witness.path.symlink_to(tmp_path / "target")
    with pytest.raises(StoreError, match="regular"):
        witness.learn_root(ROOT)


def test_news_that_cannot_be_written_down_is_told_and_the_record_is_fresh(
    witness: FileWitness, caplog: pytest.LogCaptureFixture
) -> None:
    causes(witness, FIRST)
    blocker = sqlite3.connect(witness.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    witness.wait = 0.05
    witness.close()
    try:
        with caplog.at_level(logging.WARNING, logger="strongroom"):
            assert causes(witness, SECOND) == []
        assert "event=witness-not-written" in caplog.text
        with pytest.raises(StoreError, match="locked"):
            witness.learn_root(ROOT)
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    assert causes(witness, SECOND) == []
    assert witness.show(KeysetName(NAME))[0].revision == 2


def test_the_name_of_the_file_is_the_store_and_the_place(witness: FileWitness) -> None:
    store, _, mark = witness.path.stem.partition("-")
    assert StoreId(bytes.fromhex(store)) == ROOT.store
    assert len(mark) == 16
    assert repr(witness) == f"<witness {str(witness.path)!r}>"
