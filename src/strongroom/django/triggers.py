"""The trigger of a column that is being encrypted: who changes the plaintext alone takes the cell away.

Processes of the former release know the plaintext only. Without the trigger a newer plaintext would stand beside a
cell with the older value, and the cell is what is read. Whoever writes both at once leaves both.
"""

from __future__ import annotations

import hashlib
from typing import Any


def put(connection: Any, table: str, plain: str, cell: str) -> list[str]:
    """The statements that make it, or put it in place of one that is there.

    Where they are no transaction, there is no moment without it (MySQL alone has no statement for that).
    """
    made = create(connection, table, plain, cell)
    if getattr(connection, "mysql_is_mariadb", False):
        return [each.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1) for each in made]
    return [*drop(connection, table, plain), *made]


def create(connection: Any, table: str, plain: str, cell: str) -> list[str]:
    """The statements that make it."""
    quote = connection.ops.quote_name
    name, on, old, new = quote(_name(table, plain)), quote(table), quote(plain), quote(cell)
    if connection.vendor == "postgresql":
        body = (
            f"BEGIN IF NEW.{old} IS DISTINCT FROM OLD.{old} AND NEW.{new} IS NOT DISTINCT FROM OLD.{new}"
            f" THEN NEW.{new} := NULL; END IF; RETURN NEW; END"
        )
        return [
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {on} FOR EACH ROW EXECUTE FUNCTION {name}()",
        ]
    if connection.vendor == "sqlite":
        when = f"NEW.{old} IS NOT OLD.{old} AND NEW.{new} IS OLD.{new}"
        body = f"UPDATE {on} SET {new} = NULL WHERE rowid = NEW.rowid"  # noqa: S608  names of the model, quoted
        return [f"CREATE TRIGGER {name} AFTER UPDATE OF {old} ON {on} FOR EACH ROW WHEN {when} BEGIN {body}; END"]
    # BINARY, for a collation would take another case, or a blank at the end, for the same text
    when = f"NOT (BINARY NEW.{old} <=> BINARY OLD.{old}) AND NEW.{new} <=> OLD.{new}"
    body = f"IF {when} THEN SET NEW.{new} = NULL; END IF"
    return [f"CREATE TRIGGER {name} BEFORE UPDATE ON {on} FOR EACH ROW {body}"]


def drop(connection: Any, table: str, plain: str) -> list[str]:
    """The statements that take it away, if it is there."""
    name, on = connection.ops.quote_name(_name(table, plain)), connection.ops.quote_name(table)
    if connection.vendor == "postgresql":
        return [f"DROP TRIGGER IF EXISTS {name} ON {on}", f"DROP FUNCTION IF EXISTS {name}()"]
    return [f"DROP TRIGGER IF EXISTS {name}"]


def _name(table: str, column: str) -> str:
    return "strongroom_" + hashlib.sha256(f"{table}.{column}".encode()).hexdigest()[:16]
