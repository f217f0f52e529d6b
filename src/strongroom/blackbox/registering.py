"""A file becomes a secret: encrypted, listed, hidden from git, its plaintext removed; or it is one no longer."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from strongroom.blackbox import layout
from strongroom.blackbox.changes import Change
from strongroom.blackbox.files import Stamp
from strongroom.blackbox.reading import MAX_PLAINTEXT
from strongroom.blackbox.results import Written, written
from strongroom.blackbox.site import Site
from strongroom.blackbox.vcs import VersionControl
from strongroom.blackbox.workers import Progress, each
from strongroom.errors import BlackBoxError, ExistsError, NotFoundError, SettingsError
from strongroom.primitives.secret import SecretBytes

_NAMES_TOLD = 60_000  # bytes: a message is one argument of a command line


def register(
    site: Site,
    name: str,
    *,
    approved: Collection[str] | None,
    protected: Collection[Path] = (),
    commit: bool = True,
    dry_run: bool = False,
) -> Written:
    """Encrypt the plaintext file `name`, put it on the list, hide it from git, and remove it. As `register_all`."""
    return register_all(site, [name], approved=approved, protected=protected, commit=commit, dry_run=dry_run)


def register_all(
    site: Site,
    names: Sequence[str],
    *,
    approved: Collection[str] | None,
    protected: Collection[Path] = (),
    commit: bool = True,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Written:
    """Register many files in one step and one commit: all of them, or, after any failure, none.

    The originals make a commit for each file, and leave the first ones committed when a later one fails.
    The plaintext is overwritten and unlinked, which on most disks of today hides little (`shred.overwrite`). If git
    tracked it, the same commit removes it; older commits still hold it, and `exposed` says so. With
    `commit=False` git's index is not touched. Raises ExistsError, NotFoundError, PathError, RecipientError,
    BlackBoxError (an empty file), ConflictError, GitError, StoreError; then everything is as it was. What a killed
    process had encrypted and listed, and not committed, is gone on with.
    """
    plains = list(dict.fromkeys(site.registry.writable(name, protected=protected) for name in names))
    if not plains:
        raise SettingsError("no file is named", hint="strongroom blackbox register-new-file FILE")
    with site.steady(commit=commit, dry_run=dry_run) as control:
        begun = _begun(site, control, plains) if commit else frozenset()
        fresh = [plain for plain in plains if plain not in begun]
        _check_free(site, fresh)
        to = site.recipients(approved)
        there = [plain for plain in plains if plain not in begun or site.tree.exists(plain)]
        read = {plain: site.tree.read_secret(plain, limit=MAX_PLAINTEXT) for plain in there}
        _check_same(site, {plain: plaintext for plain, (plaintext, _, _) in read.items() if plain in begun})
        for plain, (plaintext, _, _) in read.items():
            site.check_sealable(plain, plaintext)
        tracked = control.tracked(plains)
        exposed = tuple(plain for plain in plains if plain in tracked)
        changed = (*(f"{plain}.gpg" for plain in plains), site.registry.file(layout.FILES), layout.IGNORE, *exposed)
        control.check_kept(changed)
        if dry_run:
            return written(changed, to, committed=False, files=tuple(plains), exposed=exposed)
        sealed = each(
            fresh, lambda few: site.seal_many({plain: read[plain][0] for plain in few}, to), progress=progress
        )
        with site.changing(control) as change:
            for plain, raw in zip(fresh, sealed, strict=True):
                change.write(f"{plain}.gpg", raw)
            for path, raw in site.registry.with_files(plains).items():
                change.write(path, raw)
            change.apply()
            ignored = control.ignored(plains)
            _remove(change, read)
            committed = commit and control.commit(changed, _message("registered in blackbox:", plains))
    seen = tuple(plain for plain in plains if plain not in ignored)
    return written(changed, to, committed=committed, files=tuple(plains), exposed=exposed, not_ignored=seen)


def enlist(site: Site, name: str, *, commit: bool = True, dry_run: bool = False) -> Written:
    """Put a file on the list whose `.gpg` is there already and whose plaintext is not; nothing is encrypted."""
    plain = site.registry.writable(name, protected=())
    with site.steady(commit=commit, dry_run=dry_run) as control:
        if plain in site.files():
            raise ExistsError(f"{plain!r} is registered already", hint=f"strongroom blackbox edit {shlex.quote(plain)}")
        if not site.tree.exists(f"{plain}.gpg"):
            raise NotFoundError(
                f"there is no file {plain + '.gpg'!r} to register",
                hint=f"strongroom blackbox register-new-file {shlex.quote(plain)}, where it is not sealed yet",
            )
        site.check_own([plain])
        if site.tree.exists(plain):
            raise ExistsError(f"there is a plaintext {plain!r}", hint="remove it first if the .gpg holds all of it")
        changed = (f"{plain}.gpg", site.registry.file(layout.FILES), layout.IGNORE)
        control.check_kept(changed)
        if dry_run:
            return Written(changed=changed, committed=False, files=(plain,))
        with site.changing(control) as change:
            for path, raw in site.registry.with_files([plain]).items():
                change.write(path, raw)
            change.apply()
            committed = commit and control.commit(changed, f"registered in blackbox: {plain}")
    return Written(changed=changed, committed=committed, files=(plain,))


def deregister(
    site: Site, name: str, *, protected: Collection[Path] = (), commit: bool = True, dry_run: bool = False
) -> Written:
    """Take a file off the list, remove its `.gpg`, and let git see a plaintext again; a plaintext stays as it is.

    As the original; but only a registered file, not one that another environment lists, too, and never the only copy:
    without a plaintext, a `.gpg` that git has not in its index is a BlackBoxError. Without version control the `.gpg`
    stays. Git's history keeps every version.
    """
    with site.steady(commit=commit, dry_run=dry_run) as control:
        plain = site.registry.writable(site.registry.registered(name), protected=protected)
        site.check_own([plain])  # its .gpg is what the other has, too
        sealed = f"{plain}.gpg"
        there = site.tree.exists(sealed) and control.kind == "git"
        if there and not site.tree.exists(plain) and not control.tracked([sealed]):
            raise BlackBoxError(
                f"{sealed!r} is the only copy of {plain!r}: git does not track it, and there is no plaintext",
                hint=f"strongroom blackbox decrypt-file {plain!r}",
            )
        lists = site.registry.without_file(plain)
        changed = (*lists, *((sealed,) if control.kind == "git" else ()))
        if dry_run:
            return Written(changed=changed, committed=False, files=(plain,))
        with site.changing(control) as change:
            for path, raw in lists.items():
                change.write(path, raw)
            if there:
                change.remove(sealed)
            change.apply()
            committed = commit and control.commit(changed, f"Removing from blackbox: {plain}")
    return Written(changed=changed, committed=committed, files=(plain,))


def _begun(site: Site, control: VersionControl, plains: Sequence[str]) -> frozenset[str]:
    """Those that are listed and sealed already, and in no commit, staged or not: a kill came between."""
    listed = frozenset(site.files())
    sealed = [f"{plain}.gpg" for plain in plains if plain in listed and site.tree.exists(f"{plain}.gpg")]
    if control.kind != "git" or not sealed:
        return frozenset()
    committed = control.committed(sealed)
    return frozenset(name.removesuffix(".gpg") for name in sealed if name not in committed)


def _check_same(site: Site, plaintexts: Mapping[str, SecretBytes]) -> None:
    opened = site.open_many({plain: site.sealed(plain) for plain in plaintexts}) if plaintexts else []
    for (plain, plaintext), held in zip(plaintexts.items(), opened, strict=True):
        if plaintext != held:
            raise ExistsError(
                f"{plain!r} is registered already, and its plaintext was changed since",
                hint=f"strongroom blackbox edit-end {shlex.quote(plain)}",
            )


def _check_free(site: Site, plains: Sequence[str]) -> None:
    elsewhere = site.elsewhere()
    listed = frozenset(site.files())
    for plain in plains:
        if plain in listed:
            raise ExistsError(f"{plain!r} is registered already", hint=f"strongroom blackbox edit {shlex.quote(plain)}")
        if plain in elsewhere:
            raise ExistsError(
                f"{plain!r} is registered already, in {elsewhere[plain]!r}",
                hint=f"BLACKBOXDATA={shlex.quote(elsewhere[plain])} strongroom blackbox list-files",
            )
        if site.tree.exists(f"{plain}.gpg"):
            raise ExistsError(
                f"there is a file {plain + '.gpg'!r} already",
                hint="strongroom blackbox list-files shows what is registered; one that is left over goes by 'git rm'",
            )


def _remove(change: Change, read: dict[str, tuple[SecretBytes, int, Stamp]]) -> None:
    for plain, (plaintext, mode, stamp) in read.items():
        change.remove_plaintext(plain, plaintext, mode, stamp=stamp)


def _message(what: str, plains: Sequence[str]) -> str:
    """The original's subject for one file; for several their number, and their names below."""
    if len(plains) == 1:
        return f"{what} {plains[0]}"
    sizes = itertools.accumulate(len(os.fsencode(plain)) + 1 for plain in plains)
    told = [plain for plain, size in zip(plains, sizes, strict=True) if size <= _NAMES_TOLD]
    more = [f"and {len(plains) - len(told)} more"] if len(told) < len(plains) else []
    return "\n".join([f"{what} {len(plains)} files", "", *told, *more])
