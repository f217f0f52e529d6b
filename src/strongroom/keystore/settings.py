"""What a keystore is told: by arguments, by STRONGROOM in Django's settings, by the environment. Read when used."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

from strongroom._encoding import parse_duration
from strongroom.errors import SettingsError

_PLAIN_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """The settings of one store; each is None or its default where nothing was said.

    store: a directory or a URL (memory:, blackbox:PATH, …). cache, group: where publications are, and whose.
    identity: path of an identity file. passphrase_file: path of a file with a passphrase. witness: a directory for
    witnesses. pin: the store that is ours, as `strongroom pin` prints it. strict: refuse where only trust on first
    use would decide. max_age, timeout: seconds. min_serial: the lowest publication that is accepted.
    """

    store: str | None = None
    cache: str | None = None
    group: str | None = None
    identity: Path | None = None
    passphrase_file: Path | None = None
    witness: Path | None = None
    pin: str | None = None
    strict: bool = False
    max_age: float | None = None
    timeout: float | None = None
    min_serial: int | None = None
    allow_pickle_backend: bool = False

    @classmethod
    def from_mapping(cls, settings: Mapping[str, object]) -> StoreSettings:
        """Settings as Django's STRONGROOM["alias"] has them: upper-case names.

        Raises SettingsError for an unknown name, with the nearest known one, and for a value of the wrong kind.
        """
        for name in settings:
            if name not in _READERS:
                raise SettingsError(f"{name!r} is not a setting of a store", hint=_nearest(name))
        return cls._read({name: (name, value) for name, value in settings.items() if value is not None})

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> StoreSettings:
        """Settings from STRONGROOM_STORE, STRONGROOM_IDENTITY_FILE, STRONGROOM_PIN and their kin.

        An empty variable says nothing, but SettingsError where it would have been a guard: a pipeline that misspells
        the name of its pin passes an empty one on, and would open any store.
        """
        environ = os.environ if environ is None else environ
        for guard, value in _GUARDS.items():
            if environ.get(guard) == "":
                raise SettingsError(f"{guard} is empty", hint=f"unset {guard}, or give it its value: {value}")
        given = {variable: environ[variable] for variable in _VARIABLES if environ.get(variable)}
        return cls._read({_VARIABLES[variable]: (variable, value) for variable, value in given.items()})

    @classmethod
    def _read(cls, said: Mapping[str, tuple[str, object]]) -> StoreSettings:
        """What was said of each setting, and what whoever said it calls that setting."""
        values = {name.lower(): _READERS[name](called, value) for name, (called, value) in said.items()}
        return cls(**values)  # type: ignore[arg-type]  # each reader returns its field's type

    def over(self, lower: StoreSettings) -> StoreSettings:
        """These settings where they say something, the lower ones elsewhere."""
        blank = StoreSettings()
        said = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != getattr(blank, field.name)
        }
        return replace(lower, **said)


def _text(name: str, value: object) -> str:
    if isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
        if isinstance(text, str) and text:
            return text
    raise SettingsError(f"{name} must be text that is not empty, not {type(value).__name__}")


def _path(name: str, value: object) -> Path:
    return Path(_text(name, value))


def _yes(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"1", "true", "yes", "on"}:
        return True
    if isinstance(value, str) and value.lower() in {"0", "false", "no", "off"}:
        return False
    raise SettingsError(f"{name} must be true or false, not {value!r}")


def _seconds(name: str, value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    if isinstance(value, str):
        if _PLAIN_SECONDS.fullmatch(value):
            return float(value)
        with suppress(SettingsError):
            return float(parse_duration(value))
    raise SettingsError(f"{name} must be seconds, or a duration like 15m, not {value!r}")


def _number(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.isdecimal() and value.isascii():
        return int(value)
    raise SettingsError(f"{name} must be a whole number, not {value!r}")


_READERS = {
    "STORE": _text,
    "CACHE": _text,
    "GROUP": _text,
    "IDENTITY": _path,
    "PASSPHRASE_FILE": _path,
    "WITNESS": _path,
    "PIN": _text,
    "STRICT": _yes,
    "MAX_AGE": _seconds,
    "TIMEOUT": _seconds,
    "MIN_SERIAL": _number,
    "ALLOW_PICKLE_BACKEND": _yes,
}

_VARIABLES = {
    "STRONGROOM_STORE": "STORE",
    "STRONGROOM_IDENTITY_FILE": "IDENTITY",
    "STRONGROOM_PASSPHRASE_FILE": "PASSPHRASE_FILE",
    "STRONGROOM_WITNESS": "WITNESS",
    "STRONGROOM_PIN": "PIN",
    "STRONGROOM_STRICT": "STRICT",
    "STRONGROOM_TIMEOUT": "TIMEOUT",
    "STRONGROOM_MIN_SERIAL": "MIN_SERIAL",
}

_GUARDS = {
    "STRONGROOM_PIN": "strongroom pin prints it, where the store is known",
    "STRONGROOM_STRICT": "true or false",
    "STRONGROOM_MIN_SERIAL": "a number",
}

KNOWN_SETTINGS = tuple(_READERS)


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name.upper(), _READERS, n=1)
    return f"did you mean {near[0]!r}?" if near else f"the settings are {', '.join(_READERS)}"


def is_build(environ: Mapping[str, str] | None = None) -> bool:
    """Whether STRONGROOM_BUILD=1 is set: an image build or collectstatic, which gets throw-away values."""
    return (os.environ if environ is None else environ).get("STRONGROOM_BUILD") == "1"


def allows_development(environ: Mapping[str, str] | None = None) -> bool:
    """Whether STRONGROOM_DEVELOPMENT=1 is set: a store whose root is public may be opened."""
    return (os.environ if environ is None else environ).get("STRONGROOM_DEVELOPMENT") == "1"
