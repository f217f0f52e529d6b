"""Where a new opening key is written: outside the repository, because whoever has that would have the key to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from strongroom.blackbox.discovery import current_directory, git_top
from strongroom.blackbox.git import Git
from strongroom.errors import PolicyError
from strongroom.keystore.environment import Environment


def place_for(name: str, base: Path | None) -> Path:
    """Where a new key goes if nobody says where: here, or, where here is in the store's repository, beside that."""
    here = current_directory()
    top = None if base is None else git_top(Path(os.path.realpath(base)))
    return top.parent / name if top is not None and here.is_relative_to(top) else Path(name)


def check_outside(
    path: Path, base: Path | None, *, hint: str, ignored: bool = False, environ: Mapping[str, str] | None = None
) -> None:
    """Raise PolicyError where the path is in the repository of the store whose directory is `base`.

    ignored: somebody says that git ignores the file; that is believed where git says so, too, and never in the store.
    """
    if base is None:
        return
    store, place = Path(os.path.realpath(base)), Path(os.path.realpath(path))
    if place.is_relative_to(store):
        raise PolicyError(
            f"{str(path)!r} is in the store, and whoever has the repository would have the key to it", hint=hint
        )
    top = git_top(store)
    if top is None or not place.is_relative_to(top):
        return
    if not ignored:
        raise PolicyError(
            f"{str(path)!r} is in the repository, and whoever has that would have the key to it", hint=hint
        )
    name = str(place.relative_to(top))
    git = Git(root=top, top=top, environ=Environment.of(environ))
    if name not in git.ignored([name]) or name in git.tracked([name]):
        raise PolicyError(f"{str(path)!r} is in the repository, and git does not ignore it", hint=hint)
