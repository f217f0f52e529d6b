"""System checks: what a deployment would regret. They open no store, start no gpg and touch no cache.

strongroom.E001  STRONGROOM is malformed or has an unknown setting
strongroom.E002  a store, or what opens it, lies where MEDIA_ROOT, STATIC_ROOT or STATICFILES_DIRS is served from
strongroom.E003  CACHE names an alias that unpickles what it finds
strongroom.E004  CACHE names an alias that is not in CACHES
strongroom.E060  CACHE names an alias that keeps nothing
strongroom.W060  CACHE names a Redis alias that waits for a server that hangs
strongroom.W001  DEBUG=True in a process that can open the root
strongroom.E010  (deploy) a development store, whose root is public
strongroom.E011  (deploy) neither a pin nor a witness tells our store from a foreign one
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks

from strongroom.django import conf
from strongroom.django.pickling import keeps_nothing, unpickles, waits_long
from strongroom.errors import StrongroomError
from strongroom.keystore.inspecting import is_development_store, store_directory, witness_is_possible
from strongroom.keystore.settings import StoreSettings, is_build

Message = checks.CheckMessage


def register() -> None:
    """Register all checks with Django."""
    checks.register(check_settings, checks.Tags.security)
    checks.register(check_places, checks.Tags.security)
    checks.register(check_caches, checks.Tags.caches)
    checks.register(check_debug, checks.Tags.security)
    checks.register(check_deployment, checks.Tags.security, deploy=True)


def check_settings(app_configs: Any, **kwargs: Any) -> list[Message]:
    """E001."""
    try:
        names = conf.aliases()
    except StrongroomError as error:
        return [checks.Error(str(error), hint=error.hint, id="strongroom.E001")]
    found: list[Message] = []
    for alias in names:
        try:
            conf.effective_settings(alias)
        except StrongroomError as error:
            found.append(checks.Error(f"STRONGROOM[{alias!r}]: {error}", hint=error.hint, id="strongroom.E001"))
    return found


def check_places(app_configs: Any, **kwargs: Any) -> list[Message]:
    """E002."""
    found: list[Message] = []
    for alias, store in _readable():
        for what, place in _kept(store):
            for setting, served in _served():
                if not (place.is_relative_to(served) or served.is_relative_to(place)):
                    continue
                found.append(
                    checks.Error(
                        f"STRONGROOM[{alias!r}]: {what} {str(place)!r} and {setting} {str(served)!r}"
                        " lie in one another",
                        hint=f"move the one or the other, so that no web server can hand out {what}",
                        id="strongroom.E002",
                    )
                )
    return found


def check_caches(app_configs: Any, **kwargs: Any) -> list[Message]:
    """E003, E004, E060, W060."""
    found: list[Message] = []
    for alias, store in _readable():
        for setting, named in conf.cache_aliases(store):
            cache = settings.CACHES.get(named)
            if cache is None:
                found.append(
                    checks.Error(
                        f"STRONGROOM[{alias!r}]: {setting} names {named!r}, which CACHES does not have",
                        hint="name an alias of CACHES, or a URL like redis://127.0.0.1:6379/0",
                        id="strongroom.E004",
                    )
                )
            elif (hint := unpickles(cache, allowed=store.allow_pickle_backend)) is not None:
                found.append(
                    checks.Error(
                        f"STRONGROOM[{alias!r}]: the cache {named!r} unpickles what it finds, before a signature can"
                        " be looked at: whoever can write to it can run code here",
                        hint=hint,
                        id="strongroom.E003",
                    )
                )
            elif keeps_nothing(cache):
                found.append(
                    checks.Error(
                        f"STRONGROOM[{alias!r}]: the cache {named!r} keeps nothing: it is a DummyCache",
                        hint="name another alias of CACHES, or a URL like redis://127.0.0.1:6379/0",
                        id="strongroom.E060",
                    )
                )
            elif (option := waits_long(cache)) is not None:
                found.append(
                    checks.Warning(
                        f"STRONGROOM[{alias!r}]: the cache {named!r} has no {option}: while its Redis hangs, a look-up"
                        " a second or so waits for it, for seconds",
                        hint=f'set "OPTIONS": {{"{option}": 0.2}} in CACHES, or name the Redis by its URL',
                        id="strongroom.W060",
                    )
                )
    return found


def check_debug(app_configs: Any, **kwargs: Any) -> list[Message]:
    """W001."""
    if not settings.DEBUG or is_build():
        return []
    return [
        checks.Warning(
            f"STRONGROOM[{alias!r}]: DEBUG is on in a process that can open the root: its error pages show settings and"
            " the variables of every frame",
            hint="set DEBUG = False here, or develop on a store made by 'strongroom init --development'",
            id="strongroom.W001",
        )
        for alias, store in _readable()
        if (directory := store_directory(store)) is not None and not is_development_store(directory)
    ]


def check_deployment(app_configs: Any, **kwargs: Any) -> list[Message]:
    """E010, E011."""
    found: list[Message] = []
    for alias, store in _readable():
        directory = store_directory(store)
        if directory is None:
            continue
        if is_development_store(directory):
            found.append(
                checks.Error(
                    f"STRONGROOM[{alias!r}]: {str(directory)!r} is a development store; everybody can read its root",
                    hint="make a store with 'strongroom init' and name it in STRONGROOM",
                    id="strongroom.E010",
                )
            )
        elif store.pin is None and not witness_is_possible(store.witness):
            found.append(
                checks.Error(
                    f"STRONGROOM[{alias!r}]: with neither a pin nor a witness, any store that opens here is trusted",
                    hint="set PIN to what 'strongroom pin' prints, or WITNESS to a directory that this user may write",
                    id="strongroom.E011",
                )
            )
    return found


def _readable() -> Iterator[tuple[str, StoreSettings]]:
    """Every alias whose settings can be read; the others are E001's."""
    try:
        names = conf.aliases()
    except StrongroomError:
        return
    for alias in names:
        try:
            store = conf.effective_settings(alias)
        except StrongroomError:
            continue
        yield alias, store


def _kept(store: StoreSettings) -> Iterator[tuple[str, Path]]:
    """What no web server may hand out, and where it is."""
    directory = store_directory(store)
    if directory is not None:
        yield "the store", directory.resolve()
    if store.identity is not None:
        yield "the identity", store.identity.resolve()
    if store.passphrase_file is not None:
        yield "the passphrase", store.passphrase_file.resolve()


def _served() -> Iterator[tuple[str, Path]]:
    """Where web servers hand files out from, or collectstatic copies them from."""
    for setting in ("MEDIA_ROOT", "STATIC_ROOT"):
        place = getattr(settings, setting, None)
        if place:
            yield setting, Path(place).resolve()
    for entry in getattr(settings, "STATICFILES_DIRS", ()):
        place = entry[1] if isinstance(entry, (list, tuple)) else entry  # (prefix, directory)
        yield "STATICFILES_DIRS", Path(place).resolve()
