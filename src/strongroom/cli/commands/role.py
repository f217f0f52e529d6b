"""role: accounts for machines, which open the store with no prompt and no terminal."""

from __future__ import annotations

from pathlib import Path

import click

from strongroom.cli import output
from strongroom.cli.context import IGNORED, Session, examples, out_option, verb
from strongroom.cli.groups import VerbGroup
from strongroom.cli.progress import busy


@click.group(
    cls=VerbGroup,
    epilog=examples("strongroom role create web-deploy"),
)
def role() -> None:
    """Role accounts: OpenPGP keys of machines, each one file."""


@role.command(
    "create",
    short_help="Make a role account and its identity file.",
    epilog=examples("strongroom role create web-deploy", "strongroom role create ci --out ~/ci.identity"),
)
@click.argument("name")
@out_option("NAME.identity")
@IGNORED
@verb
def role_create(session: Session, name: str, out: Path | None, *, ignored: bool) -> None:
    """Make a key for the role NAME, add it as an admin, and write one identity file, mode 0600.

    That file opens the store: keep it out of the repository, and give it to the machine by its own way for secrets
    (STRONGROOM_IDENTITY_FILE names it, or STRONGROOM_IDENTITY holds its text).
    """
    from strongroom.cli import views
    from strongroom.keystore.admins import create_role

    keystore = session.open()
    with busy("making the role's key"):
        made = create_role(keystore, name, out, ignored=ignored)
    if session.as_json:
        output.write_json(
            {"identity": str(made.path), "fingerprint": made.change.fingerprint, "add": list(made.change.to_add)}
        )
        return
    output.tell(f"wrote {made.path}: whoever has it can open the store")
    output.tell(f"use it with STRONGROOM_IDENTITY_FILE={made.path}, and keep it out of the repository")
    views.to_share(made.change.to_add)
