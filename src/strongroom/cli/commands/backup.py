"""backup: the whole store in one sealed file, compared with the store, and made into one again."""

from __future__ import annotations

from pathlib import Path

import click

from strongroom._encoding import format_count
from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbGroup
from strongroom.cli.shares import SHARES_FD, read_shares_given
from strongroom.exitcodes import STALE


@click.group(cls=VerbGroup, epilog=examples("strongroom backup create /media/stick/keys-2026-11-27.backup"))
def backup() -> None:
    """The whole store in one file, which opens as the store does and shows nobody else a name."""


_file = click.argument("file", type=click.Path(path_type=Path))


@backup.command(
    "create",
    short_help="Write a backup of the store.",
    epilog=examples("strongroom backup create keys.backup", "strongroom backup verify keys.backup"),
)
@_file
@verb
def backup_create(session: Session, file: Path) -> None:
    """Write the whole store into FILE, mode 0600, which must be new. Every record is verified on the way."""
    from strongroom.cli import views
    from strongroom.keystore.backup import create_backup

    keystore = session.open()
    made = create_backup(keystore, file)
    if session.as_json:
        output.write_json(
            {
                "file": str(made.path),
                "keysets": made.keysets,
                "groups": made.groups,
                "bytes": made.size,
                "pin": made.pin,
            }
        )
        return
    output.tell(f"wrote {made.path}: {views.held(made.keysets, made.groups)}, {made.size} bytes")
    output.tell("it opens with what opens the store today, whatever is removed later: keep both, and try it")


@backup.command(
    "verify",
    short_help="Open a backup and compare it with the store.",
    epilog=examples("strongroom backup verify keys.backup"),
)
@_file
@verb
def backup_verify(session: Session, file: Path) -> None:
    """Open FILE by its own slots, and compare every version's material and state with the store's.

    Differences are listed, and end with exit status 6: the backup is older than the store, or the store than it.
    """
    from strongroom.keystore.backup import verify_backup

    given = session.given().once()
    keystore = session.open(given)
    compared = verify_backup(keystore, file, given=given)
    if session.as_json:
        output.write_json(
            {
                "keysets": compared.keysets,
                "versions": compared.versions,
                "groups": compared.groups,
                "differences": list(compared.differences),
            }
        )
    else:
        output.write_lines(compared.differences)
        told = f"{format_count(compared.keysets, 'keyset')}, {format_count(compared.versions, 'version')} opened"
        found = len(compared.differences)
        output.tell(f"{file}: {told}: {format_count(found, 'difference') if found else 'the same as in the store'}")
    if compared.differences:
        click.get_current_context().exit(STALE)


@backup.command(
    "restore",
    short_help="Make a store of a backup again.",
    epilog=examples(
        "strongroom backup restore keys.backup site/.strongroom",
        "strongroom backup restore keys.backup DIR --share 1.txt --share 4.txt",
    ),
)
@_file
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--share", "shares", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help="A recovery share."
)
@SHARES_FD
@verb
def backup_restore(
    session: Session, file: Path, directory: Path, *, shares: tuple[Path, ...], shares_fd: int | None
) -> None:
    """Make the store in FILE again in DIR, where there must be nothing. Nothing is overwritten.

    Where nothing else opens it, recovery shares do; then 'strongroom recovery restore' gives it another way in.

    With --pin, it must be that store. Otherwise compare the pin that is told with the one that you wrote down.
    """
    from strongroom.cli import views
    from strongroom.keystore.restoring import restore_backup

    held = read_shares_given(shares, shares_fd) if shares or shares_fd is not None else []
    restored = restore_backup(file, directory, given=session.given(), shares=held, pin=session.pin)
    if session.as_json:
        output.write_json(
            {"store": str(directory), "keysets": restored.keysets, "groups": restored.groups, "pin": restored.pin}
        )
        return
    output.tell(f"made {directory}: {views.held(restored.keysets, restored.groups)}")
    output.tell(f"its pin is {restored.pin}; compare it with what was written down, then: strongroom doctor")
