"""A file becomes a secret: encrypted, listed, hidden from git, its plaintext removed; or a new version of one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from strongroom.blackbox import layout
from strongroom.blackbox.changes import Change
from strongroom.blackbox.results import Written, written
from strongroom.blackbox.site import MAX_PLAINTEXT, Site
from strongroom.errors import ExistsError, NotFoundError
from strongroom.primitives.secret import SecretBytes


def register(
    site: Site,
    name: str,
    *,
    approved: Collection[str] | None,
    protected: Collection[Path] = (),
    commit: bool = True,
) -> Written:
    """Encrypt the plaintext file `name`, put it on the list, hide it from git, and remove it.

    The plaintext is overwritten and unlinked, which on most disks of today hides little (`shred.overwrite`). If git
    tracked it, the same commit removes it; older commits still hold it, and `was_tracked` says so. With
    `commit=False` git's index is not touched. Raises ExistsError, NotFoundError, PathError, RecipientError,
    BlackBoxError (an empty file), ConflictError, GitError, StoreError; then everything is as it was.
    """
    plain = site.registry.writable(name, protected=protected)
    with site.writing(commit=commit) as control:
        if plain in site.files():
            raise ExistsError(f"{plain!r} is registered already")
        if site.tree.exists(f"{plain}.gpg"):
            raise ExistsError(f"there is a file {plain + '.gpg'!r} already")
        to = site.recipients(approved)
        plaintext, mode, stamp = site.tree.read_secret(plain, limit=MAX_PLAINTEXT)
        sealed = site.seal(plain, plaintext, to)
        tracked = control.tracks(plain)
        with Change(site.tree) as change:
            change.write(f"{plain}.gpg", sealed)
            for path, raw in site.registry.with_file(plain).items():
                change.write(path, raw)
            change.apply()
            ignored = control.ignores(plain)
            change.remove_plaintext(plain, plaintext, mode, stamp=stamp)
            changed = (
                f"{plain}.gpg",
                site.registry.file(layout.FILES),
                layout.IGNORE,
                *((plain,) if tracked else ()),
            )
            committed = commit and control.commit(changed, f"registered in blackbox: {plain}")
    return written(
        changed,
        to,
        committed=committed,
        files=(plain,),
        exposed=(plain,) if tracked else (),
        not_ignored=() if ignored else (plain,),
    )


def enlist(site: Site, name: str, *, commit: bool = True) -> Written:
    """Put a file on the list whose `.gpg` is there already and whose plaintext is not; nothing is encrypted."""
    plain = site.registry.writable(name, protected=())
    with site.writing(commit=commit) as control:
        if plain in site.files():
            raise ExistsError(f"{plain!r} is registered already")
        if not site.tree.exists(f"{plain}.gpg"):
            raise NotFoundError(f"there is no file {plain + '.gpg'!r} to register")
        if site.tree.exists(plain):
            raise ExistsError(f"there is a plaintext {plain!r}", hint="remove it first if the .gpg holds all of it")
        with Change(site.tree) as change:
            for path, raw in site.registry.with_file(plain).items():
                change.write(path, raw)
            change.apply()
            changed = (f"{plain}.gpg", site.registry.file(layout.FILES), layout.IGNORE)
            committed = commit and control.commit(changed, f"registered in blackbox: {plain}")
    return Written(changed=changed, committed=committed)


def write(
    site: Site,
    name: str,
    plaintext: SecretBytes,
    *,
    approved: Collection[str] | None,
    protected: Collection[Path] = (),
    commit: bool = True,
) -> Written:
    """A new version of a registered file, sealed to the approved admins. A plaintext in the work tree stays.

    Raises as `register`; NotFoundError if the file is not registered.
    """
    with site.writing(commit=commit) as control:
        plain = site.registry.writable(site.registry.registered(name), protected=protected)
        to = site.recipients(approved)
        sealed = site.seal(plain, plaintext, to)
        with Change(site.tree) as change:
            change.write(f"{plain}.gpg", sealed)
            change.apply()
            changed = (f"{plain}.gpg",)
            committed = commit and control.commit(changed, f"{plain}.gpg updated")
    return written(changed, to, committed=committed)
