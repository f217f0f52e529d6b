"""admin: who can open the root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbGroup
from strongroom.cli.progress import busy

if TYPE_CHECKING:
    from strongroom.keystore.approving import AdminChange


@click.group(
    cls=VerbGroup,
    epilog=examples(
        "strongroom admin list",
        "strongroom admin approve FPR     take in one whom BlackBox's files list",
        "strongroom admin add FPR         add one to BlackBox's files and to the store",
    ),
)
def admin() -> None:
    """Who can open the root: those approved in the store's header, compared with BlackBox's files."""


@admin.command("list", short_help="List who is approved and who is listed.", epilog=examples("strongroom admin list"))
@verb
def admin_list(session: Session) -> None:
    """List admins: approved in the header, listed in BlackBox's files, and whose keys expire."""
    from strongroom.keystore.admins import list_admins

    keystore = session.open()
    rows = list_admins(keystore)
    if session.as_json:
        output.write_json(
            [
                {
                    "fingerprint": row.fingerprint,
                    "name": row.name,
                    "approved": row.approved,
                    "listed": row.listed,
                    "role": row.role,
                    "problem": row.problem,
                }
                for row in rows
            ]
        )
        return
    output.write_table(
        ("NAME", "FINGERPRINT", "APPROVED", "LISTED", "NOTE"),
        (
            (
                row.name,
                row.fingerprint,
                "yes" if row.approved else "no",
                "yes" if row.listed else "no",
                row.problem or ("role account" if row.role else ""),
            )
            for row in rows
        ),
        empty="the store has no OpenPGP admins",
    )


@admin.command(
    "approve",
    short_help="Approve one whom BlackBox's files list.",
    epilog=examples("strongroom admin approve FINGERPRINT"),
)
@click.argument("fingerprint")
@verb
def admin_approve(session: Session, fingerprint: str) -> None:
    """Take into the header the admin of FINGERPRINT, whom BlackBox's files list already.

    Compare the fingerprint with its owner by another way than the repository first: whoever can write to the
    repository can put a key of his own there.
    """
    from strongroom.keystore.admins import approve_admin

    keystore = session.open()
    with busy("sealing the root"):
        change = approve_admin(keystore, fingerprint)
    _tell(session, change, "approved")


@admin.command(
    "add", short_help="Add one whose key is in your keyring.", epilog=examples("strongroom admin add FINGERPRINT")
)
@click.argument("fingerprint")
@verb
def admin_add(session: Session, fingerprint: str) -> None:
    """Add the admin of FINGERPRINT, whose public key is in your keyring, to BlackBox's files and to the store."""
    from strongroom.keystore.admins import add_admin

    keystore = session.open()
    with busy("sealing the root"):
        change = add_admin(keystore, fingerprint)
    _tell(session, change, "added")


def _tell(session: Session, change: AdminChange, word: str) -> None:
    from strongroom.cli import views

    if session.as_json:
        output.write_json({"fingerprint": change.fingerprint, "name": change.name, "add": list(change.to_add)})
        return
    output.tell(f"{word} {change.name} ({change.fingerprint}): the root is sealed to {change.total} admins")
    views.to_share(change.to_add)
    if change.registered_files:
        output.tell(
            f"the {change.registered_files} files that BlackBox keeps are not yet encrypted to {change.name}:"
            " run strongroom blackbox update-all-files"
        )
