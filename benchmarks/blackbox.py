"""A BlackBox repository of 200 files and three admins: two directories of `blackbox_*` commands, one job, in one run.

`python -m benchmarks.blackbox [--ours DIR] [--theirs DIR] [--json]`: any implementation can be put in on either side.
Ours are those that `strongroom blackbox install-shims` writes. Theirs, where none is named, is a stand-in that starts
each gpg and git that an original script starts, in order, but without the shell around them, so that it is flattered:
the scripts themselves were seen to take 18 s to register, 14 s to update, 6 s to decrypt. Starts of gpg are counted on
a few files, by a `gpg` in front of PATH, which costs both sides time and is not there when they are measured.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.blackbox.teams import CountedGpg
from tests.support import original_commands
from tests.support.blackbox_fixtures import git
from tests.support.gpg import GpgHome, KeyKind

import strongroom
from benchmarks._timing import Row, Timing, as_json, table
from strongroom.blackbox import Repository
from strongroom.cli import shims
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.identities import OpenPgpIdentity, write_identity

FILES = 200
COUNTED = 10
PEOPLE = ("ann", "ben", "cleo", "dan")
"""Three are admins; before update_all the last takes the place of the second."""
SOMEBODY = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Bench"), ("EMAIL", "bench@example.org"))
}


@dataclass(frozen=True, slots=True)
class Task:
    """What is measured: commands with their arguments, after others that are not."""

    name: str
    goal: float
    commands: tuple[tuple[str, ...], ...]
    first: tuple[tuple[str, ...], ...] = ()
    rounds: int = 1


ROUNDS = 3
COLD = Task("postdeploy, cold", 1.3, (("blackbox_postdeploy",),), first=(("blackbox_shred_all_files",),), rounds=ROUNDS)


@dataclass(frozen=True, slots=True)
class Side:
    """One implementation in its own copy of the repository."""

    commands: Path
    root: Path
    environ: Mapping[str, str]

    def run(self, command: str, *arguments: str) -> float:
        """Seconds that a command took. One that fails ends the benchmark, with its words."""
        begun = time.perf_counter()
        done = subprocess.run(
            [self.commands / command, *arguments], cwd=self.root, env=dict(self.environ), capture_output=True
        )
        spent = time.perf_counter() - begun
        if done.returncode:
            raise OSError(f"{command} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-400:]}")
        return spent


class Scene:
    """Two equal repositories, one for each side, and the admin who works in both."""

    def __init__(self, users: list[GpgHome], base: Path, directories: tuple[Path, Path], *, files: int) -> None:
        self.names = [f"config/secret-{number:03}.yml" for number in range(files)]
        self.users = users
        self.environ = {**users[0].env, **SOMEBODY, "STRONGROOM_STATE": str(base / "state")}
        engine = GnuPG(home=users[0].home)
        try:
            roots = [self._made(base / side, users, engine) for side in ("ours", "theirs")]
        finally:
            engine.close()
        self.ours, self.theirs = (
            Side(commands, root, self.environ) for commands, root in zip(directories, roots, strict=True)
        )
        self._approve(users[:3])

    def change_of_admins(self) -> None:
        """What update_all is for: one left, another came, and every file is to be sealed anew, to three as before."""
        engine = GnuPG(home=self.users[0].home)
        try:
            key = engine.certificates(self.users[3].export())[0]
            for side in (self.ours, self.theirs):
                repo = Repository.discover(side.root, engine=engine, environ=self.environ)
                repo.remove_admin(f"{PEOPLE[1]}@example.org")
                repo.add_admin(key, label=f"{PEOPLE[3]}@example.org")
        finally:
            engine.close()
        self._approve(self.users[3:])

    def _approve(self, users: list[GpgHome]) -> None:
        approve = ["blackbox", "approve", *(user.fingerprint for user in users)]
        subprocess.run(
            [shims.program(), *approve], cwd=self.ours.root, env=self.environ, capture_output=True, check=True
        )

    def _made(self, root: Path, users: list[GpgHome], engine: GnuPG) -> Path:
        root.mkdir(parents=True)
        git(root, "init", "--quiet")
        for name in ("user.name", "user.email"):
            git(root, "config", name, "bench@example.org")
        first, *others = [engine.certificates(user.export())[0] for user in users[:3]]
        repo = Repository.create(root, admin=first, label=f"{PEOPLE[0]}@example.org", engine=engine)
        for name, key in zip(PEOPLE[1:3], others, strict=True):
            repo.add_admin(key, label=f"{name}@example.org")
        (root / "config").mkdir()
        for name in self.names:
            (root / name).write_text(f"password: {name}\n" * 8)
        return root

    def job(self) -> Iterator[Task]:
        """What is measured, each on what the one before it left."""
        yield Task("register", 8.0, (("blackbox_register_new_file", *self.names),))
        self.change_of_admins()
        yield Task("update_all", 2.0, (("blackbox_update_all_files",),))
        yield COLD
        yield Task("postdeploy, unchanged", 20.0, COLD.commands, rounds=ROUNDS)
        yield Task("cat, ten times", 1.0, (("blackbox_cat", self.names[7]),) * 10, COLD.first, rounds=ROUNDS)


def measured(sides: tuple[Side, Side], task: Task) -> list[Timing]:
    """Both sides in turn: one round where a task changes what it works on, several where it can be done again."""
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(task.rounds):
        for side, seconds in zip(sides, spent, strict=True):
            for command in task.first:
                side.run(*command)
            seconds.append(sum(side.run(*command) for command in task.commands))
    return [Timing(min(each), statistics.median(each)) for each in spent]


def rows(ours: Path | None = None, theirs: Path | None = None) -> list[Row]:
    """The rows of the table."""
    found: list[Row] = []
    with ExitStack() as stack:
        base = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        if ours is None:
            compileall.compile_dir(str(Path(strongroom.__file__).parent), quiet=1)  # as pip leaves what it installs
            ours = base / "commands"
            shims.install(ours)
        against = "original steps" if theirs is None else str(theirs)
        if theirs is None:
            theirs = base / "originals"
            original_commands.install(theirs)
        directories = (ours.absolute(), theirs.absolute())
        users = _users("rsa3072", stack)
        _count(Scene(users, base / "few", directories, files=COUNTED), CountedGpg(base / "bin"))
        scene = Scene(users, base / "many", directories, files=FILES)
        for task in scene.job():
            mine, other = measured((scene.ours, scene.theirs), task)
            found.append(Row(f"blackbox {FILES} files: {task.name}", against, mine, other, task.goal))
        found.append(_in_process(base / "curve", directories, against, stack))
    return found


def _users(kind: KeyKind, stack: ExitStack) -> list[GpgHome]:
    users = [GpgHome.user(f"{name} <{name}@example.org>", kind=kind) for name in PEOPLE]
    for user in users:
        stack.callback(user.close)
    return users


def _count(few: Scene, gpg: CountedGpg) -> None:
    path = f"{gpg.directory}:{few.environ['PATH']}"
    for task in few.job():
        starts = []
        for side in (few.ours, few.theirs):
            counted = Side(side.commands, side.root, {**side.environ, "PATH": path})
            for command in task.first:
                counted.run(*command)
            gpg.take()
            for command in task.commands:
                counted.run(*command)
            starts.append(gpg.take())
        told = f"gpg starts {starts[0]} x, theirs {starts[1]} x"
        print(f"bench: blackbox {task.name}, {COUNTED} files: {told}", file=sys.stderr)


def _in_process(base: Path, directories: tuple[Path, Path], against: str, stack: ExitStack) -> Row:
    """postdeploy by a machine with a Curve25519 role key and the sequoia engine, which starts no gpg."""
    users = _users("ed25519", stack)
    scene = Scene(users, base, directories, files=FILES)
    for side in (scene.ours, scene.theirs):
        side.run("blackbox_register_new_file", *scene.names)
    identity = base / "ann.identity"
    secret = SecretBytes(users[0].export_secret())
    write_identity(identity, OpenPgpIdentity(name="ann", fingerprint=users[0].fingerprint, private=secret, store=None))
    machine = {**scene.environ, "STRONGROOM_ENGINE": "sequoia", "STRONGROOM_IDENTITY_FILE": str(identity)}
    role = Side(scene.ours.commands, scene.ours.root, machine)
    mine, other = measured((role, scene.theirs), COLD)
    name = f"blackbox {FILES} files: postdeploy, cold, sequoia and Curve25519"
    return Row(name, against, mine, other, 4.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blackbox", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--ours", type=Path, metavar="DIR", help="a directory of blackbox_* commands")
    parser.add_argument("--theirs", type=Path, metavar="DIR", help="another one")
    parser.add_argument("--json", action="store_true", help="for programs; times in seconds")
    arguments = parser.parse_args()
    found = rows(arguments.ours, arguments.theirs)
    print(as_json(found) if arguments.json else table(found))


if __name__ == "__main__":
    main()
