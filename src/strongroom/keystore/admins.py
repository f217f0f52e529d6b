"""Who can open the root: approved in the header, and only compared with what BlackBox's files say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from strongroom.blackbox.discovery import git_top
from strongroom.blackbox.repository import Repository
from strongroom.errors import (
    ExistsError,
    NotFoundError,
    SettingsError,
    StrongroomError,
)
from strongroom.keystore.approving import AdminChange, approved, sealed_to
from strongroom.keystore.beside import repository_beside
from strongroom.keystore.environment import Environment
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.outside import check_outside, place_for
from strongroom.keystore.people import label_of, parse_fingerprint
from strongroom.openpgp.discovery import find_engine
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.sealing.identities import OpenPgpIdentity, write_identity

_ROLE = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
ROLE_DOMAIN = "role.strongroom.invalid"
"""RFC 2606 reserves .invalid: no mail to a role account can reach anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminRow:
    """One who is approved in the header, or listed in BlackBox's files, or both."""

    fingerprint: str
    name: str
    approved: bool
    listed: bool
    role: bool
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCreated:
    """A new role account: where its identity file is, and what changed."""

    path: Path
    change: AdminChange


def list_admins(keystore: KeyStore, *, environ: Mapping[str, str] | None = None) -> tuple[AdminRow, ...]:
    """Everyone who is approved or listed. A keyring that cannot be read is told in the rows, not raised."""
    store = keystore.sealed
    now = keystore.clock.now()
    listed: Sequence[Certificate] = ()
    unreadable: list[AdminRow] = []
    try:
        listed = _listed(keystore, environ)
    except StrongroomError as error:
        # whoever can write to the repository can spoil its lists, and must not hide who is approved
        unreadable.append(
            AdminRow(
                fingerprint="",
                name="BlackBox's files",
                approved=False,
                listed=False,
                role=False,
                problem=f"who is listed cannot be told: {error}",
            )
        )
    by_fingerprint = {each.fingerprint: each for each in listed}
    rows = [
        AdminRow(
            fingerprint=each.fingerprint,
            name=each.name,
            approved=True,
            listed=each.fingerprint in by_fingerprint,
            role=each.role,
            problem=by_fingerprint[each.fingerprint].problem(now) if each.fingerprint in by_fingerprint else None,
        )
        for each in store.header.recipients
    ]
    approved = {each.fingerprint for each in store.header.recipients}
    rows += [
        AdminRow(
            fingerprint=each.fingerprint,
            name=each.uids[0] if each.uids else each.fingerprint,
            approved=False,
            listed=True,
            role=False,
            problem=each.problem(now),
        )
        for each in listed
        if each.fingerprint not in approved
    ]
    return (*rows, *unreadable)


def _listed(keystore: KeyStore, environ: Mapping[str, str] | None) -> tuple[Certificate, ...]:
    if _base(keystore) is None:
        return ()
    engine = find_engine(environ=_environ(environ))
    try:
        repository = repository_beside(keystore, engine, environ)
        return () if repository is None else repository.admin_certificates()
    finally:
        engine.close()


def approve_admin(keystore: KeyStore, fingerprint: str, *, environ: Mapping[str, str] | None = None) -> AdminChange:
    """Seal the root to one whom BlackBox's files list, by full fingerprint.

    For one who is approved already: take in the encryption subkeys that he has now. Raises NotFoundError where nobody
    listed has that fingerprint, RecipientError where he cannot be encrypted to.
    """
    wanted = parse_fingerprint(fingerprint)
    engine = find_engine(environ=_environ(environ))
    try:
        repository = repository_beside(keystore, engine, environ)
        listed = () if repository is None else repository.admin_certificates()
        for certificate in listed:
            if certificate.fingerprint == wanted:
                sealed = sealed_to(keystore, certificate, repository, engine, role=False)
                return approved(keystore, sealed, repository, changed=())
    finally:
        engine.close()
    raise NotFoundError(
        f"BlackBox's files list nobody with the fingerprint {wanted}",
        hint=f"strongroom admin add {wanted} adds one whose key is in your keyring",
    )


def add_admin(keystore: KeyStore, fingerprint: str, *, environ: Mapping[str, str] | None = None) -> AdminChange:
    """Add one whose public key is in the user's keyring: to BlackBox's files where there are any, and to the store."""
    wanted = parse_fingerprint(fingerprint)
    engine = find_engine(environ=_environ(environ))
    try:
        certificate = engine.certificate(wanted)
        return _add(keystore, certificate, engine, environ, role=False)
    finally:
        engine.close()


def create_role(
    keystore: KeyStore,
    name: str,
    out: Path | None = None,
    *,
    ignored: bool = False,
    environ: Mapping[str, str] | None = None,
) -> RoleCreated:
    """A key for a machine, added as an admin, in one identity file of mode 0600 (`outside.place_for`).

    With that file a machine opens the store with no prompt and no terminal. If the root cannot be sealed to it, the
    file is removed again. PolicyError for a file in the repository; `ignored`: unless git ignores it.
    """
    if _ROLE.fullmatch(name) is None:
        raise SettingsError(f"{name[:80]!r} is not a name for a role", hint="write it like web-deploy: a-z, 0-9, . _ -")
    store = keystore.sealed
    label = f"{name}@{ROLE_DOMAIN}"
    for each in store.header.recipients:
        if each.role and each.name.endswith(f"<{label}>"):
            # one whom the root file lacks was broken off: approving him seals it to him
            way = "approve" if each in store.missing else "remove"
            raise ExistsError(
                f"there is a role {name!r} already", hint=f"strongroom admin {way} {each.fingerprint}, or another name"
            )
    path = place_for(f"{name}.identity", keystore.base) if out is None else out
    hint = "strongroom role create NAME --out FILE outside it, or --ignored where git ignores FILE"
    check_outside(path, keystore.base, hint=hint, ignored=ignored, environ=environ)
    engine = find_engine(environ=_environ(environ))
    try:
        private, certificate = engine.generate(f"{name} <{label}>", expires_s=None)
        identity = OpenPgpIdentity(
            name=name, fingerprint=certificate.fingerprint, private=private, store=store.header.store
        )
        write_identity(path, identity)
        try:
            change = _add(keystore, certificate, engine, environ, role=True)
        except BaseException:
            if not _counts(keystore, certificate):
                path.unlink(missing_ok=True)
            raise
    finally:
        engine.close()
    return RoleCreated(path=path, change=change)


def _add(
    keystore: KeyStore, certificate: Certificate, engine: Engine, environ: Mapping[str, str] | None, *, role: bool
) -> AdminChange:
    store = keystore.sealed
    known = [each for each in store.header.recipients if each.fingerprint == certificate.fingerprint]
    if known and known[0] not in store.missing:  # else it was broken off before the root file, and goes on
        raise ExistsError(f"{certificate.label} is an approved admin already", hint="strongroom admin list")
    repository = repository_beside(keystore, engine, environ)
    label = label_of(certificate)
    if role and repository is not None and label in repository.admins():
        raise ExistsError(
            f"BlackBox's files list {label!r}, whom nobody approved: a role whose making was broken off",
            hint=f"strongroom blackbox removeadmin {label}, then try again",
        )
    # everything that can be refused is refused before the first file is changed
    sealed = sealed_to(keystore, certificate, repository, engine, role=role)
    changed: tuple[str, ...] = ()
    if repository is None:
        repository, changed = _first_listed(keystore, certificate, engine, environ)
    elif certificate.fingerprint not in {each.fingerprint for each in repository.admin_certificates()}:
        changed = repository.add_admin(certificate, label=label, commit=False).changed
    try:
        return approved(keystore, sealed, repository, changed=changed)
    except BaseException:
        if changed and repository is not None and not _counts(keystore, certificate):
            with suppress(StrongroomError):  # the last one on a list stays there, and so does whom the disk keeps
                repository.remove_admin(certificate.fingerprint, commit=False)
        raise


def _counts(keystore: KeyStore, certificate: Certificate) -> bool:
    """Whether the header on the disk has him: a failure after the rename leaves him there. In doubt it does."""
    try:
        keystore.sealed.follow()
    except StrongroomError:
        return True
    return any(each.fingerprint == certificate.fingerprint for each in keystore.sealed.header.recipients)


def _first_listed(
    keystore: KeyStore, certificate: Certificate, engine: Engine, environ: Mapping[str, str] | None
) -> tuple[Repository | None, tuple[str, ...]]:
    """A BlackBox repository with its first admin: a root file is sealed anew to all, from the keys that are kept there.

    None where the store is no directory.
    """
    base = _base(keystore)
    if base is None:
        return None, ()
    top = (git_top(base.parent) or base.parent).resolve()
    made = Repository.create(
        top, admin=certificate, label=label_of(certificate), commit=False, engine=engine, environ=_environ(environ)
    )
    return made, (made.data.name, ".gitignore")


def _base(keystore: KeyStore) -> Path | None:
    return keystore.base


def _environ(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return Environment.of(environ)
