"""A real PostgreSQL or MariaDB of our own: in a directory below /tmp, on a free port of 127.0.0.1, ended by its pid.

Both refuse to run as root; where the tests are root, the server runs as the account that its package made.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

_START_S = 90.0
_STOP_S = 60.0
_TRIES = 4


class NoDatabaseServerError(RuntimeError):
    """Its programs are not installed, or it does not start."""


class DatabaseServer:
    """One server with nothing in it but a database `registrar`; `settings` is an entry for Django's DATABASES."""

    account = ""
    engine = ""
    name = "registrar"

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix=f"sr-{self.account}-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        if os.geteuid() == 0:
            owner = pwd.getpwnam(self.account)
            os.chown(self._directory, owner.pw_uid, owner.pw_gid)

    def __enter__(self) -> Self:
        self.prepare()
        for _ in range(_TRIES):  # somebody else may take the free port before the server does
            self.port = _free_port()
            self._process = self._start(self.command())
            if self._answers():
                return self
            self._end()
        raise NoDatabaseServerError(f"{self.engine} did not start; its log ends with: {self.log()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self._end()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def settings(self) -> dict[str, Any]:
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the server's directory."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """What runs the server in the foreground."""
        raise NotImplementedError

    def ask(self, statement: str) -> bool:
        """Have the server do something; whether it did."""
        raise NotImplementedError

    def log(self) -> str:
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self._as_account(arguments), stdin=subprocess.DEVNULL, capture_output=True, cwd="/")

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self._directory / "log").open("ab") as log:
            return subprocess.Popen(
                self._as_account(arguments), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )

    def _as_account(self, arguments: Sequence[str]) -> list[str]:
        if os.geteuid() != 0:
            return list(arguments)
        return ["setpriv", f"--reuid={self.account}", f"--regid={self.account}", "--clear-groups", *arguments]

    def _answers(self) -> bool:
        deadline = time.monotonic() + _START_S
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            if self.ask(f"CREATE DATABASE {self.name}"):
                return True
            time.sleep(0.1)
        return False

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class PostgreSQL(DatabaseServer):
    """PostgreSQL, without a password and for this host only."""

    account = "postgres"
    engine = "postgresql"

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": self.name,
            "USER": "registrar",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
        }

    def prepare(self) -> None:
        done = self._run(
            [_program("initdb"), "-D", f"{self._directory}/data", "-U", "registrar", "--auth=trust", "-N", "-E", "UTF8"]
        )
        if done.returncode:
            raise NoDatabaseServerError(f"initdb: {done.stderr.decode(errors='replace')[-2000:]}")

    def command(self) -> list[str]:
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        said = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [_program("postgres"), "-D", f"{self._directory}/data", *said]

    def ask(self, statement: str) -> bool:
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "registrar", "-d", "postgres"]
        return self._run([_program("psql"), *where, "-qc", statement]).returncode == 0


class MariaDB(DatabaseServer):
    """MariaDB, without a password and for this host only. Django speaks to it by PyMySQL, under MySQLdb's name."""

    account = "mysql"
    engine = "mariadb"

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "ENGINE": "django.db.backends.mysql",
            "NAME": self.name,
            "USER": "registrar",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "OPTIONS": {"charset": "utf8mb4"},
        }

    def prepare(self) -> None:
        done = self._run(
            [
                _program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self._directory}/data",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ]
        )
        if done.returncode:
            raise NoDatabaseServerError(f"mariadb-install-db: {done.stderr.decode(errors='replace')[-2000:]}")

    def command(self) -> list[str]:
        return [
            _program("mariadbd"),
            "--no-defaults",
            f"--datadir={self._directory}/data",
            f"--socket={self._directory}/socket",
            f"--pid-file={self._directory}/pid",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-grant-tables",  # no accounts: whoever reaches 127.0.0.1 may do all
            "--skip-networking=0",
            "--innodb-flush-log-at-trx-commit=0",
            "--character-set-server=utf8mb4",
        ]

    def ask(self, statement: str) -> bool:
        where = ["--no-defaults", "-h", "127.0.0.1", "-P", str(self.port), "--protocol=tcp", "-u", "registrar"]
        return self._run([_program("mariadb"), *where, "-e", statement]).returncode == 0


SERVERS: dict[str, type[DatabaseServer]] = {"postgresql": PostgreSQL, "mariadb": MariaDB}


def _program(name: str) -> str:
    """On PATH or where Debian puts PostgreSQL's programs."""
    places = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *places]))
    if found is None:
        raise NoDatabaseServerError(f"there is no {name}: apt-get install postgresql mariadb-server")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
