"""init: the first command anybody types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.context import ASK, Session, examples, verb
from strongroom.cli.groups import VerbCommand
from strongroom.cli.new_passphrases import ask_new_passphrase

if TYPE_CHECKING:
    from strongroom.primitives.secret import SecretBytes


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom init                      in a BlackBox repository, or anywhere",
        "strongroom init --recipient FPR      where you have several secret keys",
        "strongroom init --passphrase         with no GPG at all",
        "strongroom init --development        for colleagues who have no keys",
    ),
)
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("--recipient", metavar="FPR", help="The fingerprint of the secret key of yours to seal the store to.")
@click.option(
    "--passphrase",
    is_flag=True,
    help="Seal it with a passphrase: asked for, made for you, or from --passphrase-file.",
)
@click.option("--register", is_flag=True, help="Put the root file on BlackBox's list, for the original scripts.")
@click.option("--development", is_flag=True, help="A store whose root is public, for development only.")
@verb
def init(
    session: Session,
    directory: Path | None,
    *,
    recipient: str | None,
    passphrase: bool,
    register: bool,
    development: bool,
) -> None:
    """Make a store in DIRECTORY (.strongroom here, or at the top of the git repository).

    In a BlackBox repository it is sealed to you alone; its other admins are named, and can be approved one by one.
    With no BlackBox it makes one, with you as the first admin. It commits nothing and never overwrites a store.
    """
    from strongroom.keystore.founding import found

    place = directory if directory is not None or session.store is None else Path(session.store)
    made = found(
        place,
        recipient=recipient,
        passphrase=new_passphrase(session, "init --passphrase") if passphrase else None,
        register=register,
        development=development,
        given=session.given(),
    )
    if session.as_json:
        output.write_json(
            {
                "store": str(made.directory),
                "pin": made.pin,
                "approved": list(made.approved),
                "left_out": list(made.left_out),
                "blackbox": None if made.blackbox is None else str(made.blackbox),
                "git": made.in_git,
                "add": list(made.to_add),
            }
        )
        return
    for line in made.told():
        output.tell(line)


def new_passphrase(session: Session, verb: str) -> SecretBytes:
    """The passphrase that was given, or one that a person types twice or has made. `verb`: for whom, as it is typed."""
    if session.passphrase_file != ASK:
        given = session.without_asking().passphrase()
        if given is not None:
            return given
    return ask_new_passphrase(otherwise=f"strongroom --passphrase-file FILE {verb}", retry=f"strongroom {verb}")
