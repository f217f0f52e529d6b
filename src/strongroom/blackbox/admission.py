"""Who is an admin: a line of the list, and a key in the tracked keyring. No file is encrypted anew by a change."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from strongroom.blackbox import keyring, layout
from strongroom.blackbox.admins import candidates_of, check_addition, check_label, listed_name, resolve
from strongroom.blackbox.changes import Change
from strongroom.blackbox.history import Exposure, keys_of, readable_by
from strongroom.blackbox.locking import LOCK
from strongroom.blackbox.results import Written
from strongroom.blackbox.site import Site
from strongroom.errors import BlackBoxError, ExistsError, NotFoundError, RecipientError
from strongroom.openpgp.engine import Certificate


def add_admin(
    site: Site, certificate: Certificate, *, label: str, commit: bool = True, dry_run: bool = False
) -> Written:
    """List an admin under `label` (a mail address of the certificate, or its fingerprint) and add the key.

    For one who is listed with this key already it brings what is new of it (an expiry, a revocation, a subkey) into
    the tracked keyring, which is rebuilt in a private home, never in the tracked directory. No file is re-encrypted.
    ExistsError if the label is listed and nothing is new; RecipientError if the certificate cannot receive, or if in
    the resulting keyring the label would not mean exactly it.
    """
    line = check_label(label)
    with site.steady(commit=commit, dry_run=dry_run) as control:
        added = _with_admin(site, certificate, line)
        control.check_kept(added.names)
        committed = False
        if not dry_run:
            with site.changing(control) as change:
                for path, raw in added.contents.items():
                    change.write(path, raw)
                change.apply()
                committed = commit and control.commit(added.names, added.subject)
    return Written(changed=added.names, recipients=(certificate.fingerprint,), committed=committed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What removing an admin did. `exposed` are the secrets that the keys open, or that older versions of opened."""

    listed: tuple[str, ...]
    """The lines that went from the list."""
    fingerprints: tuple[str, ...]
    """The keys that went from the keyring."""
    exposed: tuple[Exposure, ...]
    changed: tuple[str, ...]
    committed: bool


def remove_admin(site: Site, who: str, *, commit: bool = True, dry_run: bool = False) -> Removed:
    """Take an admin off the list, by line, address or full fingerprint, and the key out of the keyring.

    Without regard to case, where the original deletes the key of `ALICE@x` and leaves `alice@x` on the list. A key that
    another line means too stays. Files are sealed to the others by the next `update_all`; what the one who left could
    read until then is `exposed`, and must be changed where it is used. NotFoundError tells who is listed;
    BlackBoxError if nobody would be left.
    """
    with site.steady(commit=commit, dry_run=dry_run) as control:
        ring = site.ring()
        meant = {name: candidates_of(name, ring) for name in site.listed()}
        going = [name for name, keys in meant.items() if name.lower() == who.lower() or _is(keys, who)]
        if not going and "@" in who and len(known := candidates_of(who, ring)) == 1:  # listed by another name
            going = [name for name, keys in meant.items() if keys == known]
        if not going:
            raise NotFoundError(
                f"{who!r} is not among the listed admins: {', '.join(map(repr, meant))}",
                hint="strongroom blackbox list-admins",
            )
        if len(going) == len(meant):
            raise BlackBoxError(
                f"without {who!r} there is no admin left",
                hint="strongroom blackbox addadmin KEY adds another one first",
            )
        kept = {key.fingerprint for name, keys in meant.items() if name not in going for key in keys}
        gone = {key.fingerprint: key for name in going for key in meant[name] if key.fingerprint not in kept}
        once = (key for name in going for key in keys_of(site, name) if key.fingerprint not in kept)
        exposed = readable_by(site, *once)  # those of now are among them
        changed = (*(site.registry.file(name) for name in (layout.ADMINS, layout.TRUST)), *_ring_names(site))
        control.check_kept(changed)
        committed = False
        if not dry_run:
            with site.changing(control) as change:
                _stage_removal(site, change, going, tuple(gone))
                change.apply()
                committed = commit and control.commit(changed, f"REMOVED ADMIN: {' '.join(going)}")
    return Removed(listed=tuple(going), fingerprints=tuple(gone), exposed=exposed, changed=changed, committed=committed)


def _is(keys: Sequence[Certificate], who: str) -> bool:
    return len(keys) == 1 and keys[0].fingerprint == who.upper().removeprefix("0X")


def _ring_names(site: Site) -> tuple[str, ...]:
    return tuple(site.registry.file(name) for name in keyring.read(site.tree, site.place.data))


def _stage_removal(site: Site, change: Change, going: Collection[str], gone: Sequence[str]) -> None:
    from strongroom.blackbox.ringmaking import without_certificates  # only this needs gpg's keyring format

    lines = tuple(line for line in site.registry.admins() if listed_name(line) not in going)
    change.write(site.registry.file(layout.ADMINS), b"".join(line + b"\n" for line in lines))
    rings = without_certificates(keyring.read(site.tree, site.place.data), gone, environ=site.environ)
    for name, raw in rings.rings.items():
        change.write(site.registry.file(name), raw)
    change.write(site.registry.file(layout.TRUST), rings.trust)


def make(site: Site, admin: Certificate, *, label: str, commit: bool) -> None:
    """The data directory, with those above it that are missing, and the first lists. After a failure none is there."""
    line = check_label(label)
    made: list[str] = []
    try:
        for name in _missing_directories(site):
            site.tree.make_directory(name)
            made.append(name)
        with site.writing(commit=commit) as control, site.changing(control) as change:
            first = site.registry.empty()
            added = _with_admin(site, admin, line)
            control.check_kept(added.names)
            for path, raw in (first | added.contents).items():
                change.write(path, raw)
            change.apply()
            if commit:
                control.commit((*first, *added.names), "INITIALIZE BLACKBOX")
    except BaseException:
        for name in reversed(made):
            site.tree.remove_directory(name, leftovers=(LOCK,))
        with suppress(OSError):  # without git it lies there, and the next try wants it empty
            (site.data / LOCK).unlink()
        raise


def _missing_directories(site: Site) -> list[str]:
    *above, _ = data = site.place.data.split("/")
    paths = ["/".join(data[:length]) for length in range(1, len(above) + 2)]
    return [path for path in paths if not (site.root / path).is_dir()]


@dataclass(frozen=True, slots=True)
class _Addition:
    """The files of the data directory with one more admin: what they will hold, and which are to be committed."""

    contents: dict[str, bytes]
    names: tuple[str, ...]
    subject: str


def _with_admin(site: Site, certificate: Certificate, line: bytes) -> _Addition:
    label = os.fsdecode(line)
    listed = site.registry.admins()
    from strongroom.blackbox.ringmaking import with_certificate  # only this needs gpg's keyring format

    before = keyring.read(site.tree, site.place.data)
    rings = with_certificate(before, certificate, environ=site.environ)
    renewed = line in listed and not _lacks_key(site, label)
    if renewed:
        known = keyring.blocks(before).get(certificate.fingerprint)
        if known is None or known == keyring.blocks(rings.rings).get(certificate.fingerprint):
            raise ExistsError(f"{label!r} is an admin already", hint="see 'strongroom blackbox list-admins'")
    else:
        ring = keyring.certificates(rings.rings, engine=site.engine)
        check_addition(site.listed(), ring, certificate, label=label, at=site.clock.now())
    file = site.registry.file
    contents = {file(layout.ADMINS): layout.format_admins(listed, line)}
    contents |= {file(name): raw for name, raw in rings.rings.items()}
    if not site.tree.exists(file(layout.TRUST)):
        contents[file(layout.TRUST)] = rings.trust  # the original's `git add` names it
    names = tuple(file(name) for name in (layout.ADMINS, *rings.rings, layout.TRUST))
    return _Addition(contents, names, f"{'RENEWED' if renewed else 'NEW'} ADMIN: {label}")


def _lacks_key(site: Site, label: str) -> bool:
    """The original lists an admin before it looks for the key, and so leaves names without one behind."""
    try:
        resolve([label], site.ring())
    except (RecipientError, BlackBoxError):  # the latter: no keyring yet
        return True
    return False
