"""How many messages each version protected, as holders of this checkout have counted together. It is never exact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from strongroom.model.names import KeyId, KeysetName, format_key_id, parse_key_id
from strongroom.stores.sqlite_file import SqliteFile

_SCHEMA: Final = """
CREATE TABLE usage (name TEXT, key_id TEXT, messages INTEGER NOT NULL, PRIMARY KEY (name, key_id)) WITHOUT ROWID;
"""
_ADD: Final = (
    "INSERT INTO usage (name, key_id, messages) VALUES (?, ?, ?)"
    " ON CONFLICT (name, key_id) DO UPDATE SET messages = messages + excluded.messages"
)
_ONE: Final = "SELECT messages FROM usage WHERE name = ? AND key_id = ?"
_ALL: Final = "SELECT name, key_id, messages FROM usage"
_SUFFIX: Final = ".usage.sqlite"

Totals = Mapping[tuple[str, KeyId], int]
"""Messages by keyset and version."""


class Usage(Protocol):
    """Where processes add up what they protected. Each method may raise StoreError or FormatError."""

    def add(self, name: KeysetName, key_id: KeyId, messages: int) -> int:
        """Add what this process protected since it told last (0 asks only); what all of them did, together."""
        ...

    def totals(self) -> Totals:
        """What is known of all versions."""
        ...

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        ...


class UsageFile:
    """A file beside the witness: it is this checkout's, and made when something is added, not before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SqliteFile(
            path,
            what="the usage counts",
            version=1,
            schema=_SCHEMA,
            repair=f"remove {str(path)!r}: counting begins anew; rotate what was near its limit",
        )

    @classmethod
    def beside(cls, witness: str) -> UsageFile | None:
        """The counts that belong to a witness's location; None where there is no witness."""
        return cls(Path(witness).with_suffix(_SUFFIX)) if witness else None

    def __repr__(self) -> str:
        return f"<usage counts {str(self.path)!r}>"

    def add(self, name: KeysetName, key_id: KeyId, messages: int) -> int:
        """Add, and give the sum."""
        row = (name, format_key_id(key_id))
        if not messages and not self.path.exists():
            return 0
        with self._file.writing() as connection:
            if messages:
                connection.execute(_ADD, (*row, messages))
            found = connection.execute(_ONE, row).fetchone()
        return 0 if found is None else int(found[0])

    def totals(self) -> Totals:
        """What is known of all versions."""
        return {(name, parse_key_id(key_id)): int(messages) for name, key_id, messages in self._file.rows(_ALL)}

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        self._file.close()


def _conforms(file: UsageFile) -> Usage:
    return file
