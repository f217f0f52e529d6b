"""The OPTIONS of an EncryptedCache, read when they are used. An unknown one is an error that names the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from strongroom.django.cache.values import SafeSerializer
from strongroom.django.pickling import lineage, unpickles
from strongroom.errors import SettingsError, StrongroomError
from strongroom.model.names import parse_name

SAFE: Final = "safe"
"""The serializer's name where none is said."""
BACKEND: Final = "strongroom.django.cache.backend.EncryptedCache"
KNOWN: Final = ("CACHE", "KEYSET", "NAMES", "KEYSTORE", "SERIALIZER", "STRICT", "PAD", "ALLOW_PICKLE_BACKEND")
MAX_PAD: Final = 1 << 20


class Serializer(Protocol):
    """Values to bytes and back. `loads` sees nothing that was not sealed here."""

    def dumps(self, value: Any) -> bytes:
        """The bytes of a value, or (as Django's RedisSerializer) an int instead."""
        ...

    def loads(self, data: bytes) -> Any:
        """The value."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What CACHES says of one EncryptedCache.

    cache: the alias that holds the tokens. keyset: what encrypts the values (fernet, aes256-gcm, xaes256-gcm). names:
    the hmac-sha256 keyset that hides the keys. keystore: an alias of STRONGROOM. serializer: "safe", or the dotted name
    of a class with `dumps` and `loads`. strict: raise IntegrityError where a value is refused. pad: the lengths of
    values are rounded up to multiples of it. allow_pickle_backend: accept an inner cache that can only pickle.
    """

    cache: str
    keyset: str
    names: str
    keystore: str = "default"
    serializer: str = SAFE
    strict: bool = False
    pad: int = 0
    allow_pickle_backend: bool = False
    codec: Serializer = field(default_factory=SafeSerializer, compare=False)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Options:
        """The options as they stand in CACHES. SettingsError."""
        for name in options:
            if name not in KNOWN:
                near = difflib.get_close_matches(str(name).upper(), KNOWN, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(KNOWN)}"
                raise SettingsError(f"{name!r} is not an option of an EncryptedCache", hint=hint)
        keyset = _text(options, "KEYSET")
        serializer = _text(options, "SERIALIZER", SAFE)
        return cls(
            cache=_text(options, "CACHE"),
            keyset=parse_name(keyset),
            names=parse_name(_text(options, "NAMES", f"{keyset}-names")),
            keystore=_text(options, "KEYSTORE", "default"),
            serializer=serializer,
            strict=_yes(options, "STRICT"),
            pad=_size(options, "PAD"),
            allow_pickle_backend=_yes(options, "ALLOW_PICKLE_BACKEND"),
            codec=_codec(serializer),
        )

    def inner(self) -> Mapping[str, Any]:
        """What CACHES says of the inner cache. SettingsError where there is none, or where it encrypts itself."""
        entry: Mapping[str, Any] | None = settings.CACHES.get(self.cache)
        if entry is None:
            raise SettingsError(
                f"CACHE names {self.cache!r}, which CACHES does not have", hint="name another alias of CACHES"
            )
        if BACKEND in lineage(entry):
            raise SettingsError(
                f"CACHE names {self.cache!r}, which is an EncryptedCache itself",
                hint="name the alias that holds the values: Redis, a database, files",
            )
        return entry

    def refuse_unpickling(self) -> None:
        """SettingsError where the inner cache would run what somebody planted, before we see a byte."""
        hint = unpickles(self.inner(), allowed=self.allow_pickle_backend)
        if hint is not None:
            raise SettingsError(unpickling(self.cache), hint=hint)


def unpickling(cache: str) -> str:
    """What is wrong with an inner cache that unpickles."""
    return (
        f"the cache {cache!r} unpickles what it finds, before it can be authenticated: whoever can write to it can run"
        " code here"
    )


def _text(options: Mapping[str, Any], name: str, usual: str | None = None) -> str:
    value = options.get(name, usual)
    if isinstance(value, str) and value:
        return value
    hint = 'write "OPTIONS": {"CACHE": ALIAS, "KEYSET": NAME} in CACHES'
    if value is None:
        raise SettingsError(f"an EncryptedCache needs {name} in its OPTIONS", hint=hint)
    raise SettingsError(f"{name} must be text that is not empty, not {type(value).__name__}", hint=hint)


def _yes(options: Mapping[str, Any], name: str) -> bool:
    value = options.get(name, False)
    if isinstance(value, bool):
        return value
    raise SettingsError(f"{name} must be True or False, not {value!r}")


def _size(options: Mapping[str, Any], name: str) -> int:
    value = options.get(name, 0)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_PAD:
        return value
    raise SettingsError(f"{name} must be a number of bytes up to {MAX_PAD}, not {value!r}")


def _codec(name: str) -> Serializer:
    if name == SAFE:
        return SafeSerializer()
    try:
        made = import_string(name)()
    except (ImportError, TypeError, StrongroomError) as error:
        raise SettingsError(
            f"SERIALIZER {name!r} cannot be made: {type(error).__name__}",
            hint='"safe", or the dotted name of a class that is made without arguments and has dumps and loads',
        ) from None
    if not callable(getattr(made, "dumps", None)) or not callable(getattr(made, "loads", None)):
        raise SettingsError(f"SERIALIZER {name!r} has no dumps and loads", hint='"safe" is the usual one')
    return made  # type: ignore[no-any-return]  # its two verbs were looked for
