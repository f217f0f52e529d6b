"""Which GnuPG this is, by its own word. It is asked nothing else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from typing import Final

from strongroom.errors import EngineMissingError, OpenPGPError
from strongroom.openpgp.surroundings import SAFE_PATH, find_program

SAFE: Final = (2, 2, 8)
"""The first release in which the name of a file in a message can forge no status line (CVE-2018-12020)."""

_FIRST_LINE: Final = re.compile(rb"gpg \(GnuPG[^)]*\) ([0-9]+)\.([0-9]+)\.([0-9]+)")


def gpg_version(environ: Mapping[str, str]) -> tuple[int, int, int]:
    """The version of the gpg that would be called. EngineMissingError; OpenPGPError where it says none."""
    program = find_program(environ)
    try:
        said = subprocess.run(
            [program, "--version"],
            env={"PATH": environ.get("PATH", SAFE_PATH), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=10,
        ).stdout
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise EngineMissingError(f"cannot start {str(program)!r}: {error}", hint="gpg --version") from None
    found = _FIRST_LINE.match(said)
    if found is None:
        raise OpenPGPError(f"{str(program)!r} does not say which GnuPG it is", hint="gpg --version")
    major, minor, patch = map(int, found.groups())
    return major, minor, patch
