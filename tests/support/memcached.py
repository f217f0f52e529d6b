"""A real memcached on a free port of 127.0.0.1, ended by its pid."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import Self


class NoMemcachedError(RuntimeError):
    """Not installed, or it does not start."""


class Memcached:
    """One server. `options` are its own, as in `("-I", "4m")`."""

    def __init__(self, options: Sequence[str] = ()) -> None:
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def location(self) -> str:
        """As CACHES has it."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        program = shutil.which("memcached")
        if program is None:
            raise NoMemcachedError("there is no memcached on PATH: apt-get install memcached")
        for _ in range(5):  # another process may take the free port before the server does
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = int(probe.getsockname()[1])
            user = ["-u", "root"] if os.geteuid() == 0 else []
            self._process = subprocess.Popen(
                [program, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", *user, *self._options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if self._answers():
                return self
            self.__exit__()
        raise NoMemcachedError(f"{program} did not start")

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(5)

    def _answers(self) -> bool:
        deadline = time.monotonic() + 10
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as asked:
                asked.sendall(b"stats\r\n")
                # the process's number is in the answer: a stranger's server must not be taken for ours
                if b"STAT pid %d\r\n" % self._process.pid in asked.recv(65536):
                    return True
            time.sleep(0.02)
        return False
