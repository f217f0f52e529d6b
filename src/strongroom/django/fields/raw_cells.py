"""What lies in a column of cells, as bytes, whatever type the database gives it. It decides nothing: opening does.

SQLite keeps in any column whatever is written there, so text and numbers may lie among the cells. `bytes(5)` would be
five zeros and `bytes("text")` a TypeError, so nobody but this file turns what was found into bytes.
"""

from __future__ import annotations

from typing import Any


def as_bytes(found: Any) -> bytes:
    """The bytes of something that is not NULL. Text is UTF-8: other software keeps its tokens so."""
    if type(found) is bytes:
        return found
    if isinstance(found, (bytes, bytearray, memoryview)):
        return bytes(found)
    return str(found).encode("utf-8", "surrogateescape")
