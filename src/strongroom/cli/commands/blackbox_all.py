"""blackbox: every registered file at once; all of them, or after any failure none."""

from __future__ import annotations

from pathlib import Path

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
from strongroom.exitcodes import WORK_REMAINS


@click.command(
    cls=VerbCommand,
    epilog=examples("strongroom blackbox postdeploy", "strongroom blackbox postdeploy www-data"),
)
@click.argument("group", required=False)
@click.option("--force", is_flag=True, help="Write those too that are as they should be.")
@dry_run_option
@verb
def postdeploy(session: Session, group: str | None, force: bool, dry_run: bool) -> None:
    """Write the plaintext of every registered file, readable by its owner, and by GROUP if one is named.

    One that comes from the same .gpg already and that nobody touched costs no start of gpg.
    """
    repository = repository_of(session)
    with counted("decrypting") as progress:
        done = repository.decrypt_all(
            group=group, protected=protected_in(repository), force=force, dry_run=dry_run, progress=progress
        )
    if session.as_json:
        output.write_json(
            {
                "dry_run": dry_run,
                "written": list(done.written),
                "unchanged": list(done.unchanged),
                "protected": list(done.protected),
            }
        )
        return
    word = "would be decrypted" if dry_run else "decrypted"
    for name in done.written:
        output.tell(f"{name}: {word}")
    output.tell(f"{len(done.written)} {word}, {len(done.unchanged)} unchanged")


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox shred-all-files"))
@dry_run_option
@verb
def shred_all_files(session: Session, dry_run: bool) -> None:
    """Overwrite and remove the plaintext of every registered file."""
    repository = repository_of(session)
    done = repository.shred_all(protected=protected_in(repository), dry_run=dry_run)
    if session.as_json:
        output.write_json({"dry_run": dry_run, "removed": list(done.removed), "missing": list(done.missing)})
        return
    for name in done.removed:
        output.tell(f"{name}: {'would be ' if dry_run else ''}removed")


@click.command(
    cls=VerbCommand,
    epilog=examples("strongroom blackbox update-all-files", "strongroom blackbox update-all-files --dry-run"),
)
@click.option("--force", is_flag=True, help="Encrypt those too that are sealed to the right keys already.")
@commit_option(usual=True)
@dry_run_option
@verb
def update_all_files(session: Session, force: bool, commit: bool, dry_run: bool) -> None:
    """Encrypt every file to the approved admins of now, in memory, and swap all in at once, in one commit.

    Files that are sealed to exactly their keys are left as they are. Plaintexts in the work tree are not looked at.
    """
    repository = repository_of(session)
    approved = approved_in(session, repository, dry_run=dry_run)
    with counted("encrypting") as progress:
        done = repository.update_all(
            approved=approved,
            protected=protected_in(repository),
            force=force,
            commit=commit,
            dry_run=dry_run,
            progress=progress,
        )
    tell_written(session, "encrypted to the admins of now", done, dry_run=dry_run)


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox status", "strongroom blackbox status --json"))
@verb
def status(session: Session) -> None:
    """Show how each registered file stands: sealed, decrypted, changed, missing or broken.

    No key is used: a file is broken where its packets are not whole; whether one opens, 'blackbox cat' tells.
    """
    rows = repository_of(session).file_statuses()
    if session.as_json:
        output.write_json(
            [
                {
                    "file": row.name,
                    "state": row.state.value,
                    "recipients": list(row.recipients),
                    "problem": row.problem or None,
                }
                for row in rows
            ]
        )
        return
    output.write_table(
        ("NAME", "STATE", "NOTE"),
        ((row.name, row.state.value, row.problem) for row in rows),
        empty="no file is registered",
    )


@click.command(
    cls=VerbCommand, epilog=examples("strongroom blackbox expiry", "strongroom blackbox expiry --days 60 --json")
)
@click.option(
    "--days",
    type=click.IntRange(min=0),
    metavar="DAYS",
    default=30,
    show_default=True,
    help="Warn of keys that end within so many.",
)
@verb
def expiry(session: Session, days: int) -> None:
    """Show each admin's key, how long it lasts, and whether it is approved here.

    The exit status is 4 if a key is missing, ambiguous, revoked, expired, or ends within DAYS: for a timer.
    """
    from strongroom.blackbox.approvals import Approvals
    from strongroom.keystore.approved import store_of

    repository = repository_of(session)
    approvals = None if store_of(Path(repository.root)) else Approvals.load(repository)
    rows = repository.admin_statuses(approved=None if approvals is None else approvals.fingerprints)
    late = [row for row in rows if row.problem or (row.days_left is not None and row.days_left < days)]
    if session.as_json:
        output.write_json(
            [
                {
                    "admin": row.listed,
                    "fingerprints": [key.fingerprint for key in row.certificates],
                    "approved": row.approved,
                    "days_left": row.days_left,
                    "problem": row.problem,
                }
                for row in rows
            ]
        )
    else:
        output.write_table(
            ("NAME", "FINGERPRINT", "APPROVED", "DAYS LEFT", "NOTE"),
            (
                (
                    row.listed,
                    " ".join(key.fingerprint for key in row.certificates),
                    {True: "yes", False: "no", None: "see admin list"}[row.approved],
                    row.days_left,
                    row.problem,
                )
                for row in rows
            ),
            empty="no admin is listed",
        )
    if late:
        click.get_current_context().exit(WORK_REMAINS)
