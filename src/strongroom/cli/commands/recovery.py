"""recovery: shares that open the store together, for the day on which nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbGroup
from strongroom.cli.shares import SHARES_FD, read_shares_given

if TYPE_CHECKING:
    from strongroom._encoding import Timestamp
    from strongroom.primitives.secret import SecretBytes


@click.group(
    cls=VerbGroup,
    epilog=examples(
        "strongroom recovery create --threshold 3 --shares 5", "strongroom recovery drill", "strongroom recovery list"
    ),
)
def recovery() -> None:
    """Shares, each worth nothing alone, that open the store when enough of them come together."""


@recovery.command(
    "create",
    short_help="Make a slot whose key is in shares.",
    epilog=examples(
        "strongroom recovery create --threshold 3 --shares 5 --out /media/stick",
        "strongroom recovery create --threshold 2 --shares 2 --to FPR --out shares",
    ),
)
@click.option("--threshold", type=int, required=True, metavar="K", help="So many shares open the store.")
@click.option("--shares", type=int, required=True, metavar="N", help="So many there are.")
@click.option("--to", "custodians", multiple=True, metavar="FPR", help="Seal one share to this OpenPGP key.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="A file for each share there; else print them."
)
@click.option("--label", default="recovery", show_default=True, help="The slot's label.")
@click.option("--again", is_flag=True, help="Replace the shares of a slot that is there.")
@verb
def recovery_create(
    session: Session,
    *,
    threshold: int,
    shares: int,
    custodians: tuple[str, ...],
    out: Path | None,
    label: str,
    again: bool,
) -> None:
    """Make a slot whose key is shared: any K of N shares open the store, and fewer say nothing.

    Each share is ten rows of five words, to be printed or written down. A rotation of the root needs no new ones.
    """
    from strongroom.cli import views
    from strongroom.keystore.recovery import create_recovery

    printed: list[str] = []

    def show(sheet: SecretBytes) -> None:
        if session.as_json:
            printed.append(sheet.reveal().decode())
            return
        output.write_text(sheet.reveal().decode() + "\n")
        output.flush()  # on paper, or wherever it goes, before the slot counts

    keystore = session.open()
    made = create_recovery(
        keystore,
        threshold=threshold,
        shares=shares,
        custodians=custodians,
        out=out,
        show=show,
        label=label,
        again=again,
    )
    if session.as_json:
        output.write_json(
            {
                "set": made.set_name,
                "threshold": made.threshold,
                "files": [str(path) for path in made.files],
                "shares": printed,
                "add": list(made.to_add),
            }
        )
        return
    for path in made.files:
        output.tell(f"wrote {path}")
    output.tell(f"any {made.threshold} of these {made.shares} shares open the store; hand each to somebody else")
    output.tell("try them before they are needed: strongroom recovery drill")
    views.to_share(made.to_add)


_files = click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")


@recovery.command(
    "drill",
    short_help="Prove that shares open the store.",
    epilog=examples("strongroom recovery drill", "strongroom recovery drill share-1.txt share-4.gpg share-5.txt"),
)
@_files
@SHARES_FD
@verb
def recovery_drill(session: Session, files: tuple[Path, ...], shares_fd: int | None) -> None:
    """Prove that the shares in FILEs, or those that you are asked for, open the store.

    The day is noted in the store, for 'strongroom recovery list' and 'strongroom due'. Nothing else is changed, and
    where nothing can be written the proof stands.
    """
    from strongroom._encoding import format_time
    from strongroom.cli import views
    from strongroom.cli.telling import Teller
    from strongroom.keystore.drilling import drill_recovery

    teller = Teller(as_json=session.as_json)
    click.get_current_context().call_on_close(teller.close)
    proven = drill_recovery(read_shares_given(files, shares_fd), session.store, pin=session.pin)
    if proven.problem is not None:
        output.warn("the proof stands, and its day is not noted in the store, because:", as_json=session.as_json)
        output.warn_of(proven.problem, as_json=session.as_json)
    if session.as_json:
        output.write_json(
            {
                "set": proven.set_name,
                "shares": list(proven.indices),
                "slot": proven.slot,
                "root": proven.root,
                "at": format_time(proven.at),
                "noted": proven.problem is None,
                "add": list(proven.to_add),
            }
        )
        return
    told = ", ".join(map(str, proven.indices))
    output.tell(f"shares {told} of set {proven.set_name} open {proven.slot}, root {proven.root}")
    if proven.problem is None:
        output.tell("the day is noted in the store; nothing else was changed")
    views.to_share(proven.to_add)


@recovery.command(
    "list",
    short_help="List the shares that were made, and when they were tried.",
    epilog=examples("strongroom recovery list", "strongroom recovery list --json"),
)
@verb
def recovery_list(session: Session) -> None:
    """List the slots that shares open: their set, how many it takes, when they were made and last tried."""
    from strongroom._encoding import format_time
    from strongroom.cli import views
    from strongroom.keystore.drills import sharings

    keystore = session.open()
    found = sharings(keystore)

    def full(at: Timestamp | None) -> str | None:
        return None if at is None else format_time(at)

    if session.as_json:
        output.write_json(
            [
                {
                    "label": each.label,
                    "set": each.set_name or None,
                    "threshold": each.threshold,
                    "shares": each.shares,
                    "made": full(each.made),
                    "tried": full(each.tried),
                    "due": full(each.due),
                }
                for each in found
            ]
        )
        return
    when = views.when()
    output.write_table(
        ("SLOT", "SET", "SHARES", "MADE", "LAST TRIED", "TRY BY"),
        (
            (
                each.label,
                each.set_name or "-",
                f"{each.threshold or '?'} of {each.shares or '?'}",
                "-" if each.made is None else when(each.made),
                "never" if each.tried is None else when(each.tried),
                "-" if each.due is None else when(each.due),
            )
            for each in found
        ),
        empty="no slot is known to open with shares: strongroom recovery create",
    )


@recovery.command(
    "policy",
    short_help="Say how often shares are to be tried.",
    epilog=examples("strongroom recovery policy", "strongroom recovery policy --drill-every 26w"),
)
@click.option("--drill-every", metavar="TIME", help="Like 26w; none: nobody is reminded. Usual is 365d.")
@verb
def recovery_policy(session: Session, drill_every: str | None) -> None:
    """Say how often the shares are to be tried, or show it. 'strongroom due' and 'doctor' remind of it."""
    from strongroom._encoding import format_duration, parse_duration
    from strongroom.cli import views
    from strongroom.keystore import drills

    keystore = session.open()
    to_add: list[str] = []
    if drill_every is not None:
        drills.set_drill_every(keystore, None if drill_every == "none" else parse_duration(drill_every))
        to_add = [str(keystore.path_of(drills.RECOVERY))]
    seconds = drills.drill_every(keystore.sealed)
    told = None if seconds is None else format_duration(seconds)
    if session.as_json:
        output.write_json({"drill_every": told, "add": to_add})
        return
    output.write_facts({"drill every": told or "none"})
    views.to_share(to_add)


@recovery.command(
    "restore",
    short_help="Open the store with shares, and seal it anew.",
    epilog=examples(
        "strongroom recovery restore --recipient FPR share-1.txt share-4.txt",
        "strongroom recovery restore --passphrase",
    ),
)
@_files
@SHARES_FD
@click.option("--recipient", metavar="FPR", help="Seal the root to this OpenPGP key, too.")
@click.option("--passphrase", is_flag=True, help="Add a passphrase: asked for, made for you, or from a file.")
@click.option("--label", default="restored", show_default=True, help="The label of the passphrase slot.")
@verb
def recovery_restore(
    session: Session,
    files: tuple[Path, ...],
    *,
    shares_fd: int | None,
    recipient: str | None,
    passphrase: bool,
    label: str,
) -> None:
    """Open the store with shares, and give it another way in, so that life goes on.

    The former slots stay. Whoever should open it no more is removed as ever, and the root rotated.
    """
    from strongroom.cli import views
    from strongroom.cli.commands.init import new_passphrase
    from strongroom.cli.telling import Teller
    from strongroom.keystore.recovery import restore_recovery

    if passphrase is (recipient is not None):
        raise click.UsageError("say one of --recipient FPR and --passphrase")
    teller = Teller(as_json=session.as_json)
    click.get_current_context().call_on_close(teller.close)
    held = read_shares_given(files, shares_fd)
    restored = restore_recovery(
        held,
        session.store,
        recipient=recipient,
        passphrase=new_passphrase(session, "recovery restore --passphrase") if passphrase else None,
        label=label,
        pin=session.pin,
    )
    if session.as_json:
        output.write_json({"opens": restored.how, "add": list(restored.to_add)})
        return
    output.tell(f"the store opens with {restored.how} now")
    views.to_share(restored.to_add)
