"""How a person names a key, as gpg reads it: a name means what it looks like, and never another of gpg's ways."""

from __future__ import annotations

import re

from strongroom.errors import RecipientError

_HEX = re.compile(r"(?:0x)?((?:[0-9A-Fa-f]{16}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}))")
_MAIL = re.compile(r"<?([^<>\s]+@[^<>\s]+)>?")


def as_gpg_reads_it(selector: str) -> str:
    """The selector for gpg, behind `--`: a fingerprint or long key id, an exact mail address, or a part of a user id.

    gpg gives meaning to a first `=`, `<`, `@`, `*`, `&`, `#` and a last `!`; here only the text counts. RecipientError
    for what cannot name a key.
    """
    text = selector.strip()
    if not text or not text.isprintable() or len(text) > 1000:
        raise RecipientError(f"{selector[:80]!r} cannot name a key", hint="name it by its full fingerprint")
    digits = _HEX.fullmatch(text.replace(" ", ""))
    if digits is not None:
        return "0x" + digits[1].upper()
    mail = _MAIL.fullmatch(text)
    return f"<{mail[1]}>" if mail is not None else f"*{text}"
