"""root: the key over all keys, replaced and destroyed."""

from __future__ import annotations

import click

from strongroom._encoding import format_count
from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbGroup
from strongroom.cli.repository import counted


@click.group(
    cls=VerbGroup,
    epilog=examples(
        "strongroom root list",
        "strongroom root rotate            a new root; every record is brought under it",
        "strongroom root destroy 1         forget root 1, and all before it",
    ),
)
def root() -> None:
    """The root key, which wraps every version: replace it, and forget the ones before."""


@root.command("list", short_help="List the roots that the store holds.", epilog=examples("strongroom root list"))
@verb
def root_list(session: Session) -> None:
    """List the roots: the newest, with the slots that open it, and the older ones that are sealed under it."""
    from strongroom.keystore.rooting import list_roots

    rows = list_roots(session.open())
    if session.as_json:
        output.write_json(
            [
                {
                    "number": row.number,
                    "id": row.id,
                    "newest": row.newest,
                    "slots": list(row.slots),
                    "pending": row.pending,
                }
                for row in rows
            ]
        )
        return
    output.write_table(
        ("ROOT", "ID", "OPENED BY", "NOTE"),
        (
            (
                row.number,
                row.id,
                ", ".join(row.slots) or f"root {row.number + 1}",
                "newest" if row.newest else f"{row.pending} records are still under it" if row.pending else "",
            )
            for row in rows
        ),
        empty="",
    )


@root.command(
    "rotate",
    short_help="Make a new root, and bring everything under it.",
    epilog=examples(
        "strongroom root rotate",
        "strongroom root rotate --exposed 'a laptop was lost'",
    ),
)
@click.option("--exposed", metavar="TEXT", help="Somebody could read the old root: why. See 'strongroom exposed'.")
@verb
def root_rotate(session: Session, exposed: str | None) -> None:
    """Make a new root and bring every record under it; data need not be touched, and nobody need be asked.

    Every slot is sealed anew to its public key. The old root stays, sealed under the new one, so that branches from
    before can be merged, until 'strongroom root destroy'. If it is broken off, the store opens as it is, and the next
    'strongroom root rotate' goes on.
    """
    from strongroom.cli import views
    from strongroom.keystore.rooting import rotate_root

    keystore = session.open()
    with counted("root") as progress:
        done = rotate_root(keystore, exposed=exposed, progress=progress)
    if session.as_json:
        output.write_json(
            {
                "root": done.number,
                "pin": done.pin,
                "moved": done.moved,
                "resumed": done.resumed,
                "add": list(done.to_add),
            }
        )
        return
    word = "the rotation that was broken off is ended" if done.resumed else "the root was rotated"
    output.tell(f"{word}: root {done.number} is the newest; brought under it: {format_count(done.moved, 'record')}")
    output.tell(f"the new pin, which pinned hosts will need once the older root is destroyed: {done.pin}")
    views.to_share(done.to_add)


@root.command(
    "destroy",
    short_help="Forget an old root, and all before it.",
    epilog=examples("strongroom root list", "strongroom root destroy 1"),
)
@click.argument("number", type=click.IntRange(min=1))
@verb
def root_destroy(session: Session, number: int) -> None:
    """Forget root NUMBER and all before it: branches from before the next one cannot be merged any more."""
    from strongroom.cli import views
    from strongroom.keystore.rooting import destroy_root

    keystore = session.open()
    done = destroy_root(keystore, number)
    if session.as_json:
        output.write_json({"destroyed": list(done.numbers), "add": list(done.to_add)})
        return
    which = ", ".join(map(str, done.numbers))
    output.tell(f"destroyed in this store: root {which}; a host that is pinned to it needs the pin of now:")
    output.tell(f"  {keystore.pin}")
    output.tell(
        "git's history, clones and backups still hold its sealed file and the records of that time: whoever could open"
        " them then still can. What nobody may read any more must be rotated, and its data re-encrypted."
    )
    views.to_share(done.to_add)
