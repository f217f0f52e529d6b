"""Values that settings.py may hold before anything can be opened: a keyset's name, read at use. No Django up here."""

from __future__ import annotations

import os
import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, cast

from strongroom.errors import SettingsError, StateError
from strongroom.keystore.handles.keys import rsa_pem
from strongroom.keystore.livetext import LiveText, PlainLookups
from strongroom.model.names import parse_name

if TYPE_CHECKING:
    from strongroom.keystore.facade import KeyStore
    from strongroom.keystore.handles.jwt import JwtKeys, Shown

_RSA_ALGORITHM = "RS256"  # the one that django-oauth-toolkit and django-allauth do with a PEM
_NEVER = datetime.max.replace(tzinfo=UTC)


def opened(alias: str) -> KeyStore:
    """The keystore of an alias of STRONGROOM. SettingsError while the settings are still loading."""
    from django.conf import settings

    from strongroom.django.connections import keystores

    if not settings.configured:
        loading = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
        if loading is not None and getattr(loading.__spec__, "_initializing", False):
            raise SettingsError(
                "a lazy value was read while the settings are still loading",
                hint="leave it whole in the settings; what settings.py itself takes apart, strongroom.open() reads",
            )
    return keystores[alias]


class LazySecret(LiveText):
    """The primary of a `secret` keyset, as text."""

    name: str
    alias: str

    def __new__(cls, name: str, alias: str) -> Self:
        made = super().__new__(cls, f"<secret {name!r}>")
        made.name, made.alias = name, alias
        return made

    def read(self) -> str:
        """The secret's text. Raises what the keystore raises; FormatError where it is no text."""
        return opened(self.alias).secret(self.name).reveal_text()

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return LazySecret, (self.name, self.alias)


class LazyPem(LiveText):
    """PKCS#8 PEM of an RSA signing key: the primary's, or a version's."""

    name: str
    alias: str
    number: int | None

    def __new__(cls, name: str, alias: str, number: int | None = None) -> Self:
        which = "" if number is None else f", version {number}"
        made = super().__new__(cls, f"<private key {name!r}{which}>")
        made.name, made.alias, made.number = name, alias, number
        return made

    def read(self) -> str:
        """The PEM. PurposeError where the keyset is not RSA, or not to sign; StateError where nothing signs now."""
        keystore = opened(self.alias)
        keys = keystore.jwt(self.name, algorithm=_RSA_ALGORITHM)
        if self.number is None:
            return rsa_pem(keys.signing()["key"], self.name)
        return rsa_pem(keystore.private_key(self.name, version=self.number), self.name)

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return LazyPem, (self.name, self.alias, self.number)


class _LiveList(list[Any]):
    """A list whose entries are looked up whenever somebody goes through it; it holds nothing itself."""

    def __init__(self, name: str, alias: str, tokens_live: timedelta | None) -> None:
        super().__init__()
        self.name, self.alias, self.tokens_live = name, alias, tokens_live

    def _shown(self) -> tuple[JwtKeys, tuple[Shown, ...]]:
        keys = opened(self.alias).jwt(self.name, algorithm=_RSA_ALGORITHM)
        return keys, keys.published(tokens_live=self._lives() if self.tokens_live is None else self.tokens_live)

    @abstractmethod
    def _lives(self) -> timedelta:
        """How long the consumer's tokens live, by its own settings."""

    @abstractmethod
    def entries(self) -> list[Any]:
        """What is in the list now."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self.entries())

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        return self.entries()[index]

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<private keys of {self.name!r}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return type(self), (self.name, self.alias, self.tokens_live)


class InactiveKeys(_LiveList):
    """For OIDC_RSA_PRIVATE_KEYS_INACTIVE: the published keys beside the one that signs, as PEM."""

    def _lives(self) -> timedelta:
        return timedelta(seconds=_setting("OAUTH2_PROVIDER", {}).get("ID_TOKEN_EXPIRE_SECONDS", 36_000))

    def entries(self) -> list[Any]:
        keys, shown = self._shown()
        return [LazyPem(self.name, self.alias, key.number) for key in shown if key.number != keys.version]


class AllauthKeys(_LiveList):
    """For IDP_OIDC_PRIVATE_KEYS: the published keys, each with the time in which it signs and verifies."""

    def _lives(self) -> timedelta:
        usual = (("IDP_OIDC_ID_TOKEN_EXPIRES_IN", 300), ("IDP_OIDC_ACCESS_TOKEN_EXPIRES_IN", 3600))
        return timedelta(seconds=max(_setting(name, default) for name, default in usual))

    def entries(self) -> list[Any]:
        keys, shown = self._shown()
        try:
            signs = keys.version
        except StateError:
            signs = 0  # the primary is suspended: nothing signs, not even the key before it
        return [
            {
                "pem": LazyPem(self.name, self.alias, key.number),
                "issued_at": _time(key.begins),
                "not_before": None if key.number == signs else _NEVER,
                "expires_at": _time(key.ends),
            }
            for key in shown
        ]


class SimpleJwtKeys:
    """For SIMPLE_JWT["SIGNING_KEY"]: names the keyset; `strongroom.django` puts a token backend in place that uses it.

    Where that app is not installed, this is no key, and signing with it fails.
    """

    __slots__ = ("alias", "name")

    def __init__(self, name: str, alias: str) -> None:
        self.name, self.alias = name, alias

    def __repr__(self) -> str:
        return f"<keys of {self.name!r}>"


def _setting(name: str, default: Any) -> Any:
    from django.conf import settings

    return getattr(settings, name, default)


def _time(at: int | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC)


# --- the front door's


def lazy_secret(name: str, *, keystore: str = "default") -> str:
    """The secret NAME for a setting that wants text: EMAIL_HOST_PASSWORD, a database's PASSWORD, a storage's key.

    It is read wherever it is used, from STRONGROOM[keystore], and follows rotations; `repr` and error pages show its
    name. Every use as text reveals it. InvalidNameError for what is no name.
    """
    return LazySecret(parse_name(name), keystore)


def lazy_pem(name: str, *, keystore: str = "default") -> str:
    """The primary of an RSA signing keyset as PEM, for a setting that wants a private key's text; else as above."""
    return LazyPem(parse_name(name), keystore)


def oauth2_provider(name: str, *, tokens_live: timedelta | None = None, keystore: str = "default") -> dict[str, Any]:
    """`OAUTH2_PROVIDER = {"OIDC_ENABLED": True, **strongroom.oauth2_provider("oidc-signing"), …}`.

    django-oauth-toolkit signs ID tokens with the primary of an RSA keyset, and shows the next key and the last ones.
    tokens_live: how long a last one is shown; by default as long as ID tokens live.
    """
    parsed = parse_name(name)
    return {
        "OIDC_RSA_PRIVATE_KEY": LazyPem(parsed, keystore),
        "OIDC_RSA_PRIVATE_KEYS_INACTIVE": InactiveKeys(parsed, keystore, tokens_live),
    }


def allauth_private_keys(
    name: str, *, tokens_live: timedelta | None = None, keystore: str = "default"
) -> list[dict[str, Any]]:
    """`IDP_OIDC_PRIVATE_KEYS` of django-allauth: the same for its OpenID Connect provider."""
    return AllauthKeys(parse_name(name), keystore, tokens_live)


def simplejwt_keys(name: str, *, keystore: str = "default") -> SimpleJwtKeys:
    """`SIMPLE_JWT = {"ALGORITHM": "EdDSA", "SIGNING_KEY": strongroom.simplejwt_keys("api-tokens")}`."""
    return SimpleJwtKeys(parse_name(name), keystore)


def database(settings: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of DATABASES that gives its lazy values as plain text at each connection.

    For drivers in C (mysqlclient, oracledb). psycopg and PyMySQL do not need it.
    """
    return cast("dict[str, Any]", PlainLookups(settings))
