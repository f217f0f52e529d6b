"""blackbox: the old names, and git's diff, log and merge of decrypted secrets. No plaintext is kept by git."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand
from strongroom.cli.repository import (
    approved_in,
    commit_option,
    dry_run_option,
    engine_of,
    protected_in,
    repository_of,
    to_commit,
)
from strongroom.cli.shims import install, program
from strongroom.errors import ExposedRootError, GitError, StoreError, StrongroomError, UnsupportedError
from strongroom.exitcodes import FAILED

if TYPE_CHECKING:
    from strongroom.blackbox.git import Git
    from strongroom.blackbox.repository import Repository
    from strongroom.primitives.secret import SecretBytes

DRIVER = "strongroom-blackbox"
ATTRIBUTES = f"*.gpg diff={DRIVER} merge={DRIVER}".encode()


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox install-shims ~/bin/blackbox"))
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@dry_run_option
@verb
def install_shims(session: Session, directory: Path, dry_run: bool) -> None:
    """Fill DIR with programs of the old names (blackbox_cat and so on); put it on PATH."""
    made = install(directory.absolute(), dry_run=dry_run)
    if session.as_json:
        output.write_json([str(path) for path in made])
        return
    output.tell(
        f"{'would write' if dry_run else 'wrote'} {len(made)} programs; put {str(directory.resolve())!r} on PATH"
    )


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox git-setup"))
@commit_option(usual=False)
@dry_run_option
@verb
def git_setup(session: Session, commit: bool, dry_run: bool) -> None:
    """Let git diff, log -p and merge work on decrypted secrets, in this clone.

    Writes .gitattributes, which is for everybody, and this clone's own configuration, which each one sets up for
    himself. git decrypts when it shows, and caches nothing.
    """
    from strongroom.blackbox.layout import with_lines

    repository = repository_of(session)
    git = _git(repository)
    command = shlex.quote(str(program()))
    settings = {
        f"diff.{DRIVER}.textconv": f"{command} blackbox git-textconv --",
        f"diff.{DRIVER}.cachetextconv": "false",
        f"merge.{DRIVER}.name": "BlackBox secrets, merged in memory",
        f"merge.{DRIVER}.driver": f"{command} blackbox git-merge -- %O %A %B %P",
    }
    name = ".gitattributes"
    before = repository.tree.read(name, limit=1 << 20) if repository.tree.exists(name) else b""
    after = with_lines(before, ATTRIBUTES)
    committed = False
    if not dry_run:
        with repository.writing(commit=commit) as control, repository.changing(control) as change:
            if after != before:
                change.write(name, after)
                change.apply()
            for key, value in settings.items():
                git.run("config", "--local", key, value, literal=False)
            committed = commit and control.commit((name,), "git diff and merge of BlackBox files")
    if session.as_json:
        output.write_json({"dry_run": dry_run, "settings": settings, "changed": [name] if after != before else []})
        return
    output.tell(f"git {'would show' if dry_run else 'shows'} and merges *.gpg decrypted, in this clone")
    if after != before and not dry_run:
        to_commit(session, (name,), committed=committed)


def _git(repository: Repository) -> Git:
    from strongroom.blackbox.git import Git

    control = repository.control()
    if not isinstance(control, Git):
        raise UnsupportedError(f"{str(repository.root)!r} is not in git")
    return control


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox git-textconv config/database.yml.gpg"))
@click.argument("file", type=click.Path(path_type=Path))
@verb
def git_textconv(session: Session, file: Path) -> None:
    """Print what FILE holds, for git diff; what cannot be opened, or is a store's root, is told in a line.

    git runs it, once git-setup was there.
    """
    from strongroom.blackbox.reading import MAX_PLAINTEXT
    from strongroom.blackbox.withheld import released
    from strongroom.openpgp.discovery import find_engine

    raw = _bytes(file)
    if not raw:
        return
    engine = engine_of(session)
    if engine is None:
        engine = find_engine()
        click.get_current_context().call_on_close(engine.close)
    try:
        opened = released(engine.decrypt(raw, limit=MAX_PLAINTEXT).plaintext)
    except ExposedRootError:
        output.write_line("(the root of a store)")  # never into a pager, a log or a review
        return
    except StrongroomError as error:
        # with the hash git shows that something changed, if not what
        output.write_line(f"(not opened: {error}; SHA-256 {hashlib.sha256(raw).hexdigest()})")
        return
    output.write_bytes(opened.reveal(), redirect="")


@click.command(
    cls=VerbCommand, epilog=examples("strongroom blackbox git-merge BASE OURS THEIRS config/database.yml.gpg")
)
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("ours", type=click.Path(path_type=Path))
@click.argument("theirs", type=click.Path(path_type=Path))
@click.argument("path")
@verb
def git_merge(session: Session, base: Path, ours: Path, theirs: Path, path: str) -> None:
    """Merge three versions of the registered file PATH into OURS, sealed to the approved admins.

    git runs it, once git-setup was there. With a conflict both sides stay as they are, and the exit status is 1.
    """
    from strongroom.blackbox.updating import is_sealed_to

    repository = repository_of(session)
    plain = repository.registry.writable(
        repository.registry.registered(repository.name_of(path)), protected=protected_in(repository)
    )
    sealed = [_bytes(version) for version in (ours, base, theirs)]
    opened = [repository.open(raw) if raw else None for raw in sealed]
    merged = _merged(repository, opened)
    if merged is None:
        output.tell(f"strongroom: {plain}: both sides changed the same lines; both are kept, nothing was merged")
        output.tell(f"strongroom: hint: take one with 'git checkout --theirs -- {shlex.quote(path)}' (or --ours),")
        output.tell("strongroom: hint: edit it with 'strongroom blackbox edit', then 'git add' it")
        click.get_current_context().exit(FAILED)
    to = repository.recipients(approved_in(session, repository))
    for raw, plaintext in ((sealed[0], opened[0]), (sealed[2], opened[2])):
        if plaintext == merged and is_sealed_to(repository, plain, raw, to):
            result = raw
            break
    else:
        result = repository.seal(plain, merged, to)
    try:
        ours.write_bytes(result)  # git's own temporary file
    except OSError as error:
        raise StoreError(f"cannot write {str(ours)!r}: {error.strerror}") from None


def _merged(repository: Repository, versions: list[SecretBytes | None]) -> SecretBytes | None:
    """What `git merge-file` makes of ours, the base and theirs; None where it cannot."""
    from strongroom.blackbox.private import PrivateDirectory
    from strongroom.primitives.secret import SecretBytes

    ours, base, theirs = versions
    if ours is None or theirs is None:
        return None
    if ours == theirs or base == theirs:
        return ours
    if base == ours:
        return theirs
    with PrivateDirectory(repository.environ) as private:
        empty = SecretBytes(b"")
        names = [
            str(private.put(name, version or empty))
            for name, version in zip(("ours", "base", "theirs"), (ours, base, theirs), strict=True)
        ]
        try:
            return SecretBytes(_git(repository).run("merge-file", "-p", *names, literal=False))
        except GitError:  # conflicts, and what no merge of lines can do, as with binary files
            return None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {str(path)!r}: {error.strerror}") from None
