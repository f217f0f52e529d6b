"""How a run ends that did not end well: every exception becomes lines on stderr and one exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from strongroom.cli import output
from strongroom.cli.context import Session
from strongroom.errors import StrongroomError
from strongroom.exitcodes import FAILED, INTERRUPTED, READER_GONE, USAGE, exit_code

DEBUG = "STRONGROOM_DEBUG"
_NO_GUESS = {"--force", "--yes", "--shred", "--now"}  # nobody gets these for a slip of the finger


def ended(error: BaseException, session: Session, argv: Sequence[str]) -> int:
    """Tell what happened; the exit status."""
    if isinstance(error, SystemExit):
        raise error
    with suppress(OSError):  # where stderr is gone too, the exit status must do
        return _told(error, session, argv)
    return FAILED


def _told(error: BaseException, session: Session, argv: Sequence[str]) -> int:
    if isinstance(error, BrokenPipeError):
        output.abandon()
        return READER_GONE
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        output.tell("strongroom: stopped")
        return INTERRUPTED
    if os.environ.get(DEBUG) == "1":
        import traceback  # source lines and messages; Python prints no locals, and we ask for none

        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, StrongroomError):
        output.tell_error(type(error).__name__, str(error), error.hint, as_json=session.as_json)
        return exit_code(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return USAGE
    if isinstance(error, click.ClickException):
        message, hint = _usage(error)
        output.tell_error("UsageError", message, hint, as_json=session.as_json or _wants_json(argv))
        return error.exit_code
    # The message of an exception that we did not foresee may quote anything, a key's bytes too: its kind and place
    # are told, and the rest to who asks for it.
    what = f"{type(error).__name__} at {_place(error)}: this is a bug in Strongroom"
    output.tell_error("InternalError", what, f"set {DEBUG}=1 for a traceback", as_json=session.as_json)
    return FAILED


def _usage(error: click.ClickException) -> tuple[str, str]:
    """click's complaint in our words: lower case, no full stop, and a hint that names a command."""
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    path = "strongroom" if ctx is None else ctx.command_path
    hint = f"{path} --help"
    text = error.format_message()
    if isinstance(error, click.NoSuchOption) and ctx is not None:
        text = f"{path} has no option {error.option_name!r}"
        hint = _nearest(error.option_name, ctx) or hint
    return text[:1].lower() + text[1:].rstrip("."), hint


def _nearest(option: str, ctx: click.Context) -> str:
    import difflib  # only after a typing error

    own, outer = _options(ctx), _options(ctx.find_root())
    bare = {name.lstrip("-"): name for name in sorted((own | outer) - _NO_GUESS)}  # dashes are no likeness
    near = difflib.get_close_matches(option.lstrip("-"), bare, n=1)
    if not near:
        return ""
    found = bare[near[0]]
    if found in own:
        return f"did you mean {found!r}?"
    verb = ctx.command_path.removeprefix("strongroom ")
    return f"{found} goes before the command: strongroom {found} … {verb}"


def _options(ctx: click.Context) -> set[str]:
    return {name for parameter in ctx.command.params for name in parameter.opts if name.startswith("-")}


def _wants_json(argv: Sequence[str]) -> bool:
    """Whether --json stands among our own words: a line that could not be parsed has set nothing yet."""
    ours = argv[: argv.index("--")] if "--" in argv else argv
    return "--json" in ours


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    place = "an unknown place"
    while trace is not None:
        code = trace.tb_frame.f_code
        _, found, module = code.co_filename.rpartition(f"{os.sep}strongroom{os.sep}")
        if found:
            place = f"strongroom{os.sep}{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
