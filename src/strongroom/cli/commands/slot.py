"""slot: the ways to open the root, beside the admins' OpenPGP keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.context import IGNORED, Session, examples, verb
from strongroom.cli.groups import VerbGroup
from strongroom.cli.new_passphrases import ask_new_passphrase, make_passphrase
from strongroom.cli.repository import counted
from strongroom.exitcodes import CANNOT_OPEN

if TYPE_CHECKING:
    from strongroom.keystore.slots import SlotRow
    from strongroom.primitives.secret import SecretBytes

SUITES = ("x25519", "mlkem768-x25519")


@click.group(
    cls=VerbGroup,
    epilog=examples(
        "strongroom slot list",
        "strongroom slot add office --passphrase",
        "strongroom slot add vault --rsa vault.pem",
        "strongroom slot add backup --new ~/backup.identity",
        "strongroom slot test",
    ),
)
def slot() -> None:
    """The ways to open the root. Each opens it alone; the admins' own is changed by 'strongroom admin'."""


@slot.command("list", short_help="List the slots.", epilog=examples("strongroom slot list"))
@verb
def slot_list(session: Session) -> None:
    """List the ways to open the newest root, and what each one wants."""
    from strongroom._encoding import format_time
    from strongroom.cli import views
    from strongroom.keystore.slots import list_slots

    rows = list_slots(session.open())
    if session.as_json:
        output.write_json(
            [
                {
                    "kind": row.kind,
                    "label": row.label,
                    "wants": row.wants,
                    "shares_tried": None
                    if row.sharing is None or row.sharing.tried is None
                    else format_time(row.sharing.tried),
                }
                for row in rows
            ]
        )
        return
    when = views.when()

    def wants(row: SlotRow) -> str:
        if row.sharing is None:
            return row.wants
        tried = "never tried" if row.sharing.tried is None else f"last tried {when(row.sharing.tried)}"
        return f"{row.wants}, {tried}"

    output.write_table(("LABEL", "KIND", "WANTS"), ((row.label or "-", row.kind, wants(row)) for row in rows), empty="")


@slot.command(
    "add",
    short_help="Add a way in.",
    epilog=examples(
        "strongroom slot add office --passphrase",
        "strongroom slot add vault --rsa vault.pem",
        "strongroom slot add backup --new ~/backup.identity",
    ),
)
@click.argument("label")
@click.option("--passphrase", is_flag=True, help="A passphrase: asked for at the terminal, or made for you.")
@click.option("--generate", is_flag=True, help="A passphrase that is made for you and shown once.")
@click.option(
    "--new-passphrase-file", type=click.Path(path_type=Path), metavar="FILE", help="A passphrase that is in a file."
)
@click.option("--new-passphrase-fd", type=int, metavar="N", help="A passphrase that is read from a file descriptor.")
@click.option("--rsa", type=click.Path(path_type=Path), metavar="FILE", help="An RSA public key, PEM or DER.")
@click.option("--hpke", metavar="KEY", help="An HPKE public key of --suite, raw in base64url.")
@click.option("--new", type=click.Path(path_type=Path), metavar="FILE", help="A new HPKE identity file, mode 0600.")
@click.option("--suite", type=click.Choice(SUITES), default="x25519", show_default=True, help="For --hpke and --new.")
@IGNORED
@verb
def slot_add(session: Session, label: str, suite: str, *, ignored: bool, **ways: object) -> None:
    """Add a way to open the root, called LABEL. Nobody else need do anything."""
    from strongroom._encoding import b64decode
    from strongroom.errors import FormatError
    from strongroom.keystore import slots

    chosen = [name for name, value in ways.items() if value not in (None, False)]
    if len(chosen) != 1:
        raise click.UsageError("say one way: --passphrase, --generate, --new-passphrase-file, --rsa, --hpke, --new …")
    keystore = session.open()
    value = ways[chosen[0]]
    if chosen[0] == "rsa":
        slots.add_rsa_slot(keystore, label, Path(str(value)))
    elif chosen[0] == "hpke":
        try:
            public = b64decode(str(value))
        except FormatError as wrong:
            hint = (
                "KEY is the raw public key in base64url without '='; strongroom slot add LABEL --new FILE makes a pair"
            )
            raise FormatError(f"--hpke: {wrong}", hint=hint) from None
        slots.add_hpke_slot(keystore, label, public, suite=suite)
    elif chosen[0] == "new":
        slots.create_hpke_slot(keystore, label, Path(str(value)), suite=suite, ignored=ignored)
    else:
        slots.check_free(keystore, label)  # before a passphrase is made, or asked for
        slots.add_passphrase_slot(keystore, label, _passphrase(chosen[0], value))
    if session.as_json:
        output.write_json({"label": label, "add": _changed(keystore.base)})
        return
    output.tell(f"added slot {label}: try it with 'strongroom slot test'")
    if suite != "x25519" and chosen[0] in {"hpke", "new"}:
        output.tell(slots.POST_QUANTUM)
    _to_share(keystore.base)


@slot.command(
    "remove", short_help="Take a way in away, and rotate the root.", epilog=examples("strongroom slot remove office")
)
@click.argument("label")
@verb
def slot_remove(session: Session, label: str) -> None:
    """Take the slot LABEL away. Whoever had it knew the root: it is rotated, and every keyset is listed as exposed.

    Other slots of the same public key go with it.
    """
    from strongroom.keystore.slots import list_slots, remove_slot

    keystore = session.open()
    before = [row.label for row in list_slots(keystore)]
    with counted("root") as progress:
        done = remove_slot(keystore, label, progress=progress)
    left = {row.label for row in list_slots(keystore)}
    gone = [each for each in before if each not in left]
    if session.as_json:
        facts = {"label": label, "removed": gone, "root": done.number, "pin": done.pin, "add": list(done.to_add)}
        output.write_json(facts)
        return
    output.tell(f"removed slot {', '.join(gone)}: root {done.number} is the newest; the new pin is {done.pin}")
    output.tell("next: strongroom exposed lists what could be read, strongroom rotate --exposed replaces it")
    _to_share(keystore.base)


@slot.command("test", short_help="Open each slot that opens here.", epilog=examples("strongroom slot test"))
@verb
def slot_test(session: Session) -> None:
    """Open each slot by itself with what this process has, and say of each whether it opened. Nothing is changed."""
    from strongroom.errors import NotFoundError
    from strongroom.keystore.finding import directory_of
    from strongroom.keystore.settings import StoreSettings
    from strongroom.keystore.slots import try_slots

    directory = directory_of(session.store or StoreSettings.from_environment().store)
    if directory is None:
        raise NotFoundError("there is no store in a directory here", hint="strongroom --store DIRECTORY slot test")
    found = try_slots(directory, given=session.given())
    if session.as_json:
        output.write_json(
            [
                {"label": each.slot.label, "kind": each.slot.kind, "opens": each.opens, "problem": each.problem}
                for each in found
            ]
        )
    else:
        output.write_table(
            ("LABEL", "KIND", "OPENS", "NOTE"),
            (
                (
                    each.slot.label or "-",
                    each.slot.kind,
                    "yes" if each.opens else "no",
                    each.credential if each.opens else each.problem,
                )
                for each in found
            ),
            empty="",
        )
    if not any(each.opens for each in found):
        click.get_current_context().exit(CANNOT_OPEN)


def _passphrase(way: str, value: object) -> SecretBytes:
    from strongroom.sealing.passphrases import passphrase_from_descriptor, passphrase_from_file

    if way == "new_passphrase_file":
        return passphrase_from_file(Path(str(value)))
    if way == "new_passphrase_fd" and isinstance(value, int):
        return passphrase_from_descriptor(value)
    if way == "passphrase":
        return ask_new_passphrase(
            otherwise="strongroom slot add LABEL --generate", retry="strongroom slot add LABEL --passphrase"
        )
    return make_passphrase()


def _changed(base: Path | None) -> list[str]:
    return [] if base is None else [str(base)]


def _to_share(base: Path | None) -> None:
    from strongroom.cli import views

    views.to_share(_changed(base))
