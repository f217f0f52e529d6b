"""The version control around a repository. git is a program on other people's files: it obeys us, never them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import sleep
from typing import NoReturn, Protocol

from strongroom.errors import GitError, StoreError, UnsupportedError

TIME_LIMIT = 60.0
"""Seconds that one call of git may take."""
_PATIENCE = 20

_LITERAL = ("--literal-pathspecs",)  # a file named `:(exclude)*` or `*` is a file
_OURS = (
    "--no-pager",
    "-c",
    "safe.bareRepository=explicit",  # a bare repository planted among the files would bring its own config
    "-c",
    "core.fsmonitor=false",  # a config value that names a program
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "protocol.ext.allow=never",
)
# What the user's own git needs to know who commits, and to sign where the user's config says so. Everything else,
# GIT_DIR and GIT_INDEX_FILE among it, stays outside.
_KEPT = (
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "TMPDIR",
    "GNUPGHOME",
    "GPG_TTY",
    "SSH_AUTH_SOCK",
    "EMAIL",
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_DATE",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
)


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

    def tracks(self, name: str) -> bool:
        """Whether the file is in the index, and so in the next commit."""
        ...

    def ignores(self, name: str) -> bool:
        """Whether an untracked file of this name stays out of the index."""
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


def is_git(directory: Path) -> bool:
    """Whether git would take `directory` for the top of a work tree. No program is started to find out."""
    entry = directory / ".git"
    return (entry / "HEAD").is_file() or entry.is_file()


class NoControl:
    """A directory without version control: nothing is committed, nothing needs to be ignored."""

    kind = "none"

    def __init__(self, data: Path) -> None:
        self.lock_directory = data

    def check_ready(self) -> None:
        """Always ready."""

    def tracks(self, name: str) -> bool:
        return False

    def ignores(self, name: str) -> bool:
        return True

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

    def tracks(self, name: str) -> bool:
        self._refuse()

    def ignores(self, name: str) -> bool:
        self._refuse()

    def commit(self, names: Sequence[str], message: str) -> bool:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UnsupportedError(f"this BlackBox repository is kept in {self.kind}; it can be read but not written")


class Git:
    """One git work tree. Each call: absolute program, built environment, no hooks, literal paths on stdin, a limit.

    The work tree is found by git itself with `root` as its directory and never above `top`, so that git's own check
    of who owns it (safe.directory) still runs.
    """

    kind = "git"

    def __init__(self, *, root: Path, top: Path, environ: Mapping[str, str]) -> None:
        self._root = root
        self._top = top
        path = os.pathsep.join(entry for entry in environ.get("PATH", os.defpath).split(os.pathsep) if entry[:1] == "/")
        self._path = path
        self._environment = {name: environ[name] for name in _KEPT if name in environ} | {
            "PATH": path,
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_EDITOR": "true",
            "GIT_CEILING_DIRECTORIES": str(top.parent),
        }

    @property
    def lock_directory(self) -> Path:
        """git's own directory; a linked work tree or submodule has one to itself, which its `.git` file names."""
        entry = self._top / ".git"
        if entry.is_dir():
            return entry
        try:
            text = entry.read_bytes()[:4096]
        except OSError as error:
            raise StoreError(f"cannot read {str(entry)!r}: {error.strerror}") from None
        if not text.startswith(b"gitdir: "):
            raise GitError(f"{str(entry)!r} is neither git's directory nor a pointer to it")
        return self._top / os.fsdecode(text.removeprefix(b"gitdir: ").rstrip(b"\r\n"))

    def check_ready(self) -> None:
        directory = self.lock_directory
        for _ in range(_PATIENCE):  # an editor's `git status` holds it for a moment
            if not (directory / "index.lock").exists():
                break
            sleep(0.05)
        else:
            raise GitError(
                f"git's index is locked: {str(directory / 'index.lock')!r} exists",
                hint="wait for the other git; if none runs ('pgrep -x git'), remove that file",
            )
        for state in ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"):
            if (directory / state).exists():
                raise GitError(f"git is in the middle of something: {state} exists", hint="finish it; see 'git status'")

    def tracks(self, name: str) -> bool:
        return bool(self._run("ls-files", "-z", "--cached", "--", name))

    def ignores(self, name: str) -> bool:
        # check-ignore takes its paths literally and refuses the option that says so; behind ./ no colon is magic.
        # It answers 1 for "no".
        options = ("-z", "--no-index", "--stdin")
        return bool(self._run("check-ignore", *options, stdin=_list((f"./{name}",)), fine=(0, 1), literal=False))

    def commit(self, names: Sequence[str], message: str) -> bool:
        """As the protocol says; when git fails, these paths' index entries are what they were."""
        before = self._run("ls-files", "-z", "--stage", "--", *names)
        self._run("update-index", "--add", "--remove", "-z", "--stdin", stdin=_list(names))
        try:
            self._run(
                "commit",
                "--quiet",
                "--only",  # whatever else is staged stays staged
                "--no-verify",
                "--message",
                message,
                "--pathspec-from-file=-",
                "--pathspec-file-nul",
                stdin=_list(self._known(names)),
            )
        except BaseException:
            self._run("update-index", "--force-remove", "-z", "--stdin", stdin=_list(names))
            self._run("update-index", "-z", "--index-info", stdin=before)
            raise
        return True

    def _known(self, names: Sequence[str]) -> list[str]:
        """Those that the commit changes: a file that was staged, never committed and is gone now is none."""
        gone = [name for name in names if not os.path.lexists(self._root / name)]
        if not gone:
            return list(names)
        born = self._run("rev-parse", "--quiet", "--verify", "HEAD", fine=(0, 1))
        listed = self._run("ls-tree", "-z", "--name-only", "HEAD", "--", *gone) if born else b""
        committed = {os.fsdecode(name) for name in listed.split(b"\0")}
        return [name for name in names if name not in gone or name in committed]

    def _run(self, *arguments: str, stdin: bytes = b"", fine: Sequence[int] = (0,), literal: bool = True) -> bytes:
        program = shutil.which("git", path=self._path)
        if program is None:
            raise GitError("there is no git on PATH", hint="install git")
        try:
            process = subprocess.Popen(
                [program, *_OURS, *(_LITERAL if literal else ()), *arguments],
                cwd=self._root,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # one group to end, children of git included
            )
        except (OSError, ValueError) as error:
            raise GitError(f"cannot start {program!r}: {error}") from None
        with process:
            try:
                answer, complaint = process.communicate(stdin, timeout=TIME_LIMIT)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise GitError(f"git {arguments[0]} did not end within {TIME_LIMIT:.0f} s") from None
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode not in fine:
            said = complaint.decode("utf-8", "replace").strip()[-400:]
            raise GitError(
                f"git {arguments[0]} ended with {process.returncode}: {said!r}",
                hint="see 'git status'" if "tell me who you are" not in said else "set 'git config user.email' first",
            )
        return answer


def _list(names: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def _conforms(root: Path) -> tuple[VersionControl, ...]:
    return NoControl(root), OtherControl("hg"), Git(root=root, top=root, environ={})
