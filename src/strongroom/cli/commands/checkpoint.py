"""checkpoint: what the store was at a release, to be held against what is deployed."""

from __future__ import annotations

from pathlib import Path

import click

from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbGroup
from strongroom.exitcodes import STALE


@click.group(
    cls=VerbGroup,
    epilog=examples("strongroom checkpoint create > release-7.checkpoint"),
)
def checkpoint() -> None:
    """What the store was at one moment, so that a host that saw nothing of it notices an older one."""


@checkpoint.command(
    "create",
    short_help="Print a checkpoint of the store.",
    epilog=examples("strongroom checkpoint create > release-7.checkpoint"),
)
@verb
def checkpoint_create(session: Session) -> None:
    """Print name, revision and MAC of every record, under a MAC of the root's. It holds no key.

    Keep it outside the repository: with the release, or wherever whoever can write to the repository cannot.
    """
    from strongroom.keystore.checkpoints import create_checkpoint

    output.write_text(create_checkpoint(session.open()).decode())


@checkpoint.command(
    "verify",
    short_help="Hold the store against a checkpoint.",
    epilog=examples("strongroom checkpoint verify release-7.checkpoint"),
)
@click.argument("file", type=click.Path(path_type=Path))
@verb
def checkpoint_verify(session: Session, file: Path) -> None:
    """Tell every record that is older than in FILE, another one, or gone; then the exit status is 6.

    What is newer, or new since, is as it should be.
    """
    from strongroom._encoding import format_time
    from strongroom.cli import views
    from strongroom.keystore.checkpoints import verify_checkpoint

    report = verify_checkpoint(session.open(), file)
    if session.as_json:
        output.write_json(
            {
                "made": format_time(report.made),
                "keysets": report.keysets,
                "groups": report.groups,
                "newer": report.newer,
                "new": report.new,
                "differences": list(report.differences),
            }
        )
    else:
        output.write_lines(report.differences)
        since = f"{report.newer} are newer and {report.new} new since {format_time(report.made)}"
        told = f"{len(report.differences)} fall behind it" if report.differences else "none falls behind it"
        output.tell(f"{file}: {views.held(report.keysets, report.groups)}, {told}; {since}")
    if report.differences:
        click.get_current_context().exit(STALE)
