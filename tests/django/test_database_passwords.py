"""The database's password is a secret that rotates: on a real PostgreSQL, and a real MariaDB by PyMySQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.django.sites import making
from tests.support.databases import MariaDB, PostgreSQL, _program

pytestmark = [pytest.mark.slow, pytest.mark.machine]

PAGE = "database-passwords.md"


class WithPasswords(PostgreSQL):
    """It lets `site` in with a password only."""

    def prepare(self) -> None:
        super().prepare()
        everyone = "host all registrar 127.0.0.1/32 trust\nhost all site 127.0.0.1/32 scram-sha-256\n"
        (self._directory / "data" / "pg_hba.conf").write_text(everyone)


class MariaDBWithPasswords(MariaDB):
    """It has accounts, and lets its administrator in without a password."""

    def command(self) -> list[str]:
        return [word for word in super().command() if word != "--skip-grant-tables"]

    def ask(self, statement: str) -> bool:
        where = ["--no-defaults", "-h", "127.0.0.1", "-P", str(self.port), "--protocol=tcp", "-u", "root"]
        return self._run([_program("mariadb"), *where, "-e", statement]).returncode == 0


def test_postgresql_lets_new_connections_in_after_a_rotation(tmp_path: Path) -> None:
    making.make(PAGE, tmp_path, database_password=b"first")
    with WithPasswords() as server:
        assert server.ask("CREATE ROLE site LOGIN PASSWORD 'first'")
        done = making.run(
            "database_password.py",
            tmp_path,
            DATABASE_PORT=str(server.port),
            CHANGE_PASSWORD="ALTER ROLE site PASSWORD {}",
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_mariadb_lets_new_connections_in_after_a_rotation(tmp_path: Path) -> None:
    making.make(PAGE, tmp_path, database_password=b"first")
    settings = (tmp_path / "settings.py").read_text().replace("backends.postgresql", "backends.mysql")
    # PyMySQL under the name, and the version, of the driver that Django asks for
    as_mysqldb = 'import pymysql\n\npymysql.version_info = (2, 2, 8, "final", 0)\npymysql.install_as_MySQLdb()\n'
    (tmp_path / "settings.py").write_text(as_mysqldb + settings)
    with MariaDBWithPasswords() as server:
        assert server.ask("CREATE USER site IDENTIFIED BY 'first'; GRANT ALL ON registrar.* TO site;")
        done = making.run(
            "database_password.py",
            tmp_path,
            DATABASE_PORT=str(server.port),
            CHANGE_PASSWORD="SET PASSWORD = PASSWORD({})",
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
