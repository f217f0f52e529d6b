"""blackbox: one file or a few; what is registered, edited, looked at and compared."""

from __future__ import annotations

import difflib
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand
from strongroom.cli.repository import (
    approved_in,
    commit_option,
    counted,
    dry_run_option,
    protected_in,
    repository_of,
    tell_written,
)
from strongroom.errors import BlackBoxError, NotFoundError, SettingsError

if TYPE_CHECKING:
    from strongroom.blackbox.repository import Repository
    from strongroom.primitives.secret import SecretBytes


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom blackbox register-new-file config/database.yml",
        "strongroom blackbox register-new-file --dry-run tls.key tls.pem",
    ),
)
@click.argument("files", nargs=-1, required=True)
@commit_option(usual=True)
@dry_run_option
@verb
def register_new_file(session: Session, files: tuple[str, ...], commit: bool, dry_run: bool) -> None:
    """Encrypt FILES, list them, hide them from git and remove their plaintexts: all, or after any failure none."""
    repository = repository_of(session)
    approved = approved_in(session, repository, dry_run=dry_run)
    with counted("registering") as progress:
        done = repository.register_all(
            [repository.name_of(name) for name in files],
            approved=approved,
            protected=protected_in(repository),
            commit=commit,
            dry_run=dry_run,
            progress=progress,
        )
    tell_written(session, "registered", done, dry_run=dry_run)


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox deregister-file config/database.yml.gpg"))
@click.argument("file")
@commit_option(usual=True)
@dry_run_option
@verb
def deregister_file(session: Session, file: str, commit: bool, dry_run: bool) -> None:
    """Take FILE off the list and remove its .gpg; a plaintext stays, and git sees it again."""
    repository = repository_of(session)
    done = repository.deregister(
        repository.name_of(file), protected=protected_in(repository), commit=commit, dry_run=dry_run
    )
    tell_written(session, "deregistered", done, dry_run=dry_run)
    for plain in done.files:
        if f"{plain}.gpg" in done.changed and not dry_run and not os.path.lexists(repository.root / plain):
            output.warn(
                f"there is no plaintext of {plain!r} here: what it held is in git's history only",
                as_json=session.as_json,
            )


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom blackbox edit config/database.yml", "strongroom blackbox edit --commit config/database.yml"
    ),
)
@click.argument("files", nargs=-1, required=True)
@commit_option(usual=False)
@dry_run_option
@verb
def edit(session: Session, files: tuple[str, ...], commit: bool, dry_run: bool) -> None:
    """Open FILES in EDITOR, one after another, in a private directory, and seal what changed.

    One that is not registered yet is registered first, if you say yes to it on a terminal. A dry run starts no editor.
    """
    repository = repository_of(session)
    approved = approved_in(session, repository, dry_run=dry_run)
    protected = protected_in(repository)
    for typed in files:
        name = repository.name_of(typed)
        if name not in repository.files() and name.removesuffix(".gpg") not in repository.files():
            if dry_run:
                raise _not_registered(name)
            _register_first(session, repository, name)
            repository.register(name, approved=approved, protected=protected, commit=commit)
        done = repository.edit(name, approved=approved, protected=protected, commit=commit, dry_run=dry_run)
        tell_written(session, "sealed", done, dry_run=dry_run)


def _not_registered(name: str) -> NotFoundError:
    return NotFoundError(f"{name!r} is not registered", hint="strongroom blackbox register-new-file FILE")


def _register_first(session: Session, repository: Repository, name: str) -> None:
    asks = sys.stdin.isatty() and sys.stderr.isatty() and not session.as_json
    there = os.path.lexists(repository.root / name)
    if not (asks and there and click.confirm(f"{output.shown(name)} is not registered. Encrypt it?", err=True)):
        raise _not_registered(name)


@click.command(
    cls=VerbCommand,
    epilog=examples("strongroom blackbox edit-start config/database.yml", "strongroom blackbox decrypt-file tls.key"),
)
@click.argument("files", nargs=-1, required=True)
@dry_run_option
@verb
def edit_start(session: Session, files: tuple[str, ...], dry_run: bool) -> None:
    """Write the plaintexts of FILES beside their .gpg; one that is there already, and not empty, is kept."""
    repository = repository_of(session)
    names = [repository.name_of(name) for name in files]
    done = repository.decrypt(names, protected=protected_in(repository), dry_run=dry_run)
    if session.as_json:
        output.write_json({"dry_run": dry_run, "written": list(done.written), "in_the_way": list(done.in_the_way)})
        return
    for name in done.written:
        output.tell(f"{name}: {'would be ' if dry_run else ''}decrypted")
    for name in done.in_the_way:
        output.tell(f"{name}: skipped, a plaintext is there already")


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox edit-end config/database.yml"))
@click.argument("files", nargs=-1, required=True)
@commit_option(usual=False)
@dry_run_option
@verb
def edit_end(session: Session, files: tuple[str, ...], commit: bool, dry_run: bool) -> None:
    """Seal the plaintexts of FILES and remove them; one that says what its .gpg holds is only removed."""
    repository = repository_of(session)
    approved = approved_in(session, repository, dry_run=dry_run)
    with counted("sealing") as progress:
        done = repository.encrypt(
            [repository.name_of(name) for name in files],
            approved=approved,
            protected=protected_in(repository),
            commit=commit,
            dry_run=dry_run,
            progress=progress,
        )
    tell_written(session, "sealed", done, dry_run=dry_run)


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox view config/database.yml"))
@click.argument("files", nargs=-1, required=True)
@verb
def view(session: Session, files: tuple[str, ...]) -> None:
    """Show FILES in PAGER (else less), which reads them from a pipe; no plaintext is on the disk."""
    if session.as_json:
        raise SettingsError("a pager shows no JSON", hint="strongroom blackbox cat --json FILE")
    repository = repository_of(session)
    for name in files:
        plaintext = repository.read(repository.name_of(name))
        if output.stdout_is_terminal():
            _page(plaintext)
        else:
            output.write_bytes(plaintext.reveal(), redirect="")


def _page(plaintext: SecretBytes) -> None:
    # what opens stores is none of the pager's business, and less keeps no history of what was searched in a secret
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STRONGROOM_")}
    text = os.environ.get("PAGER", "").strip() or "less"
    try:
        pager = subprocess.Popen(
            shlex.split(text), stdin=subprocess.PIPE, env=kept | {"LESSHISTFILE": "-", "LESSSECURE": "1"}
        )
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot start the pager {text!r}: {error}", hint="set PAGER") from None
    pager.communicate(plaintext.reveal())
    if pager.returncode:
        raise BlackBoxError(f"the pager {text!r} ended with {pager.returncode}")


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox diff", "strongroom blackbox diff tls.key"))
@click.argument("files", nargs=-1)
@verb
def diff(session: Session, files: tuple[str, ...]) -> None:
    """Show how the plaintexts in the work tree (all, or FILES) differ from what is sealed; in memory."""
    repository = repository_of(session)
    found = repository.differences([repository.name_of(name) for name in files])
    if session.as_json:
        output.write_json([difference.name for difference in found])
        return
    for difference in found:
        _write_diff(f"{difference.name}.gpg", difference.sealed, difference.name, difference.plaintext)


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox whatsnew config/database.yml.gpg"))
@click.argument("file")
@verb
def whatsnew(session: Session, file: str) -> None:
    """Show what the last commit of FILE changed, decrypted in memory; nothing is checked out."""
    repository = repository_of(session)
    editions = repository.editions(repository.name_of(file), most=2)
    if session.as_json:
        output.write_json([{"commit": each.commit, "author": each.author, "at": each.at} for each in editions])
        return
    newest, oldest = editions[0], editions[-1]
    if newest is oldest:
        output.tell(f"{file}: one version is committed, {newest.commit[:12]} by {newest.author}")
        return
    _write_diff(oldest.commit[:12], oldest.plaintext, f"{newest.commit[:12]} {newest.author}", newest.plaintext)


def _write_diff(before: str, old: SecretBytes, after: str, new: SecretBytes) -> None:
    names = (os.fsencode(output.shown(before)), os.fsencode(output.shown(after)))
    lines = difflib.diff_bytes(difflib.unified_diff, _lines(old), _lines(new), *names, lineterm=b"\n")
    whole = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
    output.write_bytes(whole, redirect="strongroom blackbox diff > OUTPUT")


def _lines(text: SecretBytes) -> list[bytes]:
    return text.reveal().splitlines(keepends=True)
