"""STRONGROOM in Django's settings, read when it is used, so that override_settings works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from django.conf import settings

from strongroom.caching.locating import DJANGO_SCHEME, split_group
from strongroom.errors import SettingsError
from strongroom.keystore.finding import split_url
from strongroom.keystore.settings import StoreSettings

SETTING = "STRONGROOM"
DEFAULT_ALIAS = "default"


def aliases() -> tuple[str, ...]:
    """The aliases that STRONGROOM names. Raises SettingsError where it is no dict of dicts."""
    return tuple(_stores())


def store_settings(alias: str) -> StoreSettings:
    """The settings of one alias. Raises SettingsError for an unknown alias or setting."""
    stores = _stores()
    if alias not in stores:
        raise SettingsError(
            f"{SETTING} has no store {alias!r}; it has {', '.join(map(repr, stores)) or 'none'}",
            hint=f"add {alias!r} to {SETTING} in the settings, like {SETTING} = {{{alias!r}: {{'STORE': …}}}}",
        )
    said = StoreSettings.from_mapping(stores[alias])
    return said if said.cache is None else replace(said, cache=" ".join(map(_as_url, said.cache.split())))


def effective_settings(alias: str) -> StoreSettings:
    """`store_settings`, and the environment's where they say nothing: what opening will go by. SettingsError."""
    return store_settings(alias).over(StoreSettings.from_environment())


def cache_aliases(store: StoreSettings) -> Iterator[tuple[str, str]]:
    """The aliases of CACHES where publications lie, each with the setting that names it. SettingsError."""
    for setting, places in (("CACHE", store.cache), ("STORE", store.store)):
        for place in (places or "").split():
            scheme, rest = split_url(split_group(place)[0]) or ("", "")
            if scheme == DJANGO_SCHEME:
                yield setting, rest


def _as_url(place: str) -> str:
    """An alias of CACHES as a URL; a URL as it is."""
    return place if ":" in place or "/" in place else f"{DJANGO_SCHEME}:{place}"


def _stores() -> Mapping[str, Mapping[str, object]]:
    stores = getattr(settings, SETTING, {})
    if not isinstance(stores, Mapping) or not all(
        isinstance(alias, str) and isinstance(store, Mapping) and all(isinstance(name, str) for name in store)
        for alias, store in stores.items()
    ):
        raise SettingsError(
            f"{SETTING} must be a dict of dicts, one an alias",
            hint=f"write {SETTING} = {{{DEFAULT_ALIAS!r}: {{'STORE': BASE_DIR / '.strongroom'}}}}",
        )
    return stores
