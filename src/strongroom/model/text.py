"""Free text that people write into records. It is shown on terminals and in diffs, so nothing in it may steer them."""

from __future__ import annotations

import unicodedata

from strongroom.errors import SettingsError

MAX_TEXT = 256
"""Characters of the longest reason or label value."""

_BEFORE = "; before: "

# Controls, format characters (bidi overrides, zero-width joins), surrogates, private use, line and paragraph ends.
# Not str.isprintable: that also refuses code points which this Python's Unicode tables do not know yet, and a record
# written by a newer Python must open under an older one.
_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def check_text(text: str, what: str) -> str:
    """`text` itself, if it is one line of at most 256 characters that only show themselves; else a SettingsError."""
    if len(text) > MAX_TEXT:
        raise SettingsError(f"the {what} has {len(text)} characters; the limit is {MAX_TEXT}")
    if not (text.isascii() and text.isprintable()):
        for at, character in enumerate(text):
            if unicodedata.category(character) in _REFUSED:
                raise SettingsError(f"the {what} holds the unprintable character {character!a} at position {at}")
    return text


def followed(former: str | None, text: str) -> str:
    """A reason with those that it follows, the newest first. Where it gets too long, the ones between go before the
    oldest, which tells of the state; the newest stays whole."""
    if former is None or not text:
        return text
    parts = [text, *former.split(_BEFORE)]
    while len(parts) > 2 and len(_BEFORE.join(parts)) > MAX_TEXT:
        del parts[1]
    whole = _BEFORE.join(parts)
    if len(whole) <= MAX_TEXT:
        return whole
    room = MAX_TEXT - len(text) - len(_BEFORE) - 1
    return text if room < 1 else f"{text}{_BEFORE}{parts[-1][:room]}…"
