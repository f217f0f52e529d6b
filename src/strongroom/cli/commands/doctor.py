"""doctor: what this process can open, and if not, why, and which command helps."""

from __future__ import annotations

from pathlib import Path

import click

from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand
from strongroom.exitcodes import CANNOT_OPEN, DONE, FAILED, NOT_PUBLISHED

_MARKS = {"ok": "ok", "warning": "warn", "problem": "FAIL", "note": "note"}


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom doctor",
        "strongroom doctor --ready      for a container's readiness probe",
        "strongroom doctor --history",
    ),
)
@click.option("--ready", is_flag=True, help="Say nothing; exit 0 if the store opens here, else 3 or 69.")
@click.option(
    "--database",
    "databases",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A database's file: no key should lie beside it.",
)
@click.option("--history", is_flag=True, help="Search git's history for roots and keys, too.")
@verb
def doctor(session: Session, *, ready: bool, databases: tuple[Path, ...], history: bool) -> None:
    """Look at gpg, the store, its slots, the pin, the witness and what lies around, and say what helps.

    --ready opens the store and looks at nothing else. It exits 69 where nothing is published for a worker, which may
    get better by itself, and 3 where the store cannot be opened.
    """
    from strongroom.errors import NotPublishedError
    from strongroom.keystore.doctor import examine, trouble_with_opening

    if ready:
        trouble = trouble_with_opening(session.store, given=session.given(), pin=session.pin)
        unready = NOT_PUBLISHED if isinstance(trouble, NotPublishedError) else CANNOT_OPEN
        click.get_current_context().exit(DONE if trouble is None else unready)
    examination = examine(
        session.store,
        given=session.given(),
        pin=session.pin,
        databases=databases,
        history=history,
        progress=output.tell,
    )
    code = DONE if examination.healthy else (CANNOT_OPEN if not examination.opens else FAILED)
    if session.as_json:
        output.write_json(
            {
                "opens": examination.opens,
                "findings": [
                    {"level": found.level, "about": found.about, "fact": found.fact, "hint": found.hint}
                    for found in examination.findings
                ],
            }
        )
    else:
        for found in examination.findings:
            output.write_line(f"{_MARKS[found.level]:<5} {found.about:<12} {found.fact}")
            if found.hint:
                output.write_line(f"{'':<18} -> {found.hint}")
    click.get_current_context().exit(code)
