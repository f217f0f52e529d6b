"""Keys in the clear in git's history: every blob that the clone has is looked at, within a time, and none is shown.

What was committed once is in every clone for ever; that a later commit removed it changes nothing.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from strongroom.blackbox.discovery import git_top
from strongroom.blackbox.git import Git
from strongroom.errors import GitError
from strongroom.keystore.examining_host import PRIVATE
from strongroom.keystore.findings import Finding

LIMIT_S: Final = 300.0
"""Seconds that a search may take; what was not looked at by then is told."""

_MAX_BLOB: Final = 4 * 1024 * 1024
_PORTION: Final = 16 * 1024 * 1024
_LEAST: Final = 40
_ROOT_LINE: Final = re.compile(
    rb'(?P<header>"line": ")?strongroom/[1-9][0-9]{0,8} root [A-Za-z0-9_-]{22} [1-9][0-9]{0,8} [A-Za-z0-9_-]{43}'
)
_ROOT_FILE: Final = re.compile(r"(?:.*/)?root\.[1-9][0-9]{0,8}")
_ROOT_HINT: Final = (
    "who has the repository has this root: strongroom root rotate --exposed 'in history', strongroom rotate --exposed"
)


def search_history(
    directory: Path, progress: Callable[[str], None], environ: Mapping[str, str], *, limit_s: float = LIMIT_S
) -> Iterator[Finding]:
    """Findings for each root and private key in the clear that any commit of this clone holds."""
    top = git_top(directory.absolute())
    if top is None:
        yield Finding(level="note", about="history", fact=f"{str(directory)!r} is in no git work tree", hint="git init")
        return
    git = Git(root=top, top=top, environ=environ)
    try:
        yield from _names(git)
        yield from _blobs(git, progress, time.monotonic() + limit_s)
    except GitError as error:
        yield Finding(level="problem", about="history", fact=str(error), hint=error.hint)


def _names(git: Git) -> Iterator[Finding]:
    """Paths that the original scripts would have given a plaintext root, in any commit."""
    told = git.run(
        "log", "--all", "--format=", "--name-only", "-z", "--", ":(glob)**/root.[1-9]*", literal=False
    ).split(b"\0")
    for name in sorted({os.fsdecode(each).strip("\n") for each in told}):
        if _ROOT_FILE.fullmatch(name):
            yield Finding(
                level="problem", about="history", fact=f"{name!r} was committed: a root in the clear", hint=_ROOT_HINT
            )


def _blobs(git: Git, progress: Callable[[str], None], deadline: float) -> Iterator[Finding]:
    listed = git.run(
        "cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objecttype) %(objectsize) %(objectname)"
    )
    blobs: list[tuple[int, str]] = []
    large = 0
    for line in listed.splitlines():
        kind, size, name = line.split(b" ")
        if kind == b"blob" and int(size) > _MAX_BLOB:
            large += 1
        elif kind == b"blob" and int(size) >= _LEAST:
            blobs.append((int(size), name.decode()))
    done = 0
    for portion in _portions(blobs):
        if time.monotonic() >= deadline:
            break
        for blob, raw in _contents(git, portion):
            yield from _judged(git, blob, raw)
        done += len(portion)
        progress(f"history: {done} of {len(blobs)} files")
    if done < len(blobs) or large:
        yield Finding(
            level="note",
            about="history",
            fact=f"{len(blobs) - done} files were left out for want of time, and {large} because of their size",
            hint="git gc, then strongroom doctor --history once more" if done < len(blobs) else "",
        )
    else:
        yield Finding(level="ok", about="history", fact=f"{done} files of all commits were searched")


def _portions(blobs: list[tuple[int, str]]) -> Iterator[list[str]]:
    held: list[str] = []
    total = 0
    for size, name in blobs:
        held.append(name)
        total += size
        if total >= _PORTION or len(held) >= 2000:
            yield held
            held, total = [], 0
    if held:
        yield held


def _contents(git: Git, names: list[str]) -> Iterator[tuple[str, bytes]]:
    raw = git.run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode())
    at = 0
    for name in names:
        end = raw.index(b"\n", at)
        size = int(raw[at:end].rsplit(b" ", 1)[1])
        yield name, raw[end + 1 : end + 1 + size]
        at = end + size + 2


def _judged(git: Git, name: str, raw: bytes) -> Iterator[Finding]:
    root = _ROOT_LINE.search(raw)
    if root is not None and root["header"] is None:  # a development store's header publishes its own
        fact = f"{_where(git, name)} is, or holds, a root in the clear"
        yield Finding(level="problem", about="history", fact=fact, hint=_ROOT_HINT)
    elif PRIVATE.search(raw[:65_536]):
        yield Finding(
            level="warning",
            about="history",
            fact=f"{_where(git, name)} is, or holds, a private key in the clear",
            hint="make a new key: whoever has the repository has this one; strongroom import takes the new one in",
        )


def _where(git: Git, blob: str) -> str:
    """A path and a commit that had this blob."""
    told = git.run(
        "log", "--all", "--max-count=1", "--format=%h", "--name-only", "--diff-filter=AM", f"--find-object={blob}"
    )
    lines = [line for line in told.decode("utf-8", "replace").splitlines() if line]
    return f"{lines[1]!r} in commit {lines[0]}" if len(lines) > 1 else f"blob {blob[:12]}, which no branch holds,"
