"""An admin leaves: the root goes on without him, BlackBox's files go to the others, and what he knew is listed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from strongroom.blackbox.repository import Repository
from strongroom.errors import NotFoundError, PolicyError
from strongroom.keystore import acts
from strongroom.keystore.beside import repository_beside
from strongroom.keystore.environment import Environment
from strongroom.keystore.exposures import ExposedRow, exposed
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.rooting import begin, exposure_of, finish, groups_of, plan_rotation
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
    """

    fingerprint: str
    name: str
    pin: str
    root: int
    exposed: tuple[ExposedRow, ...]
    roles: tuple[str, ...]
    slots: tuple[str, ...]
    groups: tuple[str, ...]
    files: tuple[str, ...]
    """BlackBox's registered files, which are sealed to the others now; he could read what they held."""
    to_add: tuple[str, ...]


def remove_admin(
    keystore: KeyStore, who: str, *, environ: Mapping[str, str] | None = None, progress: Progress | None = None
) -> AdminRemoved:
    """Take an admin, by full fingerprint or by his name as it is listed, out of the header and out of BlackBox's files.

    The root is rotated to the others, every keyset is noted as exposed, and BlackBox's registered files are sealed to
    the others. All that can be refused is refused before anything is written; what is broken off goes on with the same
    command. NotFoundError; PolicyError where nobody would be left; RecipientError; StaleError; ConflictError.
    """
    store = keystore.sealed
    store.follow()
    engine = find_engine(environ=Environment.of(environ))
    try:
        repository = repository_beside(keystore, engine, environ)
        recipient = _recipient(keystore, who)
        fingerprint = who.replace(" ", "").upper() if recipient is None else recipient.fingerprint
        listed = _listed(repository, fingerprint)
        if recipient is None and not listed:
            raise NotFoundError(f"{who[:200]!r} is no admin: neither approved nor listed", hint="strongroom admin list")
        to_add: list[str] = []
        if recipient is not None:
            to_add += _without(keystore, recipient, repository, engine, environ, progress)
        elif store.header.pending:
            to_add += finish(keystore, environ=environ, progress=progress).to_add
        files: tuple[str, ...] = ()
        if repository is not None and (listed or _open_to(repository)):
            files, changed = _sealed_to_the_others(keystore, repository, fingerprint, listed=listed, progress=progress)
            to_add += [str(repository.root / name) for name in changed]
    finally:
        engine.close()
    header, groups = store.header, groups_of(keystore)
    return AdminRemoved(
        fingerprint=fingerprint,
        name=fingerprint if recipient is None else recipient.name,
        pin=str(store.pin),
        root=header.root,
        exposed=exposed(keystore),
        roles=tuple(each.name for each in header.recipients if each.role),
        slots=tuple(describe(slot) for slot in header.slots if slot.label),
        groups=() if groups is None else groups.names(),
        files=files,
        to_add=tuple(dict.fromkeys(to_add)),
    )


def _without(
    keystore: KeyStore,
    recipient: Recipient,
    repository: Repository | None,
    engine: Engine,
    environ: Mapping[str, str] | None,
    progress: Progress | None,
) -> tuple[str, ...]:
    store = keystore.sealed
    if store.header.pending:
        finish(keystore, environ=environ, progress=progress)
    base = store.header.without_recipient(recipient.fingerprint)
    if repository is not None and base.recipients:
        # whether his going would be refused by BlackBox's own files shows now, and not once the root is rotated
        rest = tuple(each.fingerprint for each in base.recipients)
        if _listed(repository, recipient.fingerprint):
            repository.remove_admin(recipient.fingerprint, commit=False, dry_run=True)
        if _registered(keystore, repository):
            repository.update_all(approved=rest, protected=_protected(keystore), commit=False, dry_run=True)
    exposure = exposure_of(keystore, who=f"{recipient.name} ({recipient.fingerprint})"[:256], reason="an admin left")
    begin(keystore, plan_rotation(keystore, base, exposure, repository, engine))
    acts.record("admin-removed", fingerprint=recipient.fingerprint, root=store.header.root)
    return finish(keystore, environ=environ, progress=progress).to_add


def _sealed_to_the_others(
    keystore: KeyStore, repository: Repository, fingerprint: str, *, listed: bool, progress: Progress | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """BlackBox's own part: its list and keyring, then every registered file. The files, and the paths for git."""
    changed: tuple[str, ...] = ()
    if listed:
        changed = repository.remove_admin(fingerprint, commit=False).changed
    rest = tuple(each.fingerprint for each in keystore.sealed.header.recipients)
    if not _registered(keystore, repository) or not rest:
        return (), changed
    done = repository.update_all(approved=rest, protected=_protected(keystore), commit=False, progress=progress)
    return done.files, (*changed, *done.changed)


def _recipient(keystore: KeyStore, who: str) -> Recipient | None:
    """The approved recipient who is meant: by fingerprint, by his whole name, or by the address in it."""
    plain = who.replace(" ", "").upper().removeprefix("0X")
    recipients = keystore.sealed.header.recipients
    by_name = [each for each in recipients if who == each.name or each.name.endswith(f"<{who}>")]
    found = [each for each in recipients if each.fingerprint == plain] or by_name
    if len(found) > 1:
        raise PolicyError(
            f"{who!r} means {len(found)} admins: {', '.join(each.fingerprint for each in found)}",
            hint="strongroom admin remove FINGERPRINT",
        )
    return found[0] if found else None


def _listed(repository: Repository | None, fingerprint: str) -> bool:
    if repository is None:
        return False
    return any(each.fingerprint == fingerprint for each in repository.admin_certificates())


def _open_to(repository: Repository) -> bool:
    """Whether there are registered files that a removal which was broken off may have left as they were."""
    with suppress(NotFoundError):
        return bool(repository.files())
    return False


def _registered(keystore: KeyStore, repository: Repository) -> bool:
    protected = _protected(keystore)
    return any(not repository.registry.is_protected(each, protected) for each in repository.files())


def _protected(keystore: KeyStore) -> tuple[Path, ...]:
    return () if keystore.base is None else (keystore.base.resolve(),)
