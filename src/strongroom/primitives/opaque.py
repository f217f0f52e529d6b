"""Objects that hold a key: they do not show it, and are neither pickled nor copied."""

from __future__ import annotations

from typing import NoReturn


class Opaque:
    """A base for primitives: `repr` gives the class only; pickling and copying raise TypeError."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a key and is not pickled or copied")

    def __getstate__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a key and tells no state")

    def __copy__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a key and is not copied")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a key and is not copied")
