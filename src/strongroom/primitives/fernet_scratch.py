"""Buffers that are used again, so that large messages cost no page faults. What held plaintext is overwritten.

A buffer on the shelf holds ciphertext at most: anyone may take it. (The overwriting spares the plaintext a long life in
a buffer of ours; it is no promise that memory is wiped, which CPython cannot keep.)
"""

from __future__ import annotations

from typing import Final

_KEPT: Final = 4  # buffers, about one a busy thread
_LARGEST: Final = 4 << 20  # bytes; a larger one goes back to the allocator
_ZEROS: Final = bytes(1 << 16)

# no lock: list.pop and list.append are atomic, and a buffer that a forked child finds here is as good as a new one
_shelf: list[bytearray] = []


def take(size: int) -> bytearray:
    """A buffer of at least size bytes, of any content; nobody else has it."""
    try:
        buffer = _shelf.pop()
    except IndexError:
        return bytearray(size)
    return buffer if len(buffer) >= size else bytearray(size)


def give_back(buffer: bytearray) -> None:
    """Keep it for the next message, unless there are enough or it is very large."""
    if len(_shelf) < _KEPT and len(buffer) <= _LARGEST:
        _shelf.append(buffer)


def wipe(buffer: bytearray, size: int) -> None:
    """Overwrite the first size bytes."""
    view = memoryview(buffer)
    for start in range(0, size, len(_ZEROS)):
        stop = min(size, start + len(_ZEROS))
        view[start:stop] = _ZEROS[: stop - start]
