"""The front of the command line: the global options, and one place where every run ends."""

from __future__ import annotations

import os
import sys

import click

from strongroom.cli import COMPLETION, output
from strongroom.cli.context import Session, examples, json_option
from strongroom.cli.ending import ended
from strongroom.cli.groups import LazyGroup
from strongroom.cli.verbs import SECTIONS
from strongroom.exitcodes import CANNOT_OPEN, DONE, MEANINGS

PROGRAM = "strongroom"


class _Root(LazyGroup):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit status"):
            formatter.write_dl([(str(code), meaning) for code, meaning in MEANINGS.items()])


def _show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version  # costs 40 ms; only --version pays

    try:
        installed = version(PROGRAM)
    except PackageNotFoundError:  # run from a source tree; nothing inside imports the front door for its number
        installed = "(not installed)"
    output.write_line(f"{PROGRAM} {installed}")
    ctx.exit()


@click.group(
    cls=_Root,
    sections=SECTIONS,
    epilog=examples(
        "strongroom init                       a store here, sealed to you",
        "strongroom create records --type fernet",
        "strongroom list                       what there is, in which state",
        "strongroom rotate records             a new version, in force tomorrow",
        "strongroom run --env DB=database-url -- ./manage.py migrate",
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--store", metavar="DIR|URL", help="The store; else STRONGROOM_STORE, else .strongroom/ upwards.")
@click.option(
    "--identity",
    type=click.Path(),
    metavar="FILE",
    help="An identity file to open it with; else STRONGROOM_IDENTITY_FILE.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="A file with the passphrase, or - to be asked; else STRONGROOM_PASSPHRASE_FILE.",
)
@click.option("--passphrase-fd", type=int, metavar="N", help="A file descriptor to read the passphrase from.")
@click.option("--pin", metavar="PIN", help="The store that is ours, as 'strongroom pin' prints it.")
@json_option
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_obj
def cli(
    session: Session,
    *,
    store: str | None,
    identity: str | None,
    passphrase_file: str | None,
    passphrase_fd: int | None,
    pin: str | None,
) -> None:
    """Strongroom keeps keys sealed in a git repository, and gives each process what it may have."""
    session.store = store
    session.identity = identity
    session.passphrase_file = passphrase_file
    session.passphrase_fd = passphrase_fd
    session.pin = pin


def run(argv: list[str]) -> int:
    """Run a command; its exit status. Whatever happens, no traceback is shown unless STRONGROOM_DEBUG asks for it."""
    output.prepare_streams()
    if sys.platform == "win32":
        output.tell("strongroom: error: Windows is not supported; use WSL, or a container")
        return CANNOT_OPEN
    session = Session()
    try:
        if os.environ.get(COMPLETION):
            cli.main(args=argv, prog_name=PROGRAM)  # answers the shell and exits
        code = _invoke(argv, session)
        output.flush()  # now, and not when Python ends: a full disk or a closed pipe is still an error of ours
    except BaseException as error:  # noqa: BLE001 - the one place where every run ends; SystemExit goes on
        return ended(error, session, argv)
    return code


def _invoke(argv: list[str], session: Session) -> int:
    try:
        with cli.make_context(PROGRAM, list(argv), obj=session) as context:
            cli.invoke(context)
    except click.exceptions.Exit as error:  # --help, --version, and verbs that settle their own status
        return error.exit_code
    return DONE


__all__ = ["cli", "run"]
