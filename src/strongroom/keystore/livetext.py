"""Text for a library that wants a `str` and keeps it: what is kept is a name; the text is read wherever it is used."""

from __future__ import annotations

import hmac
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self


class LiveText(str):
    """A `str` whose own characters are a placeholder, and whose every use reads the text as it is then.

    `str()`, `encode`, `format`, `%s`, `+`, comparison, slicing and all other methods of text read it: this is raw
    access, as `reveal` is. `repr`, JSON and code in C that looks into the object's own characters get the placeholder,
    which names the secret and holds nothing of it. Truth needs no reading: there is a text.
    """

    __slots__ = ()

    @abstractmethod
    def read(self) -> str:
        """The text, now. Raises what the keystore raises."""

    def __str__(self) -> str:
        return self.read()

    def __repr__(self) -> str:
        return str.__str__(self)

    __sentry_repr__ = __repr__  # sentry_sdk shows text as it is, unless it says how it is shown

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return NotImplemented
        return hmac.compare_digest(_bytes(self.read()), _bytes(_plain(other)))

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __hash__(self) -> int:
        return hash(self.read())  # changes with the text: lru_cache makes a new entry then

    def __radd__(self, other: str) -> str:
        return other + self.read()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self  # Django copies DATABASES for threads and for tests; there is nothing in here but a name

    @abstractmethod
    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """By name: what is pickled holds no material, and means something only where the store opens."""


def _plain(value: Any) -> Any:
    return value.read() if isinstance(value, LiveText) else value


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _reading(name: str) -> Callable[..., Any]:
    method = getattr(str, name)

    def call(self: LiveText, *args: Any, **named: Any) -> Any:
        return method(self.read(), *(_plain(each) for each in args), **named)

    call.__name__ = name
    call.__doc__ = method.__doc__
    return call


# Every method of str, so that none is left which would take the placeholder for the text. A new one of a later Python
# is among them: the list is str's own.
_TEXTUAL = {"__eq__", "__ne__", "__hash__", "__str__", "__format__", "__lt__", "__le__", "__gt__", "__ge__"}
_OF_OBJECTS = frozenset(dir(object)) - _TEXTUAL
_OWN = frozenset(vars(LiveText)) | {"maketrans", "__getnewargs__"}
for _name in sorted(set(dir(str)) - _OF_OBJECTS - _OWN):
    setattr(LiveText, _name, _reading(_name))
del _name


class PlainLookups(dict[str, Any]):
    """A dict that gives its live texts as plain ones when they are looked up: for drivers in C, which read characters.

    Django asks `settings_dict["PASSWORD"]` at every new connection.
    """

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        return _plain(super().__getitem__(key))

    def get(self, key: str, default: Any = None) -> Any:
        """As a dict's."""
        return _plain(super().get(key, default))

    def copy(self) -> Self:
        """Another one of the same, live too."""
        return type(self)(self)

    __copy__ = copy
