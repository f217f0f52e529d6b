"""Where a BlackBox repository is, by the original's rules and the environment's. It reads names, no contents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from strongroom.blackbox.git import is_git
from strongroom.blackbox.layout import ADMINS, DATA_DIRECTORIES, parse_name
from strongroom.errors import BlackBoxError, NotFoundError, PathError


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The physical root, and the data directory's name below it."""

    root: Path
    data: str


def find(start: Path, *, environ: Mapping[str, str]) -> Place:
    """The repository that `start` is in.

    As the original: the root is the top of the git work tree, BLACKBOX_REPOBASE replaces it; the data directory is
    BLACKBOXDATA, else `.blackbox`, else `keyrings/live`. More than the original: without git the search goes
    upwards too, an absolute BLACKBOXDATA is taken and names its own root, and a missing data directory is a
    NotFoundError.
    """
    where = _physical(start)
    if base := environ.get("BLACKBOX_REPOBASE", ""):
        root = _physical(where / base)
    else:
        root = _find_root(where, environ.get("BLACKBOXDATA", ""))
    data = _data_name(root, environ.get("BLACKBOXDATA", ""))
    if not (root / data).is_dir():
        raise NotFoundError(
            f"no BlackBox repository: there is no {data!r} in {str(root)!r}",
            hint="'strongroom blackbox initialize' makes one; BLACKBOX_REPOBASE and BLACKBOXDATA say where it is",
        )
    return Place(root=root, data=data)


def environments(root: Path) -> tuple[str, ...]:
    """The data directories below a root: BlackBox's own two, `.blackbox-TEAM`, and those within `.blackbox`.

    Each is an environment with its own admins and files; BLACKBOXDATA chooses one.
    """
    own = [name for name in DATA_DIRECTORIES if (root / name / ADMINS).is_file()]
    teams = (*root.glob(f".blackbox-*/{ADMINS}"), *root.glob(f".blackbox/*/{ADMINS}"))
    return (*own, *sorted(str(found.parent.relative_to(root)) for found in teams if found.is_file()))


def git_top(where: Path) -> Path | None:
    """The top of the git work tree that `where` is in. None: it is in none."""
    return next((directory for directory in (where, *where.parents) if is_git(directory)), None)


def name_below(root: Path, path: Path, *, start: Path) -> str:
    """The name of a path that somebody typed in the directory `start`, relative to the root.

    `..` and absolute paths are worked out where the original says 'not found'. Links in the directories above the file
    are followed to where they lead; PathError if that is not below the root. The last component is taken as it is.
    """
    full = start / path
    if full.name in {"", ".."}:
        raise PathError(f"{str(path)!r} names no file")
    above = _physical(full.parent)
    if above != root and root not in above.parents:
        raise PathError(
            f"{str(path)!r} is not in the repository {str(root)!r}",
            hint="cd into its own repository; there, strongroom blackbox list-files",
        )
    return parse_name(str((above / full.name).relative_to(root)))


def _find_root(where: Path, data: str) -> Path:
    if data.startswith("/"):
        return _root_of_data(_physical(Path(data)))
    top = git_top(where)
    if top is not None:
        return top
    for directory in (where, *where.parents):
        if any((directory / name).is_dir() for name in ((data,) if data else DATA_DIRECTORIES)):
            return directory
    return where


def _root_of_data(data: Path) -> Path:
    """The root that an absolute BLACKBOXDATA belongs to, wherever the user stands."""
    top = git_top(data.parent)
    if top is not None:
        return top
    return data.parent.parent if data.parts[-2:] == ("keyrings", "live") else data.parent


def _data_name(root: Path, data: str) -> str:
    if not data:
        return next((name for name in DATA_DIRECTORIES if (root / name).is_dir()), DATA_DIRECTORIES[0])
    if data.startswith("/"):
        full = _physical(Path(data))
        if root not in full.parents:
            raise BlackBoxError(
                f"BLACKBOXDATA is {data!r}, which is not below the repository's root {str(root)!r}",
                hint="set BLACKBOX_REPOBASE to the root that it belongs to",
            )
        return str(full.relative_to(root))
    return parse_name(data.rstrip("/"))


def _physical(path: Path) -> Path:
    try:
        return path.resolve(strict=False)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, in Python 3.11
        raise PathError(f"cannot resolve {str(path)!r}: {error}") from None


def current_directory() -> Path:
    """The working directory. NotFoundError if it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise NotFoundError("the working directory is gone", hint="cd into one that exists") from None
