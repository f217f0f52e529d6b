"""The witness in a file of this account, outside every repository. A doubt is told, never smoothed over."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from strongroom.errors import StoreError
from strongroom.model.names import KeyId, KeysetName, Revision, RootId, StoreId, format_key_id
from strongroom.model.record import Record
from strongroom.model.states import KeyState
from strongroom.sealing.root import Root
from strongroom.stores.seen import (
    BESIDE,
    HEADER,
    NO_STATES,
    UNKNOWN,
    Difference,
    Mark,
    Seen,
    Verdict,
    Witness,
    differences,
    final_states,
    united,
)
from strongroom.stores.sqlite_file import SqliteFile

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger("strongroom")

VERSION: Final = 1

# `key_ids` are eight digits each, in the order of the versions; `states` are like `1234abcd=compromised`
_SCHEMA: Final = """
CREATE TABLE root (id BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE record (
    name TEXT PRIMARY KEY, revision INTEGER NOT NULL, mac BLOB NOT NULL, key_ids TEXT NOT NULL, states TEXT NOT NULL
) WITHOUT ROWID;
"""
_ONE: Final = "SELECT name, revision, mac, key_ids, states FROM record WHERE name = ?"
_ALL: Final = "SELECT name, revision, mac, key_ids, states FROM record ORDER BY name"
_GROUPS: Final = "SELECT name, revision, mac FROM record WHERE name >= ? AND name < ?"
_AFTER: Final = BESIDE[:-1] + chr(ord(BESIDE[-1]) + 1)
"""What follows on every name that begins with BESIDE."""
_PUT: Final = "INSERT OR REPLACE INTO record (name, revision, mac, key_ids, states) VALUES (?, ?, ?, ?, ?)"
_ROOTS: Final = "SELECT id, number FROM root"
_PUT_ROOT: Final = "INSERT OR REPLACE INTO root (id, number) VALUES (?, ?)"
_DROP_ROOTS: Final = "DELETE FROM root WHERE number = ?"
_DROP_LATER: Final = "DELETE FROM root WHERE number > ?"
_MANY: Final = 200
"""From so many records on, one question for all rows is quicker than one for each."""
_REPAIR: Final = (
    "'git log' tells whether the store is as it should be; 'strongroom witness accept' then begins a new memory"
)

_Row = tuple[str, int, bytes, str, str]


class FileWitness:
    """What this checkout has seen of one store. The file is made when something is learned, not before."""

    absence = ""

    def __init__(self, path: Path, *, store: StoreId, others: Callable[[], Sequence[str]] = tuple) -> None:
        """`others` tells how the names of witnesses for other places end, whose stores are rivals of this one."""
        self.path = path
        self._store = store
        self._others = others
        self._file = SqliteFile(path, what="the witness", version=VERSION, schema=_SCHEMA, repair=_REPAIR)

    def __repr__(self) -> str:
        return f"<witness {self.location!r}>"

    @property
    def location(self) -> str:
        """The file."""
        return str(self.path)

    @property
    def wait(self) -> float:
        """Seconds to wait for another process that is writing."""
        return self._file.wait

    @wait.setter
    def wait(self, seconds: float) -> None:
        self._file.wait = seconds

    def set_aside(self) -> Path | None:
        """Give a damaged memory another name, and begin anew; the new name of the old one."""
        aside = self._file.set_aside()
        if aside is not None:
            log.warning("witness=%s kept=%s event=witness-set-aside", ascii(self.location), ascii(str(aside)))
        return aside

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        self._file.close()

    # -- records ----------------------------------------------------------------------------------------------------

    def check(self, record: Record) -> Verdict:
        """Compare one record with what was seen, and learn it if it is news."""
        verdict, is_news = self._judged(self._file.row(_ONE, record.keyset.name), record)
        if is_news:
            self._learn((record,))
        return verdict

    def check_all(self, records: Sequence[Record]) -> list[Verdict]:
        """The same for many records, in the same order."""
        # one change in a store of 10,000 keysets asks for one row
        rows = self._rows() if len(records) >= _MANY else None
        verdicts: list[Verdict] = []
        news: list[Record] = []
        for record in records:
            name = record.keyset.name
            verdict, is_news = self._judged(rows.get(name) if rows is not None else self._file.row(_ONE, name), record)
            verdicts.append(verdict)
            if is_news:
                news.append(record)
        if news:
            self._learn(news)
        return verdicts

    def sterner_states(self, name: KeysetName) -> Mapping[KeyId, KeyState]:
        """The versions of a keyset that are known to be compromised or destroyed."""
        row = self._file.row(_ONE, name)
        return NO_STATES if row is None else self._states(row)

    def known_names(self) -> frozenset[KeysetName]:
        """The records that were seen and whose end nobody accepted."""
        return frozenset(KeysetName(row[0]) for row in self._records().values() if row[1])

    def show(self, name: KeysetName | None = None) -> tuple[Seen, ...]:
        """What was seen of the record of this name, if anything; None: everything, by name."""
        if name is None:
            return tuple(self._seen(row) for row in self._records().values())
        row = self._file.row(_ONE, name)
        return () if row is None else (self._seen(row),)

    def accept(self, name: KeysetName, record: Record | None) -> None:
        """Take this record for the newest, older or not; None: take it that there is none. States stay known."""
        with self._file.writing() as connection:
            row = connection.execute(_ONE, (name,)).fetchone()
            known = NO_STATES if row is None else self._states(row)
            gone = (name, 0, b"", "", _spelled(known))
            connection.execute(_PUT, gone if record is None else _learned(record, known))
        log.warning(
            "keyset=%s seen=%s accepted=%s event=witness-accepted",
            name,
            "none" if row is None else row[1],
            "none" if record is None else record.keyset.revision,
        )

    # -- the header and the worker groups, rows among the records ----------------------------------------------------

    def check_mark(self, name: KeysetName, mark: Mark) -> tuple[Difference, ...]:
        """In what the header (HEADER) or a group falls behind what was seen of it; it is learned if it is news."""
        seen = self.seen_mark(name)
        if seen == mark:
            return ()
        found = () if seen is None else seen.differences(mark)
        if not found:
            try:
                with self._file.writing() as connection:
                    held = _mark(connection.execute(_ONE, (name,)).fetchone())
                    if held is None or not held.differences(mark):
                        connection.execute(_PUT, (name, mark.revision, mark.digest, "", ""))
            except StoreError as error:
                log.warning("name=%s error=%s event=witness-not-written", name, ascii(str(error)))
        return found

    def seen_mark(self, name: KeysetName) -> Mark | None:
        """The newest that was seen of it."""
        return _mark(self._file.row(_ONE, name))

    def groups(self) -> Mapping[KeysetName, Mark]:
        """The newest that was seen of each worker group, by the name under which it is remembered."""
        return {
            KeysetName(name): Mark(Revision(number), mac)
            for name, number, mac in self._file.rows(_GROUPS, BESIDE, _AFTER)
        }

    def accept_mark(self, name: KeysetName, mark: Mark) -> None:
        """Take this for the newest, older or not."""
        with self._file.writing() as connection:
            connection.execute(_PUT, (name, mark.revision, mark.digest, "", ""))
        if mark.digest:  # a removal is told by whoever removes
            log.warning("name=%s accepted=%d event=witness-accepted", name, mark.revision)

    # -- roots ------------------------------------------------------------------------------------------------------

    def roots(self) -> Mapping[RootId, int]:
        """The root ids that were seen, with their numbers."""
        return {RootId(found): number for found, number in self._file.rows(_ROOTS)}

    def learn_root(self, root: Root) -> None:
        """From now on this root is ours, and no other one of its number."""
        with self._file.writing() as connection:
            connection.execute(_DROP_ROOTS, (root.number,))
            connection.execute(_PUT_ROOT, (root.id, root.number))

    def accept_root(self, root: Root) -> None:
        """Take this root for the newest: those with greater numbers are forgotten."""
        with self._file.writing() as connection:
            connection.execute(_DROP_LATER, (root.number,))
            connection.execute(_DROP_ROOTS, (root.number,))
            connection.execute(_PUT_ROOT, (root.id, root.number))
        log.warning("root=%s event=witness-accepted-root", root.number)

    def other_stores(self) -> tuple[StoreId, ...]:
        """Other stores that were seen in this very place, or in a rival's: their witnesses end in the same digits."""
        places = dict.fromkeys([self.path.stem.partition("-")[2], *self._others()])
        found = []
        for file in (file for place in places for file in sorted(self.path.parent.glob(f"*-{place}.sqlite"))):
            with contextlib.suppress(ValueError):
                found.append(StoreId(bytes.fromhex(file.stem.partition("-")[0])))
        return tuple(each for each in found if each != self._store)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _records(self) -> dict[str, _Row]:
        return {name: row for name, row in self._rows().items() if name != HEADER and not name.startswith(BESIDE)}

    def _rows(self) -> dict[str, _Row]:
        return {row[0]: row for row in self._file.rows(_ALL)}

    def _judged(self, row: _Row | None, record: Record) -> tuple[Verdict, bool]:
        """What is to be said of a record, and whether it is news."""
        if row is None:
            return UNKNOWN, True
        if row[1] == record.keyset.revision and row[2] == record.mac:
            # the same MAC is the same record, and what it says was learned when it was news
            return (Verdict((), self._states(row)) if row[4] else UNKNOWN), False
        seen = self._seen(row)
        found = differences(seen, record)
        return Verdict(found, seen.states), not found

    def _learn(self, news: Sequence[Record]) -> None:
        """Remember records. What cannot be written down is told and not fatal: nothing newer was forgotten."""
        try:
            with self._file.writing() as connection:
                # asked again under the write lock: another process may have learned something newer meanwhile
                connection.executemany(_PUT, list(self._still_news(_present(connection, news), news)))
        except StoreError as error:
            log.warning("records=%d error=%s event=witness-not-written", len(news), ascii(str(error)))

    def _still_news(self, rows: Mapping[str, _Row], records: Iterable[Record]) -> Iterator[_Row]:
        for record in records:
            row = rows.get(record.keyset.name)
            if self._judged(row, record)[1]:
                yield _learned(record, NO_STATES if row is None else self._states(row))

    def _seen(self, row: _Row) -> Seen:
        name, revision, mac, key_ids, _ = row
        try:
            parsed = frozenset(KeyId(int(text, 16)) for text in key_ids.split())
        except (ValueError, AttributeError, TypeError):
            raise self._unreadable(name) from None
        return Seen(
            name=KeysetName(name), revision=Revision(revision), mac=mac, key_ids=parsed, states=self._states(row)
        )

    def _states(self, row: _Row) -> Mapping[KeyId, KeyState]:
        """The inverse of _spelled."""
        try:
            pairs = [entry.split("=") for entry in row[4].split()]
            return {KeyId(int(key_id, 16)): KeyState(state) for key_id, state in pairs}
        except (ValueError, AttributeError, TypeError):
            raise self._unreadable(row[0]) from None

    def _unreadable(self, name: object) -> Exception:
        return self._file.damaged(f"what it says of {str(name)[:80]!r} was never written by us")


def _mark(row: _Row | None) -> Mark | None:
    return None if row is None else Mark(Revision(row[1]), row[2])


def _present(connection: sqlite3.Connection, news: Sequence[Record]) -> dict[str, _Row]:
    if len(news) >= _MANY:
        found = connection.execute(_ALL).fetchall()
    else:
        found = [connection.execute(_ONE, (record.keyset.name,)).fetchone() for record in news]
    return {row[0]: row for row in found if row is not None}


def _learned(record: Record, known: Mapping[KeyId, KeyState]) -> _Row:
    keyset = record.keyset
    final = final_states(keyset)
    states = _spelled(united(known, final)) if known or final else ""
    key_ids = " ".join([format_key_id(version.key_id) for version in keyset.versions])
    return (keyset.name, keyset.revision, record.mac, key_ids, states)


def _spelled(states: Mapping[KeyId, KeyState]) -> str:
    return " ".join(f"{format_key_id(key_id)}={states[key_id].value}" for key_id in sorted(states))


def _conforms(witness: FileWitness) -> Witness:
    return witness
