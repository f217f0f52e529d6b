"""policy: what a keyset's policy says, and another word for it."""

from __future__ import annotations

from typing import Any

import click

from strongroom.cli import output
from strongroom.cli.completing import existing_name
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand
from strongroom.cli.policy_words import labels, split_labels, words


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom policy student-records",
        "strongroom policy student-records --originator 365d --grace 14d",
        "strongroom policy student-records --recipient 2555d",
        "strongroom policy student-records --allow process",
        "strongroom policy student-columns --max-messages 1000000000",
        "strongroom policy student-records --grace none --label owner=registrar",
    ),
)
@existing_name
@words
@click.option("--no-export", is_flag=True, help="Its key may not go out (run --env) any more. There is no way back.")
@labels
@click.option("--no-label", "dropped", multiple=True, metavar="KEY", help="Take a label away.")
@verb
def policy(
    session: Session, name: str, *, no_export: bool, labels: tuple[str, ...], dropped: tuple[str, ...], **said: Any
) -> None:
    """Show the policy of NAME, or change it: what is not named stays, and `none` takes back what was said.

    A period that the policy states is kept to: after --originator (and --grace) nothing is protected, after --recipient
    reading is refused unless the caller asks. Where it states none, the usual periods of SP 800-57 are only told.
    """
    from strongroom.cli import views

    split: dict[str, str | None] = {**dict.fromkeys(dropped), **split_labels(labels)}
    keystore = session.open()
    changes = {word: value for word, value in said.items() if value is not None}
    if no_export:
        changes["exportable"] = False
    keyset = keystore.show(name)
    if changes:
        keyset = keystore.set_policy(name, **changes)
    if split:
        keyset = keystore.set_labels(name, split)
    if session.as_json:
        output.write_json(views.policy_json(keyset))
        return
    if changes or split:
        views.moved(session, keystore, keyset, "changed the policy of")
        return
    propagation = keystore.sealed.propagation if keystore.source.writable else None  # a worker does not know it
    output.write_facts(views.policy_facts(keyset, propagation=propagation))
