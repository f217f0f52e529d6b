"""git around a repository: a program on other people's files, which obeys us and never them."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import sleep

from strongroom.errors import GitError, StoreError

TIME_LIMIT = 60.0
"""Seconds that one call of git may take."""
_PATIENCE = 20
_PORTION = 400

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


_BYTES = (".gpg", ".kbx")
"""How the names of files end that are no text."""
_ATTRIBUTES = ("text", "crlf", "eol", "ident", "working-tree-encoding")
_UNSAID = "unspecified"
_OFF = frozenset({_UNSAID, "unset"})


def is_git(directory: Path) -> bool:
    """Whether git would take `directory` for the top of a work tree. No program is started to find out."""
    entry = directory / ".git"
    return (entry / "HEAD").is_file() or entry.is_file()


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

    def tracked(self, names: Sequence[str]) -> frozenset[str]:
        found = (self.run("ls-files", "-z", "--cached", "--", *some) for some in _portions(names))
        return frozenset(_names(b"".join(found))).intersection(names)

    def committed(self, names: Sequence[str]) -> frozenset[str]:
        asked = _portions(names) if self._born() else ()
        found = (self.run("ls-tree", "-z", "--name-only", "HEAD", "--", *some) for some in asked)
        return frozenset(_names(b"".join(found))).intersection(names)

    def ignored(self, names: Sequence[str]) -> frozenset[str]:
        # check-ignore takes its paths literally and refuses the option that says so; behind ./ no colon is magic.
        # It answers 1 for "none".
        asked = _list([f"./{name}" for name in names])
        said = self.run("check-ignore", "-z", "--no-index", "--stdin", stdin=asked, fine=(0, 1), literal=False)
        return frozenset(name.removeprefix("./") for name in _names(said))

    def check_kept(self, names: Sequence[str]) -> None:
        asked = [name for name in names if name.endswith(_BYTES)]
        if not asked:
            return
        try:
            fields = self.run("check-attr", "-z", "--stdin", *_ATTRIBUTES, stdin=_list(asked)).split(b"\0")
        except GitError:  # no git, or not our repository: a file that is only written can do without either
            return
        said: dict[str, dict[str, str]] = {}
        for path, attribute, value in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
            said.setdefault(os.fsdecode(path), {})[os.fsdecode(attribute)] = os.fsdecode(value)
        for name in asked:
            if changing := _changes_bytes(said.get(name, {})):
                raise GitError(
                    f"git would not keep {name!r} byte for byte: .gitattributes gives it {changing!r}",
                    hint="end .gitattributes with '*.gpg -text -ident -working-tree-encoding', and '*.kbx' likewise",
                )

    def stage(self, names: Sequence[str]) -> None:
        self.run("update-index", "--add", "--remove", "-z", "--stdin", stdin=_list(names))

    def commit(self, names: Sequence[str], message: str) -> bool:
        """As the protocol says; when git fails, these paths' index entries are what they were."""
        before = b"".join(self.run("ls-files", "-z", "--stage", "--", *some) for some in _portions(names))
        if unmerged := sorted({_name_of(entry) for entry in before.split(b"\0") if entry and not _is_merged(entry)}):
            raise GitError(
                f"git calls {unmerged[0]!r} unmerged, and a commit would settle it for one side",
                hint=f"settle it, then git add -- {shlex.quote(unmerged[0])}",
            )
        self.stage(names)
        try:
            if not self._differs(names):
                return False
            self.run(
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
            self.run("update-index", "--force-remove", "-z", "--stdin", stdin=_list(names))
            self.run("update-index", "-z", "--index-info", stdin=before)
            raise
        return True

    def _differs(self, names: Sequence[str]) -> bool:
        """Whether there is anything to commit; git's own answer to nothing looks like a failure."""
        compare = ("diff-index", "--cached", "--name-only", "-z", "HEAD", "--")
        return not self._born() or any(self.run(*compare, *some) for some in _portions(names))

    def _born(self) -> bool:
        return bool(self.run("rev-parse", "--quiet", "--verify", "HEAD", fine=(0, 1)))

    def _known(self, names: Sequence[str]) -> list[str]:
        """Those that the commit changes: a file that was staged, never committed and is gone now is none."""
        gone = [name for name in names if not os.path.lexists(self._root / name)]
        if not gone:
            return list(names)
        committed = self.committed(gone)
        return [name for name in names if name not in gone or name in committed]

    def run(self, *arguments: str, stdin: bytes = b"", fine: Sequence[int] = (0,), literal: bool = True) -> bytes:
        """What git prints. GitError for another ending than the `fine` ones; nothing of the repository's own is run."""
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


def _changes_bytes(attributes: Mapping[str, str]) -> str | None:
    """The attribute by which git converts a file, as gitattributes(5) says; `auto` sees that a ciphertext is binary."""
    for attribute in ("working-tree-encoding", "ident"):
        if (value := attributes.get(attribute, _UNSAID)) not in _OFF:
            return attribute if value == "set" else f"{attribute}={value}"
    text, crlf, eol = (attributes.get(attribute, _UNSAID) for attribute in ("text", "crlf", "eol"))
    if text == _UNSAID and crlf != _UNSAID:  # its name of old
        return "crlf" if crlf in {"set", "input"} else None
    if text == _UNSAID and eol in {"lf", "crlf"}:
        return f"eol={eol}"
    return "text" if text in {"set", "input"} else None


def _name_of(entry: bytes) -> str:
    """The name in a line of `git ls-files --stage`: mode, hash, stage, a tab, and it."""
    return os.fsdecode(entry.partition(b"\t")[2])


def _is_merged(entry: bytes) -> bool:
    """Whether the line's stage is 0; the others are the two sides of a conflict and what they come from."""
    return entry.partition(b"\t")[0].endswith(b" 0")


def _list(names: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def _names(listed: bytes) -> list[str]:
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


def _portions(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """So many names at a time as fit a command line (names have at most 4096 bytes, and Linux takes 2 MiB)."""
    return (names[start : start + _PORTION] for start in range(0, len(names), _PORTION))
