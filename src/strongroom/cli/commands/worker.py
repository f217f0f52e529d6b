"""worker: groups of processes that read what was granted and published to them, and hold no root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.commands.worker_keys import worker_create, worker_identity, worker_rotate
from strongroom.cli.completing import keyset_names
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbGroup

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


for _command in (worker_create, worker_rotate, worker_identity):
    worker.add_command(_command)


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
                    "outdated": row.outdated,
                    "created": format_time(row.created),
                    "changed": format_time(row.changed),
                    "grants": [{"keyset": each.keyset, "public": each.public} for each in row.grants],
                }
                for row in rows
            ]
        )
        return
    output.write_table(
        ("GROUP", "KEY", "ISSUER", "GRANTS"),
        (
            (
                row.name,
                f"rsa-{row.bits} {row.key[:16]}",
                "replaced" if row.outdated else "",
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

    to_add = remove_worker(session.open(), group)
    if session.as_json:
        output.write_json({"removed": group, "add": list(to_add)})
        return
    output.tell(f"removed {group}")
    views.to_share(to_add)


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
