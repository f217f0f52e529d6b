"""pydantic-settings: fields that name a keyset get its secret, wrapped so that neither models nor errors show it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from strongroom.errors import SettingsError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_store
from strongroom.model.names import parse_name


@dataclass(frozen=True, slots=True)
class Keyset:
    """`smtp_password: Annotated[SecretStr, Keyset("smtp-password")]`: whose primary the field is. InvalidNameError."""

    name: str

    def __post_init__(self) -> None:
        parse_name(self.name)


class KeysetSource(PydanticBaseSettingsSource):
    """Give it to `settings_customise_sources`, behind the sources that may override it: what they gave is not asked.

    The store is opened once, where a field wants it, and closed again. Fields are SecretStr or SecretBytes; another
    type would show the secret: SettingsError.
    """

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        *,
        store: str | os.PathLike[str] | None = None,
        pin: str | None = None,
    ) -> None:
        super().__init__(settings_cls)
        self._store, self._pin = store, pin
        for name, field, _ in self._named():
            _wrapper(name, field)

    def __call__(self) -> dict[str, Any]:
        wanted = [found for found in self._named() if not _keys(found[0], found[1]) & set(self.current_state)]
        if not wanted:
            return {}
        with open_store(self._store if self._store is None else Path(self._store), pin=self._pin) as keystore:
            return {_key(name, field): _wrapped(name, field, keystore, keyset) for name, field, keyset in wanted}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """What the base class asks for; everything comes by `__call__`."""
        return None, field_name, False

    def _named(self) -> Iterator[tuple[str, FieldInfo, Keyset]]:
        for name, field in self.settings_cls.model_fields.items():
            for said in field.metadata:
                if isinstance(said, Keyset):
                    yield name, field, said

    def __repr__(self) -> str:
        return f"<keysets for {self.settings_cls.__name__}>"


def _key(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    return alias if isinstance(alias, str) else name


def _keys(name: str, field: FieldInfo) -> set[str]:
    return {name, _key(name, field)}


def _wrapper(name: str, field: FieldInfo) -> type[SecretStr] | type[SecretBytes]:
    """The type of the field, be it optional or not."""
    annotation = field.annotation
    for each in (annotation, *get_args(annotation)):
        if each is SecretStr or each is SecretBytes:
            return each
    raise SettingsError(
        f"the field {name!r} would show its secret", hint=f"declare it as {name}: Annotated[SecretStr, Keyset(…)]"
    )


def _wrapped(name: str, field: FieldInfo, keystore: KeyStore, keyset: Keyset) -> SecretStr | SecretBytes:
    secret = keystore.secret(keyset.name)
    # wrapped already here: an error about any field of the model quotes its input
    return SecretStr(secret.reveal_text()) if _wrapper(name, field) is SecretStr else SecretBytes(secret.reveal())
