"""Sealing the root to one more. Everything that can be refused is refused before the first byte is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strongroom.blackbox.repository import Repository
from strongroom.keystore import acts
from strongroom.keystore.facade import KeyStore
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.sealing.header import Header, Recipient
from strongroom.sealing.openpgp import seal_root_file
from strongroom.sealing.recipients import recipient_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminChange:
    """What adding or approving did. `to_add` are paths to give to git; `registered_files` BlackBox's own files, which
    are not re-encrypted here."""

    fingerprint: str
    name: str
    total: int
    to_add: tuple[str, ...]
    registered_files: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A header with one more recipient, and the root file for it; neither is written yet."""

    recipient: Recipient
    header: Header
    root_file: bytes


def sealed_to(
    keystore: KeyStore, certificate: Certificate, repository: Repository | None, engine: Engine, *, role: bool
) -> Sealed:
    """What approving this certificate would write. RecipientError, ExposedRootError, StaleError."""
    store = keystore.sealed
    now = keystore.clock.now()
    recipient = recipient_of(certificate, role=role, now=now)
    # whoever is about to be approved may be in the file already: an honest admin ran the old scripts too early
    store.check_writable(exposed_by=recipient.subkeys)
    old: Header = store.header
    if any(each.fingerprint == recipient.fingerprint for each in old.recipients):
        header = old.with_subkeys(recipient.fingerprint, recipient.subkeys)
    else:
        header = old.with_recipient(recipient)
    certificates = certificates_of(header, repository, engine, known=(certificate,))
    return Sealed(recipient, header, seal_root_file(store.root, header, certificates, engine=engine, now=now))


def approved(
    keystore: KeyStore, sealed: Sealed, repository: Repository | None, *, changed: tuple[str, ...]
) -> AdminChange:
    """Write it. ConflictError when another process wrote a header since this store was opened."""
    header, recipient = sealed.header, sealed.recipient
    # the header first: a recipient of the file whom the header does not know would be an exposed root, one who is
    # missing in the file only cannot open it yet
    keystore.sealed.replace_header(header, root_file=sealed.root_file)
    acts.record("admin-approved", fingerprint=recipient.fingerprint, role=header.recipient(recipient.fingerprint).role)
    base = keystore.base
    own = () if base is None else (str(base / "store.json"), str(base / f"root.{header.root}.gpg"))
    return AdminChange(
        fingerprint=recipient.fingerprint,
        name=recipient.name,
        total=len(header.recipients),
        to_add=(*own, *(() if repository is None else (str(repository.root / name) for name in changed))),
        registered_files=0 if repository is None else len(repository.files()),
    )


def certificates_of(
    header: Header, repository: Repository | None, engine: Engine, *, known: Sequence[Certificate] = ()
) -> list[Certificate]:
    """One certificate for each approved recipient, by full fingerprint, narrowed to the approved subkeys.

    From those that are `known`, from BlackBox's keyring, or from the user's own. NoSecretKeyError, RecipientError.
    """
    at_hand = {each.fingerprint: each for each in known}
    if repository is not None:
        at_hand.update((each.fingerprint, each) for each in repository.admin_certificates())
    found = []
    for recipient in header.recipients:
        certificate = at_hand.get(recipient.fingerprint)
        if certificate is None:
            certificate = engine.certificate(recipient.fingerprint)
        found.append(certificate.narrowed(recipient.subkeys))
    return found
