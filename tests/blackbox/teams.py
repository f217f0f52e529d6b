"""What the tests of the verbs share: repositories with some secrets in them, and gpg starts counted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from strongroom.blackbox import Repository
from tests.support.blackbox_fixtures import git


def plain(repo: Repository, name: str, content: bytes = b"secret") -> Path:
    """A plaintext in the work tree."""
    path = repo.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fill(repo: Repository, names: Sequence[str], approved: Sequence[str]) -> None:
    """Registered files, each of which holds its own name."""
    for name in names:
        plain(repo, name, f"content of {name}".encode("utf-8", "surrogateescape"))
    repo.register_all(names, approved=approved)


def subjects(root: Path) -> list[str]:
    """What the commits say, the newest first."""
    return git(root, "log", "--format=%s").decode("utf-8", "surrogateescape").split("\n")[:-1]


def status(root: Path) -> bytes:
    """What git would say is not committed."""
    return git(root, "status", "--porcelain", "-z", "-uall")


class CountedGpg:
    """A directory for the front of PATH, in which `gpg` is the real one and leaves a line for each start."""

    def __init__(self, directory: Path, real: str = "/usr/bin/gpg") -> None:
        self.directory = directory
        self._log = directory / "starts"
        directory.mkdir(parents=True)
        program = directory / "gpg"
        program.write_text(f'#!/bin/sh\necho "$*" >>"{self._log}"\nexec {real} "$@"\n')
        program.chmod(0o755)

    @property
    def program(self) -> Path:
        return self.directory / "gpg"

    def environ(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.directory}:{os.environ['PATH']}"}

    def take(self) -> int:
        """How many starts since the last time."""
        found = self._log.read_text().count("\n") if self._log.exists() else 0
        self._log.unlink(missing_ok=True)
        return found


@contextmanager
def nothing_changes(root: Path) -> Iterator[None]:
    """Every file, git's index and history are afterwards what they were."""
    from tests.blackbox.conftest import snapshot

    before = snapshot(root), git(root, "ls-files", "--stage"), git(root, "rev-parse", "HEAD")
    yield
    assert (snapshot(root), git(root, "ls-files", "--stage"), git(root, "rev-parse", "HEAD")) == before
