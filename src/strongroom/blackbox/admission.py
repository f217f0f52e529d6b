"""An admin is listed, and the key joins the tracked keyring. No file is encrypted anew by it."""

from __future__ import annotations

import os

from strongroom.blackbox import keyring, layout
from strongroom.blackbox.admins import check_addition, check_label, resolve
from strongroom.blackbox.changes import Change
from strongroom.blackbox.locking import LOCK
from strongroom.blackbox.results import Written
from strongroom.blackbox.site import Site
from strongroom.errors import BlackBoxError, ExistsError, RecipientError
from strongroom.openpgp.engine import Certificate


def add_admin(site: Site, certificate: Certificate, *, label: str, commit: bool = True) -> Written:
    """List an admin under `label` (a mail address of the certificate, or its fingerprint) and add the key.

    The tracked keyring is rebuilt in a private home, never in the tracked directory. Files are not re-encrypted.
    ExistsError if the label is listed; RecipientError if the certificate cannot receive, or if in the
    resulting keyring the label would not mean exactly it.
    """
    line = check_label(label)
    with site.writing(commit=commit) as control, site.changing(control) as change:
        names = _stage(site, change, certificate, line)
        change.apply()
        committed = commit and control.commit(names, f"NEW ADMIN: {label}")
    return Written(changed=names, recipients=(certificate.fingerprint,), committed=committed)


def make(site: Site, admin: Certificate, *, label: str, commit: bool) -> None:
    line = check_label(label)
    site.tree.make_directory(site.place.data)
    try:
        with site.writing(commit=commit) as control, site.changing(control) as change:
            first = site.registry.empty()
            for path, raw in first.items():
                change.write(path, raw)
            names = _stage(site, change, admin, line)
            change.apply()
            if commit:
                control.commit((*first, *names), "INITIALIZE BLACKBOX")
    except BaseException:
        site.tree.remove_directory(site.place.data, leftovers=(LOCK,))
        raise


def _stage(site: Site, change: Change, certificate: Certificate, line: bytes) -> tuple[str, ...]:
    label = os.fsdecode(line)
    listed = site.registry.admins()
    if line in listed and not _lacks_key(site, label):
        raise ExistsError(f"{label!r} is an admin already", hint="see 'strongroom blackbox list-admins'")
    from strongroom.blackbox.ringmaking import with_certificate  # only a new admin needs gpg's keyring format

    rings = with_certificate(keyring.read(site.tree, site.place.data), certificate, environ=site.environ)
    ring = keyring.certificates(rings.rings, engine=site.engine)
    check_addition(site.listed(), ring, certificate, label=label, at=site.clock.now())
    change.write(site.registry.file(layout.ADMINS), layout.format_admins(listed, line))
    for name, raw in rings.rings.items():
        change.write(site.registry.file(name), raw)
    if not site.tree.exists(site.registry.file(layout.TRUST)):
        change.write(site.registry.file(layout.TRUST), rings.trust)  # the original's `git add` names it
    return tuple(site.registry.file(name) for name in (layout.ADMINS, *rings.rings, layout.TRUST))


def _lacks_key(site: Site, label: str) -> bool:
    """The original lists an admin before it looks for the key, and so leaves names without one behind."""
    try:
        resolve([label], site.ring())
    except (RecipientError, BlackBoxError):  # the latter: no keyring yet
        return True
    return False
