"""create, ensure, import, list, show: the words for what there is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from strongroom.cli import output
from strongroom.cli.completing import existing_name, key_types
from strongroom.cli.context import Session, ask_passphrase, examples, verb
from strongroom.cli.groups import VerbCommand
from strongroom.cli.policy_words import labels as label_option
from strongroom.cli.policy_words import split_labels, words
from strongroom.cli.progress import busy
from strongroom.exitcodes import FAILED
from strongroom.model.types import KeyType

_TYPES = ", ".join(each.value for each in KeyType)

TYPE_HELP = f"One of {_TYPES}"


def policy_options(function: Callable[..., None]) -> Callable[..., None]:
    """--purpose, --exportable, the words of a policy and labels: what create and import share."""
    purpose = click.option("--purpose", type=click.Choice(["sign", "encrypt"]), help="What an RSA key is for.")
    exportable = click.option("--exportable", is_flag=True, help="Its key may go out (run --env), until forbidden.")
    return purpose(words(exportable(label_option(function))))


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom create student-records --type fernet",
        "strongroom create student-columns --type aes256-gcm --rotate-every 90d",
        "strongroom create smtp-password --type secret --label owner=registrar",
        "strongroom create jwt-signing --type rsa-3072 --purpose sign",
    ),
)
@click.argument("name")
@click.option("--type", "kind", required=True, metavar="TYPE", shell_complete=key_types, help=f"{TYPE_HELP}.")
@policy_options
@verb
def create(session: Session, name: str, kind: str, labels: tuple[str, ...], **policy: Any) -> None:
    """Make a keyset NAME with one version, in force at once. A `secret` gets 64 random characters."""
    from strongroom.cli import views

    split = split_labels(labels)
    keystore = session.open()
    with busy(f"making a key of type {kind}"):
        keyset = keystore.create(name, kind, labels=split, **policy)
    views.moved(session, keystore, keyset, "created")


@click.command(cls=VerbCommand, epilog=examples("strongroom ensure", "strongroom ensure deploy/strongroom.toml"))
@click.argument("file", required=False, type=click.Path(path_type=Path))
@verb
def ensure(session: Session, file: Path | None) -> None:
    """Make the keysets that strongroom.toml names and that are missing. Running it again changes nothing."""
    from strongroom.cli import views

    keystore = session.open()
    with busy("making the keysets that are missing"):
        made = keystore.ensure(file)
    now = keystore.clock.now()
    if session.as_json:
        output.write_json({"created": [views.keyset_json(keyset, now) for keyset in made]})
        return
    for keyset in made:
        output.tell(f"created {keyset.name} ({keyset.type.value})")
    output.tell(f"{len(made)} created" if made else "nothing is missing")


@click.command(
    "import",
    cls=VerbCommand,
    epilog=examples(
        "strongroom import jwt-signing jwt.pem --purpose sign",
        "strongroom import smtp-password --type secret < password.txt",
        "strongroom import legacy-fernet key.txt --type fernet",
        "strongroom import student-records old-key.txt --add",
    ),
)
@click.argument("name")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--type", "kind", metavar="TYPE", shell_complete=key_types, help=f"{TYPE_HELP}; a PEM file says its own.")
@click.option("--add", is_flag=True, help="Add it as a version of a keyset that is there.")
@click.option("--no-prefix", is_flag=True, help="Its outputs elsewhere carry no Tink prefix.")
@click.option("--key-passphrase", is_flag=True, help="Ask for the passphrase of an encrypted PEM file.")
@policy_options
@verb
def import_(
    session: Session,
    name: str,
    file: Path | None,
    kind: str | None,
    *,
    add: bool,
    no_prefix: bool,
    key_passphrase: bool,
    labels: tuple[str, ...],
    **policy: Any,
) -> None:
    """Take in a key or secret from FILE or standard input: PEM, PKCS#8, raw or base64 keys, or any secret."""
    from strongroom.cli import views
    from strongroom.keystore.importing import read_source
    from strongroom.primitives.secret import SecretBytes

    split = split_labels(labels)
    raw = read_source(file, sys.stdin.buffer)
    passphrase = SecretBytes(ask_passphrase("Passphrase of the file").encode()) if key_passphrase else None
    keystore = session.open()
    with busy("checking the key"):
        keyset = keystore.import_key(
            name,
            raw,
            kind,
            add=add,
            prefix="none" if no_prefix else None,
            passphrase=passphrase,
            labels=split,
            **policy,
        )
    views.moved(session, keystore, keyset, "imported")
    if file is not None and not session.as_json:
        output.tell(f"{file} is still there in the clear: remove it once you have tried the keyset")


@click.command("list", cls=VerbCommand, epilog=examples("strongroom list", "strongroom list --json"))
@verb
def list_(session: Session) -> None:
    """List the keysets: name, type, primary version, its state and since when, and when the next one takes over.

    On a terminal a table; on a pipe one line a keyset, the same columns with tabs between them and times in full. A
    record that is older than it was, or gone, is warned about; one that is damaged, too, and the exit status is 1.
    """
    from strongroom.cli import views
    from strongroom.keystore.inventory import inventory

    keystore = session.open()
    with busy("reading the records"):
        found = inventory(keystore)
    now = keystore.clock.now()
    if session.as_json:
        output.write_json([views.keyset_json(keyset, now) for keyset in found.keysets])
    else:
        when = views.when()
        output.write_table(
            views.KEYSET_COLUMNS,
            (views.keyset_row(keyset, now, when) for keyset in found.keysets),
            empty="" if found.broken else "there are no keysets; 'strongroom create NAME --type TYPE' makes one",
        )
    for trouble in (*found.doubts, *found.broken):
        output.warn_of(trouble, as_json=session.as_json)
    if found.broken:
        click.get_current_context().exit(FAILED)


@click.command(
    cls=VerbCommand, epilog=examples("strongroom show student-records", "strongroom show student-records --json")
)
@existing_name
@verb
def show(session: Session, name: str) -> None:
    """Show a keyset and its versions: states, dates, key ids; never material. A star marks the primary."""
    from strongroom.cli import views

    keystore = session.open()
    keyset = keystore.show(name)
    session.warn_if_stale(keystore, name)
    now = keystore.clock.now()
    if session.as_json:
        output.write_json(views.keyset_json(keyset, now))
        return
    output.write_facts(views.keyset_facts(keyset))
    output.write_text("\n")
    when = views.when()
    output.write_table(
        views.VERSION_COLUMNS,
        (views.version_row(keyset, version, now, when) for version in reversed(keyset.versions)),
        empty="no versions",
    )
