"""Runs the command `strongroom`: as a program of its own, on a terminal, or within this process."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.waiting import until_it_waits

STRONGROOM = str(Path(sys.executable).parent / "strongroom")
LIMIT_S = 60.0
# Makes descriptor 0 the terminal that one may ask on, and becomes the program.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended, and what it wrote."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode()

    @property
    def plain(self) -> str:
        """What a terminal showed, without what makes it bold."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.stderr)

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> Any:
        """The last line of stderr, as --json writes errors."""
        return json.loads(self.stderr.splitlines()[-1])


def program(
    *argv: str,
    cwd: Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Ran:
    """`strongroom ARGV` as a program with no terminal; `env` is added to this process's environment."""
    done = subprocess.run(
        [STRONGROOM, *argv],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=LIMIT_S,
        env={**os.environ, **(env or {})},
        pass_fds=pass_fds,
        start_new_session=True,  # no terminal of whoever runs the tests
    )
    return Ran(done.returncode, done.stdout, done.stderr.decode())


def within(*argv: str, stdin: bytes = b"") -> Ran:
    """`strongroom ARGV` within this process: its directory, its environment, streams of its own."""
    from strongroom.cli.main import run

    streams = sys.stdin, sys.stdout, sys.stderr
    out, err = io.BytesIO(), io.BytesIO()
    # named, because a wrapper that is gone closes what it wraps
    ours = [io.TextIOWrapper(raw, encoding="utf-8", write_through=True) for raw in (io.BytesIO(stdin), out, err)]
    sys.stdin, sys.stdout, sys.stderr = ours
    try:
        status = run(list(argv))
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
    return Ran(status, out.getvalue(), err.getvalue().decode())


def on_terminal(
    *argv: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    answers: Sequence[tuple[str, str]] = (),
    columns: int = 80,
    keep_stdout: bool = False,
) -> Ran:
    """`strongroom ARGV` on a terminal of its own; `stderr` of the result is all that the terminal showed.

    answers: what to type once a text was shown. keep_stdout: stdout is a pipe, and only the rest is on the terminal.
    """
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **(env or {})}
    environment.pop("COLUMNS", None)
    child = subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL, STRONGROOM, *argv],
        cwd=cwd,
        env=environment,
        stdin=slave,
        stdout=subprocess.PIPE if keep_stdout else slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        shown = _converse(master, child.pid, list(answers))
        data = child.stdout.read() if child.stdout is not None else b""
        return Ran(child.wait(LIMIT_S), data, shown)
    finally:
        os.close(master)
        if child.poll() is None:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _converse(master: int, pid: int, answers: list[tuple[str, str]]) -> str:
    deadline = time.monotonic() + LIMIT_S
    shown, heard = b"", 0
    while True:
        ready, _, _ = select.select([master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError(f"the program waits; the terminal shows {shown!r}")
        try:
            piece = os.read(master, 65536)
        except OSError:  # EIO: the last one who had the terminal open is gone
            piece = b""
        if not piece:
            return shown.decode(errors="surrogateescape").replace("\r\n", "\n")
        shown += piece
        if answers and answers[0][0].encode() in shown[heard:]:
            heard = len(shown)
            until_it_waits(pid)
            os.write(master, answers.pop(0)[1].encode())
