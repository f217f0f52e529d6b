"""A home of its own for each test process. The person's home, keyring and git configuration are never seen."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

# What a person's shell may hold and a test must not inherit.
_REMOVED_PREFIXES = ("STRONGROOM_", "BLACKBOX", "GIT_", "XDG_", "DJANGO_", "GPG_", "PINENTRY_", "REDIS_")
_REMOVED = ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", "VCSTYPE", "VCS_TYPE")


class PrivateHome:
    """Puts HOME and its kin under one new directory of /tmp while entered, and puts all back on leaving.

    `directory` is short, because the path of an agent's socket may have at most 107 bytes.
    """

    def __init__(self) -> None:
        self._before: dict[str, str] = {}
        self.directory = Path("/nonexistent")

    def __enter__(self) -> Self:
        self._before = dict(os.environ)
        self.directory = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
        for name in list(os.environ):
            if name.startswith(_REMOVED_PREFIXES) or name in _REMOVED:
                del os.environ[name]
        os.environ.update(self.variables())
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            Path(os.environ[name]).mkdir(mode=0o700)
        return self

    def variables(self) -> dict[str, str]:
        """The environment of every test and of every program that it starts."""
        base = self.directory
        return {
            "HOME": str(base / "home"),
            "GNUPGHOME": str(base / "home" / "no-gnupg-home"),  # not made: a test that forgets its own home fails
            "XDG_CONFIG_HOME": str(base / "config"),
            "XDG_CACHE_HOME": str(base / "cache"),
            "XDG_DATA_HOME": str(base / "data"),
            "XDG_STATE_HOME": str(base / "state"),
            "XDG_RUNTIME_DIR": str(base / "run"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada Author",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada Author",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
            "GIT_TERMINAL_PROMPT": "0",
            "NO_COLOR": "1",
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
        }

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self._before)
        shutil.rmtree(self.directory, ignore_errors=True)
