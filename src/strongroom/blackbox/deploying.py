"""Plaintexts into the work tree and out of it: postdeploy, edit-start, edit-end, shred. No other verb does that."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from strongroom.blackbox import placing
from strongroom.blackbox.admins import Recipients
from strongroom.blackbox.deployed import Deployed
from strongroom.blackbox.placing import Access, Scratch
from strongroom.blackbox.reading import MAX_PLAINTEXT
from strongroom.blackbox.results import Written, written
from strongroom.blackbox.site import Site
from strongroom.blackbox.workers import Progress, each
from strongroom.errors import BlackBoxError, CannotOpenError, StrongroomError
from strongroom.primitives.secret import SecretBytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Decrypted:
    """Which plaintexts were written, or with `dry_run` would be."""

    written: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    """Already there, from the same ciphertext, and untouched since."""
    protected: tuple[str, ...] = ()
    """Never written in the clear."""
    in_the_way: tuple[str, ...] = ()
    """A plaintext stands there already, and is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shredded:
    """Which plaintexts were removed, or with `dry_run` would be; `missing` were not there."""

    removed: tuple[str, ...]
    missing: tuple[str, ...]
    protected: tuple[str, ...]


def decrypt_all(
    site: Site,
    *,
    group: str | None = None,
    protected: Collection[Path] = (),
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Decrypted:
    """Write the plaintext of every registered file beside its `.gpg`: blackbox_postdeploy, blackbox_decrypt_all_files.

    A plaintext that comes from the same ciphertext, and that nobody touched since, is left as it is, and costs no start
    of gpg (`force` writes all). One that was changed by hand is replaced, as by the original. All are opened before the
    first is written, so that a corrupt file stops it with nothing written. Access: `placing.Access.wanted`.
    """
    access = Access.wanted(site.environ, group)
    with site.steady(commit=False, dry_run=dry_run) as control:
        plains, kept_out = _sorted_out(site, protected)
        known = Deployed.load(site)
        read = {plain: site.sealed(plain) for plain in plains}
        hashes = {plain: hashlib.sha256(raw).hexdigest() for plain, raw in read.items()}
        stand = {plain: placing.status_of(site.tree, plain) for plain in plains}
        due = [plain for plain in plains if force or not known.is_current(plain, hashes[plain], stand[plain])]
        unchanged = tuple(plain for plain in plains if plain not in set(due))
        if not dry_run:
            _write(site, Scratch(site.tree, control.lock_directory), due, read, access, known, progress)
            for plain in unchanged:
                status = stand[plain]
                if status is not None and not access.fits(status):
                    placing.correct(site.tree, plain, access)
            known.forget_all_but(plains)
            known.save()
    return Decrypted(written=tuple(due), unchanged=unchanged, protected=kept_out)


def decrypt(site: Site, names: Sequence[str], *, protected: Collection[Path] = (), dry_run: bool = False) -> Decrypted:
    """Write the plaintexts of these files: blackbox_edit_start, blackbox_decrypt_file.

    A plaintext that is there, and not empty, is kept, as by the original: somebody may be editing it.
    """
    access = Access.wanted(site.environ, None)
    with site.steady(commit=False, dry_run=dry_run) as control:
        listed = dict.fromkeys(site.registry.registered(name) for name in names)
        plains = [site.registry.writable(plain, protected=protected) for plain in listed]
        read = {plain: site.sealed(plain) for plain in plains}
        stand = {plain: placing.status_of(site.tree, plain) for plain in plains}
        kept = tuple(plain for plain in plains if (status := stand[plain]) is not None and status.st_size)
        due = [plain for plain in plains if plain not in kept]
        if not dry_run and due:
            known = Deployed.load(site)
            _write(site, Scratch(site.tree, control.lock_directory), due, read, access, known, None)
            known.save()
    return Decrypted(written=tuple(due), in_the_way=kept)


def encrypt(
    site: Site,
    names: Sequence[str],
    *,
    approved: Collection[str] | None,
    protected: Collection[Path] = (),
    commit: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Written:
    """Seal the plaintexts of these registered files and remove them: blackbox_edit_end.

    One whose content is what its `.gpg` holds is removed and not sealed again. All or none, as `register_all`.
    """
    with site.steady(commit=commit, dry_run=dry_run) as control:
        listed = dict.fromkeys(site.registry.registered(name) for name in names)
        plains = [site.registry.writable(plain, protected=protected) for plain in listed]
        site.check_own(plains)
        to = site.recipients(approved)
        read = {plain: site.tree.read_secret(plain, limit=MAX_PLAINTEXT) for plain in plains}
        for plain, (plaintext, _, _) in read.items():
            site.check_sealable(plain, plaintext)
        made = each(
            plains,
            lambda few: _sealed_if_new(site, {plain: read[plain][0] for plain in few}, to),
            progress=progress,
        )
        sealed = dict(zip(plains, made, strict=True))
        changed = tuple(f"{plain}.gpg" for plain, raw in sealed.items() if raw is not None)
        unchanged = tuple(plain for plain, raw in sealed.items() if raw is None)
        control.check_kept(changed)
        if dry_run:
            return written(changed, to, committed=False, files=tuple(plains), unchanged=unchanged)
        with site.changing(control) as change:
            for plain, raw in sealed.items():
                if raw is not None:
                    change.write(f"{plain}.gpg", raw)
            change.apply()
            for plain, (plaintext, mode, stamp) in read.items():
                change.remove_plaintext(plain, plaintext, mode, stamp=stamp)
            subject = f"{changed[0]} updated" if len(changed) == 1 else f"{len(changed)} files updated"
            committed = commit and bool(changed) and control.commit(changed, subject)
    return written(changed, to, committed=committed, files=tuple(plains), unchanged=unchanged)


def shred_all(site: Site, *, protected: Collection[Path] = (), dry_run: bool = False) -> Shredded:
    """Remove the plaintext of every registered file: blackbox_shred_all_files.

    What cannot be removed does not keep the others: BlackBoxError names them at the end.
    """
    removed: list[str] = []
    missing: list[str] = []
    problems: list[str] = []
    with site.steady(commit=False, dry_run=dry_run):
        plains, kept_out = _sorted_out(site, protected)
        if not dry_run:
            site.sweep(*plains)  # where git's directory is on another disk, a killed process left plaintext there
        for plain in plains:
            try:
                there = placing.status_of(site.tree, plain) is not None if dry_run else placing.remove(site.tree, plain)
            except StrongroomError as error:
                problems.append(str(error))
            else:
                (removed if there else missing).append(plain)
    if problems:
        raise BlackBoxError(
            f"{len(removed)} plaintexts were removed, {len(problems)} could not be: {'; '.join(problems)}",
            hint="look at them with 'ls -l', and remove them by hand",
        )
    return Shredded(removed=tuple(removed), missing=tuple(missing), protected=kept_out)


def _sorted_out(site: Site, protected: Collection[Path]) -> tuple[list[str], tuple[str, ...]]:
    """The files that may be written, and those that may not. PathError for a hostile name, before anything is done."""
    listed = tuple(dict.fromkeys(site.files()))
    kept_out = tuple(plain for plain in listed if site.registry.is_protected(plain, protected))
    return [site.registry.writable(plain, protected=()) for plain in listed if plain not in kept_out], kept_out


def _write(
    site: Site,
    scratch: Scratch,
    due: Sequence[str],
    read: dict[str, bytes],
    access: Access,
    known: Deployed,
    progress: Progress | None,
) -> None:
    def opened(few: Sequence[str]) -> list[SecretBytes]:
        return site.open_many({plain: read[plain] for plain in few})

    for plain, plaintext in zip(due, each(due, opened, progress=progress), strict=True):
        status: os.stat_result = scratch.place(plain, plaintext, access)
        known.remember(plain, hashlib.sha256(read[plain]).hexdigest(), status)


def _sealed_if_new(site: Site, few: Mapping[str, SecretBytes], to: Recipients) -> list[bytes | None]:
    """The new ciphertext of each file, or None where the old one holds this very plaintext."""
    before = {plain: site.sealed(plain) for plain in few}
    try:
        held = dict(zip(few, site.open_many(before), strict=True))
    except CannotOpenError:  # who can only encrypt, encrypts
        held = {}
        for plain, raw in before.items():
            with suppress(CannotOpenError):
                held[plain] = site.open_many({plain: raw})[0]
    new = {plain: plaintext for plain, plaintext in few.items() if held.get(plain) != plaintext}
    sealed = dict(zip(new, site.seal_many(new, to), strict=True))
    return [sealed.get(plain) for plain in few]
