"""encrypt, decrypt, reveal: what a person does with a keyset by hand."""

from __future__ import annotations

import base64

import click

from strongroom.cli import output
from strongroom.cli.completing import existing_name
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand
from strongroom.errors import PolicyError

AAD = click.option("--associated-data", "-a", metavar="TEXT", help="Bound to the ciphertext; needed again to decrypt.")
COMPROMISED = click.option("--compromised-too", is_flag=True, help="Also with versions that are compromised.")


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom encrypt student-records < record.json > record.token",
        "strongroom encrypt student-columns -a student/42 < ssn.txt > ssn.bin",
    ),
)
@existing_name
@AAD
@verb
def encrypt(session: Session, name: str, associated_data: str | None) -> None:
    """Encrypt standard input with NAME to standard output."""
    keystore = session.open()
    ciphertext = keystore.encrypt(name, output.read_input(), associated_data=_bytes(associated_data))
    _write(session, name, ciphertext, redirect=f"strongroom encrypt {name} > FILE")


@click.command(cls=VerbCommand, epilog=examples("strongroom decrypt student-records < record.token"))
@existing_name
@AAD
@COMPROMISED
@verb
def decrypt(session: Session, name: str, *, associated_data: str | None, compromised_too: bool) -> None:
    """Decrypt standard input with NAME to standard output."""
    keystore = session.open()
    data = output.read_input()
    session.warn_if_stale(keystore, name)
    plain = keystore.decrypt(name, data, associated_data=_bytes(associated_data), compromised_too=compromised_too)
    _write(session, name, plain, redirect=f"strongroom decrypt {name} > FILE")


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom reveal smtp-password | pbcopy",
        "strongroom reveal smtp-password --terminal     on the screen: you ask twice",
    ),
)
@existing_name
@click.option("--version", type=int, metavar="N", help="Another version than the primary.")
@click.option("--terminal", is_flag=True, help="Show it on the terminal, where it stays in the scroll-back.")
@verb
def reveal(session: Session, name: str, *, version: int | None, terminal: bool) -> None:
    """Print the secret NAME: exactly its bytes, on a pipe or into a file."""
    if output.stdout_is_terminal() and not terminal:
        raise PolicyError(
            f"{name!r} would be shown on this terminal and stay in its scroll-back",
            hint=f"pipe it, or ask twice: strongroom reveal {name} --terminal",
        )
    keystore = session.open()
    session.warn_if_stale(keystore, name)
    _write(session, name, keystore.secret(name).reveal(version), redirect=f"strongroom reveal {name} > FILE")


def _write(session: Session, name: str, raw: bytes, *, redirect: str) -> None:
    if session.as_json:
        output.write_json({"name": name, "base64": base64.b64encode(raw).decode("ascii")})
        return
    output.write_bytes(raw, redirect=redirect)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")
