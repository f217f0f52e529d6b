"""What is remembered outside the repository, where those who write to it cannot reach: one private file a purpose."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from strongroom._encoding import encode_fields
from strongroom.blackbox.files import sync_directory
from strongroom.errors import FormatError, SettingsError, StoreError

MAX_STATE = 32 * 1024 * 1024
"""Bytes of such a file."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def directory(environ: Mapping[str, str]) -> Path:
    """`blackbox` below STRONGROOM_STATE, else `$XDG_STATE_HOME/strongroom`, else `~/.local/state/strongroom`.

    SettingsError where there is none of them: a random uid in a container.
    """
    if state := environ.get("STRONGROOM_STATE"):
        return Path(state).absolute() / "blackbox"
    above = environ.get("XDG_STATE_HOME", "")
    if not above.startswith("/"):  # the XDG specification has relative ones ignored
        home = environ.get("HOME", "")
        if not home.startswith("/"):
            raise SettingsError(
                "there is no directory to remember anything in", hint="set STRONGROOM_STATE to one of this account's"
            )
        above = str(Path(home) / ".local" / "state")
    return Path(above) / "strongroom" / "blackbox"


def path_of(environ: Mapping[str, str], root: Path, data: str, purpose: str) -> Path:
    """The file for one checkout and one of its environments. Its name tells nothing of either."""
    mark = hashlib.sha256(encode_fields(os.fsencode(root), os.fsencode(data))).hexdigest()[:32]
    return directory(environ) / f"{mark}.{purpose}.json"


def read(path: Path) -> bytes | None:
    """The contents; None before the first time. StoreError if anybody else could have written it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {str(path)!r}: {error.strerror}", hint=f"ls -l {str(path)!r}") from None
    with os.fdopen(file, "rb") as stream:
        for status in (os.fstat(file), path.parent.stat()):
            if status.st_uid not in {os.getuid(), 0} or stat.S_IMODE(status.st_mode) & 0o022:
                raise StoreError(
                    f"{str(path)!r} could be written by others, and is not believed",
                    hint=f"look at it, then: chmod 0600 {str(path)!r}; chmod 0700 {str(path.parent)!r}",
                )
        if not stat.S_ISREG(os.fstat(file).st_mode) or os.fstat(file).st_size > MAX_STATE:
            raise FormatError(f"{str(path)!r} is no file of ours", hint=f"rm -- {str(path)!r}")
        return stream.read(MAX_STATE)


def write(path: Path, raw: bytes) -> None:
    """Have the file hold `raw`, 0600, whole or not at all. StoreError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(temporary, _NEW, 0o600), "wb") as stream:
                stream.write(raw)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(
            f"cannot write {str(path)!r}: {error.strerror}", hint="set STRONGROOM_STATE to a directory of this account"
        ) from None
