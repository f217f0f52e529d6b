"""Editing a secret: decrypted into a private directory, encrypted on success, and never lost, whatever goes wrong."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from pathlib import Path

from strongroom.blackbox import editor, placing
from strongroom.blackbox.admins import Recipients
from strongroom.blackbox.private import PrivateDirectory
from strongroom.blackbox.reading import MAX_PLAINTEXT, about
from strongroom.blackbox.results import Written, written
from strongroom.blackbox.site import Site
from strongroom.blackbox.state import directory as state_directory
from strongroom.blackbox.state import write as write_state
from strongroom.errors import BlackBoxError, ConflictError, StrongroomError
from strongroom.primitives.secret import SecretBytes


def edit(
    site: Site,
    name: str,
    *,
    approved: Collection[str] | None,
    protected: Collection[Path] = (),
    commit: bool = False,
    dry_run: bool = False,
) -> Written:
    """Open a registered file in EDITOR, and seal what the editor leaves, if it is another content.

    Who receives, and that they can, is known before the editor starts; no lock is held while it runs. A failing editor,
    SIGINT, SIGTERM or SIGHUP leave the repository as it was. What was edited until then, or could not be written at the
    end (somebody else was faster, a full disk), is kept as a `.gpg` to the same recipients outside the repository; only
    where even that fails, in the clear in a directory of mode 0700. The error says where.
    A plaintext in the work tree is a ConflictError if it says something else than its `.gpg`; otherwise it stays.
    A dry run checks all that, and starts no editor.
    """
    plain = site.registry.writable(site.registry.registered(name), protected=protected)
    editor.words(site.environ)
    site.check_own([plain])
    site.control().check_kept((f"{plain}.gpg",))
    to = site.recipients(approved)
    before = site.sealed(plain)
    with about(plain):
        opened = site.open(before)
    _check_work_tree(site, plain, opened)
    if dry_run:
        return written((f"{plain}.gpg",), to, committed=False, files=(plain,))
    with PrivateDirectory(site.environ) as private:
        path = private.put(plain.rpartition("/")[2], opened)
        try:
            editor.run(path, site.environ)
            edited = private.take(path)
            if edited == opened:
                return written((), to, committed=False, files=(plain,), unchanged=(plain,))
            site.check_sealable(plain, edited)
            return _swap(site, plain, before, edited, to, commit=commit)
        except StrongroomError as error:
            raise _rescued(site, plain, private, path, opened, to, error) from None
        except KeyboardInterrupt:
            raise _rescued(site, plain, private, path, opened, to, BlackBoxError("interrupted")) from None


def _check_work_tree(site: Site, plain: str, opened: SecretBytes) -> None:
    status = placing.status_of(site.tree, plain)
    if status is not None and status.st_size and site.tree.read_secret(plain, limit=MAX_PLAINTEXT)[0] != opened:
        raise ConflictError(
            f"there is a plaintext {plain!r} that says something else than {plain + '.gpg'!r}",
            hint=f"strongroom blackbox edit-end {plain!r} takes it, shred-all-files drops it",
        )


def _swap(site: Site, plain: str, before: bytes, edited: SecretBytes, to: Recipients, *, commit: bool) -> Written:
    with about(plain):
        sealed = site.seal(plain, edited, to)
    changed = (f"{plain}.gpg",)
    with site.writing(commit=commit) as control:
        if site.sealed(plain) != before:
            raise ConflictError(f"{plain!r} was changed while it was being edited", hint="see 'git log -p'")
        with site.changing(control) as change:
            change.write(f"{plain}.gpg", sealed)
            change.apply()
            committed = commit and control.commit(changed, f"{plain}.gpg updated")
    return written(changed, to, committed=committed, files=(plain,))


def _rescued(
    site: Site,
    plain: str,
    private: PrivateDirectory,
    path: Path,
    opened: SecretBytes,
    to: Recipients,
    error: StrongroomError,
) -> StrongroomError:
    """The error, with the place where the edited text is kept, if there is one that is worth it."""
    try:
        edited = private.take(path)
    except StrongroomError:
        return error
    if edited == opened or not len(edited):
        return error
    try:
        kept = state_directory(site.environ) / f"edited-{secrets.token_hex(8)}.gpg"
        write_state(kept, site.engine.encrypt(edited, to=to.certificates))
        way = f"gpg --decrypt {str(kept)!r}"
    except StrongroomError:
        kept = private.keep(path)
        way = f"it is in the clear: remove it when you have it: rm {str(kept)!r}"
    words = f"{error}; what was edited of {plain!r} is in {str(kept)!r}"
    return type(error)(words, hint=way)
