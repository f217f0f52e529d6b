"""What BlackBox's files say, as bytes: lists, ignore lines, names. Nothing here touches a disk or starts a program."""

from __future__ import annotations

import os
import re

from strongroom.errors import BlackBoxError, FormatError, PathError

ADMINS = "blackbox-admins.txt"
FILES = "blackbox-files.txt"
KEYBOX = "pubring.kbx"
OLD_RING = "pubring.gpg"
SECRET_RING = "secring.gpg"  # noqa: S105 - a file that must not be there, not a password
TRUST = "trustdb.gpg"
ATTRIBUTES = ".gitattributes"
IGNORE = ".gitignore"

DATA_DIRECTORIES = (".blackbox", "keyrings/live")
"""Where BlackBox keeps its data, in the order in which it looks."""

ATTRIBUTE_LINES = (b"blackbox-admins.txt text eol=lf", b"blackbox-files.txt text eol=lf")

MAX_LIST = 16 * 1024 * 1024
"""Bytes of a list that are read; a repository of secrets has some hundred names."""

_NAMES = "strongroom blackbox list-files shows names as they are meant"
_FOLDED = bytes.maketrans(bytes(range(ord("a"), ord("z") + 1)), bytes(range(ord("A"), ord("Z") + 1)))
_NOT_DICTIONARY = re.compile(rb"[^0-9A-Za-z \t]")


def parse_lines(raw: bytes, *, what: str) -> tuple[bytes, ...]:
    """The lines of a list as BlackBox's users mean them: any order, LF or CRLF, the last with or without its newline.

    Blank lines are dropped: the original takes the next option for a name there. Bytes are split at LF alone:
    `str.splitlines` would also split a name at VT, FF, NEL or U+2028. Conflict markers are a BlackBoxError, because
    half of two lists is neither.
    """
    if len(raw) > MAX_LIST:
        raise FormatError(f"{what!r} has {len(raw)} bytes; the limit is {MAX_LIST}")
    lines = tuple(line.removesuffix(b"\r") for line in raw.split(b"\n"))
    if any(line.startswith(b"<<<<<<< ") for line in lines) and any(line.startswith(b">>>>>>> ") for line in lines):
        raise BlackBoxError(
            f"{what!r} holds the conflict markers of an unfinished merge",
            hint="see 'git status', and keep the lines of both sides",
        )
    return tuple(line for line in lines if line.strip())


def format_files(lines: tuple[bytes, ...], *added: bytes) -> bytes:
    """The list of files as `LC_ALL=C sort -u` writes it, with more names."""
    return b"".join(line + b"\n" for line in sorted({*lines, *added}))


def format_admins(lines: tuple[bytes, ...], added: bytes) -> bytes:
    """The list of admins in the order of `LC_ALL=C sort -fd`, with one more line.

    The original's `-u` compares by the folded key too, so that of 'al.ice@x' and 'alice@x' one admin vanishes.
    Here only equal bytes are one line.
    """
    return b"".join(line + b"\n" for line in sorted({*lines, added}, key=_dictionary_order))


def _dictionary_order(line: bytes) -> tuple[bytes, bytes]:
    """sort's key under -f and -d, then its last resort, the whole line."""
    return _NOT_DICTIONARY.sub(b"", line).translate(_FOLDED), line


def ignore_line(name: str) -> bytes:
    r"""The line of .gitignore that hides exactly this file from git.

    BlackBox escapes `\`, `*` and `?` and so lets `[ab].txt` and `trail ` through: git takes a bracket for a class of
    characters and drops a bare space at the end (gitignore(5)). For every name that BlackBox hides, the bytes are its
    own, so that its deregister finds the line.
    """
    raw = re.sub(rb"([\\*?\[])", rb"\\\1", os.fsencode(name))
    kept = raw.rstrip(b" ")
    return b"/" + kept + b"\\ " * (len(raw) - len(kept))


def with_lines(raw: bytes, *wanted: bytes) -> bytes:
    """`raw` with each wanted line that it lacks added at its end; what is there stays as it is, byte for byte."""
    present = {line.removesuffix(b"\r") for line in raw.split(b"\n")}
    missing = [line for line in wanted if line not in present]
    if missing and raw and not raw.endswith(b"\n"):
        raw += b"\n"  # the original glues its line to the last one
    return raw + b"".join(line + b"\n" for line in missing)


def without_line(raw: bytes, unwanted: bytes) -> bytes:
    """`raw` without the lines that are `unwanted`, LF or CRLF; the others stay as they are, byte for byte."""
    return b"".join(
        line
        for line in re.findall(rb"[^\n]*\n|[^\n]+\Z", raw)
        if line.removesuffix(b"\n").removesuffix(b"\r") != unwanted
    )


def data_ignore_lines(data: str) -> tuple[bytes, ...]:
    """The lines that `blackbox_initialize` writes for the data directory."""
    return tuple(ignore_line(f"{data}/{name}") for name in (f"{OLD_RING}~", f"{KEYBOX}~", SECRET_RING))


def parse_name(text: str) -> str:
    """A name relative to the repository's root: `./` at its front and doubled slashes go, as BlackBox has it.

    PathError for what leaves the root or cannot stand in a list: absolute, `..`, NUL, newline, a carriage return at
    the end (lists may be CRLF), and anything within a `.git`, where a written file could become a program.
    """
    raw = os.fsencode(text)
    if b"\0" in raw or b"\n" in raw:
        raise PathError(f"{text!r} holds a NUL or a newline, and a list of files cannot")
    if raw.startswith(b"/"):
        raise PathError(f"{text!r} is absolute; names are relative to the repository's root", hint=_NAMES)
    parts = [part for part in raw.split(b"/") if part not in {b"", b"."}]
    if not parts or raw.endswith((b"/", b"/.")):
        raise PathError(f"{text!r} names no file", hint=_NAMES)
    if b".." in parts:
        raise PathError(f"{text!r} goes upwards; names are relative to the repository's root", hint=_NAMES)
    if any(part.lower() == b".git" for part in parts):
        raise PathError(f"{text!r} is within git's own directory")
    if raw.endswith(b"\r"):
        raise PathError(f"{text!r} ends in a carriage return, which a list of files would lose")
    return os.fsdecode(b"/".join(parts))
