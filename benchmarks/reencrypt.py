"""Re-encryption of a column, with one process and with two, against reading and saving its rows by the ORM.

python -m benchmarks.reencrypt

Every call moves all rows from one version to the other. The ORM saves in transactions as large as ours, and its rows
hold nothing but the column; without both it would be slower by far. `bulk_update` is the fastest that it has.
In SQLite, and in PostgreSQL and MariaDB where they are installed: SQLite lets one process write at a time.
"""

from __future__ import annotations

import sys
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings

import django
from benchmarks._timing import Row, main, measure

if not settings.configured:
    pymysql.version_info = (2, 2, 8, "final", 0)  # the version of mysqlclient whose interface Django asks for
    pymysql.install_as_MySQLdb()
    settings.configure(
        SECRET_KEY="a benchmark",  # noqa: S106  it protects nothing
        INSTALLED_APPS=["strongroom.django"],
        DATABASES={},
        USE_TZ=True,
    )
    django.setup()

from django.db import models, transaction
from django.test.utils import isolate_apps
from tests.django.tables import APP, tables
from tests.support.databases import MariaDB, NoDatabaseServerError, PostgreSQL

from strongroom.django.columns import Column
from strongroom.django.encrypted import encrypted
from strongroom.django.testing import override_keystore
from strongroom.django.workforce import move_all
from strongroom.keystore.facade import KeyStore

ROWS = 4_000
BATCH = 1_000

with isolate_apps():

    class Aead(models.Model):
        value = encrypted(models.CharField(max_length=40), keyset="columns")

        class Meta:
            app_label = APP

    class Token(models.Model):
        value = encrypted(models.CharField(max_length=40), keyset="tokens")

        class Meta:
            app_label = APP

    class Plain(models.Model):
        value = models.BinaryField()

        class Meta:
            app_label = APP


def rows() -> list[Row]:
    """Rows re-encrypted, per call; a figure divided by 4,000 is for one row."""
    found: list[Row] = []
    for where, database in _databases():
        with (
            tables(database, Aead, Token, Plain),
            override_keystore({"columns": "aes256-gcm", "tokens": "fernet"}) as keystore,
        ):
            for model, name in ((Aead, "columns"), (Token, "tokens")):
                keystore.add(name)
                model._base_manager.bulk_create(
                    [model(value=f"{number:032d}") for number in range(ROWS)], batch_size=BATCH
                )
                found += _against_the_orm(keystore, model, name, where)
            if where == "SQLite":
                found += _against_multifernet(keystore)
    return found


def _databases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each that is there, for as long as it is used; what is not is told."""
    with tempfile.TemporaryDirectory() as place:
        fast = {"init_command": "PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL"}
        yield "SQLite", {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(place) / "db.sqlite3", "OPTIONS": fast}
    for where, server in (("PostgreSQL", PostgreSQL), ("MariaDB", MariaDB)):
        try:
            with server() as running:
                yield where, running.settings
        except (NoDatabaseServerError, KeyError, OSError) as error:
            sys.stderr.write(f"bench: no {where} here, so it is left out: {error}\n")


def _flipped(keystore: KeyStore, name: str, work: Callable[[], object]) -> Callable[[], None]:
    """The work, after the other one of two versions was made primary."""

    def call() -> None:
        primary = keystore.current(name).primary
        keystore.promote(name, 2 if primary is None or primary.number == 1 else 1)
        work()

    return call


def _mover(model: type[models.Model], processes: int) -> Callable[[], object]:
    column = Column(model._meta.get_field("value"))

    def move() -> None:
        done = move_all(
            column, "default", processes=processes, size=BATCH, compromised_too=False, tell=lambda moved: None
        )
        assert done.moved == ROWS

    return move


def _saved(model: type[models.Model]) -> None:
    rows = list(model._base_manager.all())
    for start in range(0, len(rows), BATCH):
        with transaction.atomic():
            for row in rows[start : start + BATCH]:
                row.save(update_fields=["value"])


def _updated(model: type[models.Model]) -> None:
    model._base_manager.bulk_update(list(model._base_manager.all()), ["value"], batch_size=BATCH)


def _against_the_orm(keystore: KeyStore, model: type[models.Model], name: str, where: str) -> list[Row]:
    one, two, saved, updated = measure(
        [
            _flipped(keystore, name, work)
            for work in (
                _mover(model, 1),
                _mover(model, 2),
                lambda: _saved(model),
                lambda: _updated(model),
            )
        ],
        number=1,
        rounds=3,
    )
    what = f"{where}: re-encrypt {ROWS:,} rows, {keystore.show(name).type.value}"
    return [
        Row(f"{what}, one process", "save() of each row", one, saved, goal=3.0),
        Row(f"{what}, two processes", "save() of each row, one process", two, saved, goal=3.0),
        # a server spends most of it on the rows, whoever asks
        Row(f"{what}, one process", "bulk_update", one, updated, goal=3.0 if where == "SQLite" else 1.0),
    ]


def _against_multifernet(keystore: KeyStore) -> list[Row]:
    """The same rows, as a site without us would have them: tokens in a plain column, and MultiFernet.rotate."""
    opened = keystore.source.load("tokens")
    keys = [Fernet(urlsafe_b64encode(opened.material(number).reveal())) for number in (1, 2)]
    tokens: list[Any] = [Plain(value=keys[0].encrypt(b"%032d" % number)) for number in range(ROWS)]
    Plain._base_manager.bulk_create(tokens, batch_size=BATCH)

    def rotated() -> None:
        keys.reverse()
        ring = MultiFernet(keys)
        held = list(Plain._base_manager.all())
        for start in range(0, len(held), BATCH):
            with transaction.atomic():
                for row in held[start : start + BATCH]:
                    row.value = ring.rotate(bytes(row.value))
                    row.save(update_fields=["value"])

    one, theirs = measure([_flipped(keystore, "tokens", _mover(Token, 1)), rotated], number=1, rounds=3)
    return [Row(f"re-encrypt {ROWS:,} tokens in SQLite", "MultiFernet.rotate and save()", one, theirs, goal=3.0)]


if __name__ == "__main__":
    main(rows)
