"""Which C functions a call came to: how a test sees that something dear was not done, without a clock."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

DERIVING = frozenset({"derive", "load_der_private_key", "load_pem_private_key"})
"""What pays the cost of a key derivation."""


@contextmanager
def called() -> Iterator[set[str]]:
    """The names of the C functions (`derive`, `open`, `load_der_private_key`) that this thread calls in the block."""
    names: set[str] = set()

    def note(frame: FrameType, event: str, function: object) -> None:
        if event == "c_call":
            names.add(getattr(function, "__name__", ""))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield names
    finally:
        sys.setprofile(before)
