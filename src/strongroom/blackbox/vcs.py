"""The version control around a repository, whichever it is: what is asked of it, and where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from strongroom.blackbox.git import Git, is_git
from strongroom.errors import UnsupportedError


class VersionControl(Protocol):
    """What a repository asks of the version control around it. Names are relative to the repository's root."""

    @property
    def kind(self) -> str:
        """git, none, hg or svn."""
        ...

    @property
    def lock_directory(self) -> Path:
        """A directory outside the version control's sight, where a lock file can lie."""
        ...

    def check_ready(self) -> None:
        """GitError if a commit would fail for a reason that can be seen beforehand."""
        ...

    def tracked(self, names: Sequence[str]) -> frozenset[str]:
        """Those of the files that are in the index, and so in the next commit."""
        ...

    def committed(self, names: Sequence[str]) -> frozenset[str]:
        """Those of the files that are in the last commit."""
        ...

    def ignored(self, names: Sequence[str]) -> frozenset[str]:
        """Those of the names that stay out of the index if they are not in it yet."""
        ...

    def check_kept(self, names: Sequence[str]) -> None:
        """GitError if git would convert one of these files that is no text: what comes out of it would not open."""
        ...

    def stage(self, names: Sequence[str]) -> None:
        """Have these files, as they are on the disk, in the next commit; a missing one as removed."""
        ...

    def commit(self, names: Sequence[str], message: str) -> bool:
        """Commit these files as they are on the disk, a missing one as removed, and nothing else. False: no commits."""
        ...


def find_version_control(root: Path, data: Path, *, environ: Mapping[str, str]) -> VersionControl:
    """git if a work tree is found at `root` or above it, as BlackBox prefers it; else svn, hg, or none."""
    for directory in (root, *root.parents):
        if is_git(directory):
            return Git(root=root, top=directory, environ=environ)
    if (root / ".svn").is_dir():
        return OtherControl("svn")
    if any((directory / ".hg").is_dir() for directory in (root, *root.parents)):
        return OtherControl("hg")
    return NoControl(data)


class NoControl:
    """A directory without version control: nothing is committed, nothing needs to be ignored."""

    kind = "none"

    def __init__(self, data: Path) -> None:
        self.lock_directory = data

    def check_ready(self) -> None:
        """Always ready."""

    def tracked(self, names: Sequence[str]) -> frozenset[str]:
        return frozenset()

    def committed(self, names: Sequence[str]) -> frozenset[str]:
        return frozenset()

    def ignored(self, names: Sequence[str]) -> frozenset[str]:
        return frozenset(names)

    def check_kept(self, names: Sequence[str]) -> None:
        """Nothing converts them."""

    def stage(self, names: Sequence[str]) -> None:
        """Nothing is committed."""

    def commit(self, names: Sequence[str], message: str) -> bool:
        return False


class OtherControl:
    """hg or svn: such a repository is read. Writing would leave the plaintext tracked, so UnsupportedError."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @property
    def lock_directory(self) -> Path:
        self._refuse()

    def check_ready(self) -> None:
        self._refuse()

    def tracked(self, names: Sequence[str]) -> frozenset[str]:
        self._refuse()

    def committed(self, names: Sequence[str]) -> frozenset[str]:
        self._refuse()

    def ignored(self, names: Sequence[str]) -> frozenset[str]:
        self._refuse()

    def check_kept(self, names: Sequence[str]) -> None:
        self._refuse()

    def stage(self, names: Sequence[str]) -> None:
        self._refuse()

    def commit(self, names: Sequence[str], message: str) -> bool:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UnsupportedError(f"this BlackBox repository is kept in {self.kind}; it can be read but not written")


def _conforms(root: Path) -> tuple[VersionControl, ...]:
    return NoControl(root), OtherControl("hg"), Git(root=root, top=root, environ={})
