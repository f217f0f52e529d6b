"""Django's SECRET_KEY from a keyset, while settings.py is still loading: no Django and no cache is touched.

What the settings get are live values: a rotation is seen in the running process, as soon as handles see it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn, Self, SupportsIndex

from strongroom.caching.forklock import ForkLock
from strongroom.caching.locating import DJANGO_SCHEME
from strongroom.errors import SettingsError, StrongroomError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.finding import split_url
from strongroom.keystore.live import Snapshot
from strongroom.keystore.livetext import LiveText
from strongroom.keystore.opening import open_settings
from strongroom.keystore.settings import StoreSettings, is_build
from strongroom.model.names import parse_name

_MUTATORS: Final = ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort")

_opened: dict[StoreSettings, KeyStore] = {}


def django_secret_key(
    name: str,
    *,
    store: str | os.PathLike[str] | None = None,
    pin: str | None = None,
    settings: Mapping[str, object] | None = None,
) -> tuple[str, list[str]]:
    """`(SECRET_KEY, SECRET_KEY_FALLBACKS)`: the primary of a `secret` keyset, then its other usable versions.

    Both are read whenever Django uses them, so a rotation needs no restart, and a compromised version is no fallback
    any more. The store is opened here, once; `keystores` of the same settings go on with it. `settings`: the dict that
    STRONGROOM has for an alias, for a worker, say; `store` and `pin` are said instead of it, or over it.

    With STRONGROOM_BUILD=1 both are throw-away values and nothing is opened. Raises NotFoundError where the keyset is
    missing (`strongroom create NAME --type secret` makes it), CannotOpenError where the store does not open; using them
    raises StateError once no version may be used, or what the keystore raises.
    """
    parse_name(name)
    if is_build():
        return secrets.token_urlsafe(48), []
    said = StoreSettings(store=None if store is None else str(Path(store)), pin=pin)
    if settings is not None:
        said = said.over(_with_urls(StoreSettings.from_mapping(settings)))
    try:
        keys = _Keys(name, said)
        keys.read()
    except StrongroomError as error:
        if error.hint:  # nobody catches it in a settings file: the traceback is all that is seen of it
            error.add_note(f"hint: {error.hint}")
        raise
    return SecretKey(keys), SecretKeyFallbacks(keys)


def opened_for_settings(said: StoreSettings) -> KeyStore | None:
    """The keystore that `django_secret_key` opened with these settings and keeps open, if it did."""
    return _opened.get(said)


def is_kept_open(keystore: KeyStore) -> bool:
    """Whether SECRET_KEY is read from it."""
    return any(keystore is each for each in _opened.values())


class _Keys:
    """The texts of one keyset, as they are in force. Kept for as long as the keystore itself goes without asking."""

    __slots__ = ("_lock", "_said", "_seen", "name")

    def __init__(self, name: str, said: StoreSettings) -> None:
        self.name = name
        self._said = said
        self._lock = ForkLock()
        self._seen: tuple[Snapshot, tuple[str, ...]] | None = None
        _opened[said] = open_settings(said)

    def __repr__(self) -> str:
        return f"<versions of {self.name!r}>"

    def read(self) -> tuple[str, ...]:
        """The primary's text, then the others', newest first."""
        keystore = _opened[self._said]
        if keystore.closed:
            keystore = self._again()
        snapshot = keystore.current(self.name)
        seen = self._seen
        if seen is not None and seen[0] is snapshot:
            return seen[1]
        secret = keystore.secret(self.name)
        texts = (secret.reveal_text(), *(secret.reveal_text(number) for number in secret.others()))
        self._seen = snapshot, texts
        return texts

    def _again(self) -> KeyStore:
        with self._lock:
            held = _opened[self._said]
            if held.closed:
                held = _opened[self._said] = open_settings(self._said)
            return held


class SecretKey(LiveText):
    """SECRET_KEY: the primary, whenever it is used.

    Its own characters, which code in C may take instead of asking (`"".join`), are random and this process's alone:
    what is signed with them fails to verify elsewhere, where a fixed text would be a key that everybody knows.
    """

    _keys: _Keys

    def __new__(cls, keys: _Keys) -> Self:
        made = super().__new__(cls, secrets.token_urlsafe(48))
        made._keys = keys
        return made

    def read(self) -> str:
        """The primary's text."""
        return self._keys.read()[0]

    def __repr__(self) -> str:
        return f"<SECRET_KEY from {self._keys.name!r}>"

    __sentry_repr__ = __repr__

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("SECRET_KEY is not pickled; a process that needs it opens the store")


class Fallback(str):
    """One former key. It is itself; only its repr, which error pages show, is not."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return bool(other == str.__str__(self))  # a live text must be asked, not its own characters

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __repr__(self) -> str:
        return "<a former SECRET_KEY>"

    __sentry_repr__ = __repr__

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a former SECRET_KEY is not pickled; a process that needs it opens the store")


class SecretKeyFallbacks(list[str]):
    """SECRET_KEY_FALLBACKS: a list (Django wants one) that is looked up whenever somebody goes through it."""

    def __init__(self, keys: _Keys) -> None:
        super().__init__()
        self._keys = keys

    def _now(self) -> list[str]:
        return [Fallback(text) for text in self._keys.read()[1:]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._keys.read()) - 1

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        return self._now()[index]

    def __contains__(self, text: object) -> bool:
        return text in self._now()

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._now())

    def __eq__(self, other: object) -> bool:
        return self._now() == (other._now() if isinstance(other, SecretKeyFallbacks) else other)

    __hash__ = None

    def __add__(self, other: list[Any]) -> list[Any]:
        return [*self._now(), *other]

    def __radd__(self, other: list[Any]) -> list[Any]:
        return [*other, *self._now()]

    def copy(self) -> list[str]:
        """The former keys as they are now, in a list that stays as it is."""
        return self._now()

    def count(self, text: str, /) -> int:
        """As a list's."""
        return self._now().count(text)

    def index(self, text: str, /, *where: SupportsIndex) -> int:
        """As a list's."""
        return self._now().index(text, *where)

    def __repr__(self) -> str:
        return f"<SECRET_KEY_FALLBACKS from {self._keys.name!r}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("SECRET_KEY_FALLBACKS is not pickled; a process that needs it opens the store")


def _refusing(verb: str) -> Callable[..., NoReturn]:
    def refuse(self: SecretKeyFallbacks, *args: object, **named: object) -> NoReturn:
        raise TypeError(f"SECRET_KEY_FALLBACKS is what the keyset {self._keys.name!r} says; {verb} would say otherwise")

    return refuse


for _verb in (*_MUTATORS, "__setitem__", "__delitem__", "__iadd__", "__imul__"):
    setattr(SecretKeyFallbacks, _verb, _refusing(_verb))
del _verb


def _with_urls(said: StoreSettings) -> StoreSettings:
    """The settings with aliases of CACHES as URLs, as `keystores` has them. SettingsError where one would be asked."""
    if said.cache is None:
        return said
    places = [place if ":" in place or "/" in place else f"{DJANGO_SCHEME}:{place}" for place in said.cache.split()]
    if said.store is None and any((split_url(place) or ("",))[0] == DJANGO_SCHEME for place in places):
        raise SettingsError(
            f"CACHE is {said.cache!r}, and no cache of Django can be asked while the settings are still loading",
            hint="a worker's SECRET_KEY comes from a URL like redis://127.0.0.1:6379/0, or from file:PATH",
        )
    return replace(said, cache=" ".join(places))
