"""Where a store is: named, or found upwards from here. It looks for a file by its name, and opens none."""

from __future__ import annotations

from pathlib import Path

from strongroom.errors import NotFoundError

DEFAULT_DIRECTORY = ".strongroom"
HEADER = "store.json"


def split_url(location: str | None) -> tuple[str, str] | None:
    """The scheme of a URL like `memory:` and what follows it; None for a directory, or for nothing."""
    scheme, colon, rest = ("", "", "") if location is None else location.partition(":")
    return (scheme, rest) if colon and "/" not in scheme else None


def find_store(start: Path | None = None) -> Path | None:
    """The nearest `.strongroom` directory from `start` (default: the working directory) upwards, or None."""
    here = current_directory() if start is None else start.absolute()
    inner = (directory / DEFAULT_DIRECTORY for directory in (here, *here.parents))
    return next((candidate for candidate in inner if holds_store(candidate)), None)


def directory_of(location: str | None) -> Path | None:
    """The directory that a location means, whether a store is in it or not: itself, or the `.strongroom` in it.

    None for a URL, or where nothing is named and none is found upwards.
    """
    if location is None:
        return find_store()
    if split_url(location) is not None:
        return None
    directory = Path(location)
    inner = directory / DEFAULT_DIRECTORY
    return inner if holds_store(inner) and not holds_store(directory) else directory


def holds_store(directory: Path) -> bool:
    """Whether there is a header; False where we may not look, which reading it tells better."""
    try:
        return (directory / HEADER).is_file()
    except (OSError, ValueError):
        return False


def current_directory() -> Path:
    """The working directory. NotFoundError if it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise NotFoundError("the working directory is gone", hint="cd into one that exists") from None
