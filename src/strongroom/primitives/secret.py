"""Secret bytes: one type for material, and one word, reveal, that lets it out."""

from __future__ import annotations

from typing import NoReturn


class SecretBytes:
    """Bytes that do not show themselves.

    `repr` and `str` give the length only. Pickling, copying, iterating and hashing are refused; comparison is in
    constant time. CPython cannot wipe memory, and this class does not claim to: it keeps material out of logs,
    tracebacks, debug pages and caches.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        self._raw = bytes(raw)

    def reveal(self) -> bytes:
        """The bytes themselves. Call it at the primitive that needs them and nowhere else."""
        return self._raw

    def __len__(self) -> int:
        return len(self._raw)

    def __repr__(self) -> str:
        return f"<{len(self._raw)} secret bytes>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretBytes):
            return NotImplemented
        from hmac import compare_digest  # brings OpenSSL: 8 ms that `blackbox cat`, which compares nothing, is spared

        return compare_digest(self._raw, other._raw)

    __hash__ = None  # type: ignore[assignment]  # a hash of material would be a check value

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("secret bytes are not pickled or copied")

    def __copy__(self) -> NoReturn:
        raise TypeError("secret bytes are not copied")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("secret bytes are not copied")
