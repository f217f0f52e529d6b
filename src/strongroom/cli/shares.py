"""Recovery shares on their way in: from files, a descriptor, or people who type them. Nothing of them is echoed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom.cli import output
from strongroom.cli.context import ask_passphrase, has_terminal
from strongroom.errors import FormatError, SealError

if TYPE_CHECKING:
    from strongroom.primitives.secret import SecretBytes
    from strongroom.sealing.shares import Share

_ATTEMPTS = 3

SHARES_FD = click.option("--shares-fd", type=int, metavar="N", help="A file descriptor to read shares from.")


def read_shares_given(files: tuple[Path, ...], descriptor: int | None) -> list[Share]:
    """The shares in files and from a descriptor; where neither was named, those that people type."""
    from strongroom.keystore.recovery import WHAT, shares_of_file
    from strongroom.sealing.private_files import read_descriptor
    from strongroom.sealing.shares import read_shares

    found = [share for path in files for share in shares_of_file(path)]
    if descriptor is not None:
        found += read_shares(read_descriptor(descriptor, what=WHAT))
    return found or _asked()


def _asked() -> list[Share]:
    """Shares that people type, row by row, until there are enough."""
    from strongroom.primitives.secret import SecretBytes
    from strongroom.sealing.share_words import ROWS
    from strongroom.sealing.shares import read_shares

    if not has_terminal():
        raise SealError(
            "no share was given, and there is no terminal to type one on",
            hint="name the files of the shares, as in 'strongroom recovery drill FILE...', or --shares-fd N",
        )
    found: list[Share] = []
    while not found or len(found) < found[0].threshold:
        of = f" of {found[0].threshold}" if found else ""
        output.tell(f"share {len(found) + 1}{of}: type its {ROWS} rows, or paste it; nothing is shown")
        text = SecretBytes(b"\n".join(row.reveal() for row in _rows()))
        found += read_shares(text)
    return found


def _rows() -> list[SecretBytes]:
    from strongroom.primitives.secret import SecretBytes
    from strongroom.sealing.share_words import ROWS, WORDS, read_row

    rows: list[SecretBytes] = []
    attempts = _ATTEMPTS
    while len(rows) < ROWS:
        typed = SecretBytes(ask_passphrase(f"Row {len(rows) + 1}").encode("utf-8", "surrogatepass"))
        if not rows and len(typed.reveal().split()) > 2 * WORDS:
            return [typed]  # a whole share at once
        try:
            read_row(len(rows) + 1, typed)
        except FormatError as wrong:
            attempts -= 1
            if not attempts:
                raise
            output.tell(f"{wrong}; that row again")
            continue
        rows.append(typed)
        attempts = _ATTEMPTS
    return rows
