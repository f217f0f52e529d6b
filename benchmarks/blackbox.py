"""A BlackBox repository of 200 files and three RSA-3072 admins: our verbs against the original scripts' steps.

The steps are those of `tests/support/original_blackbox.py`: each gpg and git command that a script starts, in order,
but without the shell around them, so that theirs are flattered: the scripts themselves were seen to take 18 s to
register, 14 s to update, 6 s to decrypt. Starts of gpg are counted first, on a few files, by a `gpg` in front of PATH,
which costs both sides time and is not there when they are measured.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.blackbox.teams import CountedGpg
from tests.support.blackbox_fixtures import git
from tests.support.gpg import GpgHome
from tests.support.original_blackbox import Original

from benchmarks._timing import Row, Timing, main
from strongroom.blackbox import Repository
from strongroom.openpgp.gnupg import GnuPG

FILES = 200
COUNTED = 10


class Scene:
    """Two equal repositories, one for each side, and the admin who works in both."""

    def __init__(self, users: list[GpgHome], base: Path, *, files: int, gpg: Path | None, stack: ExitStack) -> None:
        self.names = [f"config/secret-{number:03}.yml" for number in range(files)]
        self.approved = [user.fingerprint for user in users]
        engine = GnuPG(home=users[0].home, program=gpg)
        stack.callback(engine.close)
        roots = [self._made(base / side, users, engine) for side in ("ours", "theirs")]
        environ = {**os.environ, "STRONGROOM_STATE": str(base / "state")}
        self.ours = Repository.discover(roots[0], engine=engine, environ=environ)
        path = os.environ["PATH"] if gpg is None else f"{gpg.parent}:{os.environ['PATH']}"
        self.theirs = Original(roots[1], users[0], path=path)
        stack.callback(self.theirs.close)

    def _made(self, root: Path, users: list[GpgHome], engine: GnuPG) -> Path:
        root.mkdir(parents=True)
        git(root, "init", "--quiet")
        first, *others = [engine.certificates(user.export())[0] for user in users]
        repo = Repository.create(root, admin=first, label="ann@example.org", engine=engine)
        for key, label in zip(others, ("ben@example.org", "cleo@example.org"), strict=True):
            repo.add_admin(key, label=label)
        (root / "config").mkdir()
        for name in self.names:
            (root / name).write_text(f"password: {name}\n" * 8)
        return root

    def verbs(self) -> Iterator[tuple[str, Callable[[], object], Callable[[], object], float]]:
        """What is measured, each on what the one before it left, and its goal."""
        ours, theirs, approved, name = self.ours, self.theirs, self.approved, self.names[7]
        yield (
            "register",
            lambda: ours.register_all(self.names, approved=approved),
            lambda: theirs.register_new_file(*self.names),
            8.0,
        )
        yield "update_all", lambda: ours.update_all(approved=approved, force=True), theirs.update_all_files, 2.0
        yield "postdeploy, cold", ours.decrypt_all, theirs.postdeploy, 1.3
        yield "postdeploy, unchanged", ours.decrypt_all, theirs.postdeploy, 20.0
        ours.shred_all()
        theirs.shred_all_files()
        yield (
            "cat, ten times",
            lambda: [ours.read(name).reveal() for _ in range(10)],
            lambda: [theirs.cat(name) for _ in range(10)],
            1.0,
        )


def rows() -> list[Row]:
    """The rows of the table."""
    measured = []
    with ExitStack() as stack:
        base = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        stack.enter_context(_somebody())
        users = [GpgHome.user(f"{name} <{name}@example.org>", kind="rsa3072") for name in ("ann", "ben", "cleo")]
        for user in users:
            stack.callback(user.close)
        counted = CountedGpg(base / "bin")
        few = Scene(users, base / "few", files=COUNTED, gpg=counted.program, stack=stack)
        for verb, ours, theirs, _ in few.verbs():
            counted.take()
            starts = [(side(), counted.take())[1] for side in (ours, theirs)]
            print(
                f"bench: blackbox {verb}, {COUNTED} files: gpg starts {starts[0]} x, theirs {starts[1]} x",
                file=sys.stderr,
            )
        many = Scene(users, base / "many", files=FILES, gpg=None, stack=stack)
        for verb, ours, theirs, goal in many.verbs():
            times = [_seconds(side) for side in (ours, theirs)]
            measured.append(Row(f"blackbox {FILES} files: {verb}", "original steps", times[0], times[1], goal))
    return measured


def _seconds(call: Callable[[], object]) -> Timing:
    """One run: each changes what it works on."""
    start = time.perf_counter()
    call()
    spent = time.perf_counter() - start
    return Timing(spent, spent)


@contextmanager
def _somebody() -> Iterator[None]:
    """An author for git, whoever runs this."""
    before = dict(os.environ)
    os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
    for who in ("AUTHOR", "COMMITTER"):
        os.environ |= {f"GIT_{who}_NAME": "Bench", f"GIT_{who}_EMAIL": "bench@example.org"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    main(rows)
