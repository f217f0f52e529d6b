"""The example site in a process of its own, a Redis for its cache where one is at hand, and who asks it."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from examples.demo.stage import Person, Stage, UntrueError

START_S = 30.0
_BOUNDARY = "a-line-that-no-document-has"


class Site:
    """`manage.py runserver` as the role account, on a free port of 127.0.0.1. Ended with the stage."""

    def __init__(self, stage: Stage, role: Person) -> None:
        self.port = _free_port()
        self._token = ""
        arguments = [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{self.port}"]
        stage.typed(role.name, f"python manage.py runserver --noreload 127.0.0.1:{self.port} &")
        self._log = stage.place / "logs" / "runserver.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                arguments,
                cwd=role.directory,
                env=role.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that Ctrl-C reaches the demonstration alone, which then ends the site
            )
        stage.held.callback(self.stop)
        self._wait()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it is still the process that was started."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it, by its pid."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def asks(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """GET a path, or POST a form to it: the status and the body."""
        if form is None:
            status, _, body = self._request("GET", path)
        else:
            status, _, body = self._posts(path, urlencode(form).encode(), "application/x-www-form-urlencoded")
        return status, body.decode()

    def uploads(self, path: str, field: str, name: str, content: bytes) -> dict[str, Any]:
        """POST a file, as a browser does: what was answered."""
        line = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
        body = line.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()
        status, _, answer = self._posts(path, body, f"multipart/form-data; boundary={_BOUNDARY}")
        if status != 201:
            raise UntrueError(f"{path} answered {status}; the site's log ends with: {self._tail()}")
        told: dict[str, Any] = json.loads(answer)
        return told

    def downloads(self, path: str) -> bytes:
        """GET a path: its body, as it is."""
        status, _, body = self._request("GET", path)
        if status != 200:
            raise UntrueError(f"{path} answered {status}; the site's log ends with: {self._tail()}")
        return body

    def _posts(self, path: str, body: bytes, kind: str) -> tuple[int, str, bytes]:
        if not self._token:
            _, cookie, _ = self._request("GET", "/", accept="text/html")
            self._token = cookie.partition(";")[0].removeprefix("csrftoken=")
        return self._request("POST", path, body, {"Content-Type": kind, "X-CSRFToken": self._token})

    def _request(
        self,
        verb: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            cookie = {"Cookie": f"csrftoken={self._token}"} if self._token else {}
            connection.request(verb, path, body, {"Accept": accept, **cookie, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.getheader("Set-Cookie", ""), answer.read()
        finally:
            connection.close()

    def tells(self, path: str, form: dict[str, str] | None = None) -> dict[str, Any]:
        """`asks`, where success and JSON are expected."""
        status, body = self.asks(path, form)
        if status not in {200, 201}:
            raise UntrueError(f"{path} answered {status}; the site's log ends with: {self._tail()}")
        told: dict[str, Any] = json.loads(body)
        return told

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise UntrueError(f"the site did not start; its log ends with: {self._tail()}")
            try:
                self.asks("/health/")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise UntrueError(f"the site did not answer within {START_S:g} s")

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


class Redis:
    """A Redis of our own for the demonstration, or none: then the cache is in the site's memory."""

    def __init__(self, stage: Stage, *, wanted: bool = True) -> None:
        self.url = ""
        self._dump = stage.place / "redis" / "dump.rdb"
        if not wanted:
            return
        try:
            import redis  # noqa: F401  Django's Redis backend needs it; the site does without either
            from tests.support.redis_server import NoRedisServerError, RedisServer
        except ImportError:
            return
        self._dump.parent.mkdir()
        options = ("--dir", str(self._dump.parent), "--rdbcompression", "no")
        try:
            self._server = stage.held.enter_context(RedisServer(options))
        except NoRedisServerError:
            return
        self.url = self._server.url

    def __bool__(self) -> bool:
        return bool(self.url)

    def dump(self) -> bytes:
        """All that it holds, as it would write it to its disk, and all that it logged."""
        answer = self._server.command("SAVE")
        if answer != b"+OK\r\n":
            raise UntrueError(f"redis answered SAVE with {answer!r}")
        raw = self._dump.read_bytes()
        self._dump.unlink()
        return raw + self._server.log().encode()

    def holds(self) -> int:
        """How many entries it has."""
        return int(self._server.command("DBSIZE").strip().removeprefix(b":"))


def environment_of(pid: int) -> bytes:
    """What the system shows of a process: its arguments and its environment; empty where there is no /proc."""
    place = Path("/proc") / str(pid)
    return b"".join((place / name).read_bytes() for name in ("cmdline", "environ") if (place / name).exists())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
