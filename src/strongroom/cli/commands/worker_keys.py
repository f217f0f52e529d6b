"""The opening key of a worker group: made, replaced, or taken from one that exists. Only where it lies is printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from strongroom.cli import output
from strongroom.cli.context import IGNORED, Session, ask_passphrase, examples, out_option, verb
from strongroom.cli.groups import VerbCommand
from strongroom.cli.new_passphrases import ask_new_passphrase
from strongroom.cli.progress import busy

if TYPE_CHECKING:
    from strongroom.keystore.workers import WorkerMade
    from strongroom.primitives.secret import SecretBytes


_key_options = (
    click.option("--bits", type=click.Choice(["2048", "3072", "4096"]), default="3072", show_default=True, help="RSA."),
    click.option("--protect", is_flag=True, help="Protect the identity with a passphrase: asked for, or made for you."),
    click.option(
        "--public-key-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        metavar="FILE",
        help="An RSA public key of your own, in PEM: its private half stays where it is.",
    ),
    IGNORED,
)


class KeyOptions(TypedDict):
    """What they say."""

    bits: str
    protect: bool
    public_key_file: Path | None
    ignored: bool


def key_options(command: Callable[..., None]) -> Callable[..., None]:
    """What `create` and `rotate` ask about the new key."""
    for option in reversed(_key_options):
        command = option(command)
    return command


@click.command(
    "create",
    cls=VerbCommand,
    short_help="Make a group and its identity file.",
    epilog=examples("strongroom worker create web", "strongroom worker create web --out ~/web.identity --protect"),
)
@click.argument("group")
@out_option("GROUP.identity")
@key_options
@verb
def worker_create(session: Session, group: str, out: Path | None, **key: Unpack[KeyOptions]) -> None:
    """Make the worker group GROUP and its one identity file, mode 0600.

    With that file a process opens what is published to the group. Give it to the machine by its own way for secrets:
    STRONGROOM_IDENTITY_FILE names it, or STRONGROOM_IDENTITY holds its text.

    With --public-key-file no private key is made here: 'strongroom worker identity' writes the file where the private
    half is, and this command prints how to call it.
    """
    from strongroom.keystore.workers import create_worker

    _made(session, create_worker, group, out, **key)


@click.command(
    "rotate",
    cls=VerbCommand,
    short_help="Give a group a new key and a new identity file.",
    epilog=examples("strongroom worker rotate web", "strongroom worker rotate web --out ~/web-2.identity"),
)
@click.argument("group")
@out_option("GROUP.REVISION.identity")
@key_options
@verb
def worker_rotate(session: Session, group: str, out: Path | None, **key: Unpack[KeyOptions]) -> None:
    """Give the worker group GROUP a new key pair and a new identity file. Its grants stay.

    From the next 'strongroom publish' on only the new identity opens what is published. Running processes go on with
    what they have until it expires: give all of them the new identity within that time.
    """
    from strongroom.keystore.workers import rotate_worker

    _made(session, rotate_worker, group, out, **key)


@click.command(
    "identity",
    cls=VerbCommand,
    short_help="Write the identity file of a key of your own.",
    epilog=examples("strongroom worker identity web --private-key-file k --of-store S --issuer I"),
)
@click.argument("group")
@click.option("--private-key-file", type=click.Path(path_type=Path), required=True, metavar="FILE", help="RSA, in PEM.")
@click.option("--of-store", required=True, metavar="TEXT", help="As 'worker create --public-key-file' prints it.")
@click.option("--issuer", required=True, metavar="TEXT", help="As 'worker create --public-key-file' prints it.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write it (GROUP.identity here).",
)
@click.option("--protect", is_flag=True, help="Protect the identity with a passphrase: asked for, or made for you.")
@verb
def worker_identity(
    session: Session, group: str, private_key_file: Path, of_store: str, issuer: str, out: Path | None, protect: bool
) -> None:
    """Write the identity file of the worker group GROUP from a private key that was made here.

    It opens no store: run it on the worker's machine. Who the issuer is decides whom the worker believes, so bring
    both texts here by a way that you trust.
    """
    from strongroom._encoding import b64decode
    from strongroom.errors import IdentityError
    from strongroom.keystore.workers import join
    from strongroom.model.names import StoreId
    from strongroom.sealing.identities import RsaIdentity, identity_from_file

    path = out or Path(f"{group}.identity")
    private = identity_from_file(private_key_file, ask=_passphrase)
    if not isinstance(private, RsaIdentity):
        raise IdentityError(f"{str(private_key_file)!r} is an identity file; an RSA private key in PEM is wanted")
    passphrase = _new_passphrase() if protect else None
    join(
        private, path, group=group, store=StoreId(b64decode(of_store)), issuer=b64decode(issuer), passphrase=passphrase
    )
    if session.as_json:
        output.write_json({"group": group, "identity": str(path)})
        return
    output.tell(f"wrote {path}: whoever has it can read what is published to {group}")


def _made(
    session: Session,
    make: Callable[..., WorkerMade],
    group: str,
    out: Path | None,
    *,
    bits: str,
    protect: bool,
    public_key_file: Path | None,
    ignored: bool,
) -> None:
    """Make a key with one verb of the keystore, and tell what it made."""
    from strongroom._encoding import b64encode
    from strongroom.cli import views
    from strongroom.sealing.rsa_keys import public_from_file

    if public_key_file is not None and (out is not None or protect):
        raise click.UsageError("--public-key-file writes no identity: --out and --protect go with 'worker identity'")
    public = (
        None
        if public_key_file is None
        else public_from_file(public_key_file.read_bytes(), source=repr(str(public_key_file)))
    )
    keystore = session.open()
    passphrase = _new_passphrase() if protect else None
    with busy("making the group's key"):
        made = make(keystore, group, out, bits=int(bits), passphrase=passphrase, public=public, ignored=ignored)
    store, issuer = b64encode(made.store), b64encode(made.issuer)
    if session.as_json:
        identity = None if made.identity is None else str(made.identity)
        facts = {"group": made.group, "identity": identity, "store": store, "issuer": issuer}
        output.write_json({**facts, "add": list(made.to_add)})
        return
    if made.identity is None:
        output.tell(f"{made.group} has your key; where its private half is, write the identity:")
        output.write_line(
            f"strongroom worker identity {made.group} --private-key-file FILE --of-store={store} --issuer={issuer}"
        )
    else:
        output.tell(f"wrote {made.identity}: whoever has it can read what is published to {made.group}")
        output.tell(f"use it with STRONGROOM_IDENTITY_FILE={made.identity}, and keep it out of the repository")
    views.to_share(made.to_add)


def _new_passphrase() -> SecretBytes:
    return ask_new_passphrase(otherwise="leave out --protect: its mode is 0600", retry="try again; nothing was made")


def _passphrase() -> SecretBytes:
    from strongroom.sealing.passphrases import passphrase_from_prompt

    return passphrase_from_prompt(lambda: ask_passphrase("Passphrase of the private key"))
