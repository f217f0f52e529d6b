"""One run of gpg: nothing inherited, everything bounded, its process group ended with it. It judges nothing.

Material passes through here as SecretBytes and inside objects, so that the locals of any frame show lengths only.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from strongroom._clock import SYSTEM_CLOCK
from strongroom._closing import let_go
from strongroom.errors import AgentError, EngineMissingError, PassphraseError
from strongroom.openpgp.status import MAX_STATUS
from strongroom.primitives.secret import SecretBytes

MAX_STDERR = 8192
"""Bytes of stderr that are kept; more is read and dropped."""
MAX_PASSPHRASE = 4096
"""Bytes of a passphrase: it must fit into a pipe that nobody reads yet."""

_CHUNK = 65_536
_NOTHING = SecretBytes(b"")

Ending = Literal["itself", "time", "output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a run left. `ended` says whether gpg ended by itself, or was killed for the time or for its output."""

    returncode: int
    stdout: SecretBytes
    status: bytes
    stderr: bytes
    ended: Ending

    @property
    def last_words(self) -> str:
        """The last line of stderr for a message: quoted, so that no terminal obeys it; never for a decision."""
        lines = self.stderr.decode("utf-8", "backslashreplace").strip().split("\n")
        return repr(lines[-1].removeprefix("gpg: ")[:200])


def run(
    program: Path,
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: SecretBytes = _NOTHING,
    passphrase: SecretBytes | None = None,
    inherited: Sequence[int] = (),
    limit: int,
    timeout: float | None,
) -> Finished:
    """Run `program --status-fd N arguments`, with a passphrase on a descriptor where there is one.

    Nothing else of ours stays open in it but the `inherited` descriptors.

    More than `limit` bytes of output, or `timeout` seconds (None: a person may be typing), end it by SIGKILL to its
    group. EngineMissingError if it cannot be started, PassphraseError for a passphrase that gpg cannot take.
    """
    with contextlib.ExitStack() as pipes:
        status = pipes.enter_context(_Pipe())
        options = ["--status-fd", str(status.write)]
        given = [status.write, *inherited]
        if passphrase is not None:
            secret = pipes.enter_context(_Pipe())
            _hand_over(passphrase, secret)
            options += ["--passphrase-fd", str(secret.read)]
            given.append(secret.read)
        try:
            process = subprocess.Popen(
                [program, *options, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=given,
                env=dict(env),
                cwd="/",  # not where we stand, which may be a repository
                process_group=0,
            )
        except OSError as error:
            raise EngineMissingError(
                f"{str(program)!r} cannot be started: {error.strerror}", hint="install gpg, or name it in GPG"
            ) from None
        with _ended(process):
            status.close_write()
            return _Talk(process, status.read, stdin, limit).finish(timeout)


def _hand_over(passphrase: SecretBytes, pipe: _Pipe) -> None:
    """Write it into the pipe, and close that end: gpg reads one line."""
    if len(passphrase) > MAX_PASSPHRASE:
        raise PassphraseError(f"the passphrase has {len(passphrase)} bytes; the limit is {MAX_PASSPHRASE}")
    if any(forbidden in passphrase.reveal() for forbidden in (b"\n", b"\0")):
        raise PassphraseError("the passphrase has a line end or a zero byte in it, which gpg does not take")
    os.write(pipe.write, passphrase.reveal())  # fits: a pipe holds at least 64 KiB
    pipe.close_write()


class _Pipe:
    """Two descriptors that no child inherits unless it is given them."""

    def __init__(self) -> None:
        try:
            self.read, self.write = os.pipe()
        except OSError as error:
            raise AgentError(f"no pipe to gpg: {error.strerror}", hint="see 'ulimit -n'") from None

    def __enter__(self) -> Self:
        return self

    def close_write(self) -> None:
        if self.write >= 0:
            let_go(self.write)
            self.write = -1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        let_go(self.read)
        self.close_write()


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever happens inside, an interrupt too, the group is gone and the pipes are closed afterwards."""
    try:
        yield
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


class _Sink:
    """Bytes from one descriptor, up to a limit."""

    __slots__ = ("_chunks", "_fd", "_limit", "_size")

    def __init__(self, fd: int, limit: int) -> None:
        os.set_blocking(fd, False)
        self._fd, self._limit, self._size = fd, limit, 0
        self._chunks: list[bytes] = []

    def fill(self) -> bool:
        """Take what is there; False at the end of the stream."""
        try:
            chunk = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return True
        self._size += len(chunk)
        if self._size <= self._limit:
            self._chunks.append(chunk)
        return bool(chunk)

    @property
    def over(self) -> bool:
        return self._size > self._limit

    def secret(self) -> SecretBytes:
        return SecretBytes(b"".join(self._chunks))

    def plain(self) -> bytes:
        return b"".join(self._chunks)


class _Source:
    """Bytes for one descriptor."""

    __slots__ = ("_left", "_stream")

    def __init__(self, stream: IO[bytes], data: SecretBytes) -> None:
        os.set_blocking(stream.fileno(), False)
        self._stream = stream
        self._left = memoryview(data.reveal())

    def pour(self) -> bool:
        """Write what fits; False when all is written, or nobody wants more."""
        try:
            self._left = self._left[os.write(self._stream.fileno(), self._left[:_CHUNK]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self._left = self._left[:0]
        return bool(self._left)

    def close(self) -> None:
        self._stream.close()


class _Talk:
    """The conversation with one running gpg."""

    def __init__(self, process: subprocess.Popen[bytes], status_fd: int, stdin: SecretBytes, limit: int) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: S101, PT018  for the type checker
        self._process = process
        self._source = _Source(process.stdin, stdin)
        self._stdin_fd = process.stdin.fileno()
        self._sinks = {
            process.stdout.fileno(): (stdout := _Sink(process.stdout.fileno(), limit)),
            status_fd: (status := _Sink(status_fd, MAX_STATUS)),
            process.stderr.fileno(): (stderr := _Sink(process.stderr.fileno(), MAX_STDERR)),
        }
        self._stdout, self._status, self._stderr = stdout, status, stderr

    def finish(self, timeout: float | None) -> Finished:
        deadline = None if timeout is None else SYSTEM_CLOCK.monotonic() + timeout
        ended = self._listen(deadline)
        if ended == "itself":
            try:
                self._process.wait(None if deadline is None else max(0.0, deadline - SYSTEM_CLOCK.monotonic()))
            except subprocess.TimeoutExpired:
                ended = "time"
        if ended != "itself":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        return Finished(
            returncode=self._process.returncode,
            stdout=self._stdout.secret(),
            status=self._status.plain(),
            stderr=self._stderr.plain(),
            ended=ended,
        )

    def _listen(self, deadline: float | None) -> Ending:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdin_fd, selectors.EVENT_WRITE)
            for fd in self._sinks:
                selector.register(fd, selectors.EVENT_READ)
            while len(selector.get_map()) > 0:
                left = None if deadline is None else deadline - SYSTEM_CLOCK.monotonic()
                if left is not None and left <= 0:
                    return "time"
                for key, _ in selector.select(left):
                    fd = key.fd
                    more = self._source.pour() if fd == self._stdin_fd else self._sinks[fd].fill()
                    if more:
                        continue
                    selector.unregister(fd)
                    if fd == self._stdin_fd:
                        self._source.close()  # the end of the message, for gpg
                if self._stdout.over or self._status.over:
                    return "output"
        return "itself"
