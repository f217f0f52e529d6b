"""The merge driver in one clone: git's own configuration of that clone names it, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from strongroom.blackbox.discovery import git_top
from strongroom.blackbox.git import Git
from strongroom.blackbox.layout import with_lines
from strongroom.errors import GitError, NotFoundError, StoreError
from strongroom.keystore import acts
from strongroom.keystore.environment import Environment
from strongroom.keystore.finding import DEFAULT_DIRECTORY, directory_of
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.preparing import ATTRIBUTES

DRIVER = "strongroom"
"""The name of the driver, in .gitattributes and in git's configuration."""

_ATTRIBUTES = ".gitattributes"


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeSetup:
    """What was set in the clone, and which files are to be added to git."""

    directory: Path
    settings: Mapping[str, str]
    to_add: tuple[str, ...]


def set_up_merging(location: str | None, command: str, *, environ: Mapping[str, str] | None = None) -> MergeSetup:
    """Have git merge the files of the store with `command` (quoted for a shell) in this clone, and only here.

    The store's .gitattributes gets the lines that it lacks. NotFoundError, GitError where the store is in no git.
    """
    environ = Environment.of(environ)
    directory = directory_of(location or environ.get("STRONGROOM_STORE") or None)
    if directory is None:
        raise NotFoundError(
            f"there is no {DEFAULT_DIRECTORY} directory here or above", hint="strongroom --store DIR git-setup"
        )
    DirectoryStore(directory).header()  # a store, and not any directory
    git = _git(directory, environ)
    if git is None:
        raise GitError(f"{str(directory)!r} is in no git work tree", hint="git init")
    settings = {
        f"merge.{DRIVER}.name": "Strongroom: two branches' records, united by key id",
        f"merge.{DRIVER}.driver": f"{command} git-merge -- %O %A %B %P",
    }
    changed = _with_attributes(directory / _ATTRIBUTES)
    for key, value in settings.items():
        git.run("config", "--local", key, value, literal=False)
    acts.record("merge-driver-set-up", store=directory)
    return MergeSetup(directory=directory, settings=settings, to_add=(str(directory / _ATTRIBUTES),) if changed else ())


def merges_here(directory: Path, *, environ: Mapping[str, str] | None = None) -> bool | None:
    """Whether git knows the driver in this clone; None where the store is in no git. GitError."""
    git = _git(directory, Environment.of(environ))
    if git is None:
        return None
    return bool(git.run("config", "--get", f"merge.{DRIVER}.driver", fine=(0, 1), literal=False).strip())


def _git(directory: Path, environ: Mapping[str, str]) -> Git | None:
    top = git_top(directory.absolute())
    return None if top is None else Git(root=directory, top=top, environ=environ)


def _with_attributes(path: Path) -> bool:
    """Add what an older Strongroom did not write; whether there was anything."""
    try:
        before = path.read_bytes() if path.exists() else b""
        after = with_lines(before, *(line for line in ATTRIBUTES.splitlines() if not line.startswith(b"#")))
        if after == before:
            return False
        beside = path.with_name(".new-0000000000000000")  # the pattern that the next writer sweeps away
        beside.write_bytes(after)
        beside.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {error.strerror}") from None
    return True
