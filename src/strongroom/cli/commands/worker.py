"""worker: groups of processes that read what was granted and published to them, and hold no root."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.completing import keyset_names
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbGroup
from strongroom.cli.progress import busy

if TYPE_CHECKING:
    from strongroom.stores.workers_codec import Group


@click.group(
    cls=VerbGroup,
    epilog=examples(
        "strongroom worker create web",
        "strongroom worker grant web student-records smtp-password",
        "strongroom publish --to redis://cache.internal:6379/0",
    ),
)
def worker() -> None:
    """Worker groups: processes that read what was granted to them, and can open no store.

    Nothing changes for a worker before the next 'strongroom publish'.
    """


@worker.command(
    "create",
    short_help="Make a group and its identity file.",
    epilog=examples("strongroom worker create web", "strongroom worker create web --out ~/web.identity --protect"),
)
@click.argument("group")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it (GROUP.identity here).")
@click.option("--bits", type=click.Choice(["2048", "3072", "4096"]), default="3072", show_default=True, help="Of RSA.")
@click.option("--protect", is_flag=True, help="Protect the identity with a passphrase, which is asked for.")
@verb
def worker_create(session: Session, group: str, out: Path | None, bits: str, protect: bool) -> None:
    """Make the worker group GROUP and its one identity file, mode 0600.

    With that file a process opens what is published to the group. Give it to the machine by its own way for secrets:
    STRONGROOM_IDENTITY_FILE names it, or STRONGROOM_IDENTITY holds its text.
    """
    from strongroom.cli import views
    from strongroom.cli.context import ask_passphrase
    from strongroom.keystore.workers import create_worker
    from strongroom.sealing.passphrases import passphrase_from_prompt

    keystore = session.open()
    passphrase = passphrase_from_prompt(lambda: ask_passphrase("Passphrase of the identity")) if protect else None
    with busy("making the group's key"):
        made = create_worker(keystore, group, out, bits=int(bits), passphrase=passphrase)
    if session.as_json:
        output.write_json({"group": made.group, "identity": str(made.identity), "add": list(made.to_add)})
        return
    output.tell(f"wrote {made.identity}: whoever has it can read what is published to {made.group}")
    output.tell(f"use it with STRONGROOM_IDENTITY_FILE={made.identity}, and keep it out of the repository")
    views.to_share(made.to_add)


@worker.command(
    "grant",
    short_help="Let a group have keysets.",
    epilog=examples("strongroom worker grant web student-records", "strongroom worker grant partners jwt --public"),
)
@click.argument("group")
@click.argument("keysets", nargs=-1, required=True, shell_complete=keyset_names)
@click.option("--public", is_flag=True, help="Only the public halves, for those who verify.")
@verb
def worker_grant(session: Session, group: str, keysets: tuple[str, ...], public: bool) -> None:
    """Let the worker group GROUP have KEYSETS from the next publishing on."""
    from strongroom.keystore.workers import grant

    _tell_grants(session, grant(session.open(), group, keysets, public=public))


@worker.command(
    "revoke", short_help="Take keysets from a group.", epilog=examples("strongroom worker revoke web smtp-password")
)
@click.argument("group")
@click.argument("keysets", nargs=-1, required=True, shell_complete=keyset_names)
@verb
def worker_revoke(session: Session, group: str, keysets: tuple[str, ...]) -> None:
    """Let the worker group GROUP no longer have KEYSETS from the next publishing on.

    What its processes have read stays known to them: rotate what they should not go on reading.
    """
    from strongroom.keystore.workers import revoke

    _tell_grants(session, revoke(session.open(), group, keysets))


@worker.command("list", short_help="List the groups and their grants.", epilog=examples("strongroom worker list"))
@verb
def worker_list(session: Session) -> None:
    """List the worker groups, their keys and what is granted to each."""
    from strongroom._encoding import format_time
    from strongroom.keystore.workers import list_workers

    rows = list_workers(session.open())
    if session.as_json:
        output.write_json(
            [
                {
                    "group": row.name,
                    "key": row.key,
                    "bits": row.bits,
                    "created": format_time(row.created),
                    "changed": format_time(row.changed),
                    "grants": [{"keyset": each.keyset, "public": each.public} for each in row.grants],
                }
                for row in rows
            ]
        )
        return
    output.write_table(
        ("GROUP", "KEY", "GRANTS"),
        (
            (
                row.name,
                f"rsa-{row.bits} {row.key[:16]}",
                ", ".join(f"{each.keyset} (public)" if each.public else each.keyset for each in row.grants) or "-",
            )
            for row in rows
        ),
        empty="no worker groups; strongroom worker create GROUP makes one",
    )


@worker.command("remove", short_help="Forget a group.", epilog=examples("strongroom worker remove web"))
@click.argument("group")
@verb
def worker_remove(session: Session, group: str) -> None:
    """Forget the worker group GROUP: nothing is published to it any more.

    What was published stays readable to it until that expires: rotate what its processes should not go on reading.
    """
    from strongroom.cli import views
    from strongroom.keystore.workers import remove_worker

    path = remove_worker(session.open(), group)
    if session.as_json:
        output.write_json({"removed": group, "add": [str(path)]})
        return
    output.tell(f"removed {group}")
    views.to_share((str(path),))


def _tell_grants(session: Session, group: Group) -> None:
    if session.as_json:
        output.write_json(
            {
                "group": group.name,
                "revision": group.revision,
                "grants": [{"keyset": each.keyset, "public": each.public} for each in group.grants],
            }
        )
        return
    names = ", ".join(f"{each.keyset} (public)" if each.public else each.keyset for each in group.grants)
    output.tell(f"{group.name} has {names or 'no grants'}; strongroom publish makes it so")
