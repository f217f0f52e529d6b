"""rotate, add, promote, suspend, resume, deactivate, compromise: the words for a key's life."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.commands.exposed import rotate_exposed
from strongroom.cli.completing import existing_name, optional_name
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand
from strongroom.cli.progress import busy
from strongroom.exitcodes import FAILED, WORK_REMAINS

if TYPE_CHECKING:
    from strongroom.keystore.facade import KeyStore
    from strongroom.primitives.secret import SecretBytes

SAID = click.option("--reason", metavar="TEXT", help="Why; else the former reason stays.")

REASON = click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept with the version.")


VALUE_FILE = click.option(
    "--value-file",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="For a secret: a file with its new value; - is standard input.",
)
GENERATE = click.option("--generate", is_flag=True, help="For a secret: 64 random characters.")


def value_options(function: Callable[..., None]) -> Callable[..., None]:
    """--value-file and --generate: where the new value of a `secret` comes from. Never from argv."""
    return VALUE_FILE(GENERATE(function))


def read_value(value_file: Path | None) -> SecretBytes | None:
    """The bytes of --value-file, or None."""
    if value_file is None:
        return None
    from strongroom.keystore.importing import read_source

    return read_source(None if str(value_file) == "-" else value_file, sys.stdin.buffer)


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom rotate student-records",
        "strongroom rotate student-records --now",
        "strongroom rotate database-url --value-file new-url.txt",
        "strongroom rotate --due              all whose rotation is due: for a timer",
        "strongroom rotate --exposed          all that 'strongroom exposed' lists",
    ),
)
@optional_name
@click.option("--now", is_flag=True, help="Promote at once: hosts that have not got it yet cannot read what it makes.")
@click.option("--due", "all_due", is_flag=True, help="Rotate all whose rotation 'strongroom due' lists.")
@click.option("--exposed", is_flag=True, help="Rotate all that 'strongroom exposed' lists.")
@value_options
@verb
def rotate(
    session: Session,
    name: str | None,
    *,
    now: bool,
    all_due: bool,
    exposed: bool,
    value_file: Path | None,
    generate: bool,
) -> None:
    """Add a version to NAME. It becomes primary after the keyset's propagation; old versions go on reading.

    With --due or --exposed a whole list is rotated. A secret whose new value comes from outside is named and left, and
    the exit status is then 4. What protects nothing any more (its period is over, its messages are used up) gets its
    new version at once.
    """
    from strongroom.cli import views

    if [name is not None, all_due, exposed].count(True) != 1:
        raise click.UsageError("rotate takes a NAME, --due or --exposed")
    if name is None and (value_file is not None or (all_due and (now or generate))):
        raise click.UsageError("a whole list takes no value, and --due knows by itself when each is promoted")
    if exposed:
        rotate_exposed(session, now=now, generate=generate)
        return
    keystore = session.open()
    if name is None:
        _rotate_due(session, keystore)
        return
    value = read_value(value_file)
    with busy("making the new version"):
        keyset = keystore.rotate(name, now=now, value=value, generate=generate)
    views.moved(session, keystore, keyset, "rotated")


def _rotate_due(session: Session, keystore: KeyStore) -> None:
    from strongroom.cli import views
    from strongroom.keystore.duties import rotate_due

    with busy("rotating what is due"):
        done = rotate_due(keystore)
    now = keystore.clock.now()
    if session.as_json:
        output.write_json(
            {
                "rotated": [views.keyset_json(keyset, now) for keyset in done.rotated],
                "left": [duty.facts(now) for duty in done.left],
                "failed": [{"keyset": name, "problem": problem} for name, problem in done.failed],
            }
        )
    else:
        for keyset in done.rotated:
            views.moved(session, keystore, keyset, "rotated")
        for duty in done.left:
            output.tell(
                f"{duty.keyset}: its new value comes from you: strongroom rotate {duty.keyset} --value-file FILE"
            )
        for name, problem in done.failed:
            output.warn(f"{name} was not rotated: {problem}", as_json=False)
        if not (done.rotated or done.left or done.failed):
            output.tell("no rotation is due")
    if done.left or done.failed:
        click.get_current_context().exit(FAILED if done.failed else WORK_REMAINS)


@click.command(
    cls=VerbCommand, epilog=examples("strongroom add student-records", "strongroom promote student-records 2")
)
@existing_name
@VALUE_FILE
@verb
def add(session: Session, name: str, value_file: Path | None) -> None:
    """Add a version to NAME in pre-activation: it reads everywhere, and protects once it is promoted."""
    from strongroom.cli import views

    keystore = session.open()
    value = read_value(value_file)
    with busy("making the new version"):
        keyset = keystore.add(name, value=value)
    views.moved(session, keystore, keyset, "added a version to")


@click.command(cls=VerbCommand, epilog=examples("strongroom promote student-records 2"))
@existing_name
@click.argument("version", type=int)
@SAID
@verb
def promote(session: Session, name: str, version: int, reason: str | None) -> None:
    """Make VERSION of NAME primary now."""
    from strongroom.cli import views

    keystore = session.open()
    views.moved(session, keystore, keystore.promote(name, version, reason=reason), f"promoted version {version} of")


@click.command(cls=VerbCommand, epilog=examples("strongroom suspend student-records 1 --reason 'under investigation'"))
@existing_name
@click.argument("version", type=int)
@REASON
@verb
def suspend(session: Session, name: str, version: int, reason: str) -> None:
    """Stop VERSION of NAME: it neither protects nor reads until it is resumed."""
    from strongroom.cli import views

    keystore = session.open()
    views.moved(session, keystore, keystore.suspend(name, version, reason=reason), f"suspended version {version} of")


@click.command(cls=VerbCommand, epilog=examples("strongroom resume student-records 1 --reason 'it was a false alarm'"))
@existing_name
@click.argument("version", type=int)
@SAID
@verb
def resume(session: Session, name: str, version: int, reason: str | None) -> None:
    """Take the suspended VERSION of NAME back into use."""
    from strongroom.cli import views

    keystore = session.open()
    views.moved(session, keystore, keystore.resume(name, version, reason=reason), f"resumed version {version} of")


@click.command(cls=VerbCommand, epilog=examples("strongroom deactivate student-records 1 --reason 're-encrypted'"))
@existing_name
@click.argument("version", type=int)
@REASON
@verb
def deactivate(session: Session, name: str, version: int, reason: str) -> None:
    """Let VERSION of NAME, a former primary, read and verify only. There is no way back to protecting."""
    from strongroom.cli import views

    keystore = session.open()
    keyset = keystore.deactivate(name, version, reason=reason)
    views.moved(session, keystore, keyset, f"deactivated version {version} of")


@click.command(cls=VerbCommand, epilog=examples("strongroom compromise student-records 1 --reason 'laptop stolen'"))
@existing_name
@click.argument("version", type=int)
@REASON
@value_options
@verb
def compromise(
    session: Session, name: str, version: int, *, reason: str, value_file: Path | None, generate: bool
) -> None:
    """Mark VERSION of NAME compromised: it protects no more and reads only when asked.

    If it was primary, a new version takes its place at once. What it protected must be encrypted again.
    """
    from strongroom.cli import views
    from strongroom.keystore.compromising import compromise as compromised

    keystore = session.open()
    value = read_value(value_file)
    with busy("making the next version"):
        done = compromised(keystore, name, version, reason=reason, value=value, generate=generate)
    views.moved(session, keystore, done.keyset, f"marked as compromised: version {version} of", more=done.facts())
    if not session.as_json:
        for sentence in done.sentences():
            output.tell(sentence)
