"""django-environ: a variable that names a keyset has the secret's text. The environment holds names and no secrets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environ  # type: ignore[import-untyped]  # it has no types

from strongroom.errors import FormatError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_store

SUFFIX = "_KEYSET"
"""`EMAIL_HOST_PASSWORD_KEYSET=smtp-password`, as `_FILE` is for files."""


class KeysetEnv(environ.FileAwareEnv):  # type: ignore[misc]  # the package has no types
    """`env = KeysetEnv(store=BASE_DIR / ".strongroom", DEBUG=(bool, False))`, and `env("EMAIL_HOST_PASSWORD")`.

    Where EMAIL_HOST_PASSWORD_KEYSET is set, that names the `secret` keyset; else everything is as in FileAwareEnv. All
    casts work (`env.db_url("DATABASE_URL")`). The store is opened by the first such variable, once for this object.
    """

    def __init__(self, *, store: str | os.PathLike[str] | None = None, pin: str | None = None, **scheme: Any) -> None:
        super().__init__(**scheme)
        self._store, self._pin = store, pin
        self._keystore: KeyStore | None = None

    def __contains__(self, var: str) -> bool:
        return bool(self.ENVIRON.get(f"{var}{SUFFIX}")) or super().__contains__(var)

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        """The variable's value. Raises what opening and revealing raise; FormatError where the cast fails."""
        name = f"{self.prefix}{var}"
        keyset = self.ENVIRON.get(f"{name}{SUFFIX}")
        if not keyset:  # an empty one is none: so a build, or a colleague, can set the variable itself
            return super().get_value(var, cast=cast, default=default, parse_default=parse_default)
        # not by way of the library: it takes a secret that begins with '$' for another variable's name, and quotes it
        made = _parsed(self.parse_value, self._opened().secret(keyset).reveal_text, cast or self._cast(name, default))
        if not made:
            raise FormatError(f"the secret {keyset!r} cannot be cast as {name} wants it", hint="see the settings")
        return made[0]

    def _cast(self, name: str, default: Any) -> Any:
        """The cast that the scheme gives a variable, alone or with a default."""
        said = self.scheme.get(name)
        if said is None:
            bare = default is None or isinstance(default, environ.NoValue) or not self.smart_cast
            return None if bare else type(default)
        return said[0] if isinstance(said, (tuple, list)) and len(said) == 2 else said

    def _opened(self) -> KeyStore:
        if self._keystore is None or self._keystore.closed:
            self._keystore = open_store(self._store if self._store is None else Path(self._store), pin=self._pin)
        return self._keystore

    def close(self) -> None:
        """Forget the opened store; the next variable that names a keyset opens it again."""
        if self._keystore is not None:
            self._keystore.close()


# A secret's text lives below this line only, in a function that does not raise (STYLE section 6).


def _parsed(parse: Callable[..., Any], reveal: Callable[[], str], cast: Any) -> tuple[Any, ...]:
    text = reveal()
    try:
        return (parse(text, cast),)
    except (ValueError, TypeError, KeyError, environ.ImproperlyConfigured):
        return ()
