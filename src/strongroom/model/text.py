"""Free text that people write into records. It is shown on terminals and in diffs, so nothing in it may steer them."""

from __future__ import annotations

import unicodedata

from strongroom.errors import SettingsError

MAX_TEXT = 256
"""Characters of the longest reason or label value."""

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
