"""run: a program with secrets in its environment, and nothing else of ours."""

from __future__ import annotations

import click

from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom run --env DB=database-url -- ./manage.py migrate",
        "strongroom run --env DB=database-url --env SMTP=smtp-login -- gunicorn a.wsgi",
    ),
    context_settings={"allow_interspersed_args": False},  # what follows COMMAND is its own
)
@click.option(
    "--env", "pairs", multiple=True, required=True, metavar="NAME=KEYSET", help="Export the keyset's value as NAME."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@verb
def run(session: Session, pairs: tuple[str, ...], command: tuple[str, ...]) -> None:
    """Start COMMAND with what --env names in its environment. Only that is exported.

    A secret goes out, and so does a key that was made --exportable; other keys are used, and do not.

    The program replaces this one, so signals and exit status are its own. Any process of the same user can read a
    process's environment: where the program can open the store itself, let it.
    """
    from strongroom.keystore.running import environment_for, execute

    wanted: dict[str, str] = {}
    for pair in pairs:
        variable, equals, name = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--env {variable} names no keyset; write it like DATABASE_URL=database-url")
        if variable in wanted:
            raise click.UsageError(f"--env {variable} is given twice")
        wanted[variable] = name
    keystore = session.open()
    environment = environment_for(keystore, wanted)
    session.warn_if_stale(keystore, *wanted.values())
    keystore.close()
    execute(command, environment)
