"""How an OpenPGP certificate is called in lists that people and BlackBox's scripts read."""

from __future__ import annotations

import re

from strongroom.errors import SettingsError
from strongroom.openpgp.engine import Certificate

_MAIL = re.compile(r"<([^<>\s]+@[^<>\s]+)>\s*\Z")
_BARE_MAIL = re.compile(r"([^<>\s]+@[^<>\s]+)")  # what `gpg --quick-generate-key MAIL` makes
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")


def label_of(certificate: Certificate) -> str:
    """The word for BlackBox's list of admins: the mail address of the first user id, else the fingerprint."""
    for uid in certificate.uids:
        found = _MAIL.search(uid) or _BARE_MAIL.fullmatch(uid)
        if found is not None and found[1].isprintable() and not found[1].startswith("-"):
            return found[1]
    return certificate.fingerprint


def parse_fingerprint(text: str) -> str:
    """A full fingerprint, spaces and case as people copy it. Raises SettingsError: a short id can be forged."""
    plain = text.replace(" ", "").upper().removeprefix("0X")
    if _FINGERPRINT.fullmatch(plain) is None:
        raise SettingsError(
            f"{text[:80]!r} is not a full fingerprint of 40 hexadecimal digits",
            hint="gpg --fingerprint NAME shows it; short ids and addresses can be forged",
        )
    return plain
