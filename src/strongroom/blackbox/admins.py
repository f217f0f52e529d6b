"""Who the admins are: listed names become full fingerprints, or an error. A name never chooses between two keys."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from strongroom._encoding import Timestamp
from strongroom.errors import RecipientError, SettingsError
from strongroom.openpgp.engine import Certificate

_FINGERPRINT = re.compile(r"(?:0x)?([0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})")
_KEY_ID = re.compile(r"(?:0x)?([0-9A-Fa-f]{16})")
_MAIL = re.compile(r"<([^<>]+)>\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipients:
    """To whom a write seals. `left_out` are the listed admins whom the caller did not approve, as listed."""

    certificates: tuple[Certificate, ...]
    left_out: tuple[str, ...]


def listed_name(line: bytes) -> str:
    """The user-id of a line: its first word, because that is all that the original passes to gpg."""
    return os.fsdecode(line.split()[0])


def check_label(label: str) -> bytes:
    """The line for a new admin. SettingsError for what the original scripts would read as something else."""
    raw = os.fsencode(label)
    if not raw or len(raw.split()) != 1 or raw.split()[0] != raw or not label.isprintable() or label.startswith("-"):
        raise SettingsError(
            f"{label!r} cannot stand in the list of admins: one printable word, without a dash in front"
        )
    return raw


def resolve(listed: Sequence[str], ring: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """The one certificate of the tracked keyring that each listed name means, in the list's order.

    A full fingerprint or a 16-digit key id means itself. A name with an `@` means the certificate with exactly this
    address, not, as for gpg, each whose address contains it. Any other name is looked for within the user ids.
    RecipientError for a name that means none or more than one, expired keys counted, revoked ones only where there is
    no other: whoever can write to the repository can add a newer key with the name of an admin, and gpg would take the
    newest (key substitution).
    """
    meant = [(name, candidates_of(name, ring)) for name in listed]
    missing = [name for name, found in meant if not found]
    if missing:
        raise RecipientError(
            f"listed as admins, but without a key in the tracked keyring: {_join(missing)}",
            hint="see 'strongroom blackbox list-admins'",
        )
    doubtful = [f"{name!r} is {_join(key.fingerprint for key in found)}" for name, found in meant if len(found) > 1]
    if doubtful:
        raise RecipientError(
            f"more than one key in the tracked keyring for a listed admin: {'; '.join(doubtful)}",
            hint="see 'git log' for who added them, and list the right one by its full fingerprint",
        )
    return tuple({found[0].fingerprint: found[0] for _, found in meant}.values())


def check_addition(
    listed: Sequence[str], ring: Sequence[Certificate], certificate: Certificate, *, label: str, at: Timestamp
) -> None:
    """RecipientError unless, in the keyring that has the new certificate, `label` means it and it can receive.

    And unless every name that is listed already means what it meant.
    """
    meant = resolve([label], ring)[0]
    if meant.fingerprint != certificate.fingerprint:
        raise RecipientError(f"{label!r} would mean {meant.label}, not {certificate.label}")
    if problem := meant.problem(at):  # the keyring may know of a revocation that the certificate at hand does not
        if not meant.encryption_subkeys:  # gpg leaves an expired one out of what it exports, and knows of it still
            problem = certificate.problem(at) or problem
        raise RecipientError(f"{meant.label} cannot receive: {problem}")
    shadowed = [
        name
        for name in listed
        if len(found := candidates_of(name, ring)) > 1 and certificate.fingerprint in {key.fingerprint for key in found}
    ]
    if shadowed:
        raise RecipientError(
            f"with {certificate.label} in the keyring, listed admins would have more than one key: {_join(shadowed)}",
            hint="see 'strongroom blackbox list-admins'; a full fingerprint in the list of admins is never ambiguous",
        )


def recipients(
    listed: Sequence[str], ring: Sequence[Certificate], *, approved: Collection[str] | None, at: Timestamp
) -> Recipients:
    """The listed admins who are approved (None: all), each able to receive. All are looked at before one is refused.

    RecipientError if one of them is expired, revoked or cannot encrypt, or if nobody is left. gpg refuses a whole
    message for one such key, after the original has overwritten things.
    """
    certificates = resolve(listed, ring)
    wanted = None if approved is None else {fingerprint.upper() for fingerprint in approved}
    chosen = tuple(key for key in certificates if wanted is None or key.fingerprint in wanted)
    names = {candidates_of(name, ring)[0].fingerprint: name for name in reversed(listed)}
    problems = [
        f"{names[key.fingerprint]!r} ({key.fingerprint}): {key.problem(at)}" for key in chosen if key.problem(at)
    ]
    if problems:
        raise RecipientError(
            f"cannot encrypt to {'; '.join(problems)}",
            hint="see 'strongroom blackbox list-admins' and 'gpg --list-keys'",
        )
    left_out = tuple(names[key.fingerprint] for key in certificates if key not in chosen)
    if not chosen:
        listed_ones = f"; listed: {_join(left_out)}" if left_out else ""
        raise RecipientError(
            f"there is no approved admin to encrypt to{listed_ones}",
            hint="strongroom blackbox approve FPR; where there is a store, strongroom admin approve FPR",
        )
    return Recipients(certificates=chosen, left_out=left_out)


def candidates_of(name: str, ring: Sequence[Certificate]) -> list[Certificate]:
    """The keys that a name may mean. A revoked one is never what is meant where there is another."""
    found = matching(name, ring)
    return [key for key in found if not key.revoked] or found


def matching(name: str, ring: Sequence[Certificate]) -> list[Certificate]:
    """The keys that a name fits, revoked ones among them."""
    if exact := _FINGERPRINT.fullmatch(name):
        return [key for key in ring if key.fingerprint == exact[1].upper()]
    if short := _KEY_ID.fullmatch(name):
        return [key for key in ring if key.fingerprint.endswith(short[1].upper())]
    folded = _fold(name)
    if "@" in name:
        return [key for key in ring if any(folded == _fold(_address(uid)) for uid in key.uids)]
    return [key for key in ring if any(folded in _fold(uid) for uid in key.uids)]


def _fold(text: str) -> bytes:
    """Without regard to ASCII case, as gpg compares. `str.lower` would also make a Kelvin sign a k."""
    return text.encode("utf-8", "surrogateescape").lower()


def _address(uid: str) -> str:
    """The mail address of a user id: what stands in angle brackets at its end, or all of it."""
    found = _MAIL.search(uid)
    return (found[1] if found else uid).strip()


def _join(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
