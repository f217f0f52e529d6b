"""The root file: the root line as binary OpenPGP, encrypted to the approved recipients and nobody else, or not."""

from __future__ import annotations

from collections.abc import Sequence

from strongroom._encoding import Timestamp
from strongroom.errors import RecipientError
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.sealing.header import Header
from strongroom.sealing.recipients import audience_of_file
from strongroom.sealing.root import Root, RootRef, matching

MAX_PLAINTEXT = 4096
"""What a root file may hold when opened. A root line is much shorter; a bomb is much longer."""


def seal_root_file(
    root: Root, header: Header, certificates: Sequence[Certificate], *, engine: Engine, now: Timestamp
) -> bytes:
    """The bytes of `root.N.gpg` for the header's approved recipients, as BlackBox would write them.

    `certificates` holds one for each approved recipient, by full fingerprint. RecipientError, before anything is
    encrypted, when one is missing, one was not approved, or one cannot be encrypted to now: gpg would refuse the whole
    message for one expired key, so it is named here. RecipientError too when the message came out for anybody else.
    """
    given = {certificate.fingerprint for certificate in certificates}
    approved = {recipient.fingerprint for recipient in header.recipients}
    if given - approved:
        raise RecipientError(
            f"{', '.join(sorted(given - approved))} is not approved: the root is not encrypted to them",
            hint="strongroom admin approve FPR",
        )
    if approved - given:
        raise RecipientError(
            f"the public key of the approved {', '.join(sorted(approved - given))} is not at hand",
            hint="gpg --import it, or: strongroom admin list",
        )
    narrowed = [each.narrowed(header.recipient(each.fingerprint).subkeys) for each in certificates]
    for certificate in narrowed:
        problem = certificate.problem(now)
        if problem is not None:
            raise RecipientError(
                f"{header.recipient(certificate.fingerprint).name!r} ({certificate.fingerprint}) "
                f"cannot be encrypted to: {problem}",
                hint="strongroom admin list shows every admin's key",
            )
    ciphertext = engine.encrypt(root.line(), to=narrowed, filename=f"root.{root.number}")
    reached = audience_of_file(header, ciphertext)
    if reached.exposed or reached.missing:
        raise RecipientError(
            "the root file came out for other recipients than approved: " + "; ".join(reached.findings()),
            hint="strongroom admin approve FPR takes in an admin's new subkeys",
        )
    return ciphertext


def open_root_file(ciphertext: bytes, wanted: RootRef, *, engine: Engine) -> Root:
    """The root in a root file. Errors of the engine, and as `strongroom.sealing.root.matching`."""
    opened = engine.decrypt(ciphertext, limit=MAX_PLAINTEXT)
    return matching(opened.plaintext, wanted)
