"""publish: what was granted to worker groups goes to where they look for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand

if TYPE_CHECKING:
    from strongroom.keystore.publishing import Published


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom publish --to redis://cache.internal:6379/0",
        "strongroom publish web --out web.publication",
        "strongroom publish --watch --to unix:///run/redis.sock",
    ),
)
@click.argument("groups", nargs=-1)
@click.option(
    "--to",
    multiple=True,
    metavar="URL",
    envvar="STRONGROOM_CACHE",
    help="A Redis, or file:PATH; may be given again. One with a password: better in STRONGROOM_CACHE.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="A file, for one group.")
@click.option("--life", metavar="DURATION", help="How long it holds (24h at a URL, 30d in a file).")
@click.option("--watch", is_flag=True, help="Go on: publish each change within a second, for 15 minutes at a time.")
@click.option("--force", is_flag=True, help="Even where what is published is newer, or still serves.")
@verb
def publish(
    session: Session,
    groups: tuple[str, ...],
    to: tuple[str, ...],
    out: Path | None,
    life: str | None,
    watch: bool,
    force: bool,
) -> None:
    """Publish what was granted to GROUPS (all of them by default): sealed to each group's key and signed.

    A publication shows no name and no key, and is safe to ship. Nothing is written where nothing has changed and over
    half of its life is left.

    With --watch it goes on until it is stopped (SIGTERM ends it with exit status 0), and puts back what a cache has
    lost. Publications hold for 15 minutes then, so that whoever can write to the cache can hold a change back for no
    longer.
    """
    from strongroom._encoding import parse_duration
    from strongroom.keystore.publishing import publish as publish_groups

    seconds = None if life is None else parse_duration(life)
    if watch:
        if out is not None or force:
            raise click.UsageError("--watch goes with --to, not with --out or --force")
        _watch(session, groups, to, seconds)
        return
    done = publish_groups(session.open(), groups, out=out, to=to, life=seconds, force=force)
    _tell(session, done)


def _watch(session: Session, groups: tuple[str, ...], to: tuple[str, ...], life: int | None) -> None:
    from strongroom.caching.publisher import WATCH_LIFE
    from strongroom.errors import StrongroomError
    from strongroom.keystore.watching import watch_until_terminated

    for news in watch_until_terminated(session.open(), groups, to=to, life=life or WATCH_LIFE):
        if isinstance(news, StrongroomError):
            output.warn(str(news), as_json=session.as_json)
        else:
            _tell(session, news)


def _tell(session: Session, done: Sequence[Published]) -> None:
    if session.as_json:
        output.write_json([each.facts() for each in done])
        return
    for each in done:
        for sentence in each.sentences():
            output.tell(sentence)
