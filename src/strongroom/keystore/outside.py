"""What git has and ignores, for files about to be written or gone: an opening key lies outside of the repository."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from strongroom.blackbox.discovery import current_directory, git_top
from strongroom.blackbox.git import Git
from strongroom.errors import PolicyError, StrongroomError
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


def known_to_git(path: Path, *, environ: Mapping[str, str] | None = None) -> bool:
    """Whether git has this file, which may be gone by now: `git add` refuses one that it never had.

    Also where git does not answer: the file is better named once too often.
    """
    place = Path(os.path.realpath(path.parent), path.name)
    top = git_top(place.parent)
    if top is None:
        return False
    name = str(place.relative_to(top))
    try:
        return name in Git(root=top, top=top, environ=Environment.of(environ)).tracked([name])
    except StrongroomError:
        return True
