"""What gpg is started with: the program, the user's home, and an environment built from nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from strongroom.errors import EngineMissingError

SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What pinentry needs to find the person in front of it, and nothing else of theirs.
_FOR_A_PERSON = (
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "PINENTRY_USER_DATA",
    "TERM",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
)


def find_program(environ: Mapping[str, str]) -> Path:
    """gpg as `GPG` names it, or from the absolute directories of PATH, or gpg2. EngineMissingError if there is none.

    `GPG` may carry options, as BlackBox allows; only its first word counts, because the options are ours to choose.
    """
    path = os.pathsep.join(place for place in environ.get("PATH", SAFE_PATH).split(os.pathsep) if place[:1] == "/")
    named = environ.get("GPG", "").split()[:1]
    for word in named or ["gpg", "gpg2"]:
        # a relative name with a slash would be looked up from wherever we stand, which may be a hostile repository
        found = shutil.which(word, path=path) if word[:1] == "/" or "/" not in word else None
        if found is not None:
            return Path(found)
    raise EngineMissingError(
        f"there is no {named[0] if named else 'gpg'!r} here",
        hint="install GnuPG (apt-get install gnupg), or open with another slot: strongroom doctor",
    )


def users_home(environ: Mapping[str, str]) -> Path | None:
    """Where gpg keeps this user's keys: GNUPGHOME, or .gnupg in the home directory. None where there is no home."""
    if environ.get("GNUPGHOME"):
        return Path(environ["GNUPGHOME"]).absolute()
    if environ.get("HOME"):
        return Path(environ["HOME"]).absolute() / ".gnupg"
    try:
        return Path.home() / ".gnupg"
    except RuntimeError:  # a random uid in a container
        return None


def terminal_of_person() -> str | None:
    """The terminal where somebody can be asked now; None for jobs in the background, pipes and services."""
    for fd in (0, 2, 1):
        try:
            if os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp():
                return os.ttyname(fd)
        except OSError:
            continue
    return None


def environment(program: Path, home: Path, environ: Mapping[str, str], *, terminal: str | None) -> dict[str, str]:
    """All that gpg and its agent learn of us. No STRONGROOM_ variable, no proxy, no locale, no loader path."""
    made = {
        "PATH": f"{SAFE_PATH}:{program.parent}",
        "LC_ALL": "C",
        "HOME": environ.get("HOME") or str(home),
        "GNUPGHOME": str(home),
    }
    if terminal is not None:
        made |= {name: environ[name] for name in _FOR_A_PERSON if environ.get(name)}
        made["GPG_TTY"] = terminal  # the real one: a shell's start files often leave "not a tty" there
    return made


def agent_socket(program: Path, home: Path, env: Mapping[str, str]) -> Path:
    """Where the agent of this home listens, as gpgconf beside gpg says; in the home itself where it does not say."""
    command = [str(program.parent / "gpgconf"), "--homedir", str(home), "--list-dirs", "agent-socket"]
    try:
        said = subprocess.run(command, env=dict(env), capture_output=True, check=True, timeout=5, cwd="/").stdout
    except (OSError, subprocess.SubprocessError):
        said = b""
    return Path(unquote(said.decode("utf-8", "surrogateescape").strip()) or home / "S.gpg-agent")
