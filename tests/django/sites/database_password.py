"""The same site with its database, a real one that wants a password: it changes, and no process is restarted."""

from __future__ import annotations

import copy
import os

import pytest
from django.conf import settings
from django.db import connections
from django.db.utils import OperationalError

import strongroom
from strongroom.django import keystores
from tests.django.sites.making import until

connection = connections["default"]
CHANGE = os.environ["CHANGE_PASSWORD"]  # the statement by which a user changes his own password


def answers() -> bool:
    """Whether a new connection is let in, and works."""
    connection.close()
    try:
        return asked("SELECT 42") == 42
    except OperationalError:
        return False


def asked(statement: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def rotate_elsewhere(value: str) -> None:
    with strongroom.open(settings.STRONGROOM["default"]["STORE"]) as another_process:
        another_process.rotate("database-password", now=True, value=value.encode())


def test_the_database_wants_the_password() -> None:
    assert answers()
    with pytest.raises(OperationalError):
        type(connection)({**connection.settings_dict, "PASSWORD": "wrong"}, "wrong").ensure_connection()


@pytest.mark.parametrize("new", ["second one", 'it\'s \\ "quoted" = 3'])
def test_new_connections_have_the_new_password_and_open_ones_stay(new: str) -> None:
    assert answers()
    quoted = new.replace("\\", "\\\\").replace("'", "\\'") if connection.vendor == "mysql" else new.replace("'", "''")
    asked(CHANGE.format(f"'{quoted}'"))
    assert asked("SELECT 1") == 1  # the open connection
    assert not answers()  # the database has changed, the store has not yet
    rotate_elsewhere(new)
    until(answers)


def test_a_copy_of_the_connection_for_another_thread_has_it_too() -> None:
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT 7")
        assert cursor.fetchone() == (7,)
    other.close()
    assert copy.deepcopy(settings.DATABASES)["default"]["PASSWORD"] == settings.DATABASES["default"]["PASSWORD"]


def test_the_databases_own_client_gets_it_by_its_environment() -> None:
    _, environ = connection.client.settings_to_cmd_args_env(connection.settings_dict, [])
    password = keystores["default"].secret("database-password").reveal_text()
    assert password in {str(value) for value in environ.values()}


def test_a_dict_for_drivers_in_c_is_let_in_as_well() -> None:
    other = type(connection)(strongroom.database(connection.settings_dict), "other")
    with other.cursor() as cursor:
        cursor.execute("SELECT 7")
        assert cursor.fetchone() == (7,)
    other.close()
