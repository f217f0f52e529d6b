"""admin: who can open the root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from strongroom._encoding import format_count
from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbGroup
from strongroom.cli.progress import busy
from strongroom.cli.repository import counted

if TYPE_CHECKING:
    from strongroom.keystore.approving import AdminChange
    from strongroom.keystore.issuer import IssuerNow
    from strongroom.keystore.leaving import AdminRemoved


@click.group(
    cls=VerbGroup,
    epilog=examples(
        "strongroom admin list",
        "strongroom admin approve FPR     take in one whom BlackBox's files list",
        "strongroom admin add FPR         add one to BlackBox's files and to the store",
        "strongroom admin remove FPR      one leaves: the root is rotated without him",
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


@admin.command(
    "remove",
    short_help="One leaves: rotate the root without him.",
    epilog=examples("strongroom admin remove FINGERPRINT", "strongroom admin remove bob@example.org"),
)
@click.argument("who")
@verb
def admin_remove(session: Session, who: str) -> None:
    """Take WHO, by full fingerprint or name, out of the store and out of BlackBox's files.

    The root is rotated to the others, the key that signs publications is replaced, and BlackBox's files are sealed to
    the others. What he could read he knows: every keyset is listed as exposed until it is rotated. If it is broken off,
    the same command goes on.
    """
    from strongroom._encoding import b64encode
    from strongroom.cli import views
    from strongroom.keystore.leaving import remove_admin

    keystore = session.open()
    with counted("removing") as progress:
        done = remove_admin(keystore, who, progress=progress)
    if session.as_json:
        output.write_json(
            {
                "fingerprint": done.fingerprint,
                "name": done.name,
                "root": done.root,
                "pin": done.pin,
                "issuer": None
                if done.issuer is None
                else {
                    "version": done.issuer.version,
                    "public": b64encode(done.issuer.public),
                    "fingerprint": done.issuer.fingerprint,
                    "outdated": list(done.issuer.outdated),
                },
                "exposed": [{"name": row.name, "versions": list(row.versions)} for row in done.exposed],
                "roles": list(done.roles),
                "slots": list(done.slots),
                "groups": list(done.groups),
                "files": list(done.files),
                "add": list(done.to_add),
            }
        )
        return
    output.tell(f"removed {done.name} ({done.fingerprint}): root {done.root} is not sealed to him")
    output.tell("give every pinned host the new pin, since he could forge a link from the old one:")
    output.tell(f"  {done.pin}")
    if done.issuer is not None:
        _tell_issuer(done.issuer)
    _tell_known(done)
    views.to_share(done.to_add)


def _tell_issuer(issuer: IssuerNow) -> None:
    output.tell(f"publications are signed by version {issuer.version} of strongroom.issuer from now on, SHA-256")
    output.tell(f"  {issuer.fingerprint}")
    if issuer.outdated:
        output.tell(
            "strongroom publish leads running workers to it, by a link from the key before. He knew that one, and could"
            " forge a link for a worker that has not seen the true one: give every worker a new identity"
        )
        for group in issuer.outdated:
            output.tell(f"  strongroom worker rotate {group}")


def _tell_known(done: AdminRemoved) -> None:
    output.tell(f"he could read {sum(len(row.versions) for row in done.exposed)} versions:")
    for row in done.exposed:
        output.tell(f"  {row.name}: {', '.join(map(str, row.versions))}")
    output.tell("next: strongroom rotate --exposed, then re-encrypt; strongroom exposed tells what is left")
    for title, names, way in (
        ("passphrases and keys of slots, if he had them", done.slots, "slot add another one, then slot remove"),
        ("identity files of roles, if he had them", done.roles, "role create another one, then admin remove the old"),
        ("identity files of worker groups, if he had them", done.groups, "worker rotate"),
    ):
        if names:
            output.tell(f"{title} open what they opened before ({way}): {', '.join(names)}")
    for name in done.files:
        output.tell(f"he could read BlackBox's file {name}: change it where it is used")


def _tell(session: Session, change: AdminChange, word: str) -> None:
    from strongroom.cli import views

    if session.as_json:
        output.write_json({"fingerprint": change.fingerprint, "name": change.name, "add": list(change.to_add)})
        return
    admins = format_count(change.total, "admin")
    output.tell(f"{word} {change.name} ({change.fingerprint}): the root is sealed to {admins}")
    views.to_share(change.to_add)
    if change.registered_files:
        output.tell(
            f"not yet encrypted to {change.name}: {format_count(change.registered_files, 'file')} that BlackBox keeps;"
            " run strongroom blackbox update-all-files"
        )
