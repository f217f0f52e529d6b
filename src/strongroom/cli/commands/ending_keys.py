"""due, destroy: what is to be done with keys and by when, and how their versions end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.completing import optional_name
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand
from strongroom.cli.progress import busy
from strongroom.exitcodes import REFUSED, WORK_REMAINS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strongroom.keystore.destruction import Confirm
    from strongroom.keystore.facade import KeyStore
    from strongroom.keystore.in_use import Use

_COLUMNS = ("NAME", "VERSION", "WORK", "BY", "OWNER", "REASON")


@click.command(
    cls=VerbCommand,
    epilog=examples("strongroom due", "strongroom due --within 30d", "strongroom due --json"),
)
@click.option("--within", default="0s", metavar="TIME", help="Also what comes within this time, like 14d.")
@verb
def due(session: Session, within: str) -> None:
    """List what is to be rotated, re-encrypted, destroyed or tried. The exit status is 4 if the time of any has come.

    Periods that a policy states are kept to; the usual ones of SP 800-57 are only told, and marked so. `rotate --due`
    and `destroy --due` do what needs nobody.
    """
    from strongroom._encoding import parse_duration
    from strongroom.cli import views
    from strongroom.keystore.duties import due as duties_due

    seconds = parse_duration(within)
    keystore = session.open()
    with busy("looking at every keyset"):
        found = duties_due(keystore, within_s=seconds)
    now = keystore.clock.now()
    if session.as_json:
        output.write_json([duty.facts(now) for duty in found])
    else:
        when = views.when()
        output.write_table(
            _COLUMNS,
            (
                (
                    duty.keyset,
                    duty.version or "-",
                    duty.work.value,
                    when(duty.at),
                    duty.owner or "-",
                    duty.why if duty.stated else f"{duty.why} (usual, SP 800-57)",
                )
                for duty in found
            ),
            empty="nothing is due",
        )
    if any(duty.is_due(now) for duty in found):
        click.get_current_context().exit(WORK_REMAINS)


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom destroy student-records 1 --reason 're-encrypted in May'",
        "strongroom destroy student-records 1 --cancel",
        "strongroom destroy tenant-17 --all --shred --reason 'contract ended'",
        "strongroom destroy --due",
    ),
)
@optional_name
@click.argument("version", type=int, required=False)
@click.option("--reason", metavar="TEXT", help="Why; it is kept with the version.")
@click.option("--after", metavar="TIME", help="When: 7 to 30 days from now (30d).")
@click.option("--all", "whole", is_flag=True, help="Every version: the keyset protects nothing from now on.")
@click.option("--cancel", is_flag=True, help="Spare VERSION, or with --all every one.")
@click.option("--due", "all_due", is_flag=True, help="Destroy what was scheduled and whose day has come.")
@click.option("--shred", is_flag=True, help="Even where data becomes unreadable by it; you are asked.")
@click.option("--yes", is_flag=True, help="With --shred: do not ask.")
@verb
def destroy(
    session: Session,
    name: str | None,
    version: int | None,
    *,
    reason: str | None,
    after: str | None,
    whole: bool,
    cancel: bool,
    all_due: bool,
    shred: bool,
    yes: bool,
) -> None:
    """Schedule the destruction of VERSION of NAME, in 7 to 30 days; until then it stays what it is.

    Nothing is destroyed while data is known to be under it, unless --shred says so. `strongroom destroy --due` carries
    out what is scheduled: the material goes, and the version's number, dates and public half stay.
    """
    from strongroom._encoding import parse_duration
    from strongroom.cli import views
    from strongroom.keystore import destruction
    from strongroom.model.dooming import LONGEST_WAIT

    confirm = _confirming(yes=yes) if shred else None
    if all_due:
        if version is not None or reason or after or whole or cancel:
            raise click.UsageError("--due goes with a NAME, --shred and --yes only")
        _carry_out(session, session.open(), name, confirm)
        return
    if name is None or (version is None) != whole:
        raise click.UsageError("destroy takes a NAME and a VERSION, or a NAME and --all, or --due")
    if cancel:
        keystore = session.open()
        spared = keystore.spare(name, version, reason=reason)
        views.moved(session, keystore, spared, "spared every version of" if whole else f"spared version {version} of")
        return
    if not reason:
        raise click.UsageError("a destruction has a --reason")
    after_s = LONGEST_WAIT if after is None else parse_duration(after)
    keystore = session.open()
    keyset = destruction.schedule(keystore, name, version, reason=reason, after_s=after_s, shred=confirm)
    if not session.as_json:
        output.tell(destruction.scheduled(keyset, version))
    views.moved(session, keystore, keyset, "its end was scheduled:")
    if not keystore.has_reports:
        output.warn(destruction.NOBODY_ASKED, as_json=session.as_json)


def _carry_out(session: Session, keystore: KeyStore, name: str | None, confirm: Confirm | None) -> None:
    from strongroom.keystore import destruction

    done = destruction.destroy_due(keystore, only=name, shred=confirm)
    if session.as_json:
        output.write_json([each.facts() for each in done])
    else:
        for each in done:
            output.tell(each.sentence())
        if any(not each.problem for each in done):
            for sentence in destruction.aftermath(keystore):
                output.tell(sentence)
        if not done:
            output.tell("no destruction is due")
    if any(each.problem for each in done):
        click.get_current_context().exit(REFUSED)


def _confirming(*, yes: bool) -> Confirm:
    from strongroom.keystore.destruction import unreadable

    def confirm(name: str, uses: Sequence[Use]) -> bool:
        for sentence in unreadable(uses):
            output.tell(sentence)
        if yes:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        typed: str = click.prompt(f"Type the keyset's name ({name}) to go on", default="", show_default=False, err=True)
        return typed == name

    return confirm
