"""How a person names a key, as gpg reads it: a name means what it looks like, and never another of gpg's ways."""

from __future__ import annotations

import re
from collections.abc import Sequence

from strongroom.errors import RecipientError, SettingsError

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


def names(wanted: str, fingerprints: Sequence[str], uids: Sequence[str]) -> bool:
    """Whether a selector that `as_gpg_reads_it` has read means a key with these fingerprints and user ids."""
    if wanted.startswith("0x"):
        return any(fingerprint.endswith(wanted[2:]) for fingerprint in fingerprints)
    text = wanted[1:].lower()
    if wanted.startswith("*"):
        return any(text in uid.lower() for uid in uids)
    return any(uid.lower().endswith(wanted.lower()) or uid.lower() == text[:-1] for uid in uids)


def check_lifetime(expires_s: int | None) -> None:
    """SettingsError for a key that would have expired when it is made; None is for ever."""
    if expires_s is not None and expires_s <= 0:
        raise SettingsError(f"a key that expires after {expires_s} seconds is of no use", hint="leave it out: never")


def check_uid(uid: str) -> None:
    """SettingsError unless it is one line of printable text that a key can carry."""
    if not uid.strip() or not uid.isprintable() or len(uid.encode("utf-8", "replace")) > 255:
        raise SettingsError(
            f"{uid[:80]!r} is not a user id: one line of printable text, at most 255 bytes",
            hint="write it like: Web deploy <deploy@example.org>",
        )
