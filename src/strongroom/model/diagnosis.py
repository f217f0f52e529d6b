"""What a file of a store that cannot be read looks like, told to who has to mend it. It only ever makes an error."""

from __future__ import annotations

import re

from strongroom.errors import FormatError, NewerFormatError

_CONFLICT = re.compile(rb"^(?:<{7}|\|{7}|={7}|>{7})(?: .*)?\r?$", re.MULTILINE)
# "format" is the first field of every file of a store, in this and in every later format (docs/format.md).
_FORMAT = re.compile(rb'\s*\{\s*"format"\s*:\s*"strongroom/([1-9][0-9]{0,8}) ([a-z]{1,20})"')


def diagnose(
    raw: bytes, *, what: str, kind: str, reads: int, trouble: str = "", canonical: bytes = b"", way: str = ""
) -> FormatError:
    """The error for bytes that are not canonical and of format `reads` or older.

    `what` names the file in the message, `kind` is the last word of its format ("record", "store"). `trouble` is what
    the parser said of the bytes, `canonical` how that which they mean is spelled, where they mean something. What git,
    editors and newer versions do to files is named as such, with the command that mends it: `way`, for a file that is
    not kept in git.
    """
    conflict = _CONFLICT.search(raw)
    if conflict is not None:
        line = raw.count(b"\n", 0, conflict.start()) + 1
        return FormatError(
            f"{what} holds git conflict markers at line {line}",
            hint=way or "take one side whole: 'git checkout --ours FILE' or 'git checkout --theirs FILE'",
        )
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return FormatError(
            f"{what} starts with a byte order mark",
            hint=way or "an editor wrote it; 'git checkout FILE' brings it back",
        )
    if b"\r" in raw:
        return FormatError(
            f"{what} has CRLF line ends",
            hint=way or "git changed them: the store's .gitattributes must say '* -text', then 'git checkout FILE'",
        )
    found = _FORMAT.match(raw)
    if found is not None and found[2] != kind.encode():
        return FormatError(f"in the place of {what} stands a {found[2].decode('ascii')}", hint=way)
    if found is not None and int(found[1]) > reads:
        return NewerFormatError(
            f"{what} has format {int(found[1])}; this Strongroom reads formats up to {reads}",
            hint="pip install --upgrade strongroom",
        )
    if not raw:
        return FormatError(f"{what} is empty", hint=way or "'git checkout FILE' brings it back")
    if canonical:
        return FormatError(
            f"{what} is not spelled as Strongroom spells it, from line {_first_difference(raw, canonical)} on",
            hint=way or "records are not edited by hand; 'git diff' shows the change, 'git checkout FILE' undoes it",
        )
    return FormatError(
        f"{what} cannot be read: {_plain(trouble)}",
        hint=way or "'git diff' shows a change, 'git checkout FILE' undoes it",
    )


def _first_difference(raw: bytes, canonical: bytes) -> int:
    """The number of the first line in which two unequal texts differ."""
    ours, theirs = raw.split(b"\n"), canonical.split(b"\n")
    pairs = enumerate(zip(ours, theirs, strict=False), start=1)
    return next((number for number, (a, b) in pairs if a != b), min(len(ours), len(theirs)))


def _plain(trouble: str) -> str:
    """The parser's words without what could steer a terminal: they may quote the file."""
    words = "".join(character if character.isprintable() else "?" for character in trouble[:200])
    return words[:1].lower() + words[1:]
