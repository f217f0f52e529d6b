"""How things stand: the admins' keys and how long they last, and the files. It changes nothing, and raises little."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from strongroom.blackbox import placing
from strongroom.blackbox.admins import candidates_of
from strongroom.blackbox.deployed import Deployed
from strongroom.blackbox.site import Site
from strongroom.errors import StrongroomError
from strongroom.openpgp.engine import Certificate
from strongroom.openpgp.packets import recipients_of

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminStatus:
    """One line of the list of admins, and what the tracked keyring has for it."""

    listed: str
    certificates: tuple[Certificate, ...]
    """One; none or several where the keyring has no key or more than one for the name."""
    approved: bool | None
    """None where the caller did not say who is approved."""
    days_left: int | None
    """Whole days until nobody can encrypt to it any more, negative after that; None: it does not expire."""
    problem: str | None
    """Why nothing can be sealed to it, as words that follow its name; None where something can."""


class FileState(enum.Enum):
    """How a registered file stands in the work tree."""

    SEALED = "sealed"
    DECRYPTED = "decrypted"
    """A plaintext is there, which postdeploy or edit-start wrote from this ciphertext."""
    CHANGED = "changed"
    """A plaintext is there, and it is not known to be what the ciphertext holds."""
    MISSING = "missing"
    """There is no ciphertext."""
    BROKEN = "broken"
    """The ciphertext, the plaintext or the name is nothing that we would touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """One registered file. `recipients` are the key ids that its ciphertext names."""

    name: str
    state: FileState
    recipients: tuple[str, ...] = ()
    problem: str = ""


def admin_statuses(site: Site, *, approved: Collection[str] | None = None) -> tuple[AdminStatus, ...]:
    """Every listed admin, the order of the list kept: the expiry report. BlackBoxError if there is no keyring."""
    ring = site.ring()
    return tuple(_admin(site, name, candidates_of(name, ring), approved) for name in site.listed())


def days_left(certificate: Certificate, at: int) -> int | None:
    """Whole days until the last subkey that one could encrypt to at the moment `at` (ms) has expired; None: never."""
    lasting = [subkey.expires for subkey in certificate.encryption_subkeys if not subkey.revoked]
    ends = [end for end in lasting if end is not None]
    last = None if len(ends) < len(lasting) or not ends else max(ends)
    end = min((each for each in (last, certificate.expires) if each is not None), default=None)
    return None if end is None else (end * 1000 - at) // _DAY_MS


def file_statuses(site: Site) -> tuple[FileStatus, ...]:
    """Every registered file. No key is used; what is broken is reported, not raised."""
    known = Deployed.load(site)
    return tuple(_file(site, plain, known) for plain in dict.fromkeys(site.files()))


def _admin(site: Site, name: str, found: list[Certificate], approved: Collection[str] | None) -> AdminStatus:
    at = site.clock.now()
    if len(found) != 1:
        problem: str | None = f"has {len(found)} keys in the tracked keyring" if found else "has no key there"
    else:
        problem = found[0].problem(at)
    return AdminStatus(
        listed=name,
        certificates=tuple(found),
        approved=None if approved is None else bool(found) and all(key.fingerprint in approved for key in found),
        days_left=days_left(found[0], at) if len(found) == 1 else None,
        problem=problem,
    )


def _file(site: Site, plain: str, known: Deployed) -> FileStatus:
    try:
        site.registry.writable(plain, protected=())
        if not site.tree.exists(f"{plain}.gpg"):
            return FileStatus(name=plain, state=FileState.MISSING)
        sealed = site.sealed(plain)
        recipients = recipients_of(sealed)
        status = placing.status_of(site.tree, plain)
    except StrongroomError as error:
        return FileStatus(name=plain, state=FileState.BROKEN, problem=str(error))
    if status is None:
        return FileStatus(name=plain, state=FileState.SEALED, recipients=recipients)
    state = FileState.DECRYPTED if known.came_from(plain, sealed, status) else FileState.CHANGED
    return FileStatus(name=plain, state=state, recipients=recipients)
