"""One SQLite file of this account: made whole, private, let go of before a fork. It knows nothing of what is in it."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strongroom.errors import FormatError, NewerFormatError, StoreError

if TYPE_CHECKING:
    import sqlite3

BUSY = 5.0
"""Seconds to wait for another process that is writing."""

# sqlite3_errcode(): SQLITE_ERROR (a table is missing), SQLITE_CORRUPT, SQLITE_NOTADB
_DAMAGED = frozenset({1, 11, 26})


class SqliteFile:
    """A database that is made, from `schema`, at the first writing.

    `what` is its name in messages, `repair` the hint where it is damaged (FormatError). Other trouble is a StoreError.
    No connection lives across a fork: "do not open a database connection, then fork, then try to use [or close] that
    connection in the child" (sqlite.org/howtocorrupt.html section 2.6). Threads may share the object; `wait` is for
    other processes.
    """

    def __init__(self, path: Path, *, what: str, version: int, schema: str, repair: str) -> None:
        self.path = path
        self.wait = BUSY
        self._what = f"{what} {str(path)!r}"
        self._version = version
        self._schema = schema
        self._repair = repair
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        _LIVE.add(self)

    def damaged(self, problem: str) -> FormatError:
        """The error for contents that nobody here wrote."""
        return FormatError(f"{self._what} is damaged: {problem}", hint=self._repair)

    def row(self, statement: str, value: str) -> Any:
        """The first row of an answer; None where there is none, or no file yet."""
        with _LOCK, self._told():
            connection = self._present()
            return None if connection is None else connection.execute(statement, (value,)).fetchone()

    def rows(self, statement: str, *values: object) -> list[Any]:
        """All rows of an answer; none where there is no file yet."""
        with _LOCK, self._told():
            connection = self._present()
            return [] if connection is None else connection.execute(statement, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, under the write lock from its beginning on."""
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

    def set_aside(self) -> Path | None:
        """Give the file another name, which is returned; None where there is no file."""
        self.close()
        if not self.path.exists():
            return None
        number = 1
        while (aside := self.path.with_suffix(f".damaged-{number}")).exists():
            number += 1
        try:
            for ending in ("-wal", "-shm"):  # first: this log must not be played into a new file
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{self.path}{ending}").rename(f"{aside}{ending}")
            return self.path.rename(aside)
        except OSError as error:
            raise StoreError(
                f"cannot set {self._what} aside: {error.strerror}", hint=f"ls -la {self.path.parent}"
            ) from None

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        with _LOCK:
            connection, self._connection = self._connection, None
            if connection is None:
                return
            if self._process == os.getpid():
                _quietly_close(connection)
            else:
                _ABANDONED.append(connection)

    def _present(self) -> sqlite3.Connection | None:
        """The connection; None where there is no file yet: asking makes none."""
        return self._connected() if self._connection is not None or self.path.exists() else None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._process == os.getpid():
            return self._connection
        self.close()  # forked by a program that runs no hooks
        connection = self._open()
        self._process = os.getpid()
        self._connection = connection
        return connection

    def _told(self) -> _Told:
        return _Told(self)

    def _open(self) -> sqlite3.Connection:
        import sqlite3  # 5 ms that a store without a witness need not pay

        self._check_file()
        connection = sqlite3.connect(
            self.path,
            timeout=self.wait,
            isolation_level=None,
            check_same_thread=False,
            factory=_forgettable(),
        )
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            self._check_version(version)
        except BaseException:
            _quietly_close(connection)
            raise
        return connection

    def _check_version(self, version: int) -> None:
        if version > self._version:
            raise NewerFormatError(
                f"{self._what} has format {version}; this Strongroom reads format {self._version}",
                hint="pip install --upgrade strongroom",
            )
        if version != self._version:
            raise self.damaged("it is empty")

    def _check_file(self) -> None:
        """A file that nobody else writes; made here if there is none."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            self._make()
            return
        except OSError as error:
            raise StoreError(f"cannot open {self._what}: {error.strerror}", hint=f"ls -ld {self.path.parent}") from None
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o022:
            raise StoreError(
                f"{self._what} is no regular file, or others may write it", hint=f"ls -la {self.path.parent}"
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
                # The log comes last: what it held would move into the file as it is closed, and a disk that fails then
                # is told to nobody.
                connection.executescript(f"BEGIN; {self._schema} PRAGMA user_version = {self._version}; COMMIT;")
                connection.execute("PRAGMA journal_mode = WAL")
            finally:
                connection.close()
            with contextlib.suppress(FileExistsError):
                os.link(new, self.path)
        except OSError as error:
            raise StoreError(f"cannot make {self._what}: {error.strerror}", hint=f"ls -ld {self.path.parent}") from None
        finally:
            with contextlib.suppress(OSError):
                new.unlink()


class _Told:
    """Whatever SQLite says inside of the block, in our words. (A class: a generator costs 1 µs more.)"""

    __slots__ = ("_file",)

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or kind is None:
            return
        import sqlite3  # as above

        if not isinstance(error, sqlite3.Error):
            return
        self._file.close()
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED or not isinstance(error, sqlite3.OperationalError):
            raise self._file.damaged(str(error)) from None
        raise StoreError(f"{self._file._what}: {error}", hint="'df' and 'ls -la' tell why") from None


@cache
def _forgettable() -> type[sqlite3.Connection]:
    """The class of our connections, made when the first is."""
    import sqlite3  # as above

    # held here: the module's own names may be gone when the last one dies, at exit
    lock, abandoned, close, process = _LOCK, _ABANDONED, _quietly_close, os.getpid

    class Forgettable(sqlite3.Connection):
        """One that whoever forgets to close gets no ResourceWarning of Python 3.13's for: he never heard of its file.

        It sees to that itself: in a cycle of garbage nobody knows whether its owner or it is finalized first.
        """

        def __init__(self, *args: Any, **options: Any) -> None:
            self.process = process()  # before it opens: what does not open is let go of, too
            super().__init__(*args, **options)

        def __del__(self) -> None:
            with lock:  # so that no fork comes while SQLite lets go of it
                if self.process == process():
                    close(self)
                else:
                    abandoned.append(self)  # a parent's: it must not be closed here

    return Forgettable


def _quietly_close(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(Exception):  # sqlite3.Error: there is nothing more to be had from it
        connection.close()


# One lock for all files of the process: a fork waits for the question that is being answered, lets go of every file,
# and both sides open them again.
_LOCK = threading.RLock()
_LIVE: weakref.WeakSet[SqliteFile] = weakref.WeakSet()
_ABANDONED: list[sqlite3.Connection] = []


def _before_fork() -> None:
    _LOCK.acquire()
    for file in list(_LIVE):
        file.close()


os.register_at_fork(before=_before_fork, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)
