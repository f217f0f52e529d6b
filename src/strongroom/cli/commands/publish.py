"""publish: what was granted to worker groups goes to where they look for it."""

from __future__ import annotations

from pathlib import Path

import click

from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom publish --to redis://cache.internal:6379/0",
        "strongroom publish web --out web.publication",
        "strongroom publish --to unix:///run/redis.sock --life 15m",
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
@click.option("--force", is_flag=True, help="Even where what is published is newer, or still serves.")
@verb
def publish(
    session: Session, groups: tuple[str, ...], to: tuple[str, ...], out: Path | None, life: str | None, force: bool
) -> None:
    """Publish what was granted to GROUPS (all of them by default): sealed to each group's key and signed.

    A publication shows no name and no key, and is safe to ship. Nothing is written where nothing has changed and over
    half of its life is left.
    """
    from strongroom._encoding import format_time, parse_duration
    from strongroom.keystore.publishing import publish as publish_groups

    seconds = None if life is None else parse_duration(life)
    done = publish_groups(session.open(), groups, out=out, to=to, life=seconds, force=force)
    if session.as_json:
        output.write_json(
            [
                {
                    "group": each.group,
                    "serial": each.serial,
                    "expires": format_time(each.expires),
                    "keysets": each.keysets,
                    "written": list(each.written),
                    "unchanged": list(each.unchanged),
                }
                for each in done
            ]
        )
        return
    for each in done:
        until = f"{each.keysets} keysets, until {format_time(each.expires)}"
        for place in each.written:
            output.tell(f"published {each.group} to {place}: {until}")
        for place in each.unchanged:
            output.tell(f"{each.group} at {place} still serves: {until}")
