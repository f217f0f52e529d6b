"""What every store must do. Inherit a contract in your tests, say how a store is made, and pytest runs the rest.

class TestMyStore(StoreContract):
    def make_store(self) -> Store:
        return MyStore(self.directory)
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strongroom._encoding import Timestamp
from strongroom.errors import (
    ConflictError,
    ExistsError,
    FormatError,
    LockError,
    NotFoundError,
    StrongroomError,
)
from strongroom.model.codec import MAX_RECORD, encode
from strongroom.model.keyset import Keyset
from strongroom.model.names import ID_SIZE, KeyId, KeysetName, Revision, RootId, parse_name
from strongroom.model.policy import Policy
from strongroom.model.record import MAC_SIZE, Record
from strongroom.model.types import KeyType, Prefix, Purpose
from strongroom.model.version import Version
from strongroom.stores.base import Change, Store


def record_of(name: str, revision: int = 1, *, label: str = "") -> bytes:
    """The bytes of a well-formed record. Its MAC is no MAC: a store does not look at it."""
    now = Timestamp(1_790_000_000_000)
    version = Version.added(1, KeyId(0x1234ABCD), sealed=bytes(112), public=None, prefix=Prefix.NONE, now=now)
    keyset = Keyset.created(
        parse_name(name, reserved=True),
        version,
        type=KeyType.FERNET,
        purpose=Purpose.ENCRYPT,
        policy=Policy(rotate_every=None, propagation=None),
        labels={"made-by": label} if label else {},
        now=now,
    )
    record = Record(keyset=keyset.as_revision(Revision(revision)), root=RootId(bytes(ID_SIZE)), mac=bytes(MAC_SIZE))
    return encode(record)


class StoreContract:
    """The promises of `strongroom.stores.base.Store`. Each test has an empty `directory` of its own."""

    directory: Path

    def setup_method(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sr-"))

    def teardown_method(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def make_store(self) -> Store:
        """A new store with no header and no record."""
        raise AssertionError(f"{type(self).__name__} says by no make_store how its stores are made")

    def reopened(self, store: Store) -> Store:
        """The same store, as somebody else opens it. A store that lives in one process gives itself."""
        return store

    # -- records

    def test_a_record_is_read_as_it_was_written(self) -> None:
        store = self.make_store()
        raw = record_of("student-records")
        store.write(_NAME, raw, replaces=None)
        assert store.read(_NAME) == raw
        assert self.reopened(store).read(_NAME) == raw

    def test_a_missing_record_is_not_found(self) -> None:
        store = self.make_store()
        with _raises(NotFoundError):
            store.read(_NAME)
        with _raises(NotFoundError):
            store.stamp(_NAME)

    def test_a_record_that_is_there_is_not_created_again(self) -> None:
        store = self.make_store()
        store.write(_NAME, record_of("student-records"), replaces=None)
        with _raises(ExistsError):
            store.write(_NAME, record_of("student-records", label="second"), replaces=None)
        assert store.read(_NAME) == record_of("student-records")

    def test_a_record_is_replaced_by_who_names_its_revision(self) -> None:
        store = self.make_store()
        store.write(_NAME, record_of("student-records"), replaces=None)
        store.write(_NAME, record_of("student-records", 2), replaces=Revision(1))
        assert store.read(_NAME) == record_of("student-records", 2)

    def test_a_record_is_not_replaced_by_who_names_another_revision(self) -> None:
        store = self.make_store()
        store.write(_NAME, record_of("student-records", 2), replaces=None)
        for wrong in (1, 3):
            with _raises(ConflictError):
                store.write(_NAME, record_of("student-records", 3), replaces=Revision(wrong))
        assert store.read(_NAME) == record_of("student-records", 2)

    def test_a_record_that_is_gone_is_not_replaced(self) -> None:
        store = self.make_store()
        with _raises(ConflictError):
            store.write(_NAME, record_of("student-records", 2), replaces=Revision(1))
        assert store.names() == ()

    def test_the_second_of_two_racing_writers_loses(self) -> None:
        store = self.make_store()
        store.write(_NAME, record_of("student-records"), replaces=None)
        first, second = self.reopened(store), self.reopened(store)
        first.write(_NAME, record_of("student-records", 2, label="first"), replaces=Revision(1))
        with _raises(ConflictError):
            second.write(_NAME, record_of("student-records", 2, label="second"), replaces=Revision(1))
        assert store.read(_NAME) == record_of("student-records", 2, label="first")

    def test_of_many_threads_that_replace_one_revision_one_wins(self) -> None:
        store = self.make_store()
        store.write(_NAME, record_of("student-records"), replaces=None)
        won: list[str] = []
        lost: list[StrongroomError] = []
        together = threading.Barrier(8)

        def write(label: str) -> None:
            together.wait()
            try:
                store.write(_NAME, record_of("student-records", 2, label=label), replaces=Revision(1))
            except ConflictError as error:
                lost.append(error)
            else:
                won.append(label)

        threads = [threading.Thread(target=write, args=(f"thread-{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 7)
        assert store.read(_NAME) == record_of("student-records", 2, label=won[0])

    def test_names_are_sorted_and_hold_segments(self) -> None:
        store = self.make_store()
        assert store.names() == ()
        for name in ("zeta", "a", "billing/api-token", "billing/db/main", "billing", "strongroom.issuer"):
            store.write(KeysetName(name), record_of(name), replaces=None)
        expected = ("a", "billing", "billing/api-token", "billing/db/main", "strongroom.issuer", "zeta")
        assert store.names() == expected
        assert self.reopened(store).names() == expected
        assert store.oddities() == ()

    def test_many_records_are_read_in_the_order_asked_for(self) -> None:
        store = self.make_store()
        assert store.read_many(()) == []
        for name in ("alpha", "deep/er/beta"):
            store.write(KeysetName(name), record_of(name), replaces=None)
        asked = [KeysetName(name) for name in ("deep/er/beta", "missing", "alpha", "deep/missing")]
        assert store.read_many(asked) == [record_of("deep/er/beta"), None, record_of("alpha"), None]

    def test_many_records_are_replaced_each_by_its_revision(self) -> None:
        store = self.make_store()
        store.write_many(())
        names = [KeysetName(name) for name in ("alpha", "deep/er/beta", "deep/gamma")]
        for name in names:
            store.write(name, record_of(name), replaces=None)
        store.write_many([Change(name, record_of(name, 2), Revision(1)) for name in names])
        assert store.read_many(names) == [record_of(name, 2) for name in names]
        with _raises(ConflictError):
            store.write_many([Change(names[0], record_of("alpha", 3), Revision(1))])
        assert self.reopened(store).read(names[0]) == record_of("alpha", 2)

    def test_a_stamp_stays_while_the_record_stays_and_changes_with_it(self) -> None:
        store = self.make_store()
        store.write(_NAME, record_of("student-records"), replaces=None)
        stamp = store.stamp(_NAME)
        store.write(KeysetName("another"), record_of("another"), replaces=None)
        assert store.stamp(_NAME) == stamp
        store.write(_NAME, record_of("student-records", 2), replaces=Revision(1))
        assert store.stamp(_NAME) != stamp

    def test_an_oversize_record_is_refused(self) -> None:
        store = self.make_store()
        with _raises(FormatError):
            store.write(_NAME, b"x" * (MAX_RECORD + 1), replaces=None)
        assert store.names() == ()

    # -- the header

    def test_a_header_is_replaced_by_who_names_the_one_before(self) -> None:
        store = self.make_store()
        with _raises(NotFoundError):
            store.header()
        store.write_header(b"first\n", replaces=None)
        with _raises(ExistsError):
            store.write_header(b"other\n", replaces=None)
        store.write_header(b"second\n", replaces=b"first\n")
        with _raises(ConflictError):
            store.write_header(b"third\n", replaces=b"first\n")
        assert store.header() == b"second\n"
        assert self.reopened(store).header() == b"second\n"

    def test_an_attachment_is_written_and_written_again(self) -> None:
        store = self.make_store()
        with _raises(NotFoundError):
            store.attachment("root.1.gpg")
        store.write_attachment("root.1.gpg", b"\x84one")
        store.write_attachment("root.1.gpg", b"\x84two")
        assert store.attachment("root.1.gpg") == b"\x84two"
        assert not store.lies_open(1)

    def test_a_header_stamp_stays_while_the_header_stays_and_changes_with_it(self) -> None:
        store = self.make_store()
        assert store.header_stamp() is None
        store.write_header(b"first\n", replaces=None)
        stamp = store.header_stamp()
        assert stamp is not None
        store.write(_NAME, record_of("student-records"), replaces=None)
        assert store.header_stamp() == stamp
        store.write_header(b"other\n", replaces=b"first\n")
        assert store.header_stamp() not in {None, stamp}

    def test_an_attachment_is_removed_and_may_be_gone_already(self) -> None:
        store = self.make_store()
        store.write_attachment("root.1.gpg", b"\x84one")
        store.remove_attachment("root.1.gpg")
        store.remove_attachment("root.1.gpg")
        with _raises(NotFoundError):
            store.attachment("root.1.gpg")

    # -- the lock

    def test_a_thread_may_nest_the_lock_and_others_wait_for_it(self) -> None:
        store = self.make_store()
        late: list[StrongroomError] = []

        def other() -> None:
            try:
                with store.lock(wait=0.05):
                    pass
            except LockError as error:
                late.append(error)

        with store.lock(), store.lock():
            store.write(_NAME, record_of("student-records"), replaces=None)
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        assert len(late) == 1
        other()
        assert len(late) == 1

    def test_closing_twice_is_harmless(self) -> None:
        store = self.make_store()
        store.close()
        store.close()


_NAME = KeysetName("student-records")


@contextmanager
def _raises(kind: type[StrongroomError]) -> Iterator[None]:
    """pytest.raises for exactly this class, so that importing the package needs no pytest."""
    raised: StrongroomError | None = None
    try:
        yield
    except StrongroomError as error:
        raised = error
    assert type(raised) is kind, f"{kind.__name__} was promised, not {raised!r}"
