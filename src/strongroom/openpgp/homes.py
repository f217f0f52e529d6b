"""Private GnuPG homes: ours alone, short of path, gone with their agent. No tracked directory is ever a home."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from strongroom._closing import let_go
from strongroom.errors import StoreError

if TYPE_CHECKING:
    import socket

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path: sun_path has 108, the last of them zero (unix(7))."""

KEYRINGS = ("pubring.kbx", "pubring.gpg")
"""Where gpg keeps the public keys of a home."""

_SOCKET = "S.gpg-agent"
_LOCK = "owned"
_PREFIX = "strongroom-"
# A home's longest socket is S.gpg-agent.browser; mkdtemp adds eight characters to the prefix.
_MAX_BASE = MAX_SOCKET_PATH - len(f"/{_PREFIX}xxxxxxxx/S.gpg-agent.browser")
_PATIENCE = 2.0
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
# The agent of a private home keeps no passphrase, and looks for no card. A fixed count of hashing for protected keys
# spares each new agent some seconds of calibration; it is about what that finds.
_AGENT_CONF = b"""\
default-cache-ttl 0
max-cache-ttl 0
no-allow-external-cache
disable-scdaemon
s2k-count 33554432
"""


@dataclass(frozen=True, slots=True)
class UsersHome:
    """The home of the person or service that we run as. We never write there."""

    path: Path


class PrivateHome:
    """A new directory of mode 0700, in memory where the machine has such a place, with an agent of its own.

    It goes on `close`, when nobody holds it any more, or at the end of the process that made it; a forked child
    neither removes nor should use it (`mine`). What a killed process left is removed by the next one that makes a home.
    """

    def __init__(self, environ: Mapping[str, str], *, bases: Iterable[str] | None = None) -> None:
        """In the first of the `bases` that will do, which are those of `places`; StoreError if none does."""
        self.path = _new_directory(places(environ) if bases is None else bases)
        self._pid = os.getpid()
        try:
            lock = _furnish(self.path)
        except OSError as error:
            shutil.rmtree(self.path, ignore_errors=True)
            raise StoreError(f"{str(self.path)!r} cannot be used: {error.strerror}", hint="set TMPDIR") from None
        self._finalizer = weakref.finalize(self, _leave, self.path, self._pid, lock)

    @property
    def mine(self) -> bool:
        """Made by this process, and still there."""
        return self._finalizer.alive and self._pid == os.getpid()

    def close(self) -> None:
        """End the agent and remove the directory; again is harmless."""
        self._finalizer()


Home = UsersHome | PrivateHome
"""Hold it for as long as gpg uses its path: a private one goes with its last holder."""


def is_directory(path: Path | None) -> TypeGuard[Path]:
    """And one that we may look into: what is not, is no home of ours."""
    try:
        return path is not None and path.is_dir()
    except OSError:
        return False


def has_keyring(home: Path | None) -> TypeGuard[Path]:
    """Whether there are public keys: gpg would make a keyring where there is none."""
    return is_directory(home) and any((home / name).exists() for name in KEYRINGS)


def agent_answers(socket_path: Path) -> bool:
    """Whether something listens there. It may still be hung: only a time limit tells."""
    try:
        with _connected(socket_path):
            return True
    except OSError:
        return False


def places(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where a home may lie: in memory first, because identities are written into it."""
    return (environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm", environ.get("TMPDIR", ""), "/tmp")  # noqa: S108  mkdtemp makes it 0700 and new


def _new_directory(bases: Iterable[str]) -> Path:
    import tempfile  # 3 ms that `blackbox cat`, which makes no home, is spared

    for base in bases:
        if base.startswith("/") and len(os.fsencode(base)) <= _MAX_BASE:
            with contextlib.suppress(OSError):
                _sweep(Path(base))
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    raise StoreError("no temporary directory for gpg can be made, in memory or on disk", hint="set TMPDIR")


def _furnish(home: Path) -> int:
    """Write the agent's settings, and take the lock that ends with this process, however it ends.

    The lock appears under its name once it is held, so that nobody sweeps a home that is being made.
    """
    conf = os.open(home / "gpg-agent.conf", _NEW_FILE, 0o600)
    try:
        os.write(conf, _AGENT_CONF)
    finally:
        os.close(conf)
    lock = os.open(home / "new", _NEW_FILE, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (home / "new").rename(home / _LOCK)
    except OSError:
        let_go(lock)
        raise
    return lock


def _sweep(base: Path) -> None:
    """Remove homes of ours whose process was killed: an identity may lie in them, and its agent may still run."""
    for home in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = home.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue
            lock = os.open(home / _LOCK, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(home)
            finally:
                let_go(lock)


def _leave(home: Path, pid: int, lock: int) -> None:
    if os.getpid() == pid:  # not in a forked child: the home is its parent's
        _remove(home)
        let_go(lock)


def _remove(home: Path) -> None:
    """The lock goes last: what is left by one who is killed meanwhile still says that it is nobody's."""
    _end_agent(home / _SOCKET)
    with contextlib.suppress(OSError):
        for entry in [each for each in home.iterdir() if each.name != _LOCK]:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
    shutil.rmtree(home, ignore_errors=True)


def _end_agent(socket_path: Path) -> None:
    """Ask the agent of this home to go; one that does not answer is killed."""
    try:
        with _connected(socket_path) as agent:
            agent.recv(1024)  # its greeting
            agent.sendall(b"KILLAGENT\n")
            while agent.recv(1024):
                pass
    except TimeoutError:
        for pid in _agents_of(socket_path.parent):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    except OSError:
        return  # there is none


def _agents_of(home: Path) -> Iterator[int]:
    """Process ids of the agents that were started for this home; nothing where the system has no /proc.

    The socket's peer credentials would name the process that opened it, which the daemon has outlived.
    """
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0].rpartition(b"/")[2] == b"gpg-agent" and os.fsencode(home) in words:
                yield int(entry.name)


@contextlib.contextmanager
def _connected(socket_path: Path) -> Iterator[socket.socket]:
    import socket  # 3 ms, for the few who talk to an agent themselves

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.settimeout(_PATIENCE)
        agent.connect(os.fspath(socket_path))
        yield agent
