"""To whom the root file is encrypted, held against who was approved. The file is believed, the lists are not.

The admins' list and the tracked keyring of BlackBox can be written by anyone who can push: an honest admin who runs the
original scripts over an injected list encrypts the root to a stranger. It shows in the file's own packets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from strongroom._encoding import Timestamp
from strongroom.errors import ExposedRootError, FormatError, RecipientError, StrongroomError
from strongroom.model.text import MAX_TEXT, check_text
from strongroom.openpgp.engine import Certificate
from strongroom.openpgp.packets import recipients_of
from strongroom.sealing.header import Header, Recipient

HIDDEN: Final = "0" * 16
"""The key id of a recipient who is not named (RFC 9580 section 5.1, "--throw-keyids")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """How the recipients of a root file differ from the approved ones.

    `extra`: key ids that nobody approved; `hidden`: how many are not named; `missing`: approved recipients who cannot
    open the file; `problem`: why the file cannot be judged, empty when it was.
    """

    extra: tuple[str, ...] = ()
    hidden: int = 0
    missing: tuple[Recipient, ...] = ()
    problem: str = ""

    @property
    def exposed(self) -> bool:
        """Whether someone who was not approved can, or may, read the root. A file that cannot be judged counts."""
        return bool(self.extra or self.hidden or self.problem)

    def findings(self) -> tuple[str, ...]:
        """What differs, a sentence each, for people."""
        found = [f"the root file is encrypted to {key_id}, who was not approved" for key_id in self.extra]
        if self.hidden:
            found.append(f"the root file is encrypted to {self.hidden} recipients who are not named")
        if self.problem:
            found.append(f"the root file cannot be judged: {self.problem}")
        found += [
            f"{each.name!r} ({each.fingerprint}) is approved, but cannot open the root file" for each in self.missing
        ]
        return tuple(found)

    def error(self) -> ExposedRootError:
        """The reason why nothing may be protected, published or written under this root."""
        return ExposedRootError(
            "; ".join(self.findings()),
            hint="if you know the recipient: strongroom admin approve FPR; if not, he knows every key that is here:"
            " strongroom root rotate, then strongroom rotate --exposed",
        )


def audience(approved: Iterable[Recipient], key_ids: Iterable[str]) -> Audience:
    """Compare the key ids in a file (16 upper-case hexadecimal digits) with the approved recipients' subkeys."""
    present = list(key_ids)
    known = {subkey[-16:]: recipient for recipient in approved for subkey in recipient.subkeys}
    reached = {known[key_id].fingerprint for key_id in present if key_id in known}
    return Audience(
        extra=tuple(sorted({key_id for key_id in present if key_id not in known and key_id != HIDDEN})),
        hidden=present.count(HIDDEN),
        missing=tuple(each for each in dict.fromkeys(known.values()) if each.fingerprint not in reached),
    )


def audience_of_file(header: Header, ciphertext: bytes | None) -> Audience:
    """The same for a root file's bytes, without opening it; None stands for a file that is not there."""
    if ciphertext is None:
        return Audience(missing=header.recipients)
    try:
        return audience(header.recipients, recipients_of(ciphertext))
    except FormatError as problem:
        return Audience(problem=str(problem))


def recipient_of(certificate: Certificate, *, role: bool, now: Timestamp) -> Recipient:
    """What the header keeps of a certificate: full fingerprints of it and of the subkeys that encrypt now.

    RecipientError when it cannot be encrypted to (expired, revoked, without an encryption subkey).
    """
    subkeys = certificate.usable_for_encryption(now)
    if not subkeys:
        raise RecipientError(
            f"{certificate.fingerprint} cannot be a recipient: {certificate.problem(now) or 'it does not encrypt'}",
            hint=f"gpg --list-keys {certificate.fingerprint}",
        )
    return Recipient(
        fingerprint=certificate.fingerprint,
        subkeys=tuple(subkey.fingerprint for subkey in subkeys),
        name=_shown(certificate.uids[0] if certificate.uids else certificate.fingerprint),
        role=role,
        added=now,
    )


def _shown(uid: str) -> str:
    """A user id as one harmless line: whoever made the key chose it."""
    shown = "".join(character if _harmless(character) else "?" for character in uid[:MAX_TEXT])
    return shown or "?"


def _harmless(character: str) -> bool:
    try:
        check_text(character, "user id")
    except StrongroomError:
        return False
    return True
