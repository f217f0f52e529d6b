"""exposed: what somebody could read who should not any more, until every key of it is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from strongroom._encoding import format_count
from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand
from strongroom.cli.repository import counted
from strongroom.exitcodes import WORK_REMAINS

if TYPE_CHECKING:
    from strongroom.keystore.exposures import ExposedRow


@click.command(cls=VerbCommand, epilog=examples("strongroom exposed", "strongroom rotate --exposed"))
@verb
def exposed(session: Session) -> None:
    """List the keysets with versions that somebody could read: an admin who left, whoever had a slot, or the root.

    A keyset is replaced once none of those versions will protect anything more. What they protected stays readable to
    him until it is re-encrypted under a new one, and the old one deactivated or destroyed. Ends with status 4 while
    one of them protects.
    """
    from strongroom._encoding import format_time
    from strongroom.keystore.exposures import exposed as exposed_of
    from strongroom.keystore.exposures import exposures

    keystore = session.open()
    rows = exposed_of(keystore)
    if session.as_json:
        output.write_json(
            {
                "exposures": [
                    {"time": format_time(each.time), "who": each.who, "root": each.root, "reason": each.reason}
                    for each in exposures(keystore.sealed)
                ],
                "keysets": [
                    {
                        "name": row.name,
                        "type": row.type.value,
                        "versions": list(row.versions),
                        "replaced": row.replaced,
                        "protects_until": None if row.protects_until is None else format_time(row.protects_until),
                        "since": format_time(row.since.time),
                    }
                    for row in rows
                ],
            }
        )
    else:
        for each in exposures(keystore.sealed):
            who = f" to {output.shown(each.who)}" if each.who else ""
            output.tell(f"{format_time(each.time)} root {each.root} was exposed{who}: {output.shown(each.reason)}")
        output.write_table(
            ("NAME", "TYPE", "VERSIONS", "STATE"),
            (
                (
                    row.name,
                    row.type.value,
                    ", ".join(map(str, row.versions)),
                    _state(row),
                )
                for row in rows
            ),
            empty="nothing is exposed",
        )
    if not all(row.done for row in rows):
        click.get_current_context().exit(WORK_REMAINS)


def _state(row: ExposedRow) -> str:
    from strongroom._encoding import format_time
    from strongroom.caching.issuing import ISSUER

    if not row.replaced:
        return "to be rotated"
    if row.protects_until is not None:
        return f"protects until {format_time(row.protects_until)}"
    if row.name == ISSUER:
        return "replaced: see strongroom worker list"
    return "replaced: re-encrypt what they protected"


def rotate_exposed(session: Session, *, now: bool, generate: bool) -> None:
    """What `rotate --exposed` does."""
    from strongroom.caching.issuing import ISSUER
    from strongroom.keystore.exposures import rotate_exposed as walk
    from strongroom.keystore.issuer import issuer_now

    keystore = session.open()
    with counted("rotating") as progress:
        done = walk(keystore, now=now, generate=generate, progress=progress)
    if session.as_json:
        output.write_json(
            {"rotated": list(done.rotated), "left": [{"name": name, "why": why} for name, why in done.left]}
        )
    else:
        output.tell(f"rotated {format_count(len(done.rotated), 'keyset')}: {', '.join(done.rotated) or 'none'}")
        for name, why in done.left:
            output.tell(f"left: {name}: {why}")
        if ISSUER in done.rotated and (issuer := issuer_now(keystore)) is not None and issuer.outdated:
            groups = ", ".join(issuer.outdated)
            output.tell(f"workers of {groups} follow the new issuer by a link, until strongroom worker rotate")
        if done.rotated and keystore.base is not None:
            output.tell(f"next: git add {keystore.base}, and commit; then re-encrypt what the old versions protected")
    if done.left:
        click.get_current_context().exit(WORK_REMAINS)
