"""An admin leaves: root and issuer go on without him, BlackBox's files go to the others, and what he knew is listed.

First the root's header, which is the one rename that shuts him out; then the issuer, under the new root; then every
record; then BlackBox's files, and at last his line in their list. Each step finds out by itself whether it is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from strongroom.blackbox.repository import Repository
from strongroom.caching.issuing import ISSUER
from strongroom.errors import NotFoundError, PolicyError
from strongroom.keystore import acts
from strongroom.keystore.beside import repository_beside
from strongroom.keystore.environment import Environment
from strongroom.keystore.exposures import ExposedRow, exposed
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.issuer import IssuerNow, issuer_now
from strongroom.keystore.rooting import begin, exposure_of, finish, groups_of, plan_rotation
from strongroom.keystore.unfinished import Leaver, as_leaver, is_unfinished, knows_issuer, leavers, protected
from strongroom.openpgp.discovery import find_engine
from strongroom.openpgp.engine import Engine
from strongroom.sealing.header import Recipient
from strongroom.sealing.unsealing import describe
from strongroom.stores.rotation import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminRemoved:
    """What an admin's removal did, and what he knew.

    `exposed` are the keysets that he could read. He may have copies of what opens `slots`, of the identity files of
    `roles` and of those of worker `groups`: each of these that he had opens the store, or its publications, today.
    `issuer` is the one that signs publications from now on, None where the store has none.
    """

    fingerprint: str
    name: str
    pin: str
    root: int
    issuer: IssuerNow | None
    exposed: tuple[ExposedRow, ...]
    roles: tuple[str, ...]
    slots: tuple[str, ...]
    groups: tuple[str, ...]
    files: tuple[str, ...]
    """BlackBox's registered files, which are sealed to the others now; he could read what they held."""
    to_add: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Going:
    """Who goes: `recipient` as long as he is approved, `listed` as long as BlackBox's files list him."""

    fingerprint: str
    name: str
    recipient: Recipient | None
    listed: bool


def remove_admin(
    keystore: KeyStore, who: str, *, environ: Mapping[str, str] | None = None, progress: Progress | None = None
) -> AdminRemoved:
    """Take an admin, by full fingerprint or by his name as it is listed, out of the header and out of BlackBox's files.

    The root is rotated to the others, every keyset is noted as exposed, the issuer is replaced, and BlackBox's
    registered files are sealed to the others. All that can be refused is refused before anything is written; what is
    broken off, wherever it was, goes on with the same command. NotFoundError; PolicyError where nobody would be left;
    RecipientError; StaleError; ConflictError.
    """
    store = keystore.sealed
    store.follow()
    engine = find_engine(environ=Environment.of(environ))
    try:
        repository = repository_beside(keystore, engine, environ)
        going = _going(keystore, who, repository)
        begun = _begun(keystore, going)
        if not (going.recipient or going.listed or (begun and is_unfinished(keystore, begun, repository))):
            raise NotFoundError(f"{who[:200]!r} is no admin: neither approved nor listed", hint="strongroom admin list")
        # what was broken off wrote into the store already
        to_add: list[str] = [str(keystore.base)] if begun is not None and keystore.base is not None else []
        if going.recipient is not None:
            if store.header.pending:
                to_add += finish(keystore, environ=environ, progress=progress).to_add
            _rotate_without(keystore, going.recipient, repository, engine, progress)
            begun = _begun(keystore, going)
        if begun is not None and knows_issuer(keystore, begun):
            # only now: sealed under the root before, he could have opened it
            keystore.rotate(ISSUER, now=True)
            to_add += [str(path) for path in (keystore.path_of(ISSUER),) if path is not None]
        if store.header.pending:
            to_add += finish(keystore, environ=environ, progress=progress).to_add
        files: tuple[str, ...] = ()
        if repository is not None:
            files, changed = _sealed_to_the_others(keystore, repository, going, progress=progress)
            to_add += [str(repository.root / name) for name in changed]
    finally:
        engine.close()
    header, groups = store.header, groups_of(keystore)
    return AdminRemoved(
        fingerprint=going.fingerprint,
        name=going.name,
        pin=str(store.pin),
        root=header.root,
        issuer=issuer_now(keystore),
        exposed=exposed(keystore),
        roles=tuple(each.name for each in header.recipients if each.role),
        slots=tuple(describe(slot) for slot in header.slots if slot.label),
        groups=() if groups is None else groups.names(),
        files=files,
        to_add=tuple(dict.fromkeys(to_add)),
    )


def _rotate_without(
    keystore: KeyStore,
    recipient: Recipient,
    repository: Repository | None,
    engine: Engine,
    progress: Progress | None,
) -> None:
    store = keystore.sealed
    base = store.header.without_recipient(recipient.fingerprint)
    if repository is not None:
        # whether his going would be refused by BlackBox's own files shows now, and not once the root is rotated; other
        # slots may open the root without him, and BlackBox's files have admins alone
        rest = tuple(each.fingerprint for each in base.recipients)
        listed, registered = _listed(repository, recipient.fingerprint), _registered(keystore, repository)
        if not rest and (registered or (listed and len(repository.admin_certificates()) == 1)):
            raise PolicyError(
                f"{recipient.name} is the last approved admin, and BlackBox's files can be sealed to nobody else",
                hint="strongroom admin add FPR makes another one first",
            )
        if listed:
            repository.remove_admin(recipient.fingerprint, commit=False, dry_run=True)
        if registered:
            repository.rehearse_all(approved=rest, protected=protected(keystore), progress=progress)
    exposure = exposure_of(keystore, who=as_leaver(recipient), reason="an admin left")
    begin(keystore, plan_rotation(keystore, base, exposure, repository, engine))
    acts.record("admin-removed", fingerprint=recipient.fingerprint, root=store.header.root)


def _sealed_to_the_others(
    keystore: KeyStore, repository: Repository, going: _Going, *, progress: Progress | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """BlackBox's own part: every registered file, then its list and keyring. The files, and the paths for git.

    He goes from the list last: as long as he is on it, whoever looks sees that it is not done.
    """
    files: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    rest = tuple(each.fingerprint for each in keystore.sealed.header.recipients)
    if rest and _registered(keystore, repository):
        done = repository.update_all(approved=rest, protected=protected(keystore), commit=False, progress=progress)
        files, changed = done.files, done.changed
    if going.listed:
        changed = (*changed, *repository.remove_admin(going.fingerprint, commit=False).changed)
    return files, changed


def _begun(keystore: KeyStore, going: _Going) -> Leaver | None:
    """His removal as it was noted; None where it was not begun."""
    return next((each for each in leavers(keystore) if each.fingerprint == going.fingerprint), None)


def _going(keystore: KeyStore, who: str, repository: Repository | None) -> _Going:
    """Who is meant: by fingerprint, by his whole name, or by the address in it."""
    plain = who.replace(" ", "").upper().removeprefix("0X")
    recipients = keystore.sealed.header.recipients
    gone = leavers(keystore)
    everybody = {
        **{each.fingerprint: each.name for each in gone},
        **{each.fingerprint: each.name for each in recipients},
    }
    found = {plain} if plain in everybody else {key for key, name in everybody.items() if _is_called(name, who)}
    if len(found) > 1:  # of one name, one may have left long ago
        found &= {each.fingerprint for each in recipients}
    if len(found) > 1:
        raise PolicyError(
            f"{who!r} means {len(found)} admins: {', '.join(sorted(found))}", hint="strongroom admin remove FINGERPRINT"
        )
    fingerprint = next(iter(found), plain)
    return _Going(
        fingerprint=fingerprint,
        name=everybody.get(fingerprint, fingerprint),
        recipient=next((each for each in recipients if each.fingerprint == fingerprint), None),
        listed=repository is not None and _listed(repository, fingerprint),
    )


def _is_called(name: str, who: str) -> bool:
    return who == name or name.endswith(f"<{who}>")


def _listed(repository: Repository, fingerprint: str) -> bool:
    return any(each.fingerprint == fingerprint for each in repository.admin_certificates())


def _registered(keystore: KeyStore, repository: Repository) -> bool:
    """Whether there are registered files that are not the store's own."""
    with suppress(NotFoundError):
        own = protected(keystore)
        return any(not repository.registry.is_protected(each, own) for each in repository.files())
    return False
