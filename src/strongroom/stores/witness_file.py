"""The witness as a SQLite file of this account, outside every repository. A doubt is told, never smoothed over."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from strongroom.errors import FormatError, NewerFormatError, StoreError
from strongroom.model.names import KeyId, KeysetName, Revision, RootId, StoreId, format_key_id
from strongroom.model.record import Record
from strongroom.model.states import KeyState
from strongroom.sealing.root import Root
from strongroom.stores.seen import NO_STATES, UNKNOWN, Seen, Verdict, Witness, differences, final_states, united

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger("strongroom")

VERSION: Final = 1
BUSY: Final = 5.0
"""Seconds to wait for another process that is writing."""

_SCHEMA = """
CREATE TABLE about (store TEXT NOT NULL, checkout TEXT NOT NULL);
CREATE TABLE root (id BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE record (
    name TEXT PRIMARY KEY, revision INTEGER NOT NULL, mac BLOB NOT NULL, key_ids TEXT NOT NULL, states TEXT NOT NULL
) WITHOUT ROWID;
"""
_ONE = "SELECT name, revision, mac, key_ids, states FROM record WHERE name = ?"
_ALL = "SELECT name, revision, mac, key_ids, states FROM record ORDER BY name"
_PUT = "INSERT OR REPLACE INTO record (name, revision, mac, key_ids, states) VALUES (?, ?, ?, ?, ?)"
_MANY = 200
"""From so many records on, one question for all rows is quicker than one for each."""

_Row = tuple[str, int, bytes, str, str]

# sqlite3_errcode(): SQLITE_ERROR (no such table), SQLITE_CORRUPT, SQLITE_NOTADB
_DAMAGED = frozenset({1, 11, 26})


class FileWitness:
    """What this checkout has seen of one store.

    The file is made when something is learned, not before. Threads may share the object. No connection lives across a
    fork: "do not open a database connection, then fork, then use it or close it in the child"
    (sqlite.org/howtocorrupt.html, section 2.6).
    """

    absence = ""

    def __init__(self, path: Path, *, store: StoreId, checkout: str) -> None:
        self.path = path
        self._store = store
        self._checkout = checkout
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        _LIVE.add(self)

    def __repr__(self) -> str:
        return f"<witness {self.location!r}>"

    @property
    def location(self) -> str:
        """The file."""
        return str(self.path)

    # -- records ----------------------------------------------------------------------------------------------------

    def check(self, record: Record) -> Verdict:
        """Compare one record with what was seen, and learn it if it is news."""
        row = self._row(record.keyset.name)
        if row is not None and row[1] == record.keyset.revision and row[2] == record.mac:
            # the same MAC is the same record, and what it says was learned when it was news
            return Verdict((), _states(row[4])) if row[4] else UNKNOWN
        verdict = _verdict(row, record)
        if not verdict.differences:
            self._learn((record,))
        return verdict

    def check_all(self, records: Sequence[Record]) -> list[Verdict]:
        """The same for many records, in the same order."""
        rows = self._rows()
        verdicts: list[Verdict] = []
        news: list[Record] = []
        for record in records:
            row = rows.get(record.keyset.name)
            if row is not None and row[1] == record.keyset.revision and row[2] == record.mac:
                verdicts.append(Verdict((), _states(row[4])) if row[4] else UNKNOWN)
                continue
            verdict = _verdict(row, record)
            if not verdict.differences:
                news.append(record)
            verdicts.append(verdict)
        if news:
            self._learn(news)
        return verdicts

    def sterner_states(self, name: KeysetName) -> Mapping[KeyId, KeyState]:
        """The versions of a keyset that are known to be compromised or destroyed."""
        row = self._row(name)
        return NO_STATES if row is None else _states(row[4])

    def known_names(self) -> frozenset[KeysetName]:
        """The records that were seen and whose end nobody accepted."""
        return frozenset(KeysetName(row[0]) for row in self._rows().values() if row[1])

    def show(self, name: KeysetName | None = None) -> tuple[Seen, ...]:
        """What was seen of the record of this name, if anything; None: everything, by name."""
        if name is None:
            return tuple(_seen(row) for row in self._rows().values())
        row = self._row(name)
        return () if row is None else (_seen(row),)

    def accept(self, name: KeysetName, record: Record | None) -> None:
        """Take this record for the newest, older or not; None: take it that there is none. States stay known."""
        with self._writing() as connection:
            row = connection.execute(_ONE, (name,)).fetchone()
            known = NO_STATES if row is None else _states(row[4])
            if record is None:
                connection.execute(_PUT, (name, 0, b"", "", _spelled(known)))
            else:
                connection.execute(_PUT, _learned(record, known))
        log.warning(
            "keyset=%s seen=%s accepted=%s event=witness-accepted",
            name,
            "none" if row is None else row[1],
            "none" if record is None else record.keyset.revision,
        )

    # -- roots ------------------------------------------------------------------------------------------------------

    def roots(self) -> Mapping[RootId, int]:
        """The root ids that were seen, with their numbers."""
        with self._reading() as connection:
            if connection is None:
                return {}
            return {RootId(found): number for found, number in connection.execute("SELECT id, number FROM root")}

    def learn_root(self, root: Root) -> None:
        """From now on this root is ours."""
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO root (id, number) VALUES (?, ?)", (root.id, root.number))

    def accept_root(self, root: Root) -> None:
        """Take this root for the newest: those with greater numbers are forgotten."""
        with self._writing() as connection:
            connection.execute("DELETE FROM root WHERE number > ?", (root.number,))
            connection.execute("INSERT OR REPLACE INTO root (id, number) VALUES (?, ?)", (root.id, root.number))
        log.warning("root=%s event=witness-accepted-root", root.number)

    def other_stores(self) -> tuple[StoreId, ...]:
        """Other stores that were seen in this very place: their witnesses end in the same digits."""
        _, _, place = self.path.stem.partition("-")
        found = []
        for file in sorted(self.path.parent.glob(f"*-{place}.sqlite")):
            with contextlib.suppress(ValueError):
                found.append(StoreId(bytes.fromhex(file.stem.partition("-")[0])))
        return tuple(each for each in found if each != self._store)

    # -- the file ---------------------------------------------------------------------------------------------------

    def set_aside(self) -> Path | None:
        """Give a damaged memory another name, and begin anew; the new name of the old one."""
        self.close()
        if not self.path.exists():
            return None
        number = 1
        while (aside := self.path.with_suffix(f".damaged-{number}")).exists():
            number += 1
        try:
            for ending in ("-wal", "-shm"):  # first: nobody may play this log into a new file
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{self.path}{ending}").rename(f"{aside}{ending}")
            self.path.rename(aside)
        except OSError as error:
            raise StoreError(f"cannot set {self.location!r} aside: {error.strerror}", hint="ls -la") from None
        log.warning("witness=%s kept=%s event=witness-set-aside", ascii(self.location), ascii(str(aside)))
        return aside

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        with _LOCK:
            connection, self._connection = self._connection, None
            if connection is not None and self._process == os.getpid():
                _quietly_close(connection)

    def _row(self, name: KeysetName) -> _Row | None:
        with self._reading() as connection:
            return None if connection is None else connection.execute(_ONE, (name,)).fetchone()

    def _rows(self) -> dict[str, _Row]:
        with self._reading() as connection:
            return {} if connection is None else {row[0]: row for row in connection.execute(_ALL)}

    def _learn(self, news: Sequence[Record]) -> None:
        """Remember records. What cannot be written down is told and not fatal: nothing newer was forgotten."""
        try:
            with self._writing() as connection:
                # asked again under the write lock: another process may have learned something newer meanwhile
                if len(news) >= _MANY:
                    rows = {row[0]: row for row in connection.execute(_ALL)}
                else:
                    rows = {r.keyset.name: connection.execute(_ONE, (r.keyset.name,)).fetchone() for r in news}
                connection.executemany(_PUT, list(_news(rows, news)))
        except StoreError as error:
            log.warning("records=%d error=%s event=witness-not-written", len(news), ascii(str(error)))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The connection; None where there is no file yet."""
        with _LOCK, self._told():
            yield self._connected() if self._connection is not None or self.path.exists() else None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _LOCK, self._told():
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(Exception):  # SQLite has rolled back already where the disk is full
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever SQLite says, in our words."""
        import sqlite3  # 5 ms that a store without a witness need not pay

        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            self.close()
            if code in _DAMAGED or not isinstance(error, sqlite3.OperationalError):
                raise _damaged(f"the witness {self.location!r} is damaged: {error}") from None
            raise StoreError(f"the witness {self.location!r}: {error}", hint="'df' and 'ls -la' tell why") from None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None:
            if self._process == os.getpid():
                return self._connection
            # forked by a program that runs no hooks: the parent's connection is neither used nor closed here
            _ABANDONED.append(self._connection)
        self._connection = None
        opened = self._open()
        self._process = os.getpid()
        self._connection = opened
        return opened

    def _open(self) -> sqlite3.Connection:
        import sqlite3  # as above

        self._check_file()
        connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            self._check_version(version)
        except BaseException:
            _quietly_close(connection)
            raise
        return connection

    def _check_version(self, version: int) -> None:
        if version > VERSION:
            raise NewerFormatError(
                f"the witness {self.location!r} has format {version}; this Strongroom reads format {VERSION}",
                hint="pip install --upgrade strongroom",
            )
        if version != VERSION:
            raise _damaged(f"the witness {self.location!r} is damaged: it is empty")

    def _check_file(self) -> None:
        """A file of this account that nobody else writes; made here if there is none."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            self._make()
            return
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o022:
            raise StoreError(
                f"the witness {self.location!r} is no regular file, or others may write it",
                hint=f"ls -la {self.path.parent}",
            )

    def _make(self) -> None:
        """A whole new file in one step: of two processes that come together, one makes it, and neither sees a half."""
        import sqlite3  # as above

        new = self.path.with_suffix(f".new-{secrets.token_hex(8)}")
        try:
            # SQLite would make it 0644; its -wal and -shm get the mode of the file
            os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(new, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_SCHEMA)
                connection.execute("INSERT INTO about VALUES (?, ?)", (self._store.hex(), self._checkout))
                connection.execute(f"PRAGMA user_version = {VERSION}")
            finally:
                connection.close()
            with contextlib.suppress(FileExistsError):
                os.link(new, self.path)
        except OSError as error:
            raise StoreError(
                f"cannot make the witness {self.location!r}: {error.strerror}", hint=f"ls -ld {self.path.parent}"
            ) from None
        finally:
            with contextlib.suppress(OSError):
                new.unlink()


def _verdict(row: _Row | None, record: Record) -> Verdict:
    if row is None:
        return UNKNOWN
    seen = _seen(row)
    return Verdict(differences(seen, record), seen.states)


def _news(rows: Mapping[str, _Row | None], records: Iterable[Record]) -> Iterator[_Row]:
    for record in records:
        row = rows.get(record.keyset.name)
        if row is None:
            yield _learned(record, NO_STATES)
            continue
        seen = _seen(row)
        if not differences(seen, record):
            yield _learned(record, seen.states)


def _learned(record: Record, known: Mapping[KeyId, KeyState]) -> _Row:
    keyset = record.keyset
    final = final_states(keyset)
    states = _spelled(united(known, final)) if known or final else ""
    key_ids = " ".join([format_key_id(version.key_id) for version in keyset.versions])
    return (keyset.name, keyset.revision, record.mac, key_ids, states)


def _seen(row: _Row) -> Seen:
    name, revision, mac, key_ids, states = row
    try:
        parsed = frozenset(KeyId(int(text, 16)) for text in key_ids.split())
    except (ValueError, AttributeError, TypeError):
        raise _unreadable(name) from None
    return Seen(name=KeysetName(name), revision=Revision(revision), mac=mac, key_ids=parsed, states=_states(states))


def _states(text: str) -> Mapping[KeyId, KeyState]:
    """The inverse of _spelled."""
    try:
        pairs = (entry.split("=") for entry in text.split())
        return {KeyId(int(key_id, 16)): KeyState(state) for key_id, state in pairs}
    except (ValueError, AttributeError, TypeError):
        raise _unreadable(text) from None


def _spelled(states: Mapping[KeyId, KeyState]) -> str:
    """`1234abcd=compromised 5678cdef=destroyed`."""
    return " ".join(f"{format_key_id(key_id)}={states[key_id].value}" for key_id in sorted(states))


def _unreadable(what: object) -> FormatError:
    return _damaged(f"the witness holds what it never wrote: {str(what)[:80]!r}")


def _damaged(problem: str) -> FormatError:
    hint = "'git log' tells whether the store is as it should be; 'strongroom witness accept' then begins a new memory"
    return FormatError(problem, hint=hint)


def _quietly_close(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(Exception):  # sqlite3.Error: there is nothing more to be had from it
        connection.close()


# One lock for all witnesses of the process: a fork waits for the one that is at work, lets go of every file, and both
# sides begin anew.
_LOCK = threading.RLock()
_LIVE: weakref.WeakSet[FileWitness] = weakref.WeakSet()
_ABANDONED: list[sqlite3.Connection] = []


def _before_fork() -> None:
    _LOCK.acquire()
    for witness in list(_LIVE):
        witness.close()


os.register_at_fork(before=_before_fork, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


def _conforms(witness: FileWitness) -> Witness:
    return witness
