"""Which place a URL means. A table of ours, then the entry points `strongroom.places`, by exact name."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final, cast
from urllib.parse import parse_qsl, urlencode

from strongroom.caching.backends import TIMEOUT, Backend
from strongroom.caching.file_backend import FileBackend
from strongroom.caching.redis_backend import RedisBackend
from strongroom.caching.redis_clients import REDIS_SCHEMES
from strongroom.errors import SettingsError
from strongroom.model.names import StoreId

DJANGO_SCHEME: Final = "django-cache"
"""An alias of Django's caches, as in `django-cache:ALIAS`. The place itself is of the floor above, and plugged in."""
SCHEMES: Final = ("file", *REDIS_SCHEMES, DJANGO_SCHEME)
"""The URL schemes under which publications lie."""


def split_group(url: str) -> tuple[str, str | None]:
    """A URL without its `group=…`, and that group; the rest of the query stays. SettingsError where it comes twice."""
    base, mark, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True) if mark else []
    groups = [value for name, value in pairs if name == "group"]
    if len(groups) > 1:
        raise SettingsError(f"{base!r} names more than one group", hint="write it like redis://HOST?group=web")
    rest = [(name, value) for name, value in pairs if name != "group"]
    return (f"{base}?{urlencode(rest)}" if rest else base), (groups[0] if groups else None)


def backend_of(
    url: str, *, store: StoreId, group: str, timeout: float = TIMEOUT, allow_pickle: bool = False
) -> Backend:
    """The backend that a URL without `group` means. SettingsError for another scheme.

    allow_pickle: whether a place is taken that unpickles what it finds, so that whoever writes there runs code here.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "file" and rest:
        return FileBackend(Path(rest.removeprefix("//")) if rest.startswith("///") else Path(rest))
    if scheme in REDIS_SCHEMES:
        return RedisBackend(url, store=store, group=group, timeout=timeout)
    for point in entry_points(group="strongroom.places", name=scheme):
        return _loaded(point)(rest, store=store, group=group, timeout=timeout, allow_pickle=allow_pickle)
    raise SettingsError(
        f"{scheme!r} is no place for publications",
        hint="redis://HOST:PORT/DB, unix:///SOCKET, file:PATH or django-cache:ALIAS",
    )


def _loaded(point: EntryPoint) -> Callable[..., Backend]:
    try:
        loaded = point.load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"{point.name!r} is no place here: {error}", hint="pip install 'strongroom[django]'"
        ) from None
    if not callable(loaded):
        raise SettingsError(f"the entry point of {point.name!r} places, {point.value!r}, opens nothing")
    return cast("Callable[..., Backend]", loaded)
