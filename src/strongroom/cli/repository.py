"""What the verbs of `strongroom blackbox` share: the repository, who is approved, and how a change is told."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.context import Session
from strongroom.cli.progress import PATIENCE
from strongroom.cli.quick import environment_has_identity
from strongroom.errors import PolicyError, SettingsError

if TYPE_CHECKING:
    from strongroom.blackbox.repository import Repository
    from strongroom.blackbox.results import Written
    from strongroom.openpgp.engine import Certificate, Engine
    from strongroom.primitives.secret import SecretBytes

dry_run_option = click.option("--dry-run", is_flag=True, help="Tell what would be done, and write nothing.")


def commit_option(*, usual: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Whether the verb commits: as the original does, if nothing is said. Only its own paths are ever committed."""
    which = "--commit" if usual else "--no-commit"
    return click.option("--commit/--no-commit", default=usual, help=f"Commit these files alone ({which}).")


def repository_of(session: Session) -> Repository:
    """The repository around the working directory, with the engine that the options and the environment ask for."""
    from strongroom.blackbox.repository import Repository

    return Repository.discover(engine=engine_of(session))


def engine_of(session: Session) -> Engine | None:
    """The engine of the machine's identity, if there is one; None: the user's own, found when it is needed."""
    if session.identity is None and not environment_has_identity():
        return None
    from strongroom.keystore.credentials import Engines, credentials  # only a machine with an identity pays for it

    engines = Engines()
    click.get_current_context().call_on_close(engines.close)
    given = session.given()
    key = _exported_key(given.identity)
    if key is not None:
        from strongroom.openpgp.discovery import find_engine

        return engines.started(find_engine(identity=key, passphrase=None if given.prompts else given.passphrase()))
    _, find = credentials(given, engines)
    return find()


def _exported_key(path: Path | None) -> SecretBytes | None:
    """The machine's key where its file is what `gpg --export-secret-keys` writes; None for a file of `role create`."""
    from strongroom.openpgp.packets import begins_with_secret_key
    from strongroom.sealing.identities import WHAT
    from strongroom.sealing.private_files import read_private_file

    named = path or Path(os.environ.get("STRONGROOM_IDENTITY_FILE", ""))
    if not named.is_file():  # a pipe is read once
        return None
    content = read_private_file(named, what=WHAT)
    return content if begins_with_secret_key(content.reveal()) else None


def protected_in(repository: Repository) -> tuple[Path, ...]:
    """What no verb of BlackBox's may write: the store's own files."""
    from strongroom.keystore.finding import DEFAULT_DIRECTORY

    return (repository.root / DEFAULT_DIRECTORY,)


def approved_in(session: Session, repository: Repository, *, dry_run: bool = False) -> Collection[str]:
    """Who may receive: the header of the repository's store says it, else the approvals; the first use asks."""
    from strongroom.blackbox.approvals import Approvals
    from strongroom.keystore.approved import approved_for, store_of

    if store_of(repository.root) is not None:
        found = approved_for(repository.root, given=session.given(), pin=session.pin)
        if found is not None:
            with suppress(SettingsError):  # where nothing can be remembered, nobody was approved before
                Approvals.load(repository).yield_to(found.store, found.fingerprints, dry_run=dry_run)
            return found.fingerprints
    asks = sys.stdin.isatty() and sys.stderr.isatty() and not session.as_json
    settled = Approvals.load(repository).settled(_ask if asks else None, dry_run=dry_run)
    for gone in settled.lapsed:
        output.warn(
            f"{gone.name or gone.fingerprint} is not listed any more, and not approved any more: "
            f"if that is wrong, strongroom blackbox approve {gone.fingerprint}",
            as_json=session.as_json,
        )
    return settled.fingerprints


def _ask(certificates: Sequence[Certificate]) -> Collection[str]:
    output.tell("Nobody has said yet which of the listed admins may receive. Compare each fingerprint with its owner,")
    output.tell("by another way than this repository: whoever can write to it can put a key of his own there.")
    said = []
    for certificate in certificates:
        output.tell(f"  {certificate.fingerprint}  {certificate.uids[0] if certificate.uids else '(no name)'}")
        if click.confirm("  May this one receive?", default=False, err=True):
            said.append(certificate.fingerprint)
    if not said:
        raise PolicyError(
            "nobody was approved, and nothing was written", hint="strongroom blackbox approve FINGERPRINT"
        )
    return said


def tell_written(session: Session, what: str, done: Written, *, dry_run: bool) -> None:
    """What a verb did, or would do: the names on stdout, talk on stderr."""
    if session.as_json:
        output.write_json(
            {
                "dry_run": dry_run,
                "committed": done.committed,
                "changed": list(done.changed),
                "files": list(done.files),
                "unchanged": list(done.unchanged),
                "recipients": list(done.recipients),
                "left_out": list(done.left_out),
                "exposed": list(done.exposed),
                "not_ignored": list(done.not_ignored),
            }
        )
    else:
        word = "would be " if dry_run else ""
        for name in done.files:
            output.tell(f"{name}: {'unchanged' if name in done.unchanged else word + what}")
    warn_written(session, done)
    if done.changed and not dry_run:
        to_commit(session, done.changed, committed=done.committed)


def warn_written(session: Session, done: Written) -> None:
    """Who got nothing, and what git still holds."""
    for name in done.left_out:
        output.warn(
            f"{name} is listed and not approved, and received nothing: see strongroom blackbox expiry",
            as_json=session.as_json,
        )
    for name in done.exposed:
        output.warn(
            f"git tracked the plaintext {name!r}: older commits still hold it, so change that secret",
            as_json=session.as_json,
        )
    for name in done.not_ignored:
        output.warn(f"git does not ignore the plaintext {name!r}: look at .gitignore", as_json=session.as_json)


def to_commit(session: Session, changed: Sequence[str], *, committed: bool) -> None:
    """For a person: how to commit what was left uncommitted, where there is git."""
    if not committed and not session.as_json and _in_git():
        names = " ".join(shlex.quote(name) for name in changed)
        output.tell(f"not committed; from the top of the repository: git add -A -- {names} && git commit")


def _in_git() -> bool:
    from strongroom.blackbox.discovery import current_directory, git_top

    return git_top((current_directory() / os.environ.get("BLACKBOX_REPOBASE", "")).resolve()) is not None


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Progress for a run over many files: on a terminal, from the first second on, one line that goes away."""
    started = time.monotonic()
    shown = False

    def tell(done: int, total: int, name: str) -> None:
        nonlocal shown
        if sys.stderr.isatty() and time.monotonic() - started >= PATIENCE:
            shown = True
            sys.stderr.write(f"\r\x1b[K{what} {done}/{total} {output.shown(name)[:50]}")
            sys.stderr.flush()

    try:
        yield tell
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
