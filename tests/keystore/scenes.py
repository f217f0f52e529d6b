"""A git repository with a store in it, as `strongroom init` makes it for a user of gpg, and the environment of each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.blackbox_fixtures import git
from tests.support.gpg import SAFE_PATH, GpgHome

from strongroom.keystore.facade import KeyStore
from strongroom.keystore.founding import Founded, found
from strongroom.keystore.opening import open_store

PASSPHRASE = "violet anchor 42 drums"


@dataclass
class Scene:
    """`top` is a git work tree, `state` where witnesses are; every program here sees `environ` and nothing else."""

    top: Path
    state: Path
    user: GpgHome
    founded: Founded | None = None
    more: dict[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return self.top / ".strongroom"

    @property
    def environ(self) -> dict[str, str]:
        return self.environ_of(self.user)

    def environ_of(self, user: GpgHome, **more: str) -> dict[str, str]:
        """The environment of somebody at this machine."""
        return {**user.env, "STRONGROOM_STATE": str(self.state), **self.more, **more}

    def bare(self, **more: str) -> dict[str, str]:
        """The environment of a machine with no home and no key of its own."""
        return {"PATH": SAFE_PATH, "STRONGROOM_STATE": str(self.state), **more}

    def open(self, **options: Any) -> KeyStore:
        options.setdefault("environ", self.environ)
        return open_store(self.directory, **options)

    def found(self, **options: Any) -> Founded:
        options.setdefault("environ", self.environ)
        self.founded = found(self.directory, **options)
        return self.founded

    def commit(self, message: str = "a change") -> None:
        git(self.top, "add", "-A")
        git(self.top, "commit", "-q", "-m", message)

    def files(self) -> dict[str, bytes]:
        """Every file below the top but git's own, by name."""
        return files_below(self.top)


def files_below(top: Path) -> dict[str, bytes]:
    """Every file by its name, git's own and locks left out."""
    return {
        str(path.relative_to(top)): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file() and not path.is_symlink() and ".git/" not in f"{path.relative_to(top)}/"
        and path.name != ".lock"
    }  # fmt: skip


def repository(top: Path) -> Path:
    """A new git work tree."""
    top.mkdir(parents=True, exist_ok=True)
    git(top, "init", "-q", "-b", "main")
    return top


@contextmanager
def standing_in(directory: Path) -> Iterator[None]:
    """With another working directory for a block."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


def copied(scene: Scene, place: Path) -> Scene:
    """The same repository in another place, with a witness of its own that has seen it."""
    made = Scene(
        top=shutil.copytree(scene.top, place / "repo"),
        state=place / "state",
        user=scene.user,
        founded=scene.founded,
    )
    made.open().close()
    return made
