"""The stand-in for the original scripts as programs: a directory of `blackbox_*` commands, run in a work tree.

`python -m tests.support.original_commands VERB [NAME…]` is what each of them starts.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from tests.support.gpg import GpgHome
from tests.support.original_blackbox import Original, OriginalError

COMMANDS = {
    "blackbox_cat": "cat",
    "blackbox_postdeploy": "postdeploy",
    "blackbox_register_new_file": "register_new_file",
    "blackbox_shred_all_files": "shred_all_files",
    "blackbox_update_all_files": "update_all_files",
}
_ROOT = Path(__file__).parents[2]


def install(directory: Path) -> None:
    """Write the commands into a directory."""
    directory.mkdir(parents=True)
    for name, verb in COMMANDS.items():
        path = directory / name
        # -S, -E: it needs nothing that is installed, so that its start costs what a shell script's does
        start = f"{shlex.quote(sys.executable)} -S -c {shlex.quote(_MAIN)} {verb}"
        path.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(_ROOT))} exec {start} "$@"\n')
        path.chmod(0o755)


_MAIN = "from tests.support.original_commands import main; main()"


def main() -> None:
    """One command, as the user whose home GNUPGHOME is, in the repository around."""
    verb, *names = sys.argv[1:]
    original = Original(Path.cwd(), GpgHome(Path(os.environ["GNUPGHOME"])), path=os.environ["PATH"])
    try:
        said = getattr(original, verb)(*names)
    except OriginalError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.status)
    finally:
        original.close()
    if isinstance(said, bytes):
        sys.stdout.buffer.write(said)
