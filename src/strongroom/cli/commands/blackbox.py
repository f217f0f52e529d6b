"""blackbox: the group, and reading a BlackBox repository, with or without a store in it."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import LazyGroup, VerbCommand
from strongroom.cli.quick import print_plaintexts
from strongroom.cli.repository import engine_of
from strongroom.cli.verbs import BLACKBOX_VERBS

if TYPE_CHECKING:
    from strongroom.blackbox.reading import Reader


@click.group(
    cls=LazyGroup,
    sections=BLACKBOX_VERBS,
    epilog=examples("strongroom blackbox list-files", "strongroom blackbox cat config/database.yml"),
)
def blackbox() -> None:
    """Work on a BlackBox repository (.blackbox or keyrings/live) as it is; the original scripts may go on using it."""


@click.command(
    cls=VerbCommand,
    epilog=examples("strongroom blackbox cat config/database.yml", "strongroom blackbox cat tls.key.gpg > tls.key"),
)
@click.argument("files", nargs=-1, required=True)
@verb
def cat(session: Session, files: tuple[str, ...]) -> None:
    """Print the plaintext of FILES: exactly their bytes, decrypted in memory, never on disk."""
    repository = _repository(session)
    if not session.as_json:
        print_plaintexts(repository, files)
        return
    opened = [(name, repository.read(repository.name_of(name))) for name in files]
    output.write_json(
        [{"file": name, "base64": base64.b64encode(plaintext.reveal()).decode("ascii")} for name, plaintext in opened]
    )


@click.command(
    cls=VerbCommand, epilog=examples("strongroom blackbox list-files", "strongroom blackbox list-files --json")
)
@verb
def list_files(session: Session) -> None:
    """List the registered files, by their names in the repository: on a pipe, with exactly their bytes."""
    _list(session, _repository(session).files())


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox list-admins"))
@verb
def list_admins(session: Session) -> None:
    """List the admins as blackbox-admins.txt has them."""
    _list(session, _repository(session).admins())


def _repository(session: Session) -> Reader:
    from strongroom.blackbox.reading import Reader

    return Reader.discover(engine=engine_of(session))


def _list(session: Session, names: tuple[str, ...]) -> None:
    if session.as_json:
        output.write_json(list(names))
    elif output.stdout_is_terminal():
        output.write_lines(names)
    else:
        # scripts pass these on to programs that open files: a name must stay the bytes that it is
        output.write_bytes(b"".join(os.fsencode(name) + b"\n" for name in names), redirect="")
