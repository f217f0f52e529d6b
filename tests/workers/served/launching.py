"""Starts a server of Python's on a free port, asks it over HTTP, and ends it by its pid."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

LIMIT_S = 60.0


class Launched:
    """A process and its log; with a port, one that answers HTTP there."""

    def __init__(self, arguments: list[str], env: dict[str, str], log: Path, *, port: int = 0) -> None:
        self.port = port
        self.log = log
        self._arguments = arguments
        self._env = env

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._arguments],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self.port:
            self.wait(lambda: bool(self.asks()))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # its own session: nobody else is in the group
            self._process.wait()

    def wait(self, what: Any) -> None:
        """Until it is so, and the process lives."""
        end = time.monotonic() + LIMIT_S
        while True:
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            try:
                if what():
                    return
            except OSError:
                pass
            time.sleep(0.05)

    def asks(self, words: str = "x", token: str | None = None, path: str = "/") -> dict[str, Any]:
        """GET a token for these words, or POST one to be opened."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request(*(("GET", f"{path}?{words}") if token is None else ("POST", path, token)))
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, (answer.status, self.log.read_text())
            said: dict[str, Any] = json.loads(body)
            return said
        finally:
            connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
