"""Which files are records. Every entry is judged by its name and kind alone; nothing is opened to be judged."""

from __future__ import annotations

import os
import re
import stat

from strongroom._closing import let_go
from strongroom.errors import InvalidNameError, StoreError
from strongroom.model.names import MAX_NAME, KeysetName, parse_name
from strongroom.stores.base import Oddity
from strongroom.stores.placing import DIRECTORY

ENDING = ".json"

# A part of what the name law allows, found in one pass over all names instead of 2 µs for each: a segment without dots
# has no forbidden ending, and one of five characters or more is no device. A test holds it against parse_name.
_PLAIN = re.compile(r"^[a-z0-9][a-z0-9_-]{3,62}[a-z0-9]$", re.MULTILINE)
_LONGEST_SEGMENT = 64
_MAX_DEPTH = 8


class Listing:
    """What lies in the directory of the records: `names`, sorted, and `oddities`, by place."""

    __slots__ = ("names", "oddities")

    def __init__(self, keysets: int | None) -> None:
        """Of an open directory; None stands for one that is not there."""
        names: list[KeysetName] = []
        odd: list[Oddity] = []
        if keysets is not None:
            _walk(keysets, "", names, odd)
        names.sort()
        odd.sort(key=lambda each: each.place)
        self.names = tuple(names)
        self.oddities = tuple(odd)


def _walk(directory: int, prefix: str, names: list[KeysetName], odd: list[Oddity]) -> None:
    found: list[str] = []
    below: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name.endswith(ENDING) and entry.is_file(follow_symlinks=False):
                found.append(name[:-5])
            elif entry.is_dir(follow_symlinks=False):
                below.append(name)
            else:
                odd.append(Oddity(place=prefix + name, problem=_kind(entry)))
    _judge(found, prefix, names, odd)
    for name in below:
        _enter(directory, name, prefix, names, odd)


def _judge(found: list[str], prefix: str, names: list[KeysetName], odd: list[Oddity]) -> None:
    unsure: list[str] = found
    text = "\n".join(found)
    room = len(prefix) + _LONGEST_SEGMENT <= MAX_NAME and prefix.count("/") < _MAX_DEPTH
    if room and text.count("\n") == len(found) - 1:  # a name with a line end in it would count as two
        plain = _PLAIN.findall(text)
        names += [KeysetName(prefix + name) for name in plain] if prefix else plain
        unsure = [] if len(plain) == len(found) else list(set(found).difference(plain))
    for name in unsure:
        try:
            names.append(parse_name(prefix + name, reserved=True))
        except InvalidNameError as problem:
            odd.append(Oddity(place=prefix + name + ENDING, problem=f"is no record: {problem}"))


def _enter(directory: int, name: str, prefix: str, names: list[KeysetName], odd: list[Oddity]) -> None:
    inner = f"{prefix}{name}/"
    try:
        parse_name(f"{inner}x", reserved=True)  # whether any keyset could lie in it
    except InvalidNameError:
        odd.append(Oddity(place=inner, problem="is a directory that no keyset's name leads to"))
        return
    try:
        below = os.open(name, DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        return  # gone since
    except OSError as error:
        raise StoreError(f"cannot list {inner!r}: {error.strerror}", hint="'ls -la' tells why") from None
    try:
        _walk(below, inner, names, odd)
    finally:
        let_go(below)


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError as error:
        return f"cannot be judged: {error.strerror}"
    if stat.S_ISLNK(mode):
        return "is a symbolic link"
    if stat.S_ISREG(mode):
        return f"does not end in {ENDING!r}"
    return "is not a regular file"
