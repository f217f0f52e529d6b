"""pin and witness: how a host knows that this is the store, and that nothing in it was turned back."""

from __future__ import annotations

import click

from strongroom.cli import output
from strongroom.cli.completing import keyset_names
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand, VerbGroup


@click.command(
    cls=VerbCommand,
    epilog=examples("strongroom pin", "export STRONGROOM_PIN=PIN       on each host, kept outside the repository"),
)
@verb
def pin(session: Session) -> None:
    """Print the store's pin: its id and its root's id. Written down outside the repository, it keeps out a foreign
    store that somebody put in this one's place."""
    keystore = session.open()
    text = keystore.pin
    if session.as_json:
        output.write_json({"pin": text})
        return
    output.write_line(text)


@click.group(cls=VerbGroup, epilog=examples("strongroom witness show", "strongroom witness accept student-records"))
def witness() -> None:
    """What this checkout remembers of the store, outside the repository, so that an older record is noticed."""


@witness.command(
    "show", short_help="Show what was seen, and what is stale.", epilog=examples("strongroom witness show")
)
@verb
def witness_show(session: Session) -> None:
    """Show what was seen of each record, and what is stale."""
    keystore = session.open()
    seen = keystore.witnessed()
    if session.as_json:
        output.write_json(
            {
                "witness": seen.location,
                "records": [
                    {"name": row.name, "revision": row.revision, "differences": list(row.differences)}
                    for row in seen.rows
                ],
            }
        )
        return
    output.tell(f"witness: {seen.location}")
    output.write_table(
        ("NAME", "SEEN", "DIFFERENCES"),
        ((row.name, row.revision, "; ".join(row.differences) or "-") for row in seen.rows),
        empty="it has seen no records yet",
    )


@witness.command(
    "accept",
    short_help="Accept records as they are here now.",
    epilog=examples("strongroom witness accept student-records", "strongroom witness accept"),
)
@click.argument("name", required=False, shell_complete=keyset_names)
@verb
def witness_accept(session: Session, name: str | None) -> None:
    """Accept the record NAME (or all) as it is here now, older or not.

    store.json is the store's header, strongroom.workers/GROUP a worker group. Only this checkout's memory changes.
    Versions that it knows to be compromised or destroyed stay so.
    """
    keystore = session.open()
    accepted = keystore.accept_witness(name)
    if session.as_json:
        output.write_json({"accepted": list(accepted)})
        return
    output.tell(f"accepted {', '.join(accepted)}" if accepted else "nothing was stale")
