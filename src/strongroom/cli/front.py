"""The program `strongroom`: one line of it is answered at once, and everything else by the whole command line."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

from strongroom.cli import quick


def main(argv: list[str] | None = None) -> NoReturn:
    """Run a command and exit with its status."""
    line = sys.argv[1:] if argv is None else argv
    if sys.platform == "win32" or not quick.answers(line):
        from strongroom.cli.main import run  # with it comes click

        sys.exit(run(line))
    status = quick.answer(line)
    if status:
        sys.exit(status)
    with suppress(OSError):
        sys.stderr.flush()
    # All is written and nothing is open: taking down the interpreter would be a tenth of the whole run.
    os._exit(status)
