"""git-setup, git-merge, adopt: two branches that changed one keyset unite, by key id and not by lines."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from strongroom.cli import output
from strongroom.cli.completing import keyset_names
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand


@click.command(cls=VerbCommand, epilog=examples("strongroom git-setup"))
@verb
def git_setup(session: Session) -> None:
    """Let git merge, rebase and cherry-pick unite the store's files, in this clone.

    Writes this clone's own git configuration, which each one sets up for himself, and what .gitattributes lacks. A
    merge then opens the store as every command does.
    """
    from strongroom.cli import views
    from strongroom.cli.shims import program
    from strongroom.keystore.merge_setup import set_up_merging

    made = set_up_merging(session.store, shlex.quote(str(program())))
    if session.as_json:
        output.write_json({"settings": dict(made.settings), "add": list(made.to_add)})
        return
    output.tell("git unites the store's files by key id, in this clone")
    if made.to_add:
        views.to_share(made.to_add)


@click.command(
    cls=VerbCommand, epilog=examples("strongroom git-merge BASE OURS THEIRS .strongroom/keysets/student-records.json")
)
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("ours", type=click.Path(path_type=Path))
@click.argument("theirs", type=click.Path(path_type=Path))
@click.argument("path")
@verb
def git_merge(session: Session, base: Path, ours: Path, theirs: Path, path: str) -> None:
    """Unite three copies of the store's file PATH into OURS; git runs it, once git-setup was there.

    Every version of both sides stays, the sterner state wins, and exportable goes from true to false only. Where it
    cannot, ours stays as it is and git calls it a conflict; 'git checkout --merge -- PATH' tries again.
    """
    from strongroom.cli.telling import Teller
    from strongroom.errors import StrongroomError
    from strongroom.keystore.merging import MergeFiles, merge_file

    teller = Teller(as_json=session.as_json)
    click.get_current_context().call_on_close(teller.close)
    try:
        notes = merge_file(
            MergeFiles(base=base, ours=ours, theirs=theirs), path, given=session.given(), pin=session.pin
        )
    except StrongroomError:
        # the reason follows; without this, whoever adds the file as it stands loses what the other side did
        output.warn(
            f"{path} stays as it is on our side, and lacks what the other side did; when the cause is gone:"
            f" git checkout --merge -- {shlex.quote(path)}",
            as_json=session.as_json,
        )
        raise
    for note in notes:
        output.warn(note, as_json=session.as_json)


@click.command(cls=VerbCommand, epilog=examples("strongroom adopt", "strongroom adopt billing/api-token"))
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=keyset_names)
@verb
def adopt(session: Session, names: tuple[str, ...]) -> None:
    """Take over what a branch from before a rotation of the root brought along; without a NAME, list it.

    Such a keyset, or worker group (strongroom.workers/GROUP), is refused until it is named here: whoever knew the older
    root could have made it, and a removed admin knew it. A group's key decides who reads what is published to it.
    """
    from strongroom.cli import views
    from strongroom.keystore.adopting import adopt, adoptable

    keystore = session.open()
    if not names:
        waiting = adoptable(keystore)
        if session.as_json:
            output.write_json({"waiting": list(waiting)})
            return
        output.write_table(("NAME",), ((name,) for name in waiting), empty="nothing is under an older root")
        return
    adopted = adopt(keystore, names)
    if session.as_json:
        output.write_json({"adopted": [each.name for each in adopted]})
        return
    for each in adopted:
        output.tell(f"{each.name} is under the newest root now; look at it with '{each.look}'")
        if each.noted is not None:
            output.tell(f"{each.name} could be read by whom the older root was exposed to: strongroom exposed")
    paths = [path for each in adopted for path in (each.path, each.noted) if path is not None]
    views.to_share(dict.fromkeys(map(str, paths)))
