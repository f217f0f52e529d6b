"""Sealing anew: one file with a new content, or every file to those who are admins now. All of them or none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from strongroom.blackbox.admins import Recipients
from strongroom.blackbox.reading import about
from strongroom.blackbox.results import Written, written
from strongroom.blackbox.site import Site
from strongroom.blackbox.workers import Progress, each
from strongroom.openpgp.packets import recipients_of
from strongroom.primitives.secret import SecretBytes


def write(
    site: Site,
    name: str,
    plaintext: SecretBytes,
    *,
    approved: Collection[str] | None,
    protected: Collection[Path] = (),
    commit: bool = True,
    dry_run: bool = False,
) -> Written:
    """A new version of a registered file, sealed to the approved admins. A plaintext in the work tree stays.

    Raises as `register`; NotFoundError if the file is not registered.
    """
    with site.steady(commit=commit, dry_run=dry_run) as control:
        plain = site.registry.writable(site.registry.registered(name), protected=protected)
        site.check_own([plain])
        to = site.recipients(approved)
        site.check_sealable(plain, plaintext)
        changed = (f"{plain}.gpg",)
        control.check_kept(changed)
        if dry_run:
            return written(changed, to, committed=False, files=(plain,))
        sealed = site.seal(plain, plaintext, to)
        with site.changing(control) as change:
            change.write(f"{plain}.gpg", sealed)
            change.apply()
            committed = commit and control.commit(changed, f"{plain}.gpg updated")
    return written(changed, to, committed=committed, files=(plain,))


def update_all(
    site: Site,
    *,
    approved: Collection[str] | None,
    protected: Collection[Path] = (),
    only: Collection[str] = (),
    force: bool = False,
    commit: bool = True,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Written:
    """Encrypt every registered file to the approved admins of now, in memory; then swap them all in, in one commit.

    A file that is sealed to exactly these keys already is left as it is, unless `force`; `only` narrows it to some
    files; what is `protected` has an owner who keeps it in step, and is left out. No plaintext touches the disk, and
    plaintexts in the work tree are neither read nor removed. Any failure, with the file's name, leaves all files as
    they were; so does the end of this process, once the next one that writes here has looked (`journal`).
    """
    with site.steady(commit=commit, dry_run=dry_run) as control:
        plains = _chosen(site, only, protected)
        to = site.recipients(approved)
        read = {plain: site.sealed(plain) for plain in plains}
        due = [plain for plain in plains if force or not is_sealed_to(site, plain, read[plain], to)]
        unchanged = tuple(plain for plain in plains if plain not in set(due))
        changed = tuple(f"{plain}.gpg" for plain in due)
        control.check_kept(changed)
        if not dry_run:
            site.sweep(*plains)  # a killed process may have left older ciphertexts under second names
        if dry_run or not due:
            return written(changed, to, committed=False, files=tuple(plains), unchanged=unchanged)

        def sealed_anew(few: Sequence[str]) -> list[bytes]:
            opened = site.open_many({plain: read[plain] for plain in few})
            return site.seal_many(dict(zip(few, opened, strict=True)), to)

        sealed = each(due, sealed_anew, progress=progress)
        with site.changing(control) as change:
            for plain, raw in zip(due, sealed, strict=True):
                change.write(f"{plain}.gpg", raw)
            change.apply()
            committed = commit and control.commit(changed, "Re-encrypted keys")
    return written(changed, to, committed=committed, files=tuple(plains), unchanged=unchanged)


def rehearse_all(
    site: Site, *, approved: Collection[str] | None, protected: Collection[Path] = (), progress: Progress | None = None
) -> None:
    """Raise what `update_all` would raise for a file, by opening each that it would seal anew; nothing is written.

    For a caller to whom a failure in the middle of a greater change would come too late.
    """
    plains = _chosen(site, (), protected)
    to = site.recipients(approved)
    read = {plain: site.sealed(plain) for plain in plains}
    due = [plain for plain in plains if not is_sealed_to(site, plain, read[plain], to)]
    site.control().check_kept([f"{plain}.gpg" for plain in due])
    each(
        due,
        lambda few: [len(opened) for opened in site.open_many({plain: read[plain] for plain in few})],
        progress=progress,
    )


def is_sealed_to(site: Site, plain: str, ciphertext: bytes, to: Recipients) -> bool:
    """Whether a message names exactly the keys that a new one would; nothing is started to find out. FormatError."""
    at = site.clock.now()
    wanted = {subkey.fingerprint: subkey.key_id for key in to.certificates for subkey in key.usable_for_encryption(at)}
    with about(plain):
        return sorted(recipients_of(ciphertext)) == sorted(wanted.values())


def _chosen(site: Site, only: Collection[str], protected: Collection[Path]) -> list[str]:
    wanted = dict.fromkeys(site.registry.registered(name) for name in only) if only else site.files()
    site.check_own(wanted)
    return [
        site.registry.writable(plain, protected=())
        for plain in dict.fromkeys(wanted)
        if not site.registry.is_protected(plain, protected)
    ]
