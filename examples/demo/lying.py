"""What lies in the site's database and directory, read past the site, and tried with cryptography's own Fernet."""

from __future__ import annotations

import sqlite3
from base64 import urlsafe_b64encode
from contextlib import closing
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from strongroom.keystore.facade import KeyStore
from strongroom.primitives.secret import SecretBytes


class Data:
    """The directory that the site keeps its data in."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def tokens(self) -> list[bytes]:
        """The column of numbers, row by row."""
        database = f"file:{self.place / 'registrar.sqlite3'}?mode=ro"
        with closing(sqlite3.connect(database, uri=True)) as connection:
            rows = connection.execute("SELECT ssn FROM students_student ORDER BY id").fetchall()
        return [bytes(token) for (token,) in rows]

    def document(self) -> Path:
        """The one document that was uploaded."""
        (found,) = (path for path in (self.place / "documents").rglob("*") if path.is_file())
        return found


def key_of(keystore: KeyStore, name: str, number: int) -> SecretBytes:
    """The material of a version; the keystore is closed."""
    with keystore:
        return keystore.current(name).opened.material(number)


def opens(key: SecretBytes, token: bytes) -> bool:
    """Whether cryptography's own Fernet opens the token with this one key."""
    try:
        Fernet(urlsafe_b64encode(key.reveal())).decrypt(token)
    except InvalidToken:
        return False
    return True
