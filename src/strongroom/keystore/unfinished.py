"""Removals of admins that were broken off: read from what lies there, so that no note of it can be forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from strongroom._encoding import format_count
from strongroom.blackbox.overview import FileStatus
from strongroom.blackbox.repository import Repository
from strongroom.caching.issuing import ISSUER
from strongroom.errors import NotFoundError
from strongroom.keystore.exposures import Exposure, exposures, still_knows
from strongroom.keystore.facade import KeyStore
from strongroom.sealing.header import Recipient

_LEAVER = re.compile(r"(?P<name>.*) \((?P<fingerprint>[0-9A-F]{40})\)", re.DOTALL)
_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A removal that was begun, and what of it is not done, in words."""

    fingerprint: str
    name: str
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaver:
    """An admin whose removal was noted, as exposures know him."""

    fingerprint: str
    name: str
    noted: Exposure


def as_leaver(recipient: Recipient) -> str:
    """How an exposure names an admin: in the end stands the whole fingerprint, whatever his name is."""
    return f"{recipient.name[:_NAME]} ({recipient.fingerprint})"


def leavers(keystore: KeyStore) -> tuple[Leaver, ...]:
    """Everybody whose removal was begun, once each, the latest last."""
    found: dict[str, Leaver] = {}
    for each in exposures(keystore.sealed):
        said = _LEAVER.fullmatch(each.who)
        if said is not None:
            found.pop(said["fingerprint"], None)
            found[said["fingerprint"]] = Leaver(fingerprint=said["fingerprint"], name=said["name"], noted=each)
    return tuple(found.values())


def unfinished(keystore: KeyStore, repository: Repository | None) -> tuple[Unfinished, ...]:
    """Every removal of which something is left to do. `strongroom admin remove` with the fingerprint does it."""
    gone = leavers(keystore)
    beside = _beside(keystore, repository if gone else None)
    found = []
    for leaver in gone:
        left = tuple(_left_of(keystore, leaver, beside))
        if left:
            found.append(Unfinished(fingerprint=leaver.fingerprint, name=leaver.name, left=left))
    return tuple(found)


def is_unfinished(keystore: KeyStore, leaver: Leaver, repository: Repository | None) -> bool:
    """Whether something is left to do of this one."""
    return any(_left_of(keystore, leaver, _beside(keystore, repository)))


def knows_issuer(keystore: KeyStore, leaver: Leaver) -> bool:
    """Whether he knew the key that signs publications now, so that another one must."""
    try:
        return still_knows(leaver.noted, keystore.show(ISSUER))
    except NotFoundError:  # no worker group was ever made
        return False


def protected(keystore: KeyStore) -> tuple[Path, ...]:
    """What BlackBox's verbs leave to the store."""
    return () if keystore.base is None else (keystore.base.resolve(),)


@dataclass(frozen=True, slots=True)
class _Beside:
    """What BlackBox's own files say, looked at once for all who left.

    listed: the fingerprints of its admins. strange: how many of its files are sealed to a key that no approved and no
    listed admin has.
    """

    listed: frozenset[str] = frozenset()
    strange: int = 0


def _beside(keystore: KeyStore, repository: Repository | None) -> _Beside:
    if repository is None:
        return _Beside()
    certificates = repository.admin_certificates()
    known = {subkey[-16:] for each in keystore.sealed.header.recipients for subkey in each.subkeys}
    known.update(subkey.key_id for each in certificates for subkey in each.encryption_subkeys)
    return _Beside(
        listed=frozenset(each.fingerprint for each in certificates),
        strange=sum(not known.issuperset(each.recipients) for each in _files(keystore, repository)),
    )


def _left_of(keystore: KeyStore, leaver: Leaver, beside: _Beside) -> Iterator[str]:
    """What of a removal is not done, in words."""
    header = keystore.sealed.header
    if any(each.fingerprint == leaver.fingerprint for each in header.recipients):
        if header.root == leaver.noted.root:  # else he was approved again, after it was done
            yield f"root {header.root} is still sealed to him"
        return
    if header.pending:
        yield f"still under root {header.root - 1}: {format_count(len(header.pending), 'record')}"
    if knows_issuer(keystore, leaver):
        yield "the key that signs publications is still the one that he knew"
    if leaver.fingerprint in beside.listed:
        yield "BlackBox's files list him"
    if beside.strange:
        yield f"{beside.strange} of BlackBox's files are sealed to a key that no admin has"


def _files(keystore: KeyStore, repository: Repository) -> tuple[FileStatus, ...]:
    own = protected(keystore)
    with suppress(NotFoundError):
        return tuple(
            each for each in repository.file_statuses() if not repository.registry.is_protected(each.name, own)
        )
    return ()
