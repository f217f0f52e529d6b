"""What git keeps of older times, read without checking anything out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from strongroom.blackbox.git import Git
from strongroom.errors import GitError

_PORTION = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A file's content that a commit brought: `blob` is git's name for it, `name` is relative to the root."""

    commit: str
    blob: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit that changed a file; `at` in seconds since the epoch, UTC."""

    id: str
    author: str
    at: int


def is_shallow(git: Git) -> bool:
    """Whether this clone was made without older commits (`git clone --depth`)."""
    return git.run("rev-parse", "--is-shallow-repository").strip() == b"true"


def brought(git: Git) -> Iterator[Brought]:
    """Every content that any commit of any branch brought below the root, the newest commit first."""
    if not git.run("rev-list", "--all", "--max-count=1"):
        return
    raw = git.run(
        "log",
        "--all",
        "-m",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        "--relative",
        "-z",
        "--format=%x01%H",
        literal=False,
    )
    commit = ""
    fields = iter(raw.split(b"\0"))
    for field in fields:
        text = field.lstrip(b"\n")
        if text.startswith(b"\x01"):
            commit = text[1:].decode("ascii")
        elif text.startswith(b":"):
            blob, name = text.split(b" ")[3].decode("ascii"), os.fsdecode(next(fields, b""))
            if blob.strip("0"):
                yield Brought(commit=commit, blob=blob, name=name)


def contents(git: Git, blobs: Iterable[str], *, limit: int) -> Iterator[tuple[str, bytes]]:
    """The contents of blobs, some at a time; one of more than `limit` bytes comes as empty."""
    waiting = list(dict.fromkeys(blobs))
    for start in range(0, len(waiting), _PORTION):
        asked = waiting[start : start + _PORTION]
        sizes = _sizes(git, asked)
        small = [blob for blob in asked if sizes.get(blob, limit + 1) <= limit]
        yield from ((blob, b"") for blob in asked if blob not in small)
        raw = git.run("cat-file", "--batch", stdin=_lines(small))
        position = 0
        for blob in small:
            position = raw.index(b"\n", position) + 1
            yield blob, raw[position : position + sizes[blob]]
            position += sizes[blob] + 1


def commits_of(git: Git, name: str, *, most: int) -> list[Commit]:
    """The newest commits that changed a file and left it there, the newest first."""
    if not git.run("rev-parse", "--quiet", "--verify", "HEAD", fine=(0, 1)):
        return []
    listed = git.run(
        "log", f"--max-count={most}", "--diff-filter=AMT", "-z", "--format=%H%x09%at%x09%an", "--", name
    ).split(b"\0")
    rows = [row.strip(b"\n").decode("utf-8", "replace").split("\t", 2) for row in listed if row.strip(b"\n")]
    return [Commit(id=row[0], at=int(row[1]), author=row[2]) for row in rows]


def content_at(git: Git, commit: str, name: str) -> bytes:
    """A file as a commit has it. GitError if it has none."""
    return git.run("cat-file", "blob", f"{commit}:./{name}")


def _sizes(git: Git, blobs: list[str]) -> dict[str, int]:
    said = git.run("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=_lines(blobs))
    rows = [row.split(" ") for row in said.decode("ascii").split("\n") if row]
    try:
        return {row[0]: int(row[2]) for row in rows if row[1] == "blob"}
    except (IndexError, ValueError):
        raise GitError("git lost an object of its history", hint="git fsck") from None


def _lines(blobs: Iterable[str]) -> bytes:
    return b"".join(blob.encode("ascii") + b"\n" for blob in blobs)
