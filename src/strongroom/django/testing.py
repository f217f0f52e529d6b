"""Keys for tests: made for a test, equal in every process, gone at its end. And a look at what really lies in a column.

from strongroom.django.testing import AtRest, override_keystore

@override_keystore()
class TestStudents(AtRest, TestCase):
    def test_the_number_is_not_in_the_database(self):
        Student.objects.create(ssn="078-05-1120")
        self.assertEncryptedAtRest(Student, "ssn", "078-05-1120")
"""

from __future__ import annotations

import multiprocessing
import unittest
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from django.apps import apps
from django.conf import settings
from django.db import connections, models
from django.test import SimpleTestCase
from django.test.runner import DiscoverRunner, ParallelTestSuite
from django.test.utils import TestContextDecorator, override_settings

from strongroom.django import conf
from strongroom.django.connections import keystores
from strongroom.django.encrypted import IndexColumn, is_encrypted
from strongroom.django.storage import encrypted_storages
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.words import parse_type

SEED = "strongroom tests"


class override_keystore(TestContextDecorator):  # noqa: N801  as Django's override_settings
    """A fresh keystore in memory, for a block, a function or a class of tests.

    keysets: name → type, or names, which then are `aes256-gcm`; None for whatever the encrypted fields and storages of
    the site name. alias: which store of STRONGROOM it stands in for. Equal seeds give equal keys, in every process that
    runs tests, however it was started; so rows that setUpTestData or another process made do open. RSA keys are not
    made from a seed: import one.
    """

    def __init__(
        self, keysets: Mapping[str, str] | Iterable[str] | None = None, *, alias: str = "default", seed: str = SEED
    ) -> None:
        super().__init__()
        self._keysets = keysets
        self._alias = alias
        self._seed = seed
        self._before: list[tuple[override_settings, dict[str, KeyStore]]] = []

    def enable(self) -> KeyStore:
        """Put it in place, and return it."""
        stores = dict(getattr(settings, conf.SETTING, {}))
        stores[self._alias] = {"STORE": f"memory:?seed={quote(self._seed)}"}
        overriding = override_settings(**{conf.SETTING: stores})
        # those of an outer block stay open: what is in memory would be gone with them
        self._before.append((overriding, keystores.set_aside()))
        overriding.enable()
        try:
            keystore = keystores[self._alias]
            for name, kind in self._wanted().items():
                keystore.create(name, parse_type(kind))
        except BaseException:
            self.disable()
            raise
        return keystore

    def disable(self) -> None:
        """Forget it, and put back what the settings say."""
        overriding, held = self._before.pop()
        overriding.disable()
        keystores.put_back(held)

    def decorate_class(self, cls: Any) -> Any:
        """Every test gets one of its own, and so do setUpClass and setUpTestData."""
        if not issubclass(cls, SimpleTestCase):
            return super().decorate_class(cls)
        around, made = cls.setUpClass.__func__, cls.setUp

        def set_up_class(of: Any) -> None:
            of.enterClassContext(self._again())
            around(of)

        def set_up(test: Any) -> None:
            test.enterContext(self._again())
            made(test)

        cls.setUpClass = classmethod(set_up_class)
        cls.setUp = set_up
        return cls

    def _again(self) -> override_keystore:
        return override_keystore(self._keysets, alias=self._alias, seed=self._seed)

    def _wanted(self) -> dict[str, str]:
        if self._keysets is None:
            return named_keysets(self._alias)
        if isinstance(self._keysets, Mapping):
            return dict(self._keysets)
        return dict.fromkeys(self._keysets, "aes256-gcm")


def named_keysets(alias: str = "default") -> dict[str, str]:
    """The keysets that the encrypted fields, indexes and storages of the site name, and the types to give them.

    A name that is computed for each row is not among them.
    """
    found: dict[str, str] = {}
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if is_encrypted(field) and field.using == alias and isinstance(field.keyset, str):
                found[field.keyset] = "aes256-gcm"
            elif isinstance(field, IndexColumn) and field.using == alias:
                found[field.keyset] = "hmac-sha256"
    found.update(
        (storage.keyset, "aes256-gcm") for storage in encrypted_storages().values() if storage.keystore == alias
    )
    return found


class AtRest(unittest.TestCase):
    """Beside Django's TestCase: `assertEncryptedAtRest`."""

    def assertEncryptedAtRest(  # noqa: N802  as unittest names them
        self, rows: type[models.Model] | models.QuerySet[Any], field: str, plaintext: object
    ) -> None:
        """Fail unless one of the rows holds this value, and the column holds cells only. See the function."""
        assert_encrypted_at_rest(rows, field, plaintext)


def assert_encrypted_at_rest(rows: type[models.Model] | models.QuerySet[Any], field: str, plaintext: object) -> None:
    """AssertionError unless one of these rows has this value, every cell is sealed, and none holds its text.

    The cells are read in SQL, not through the field: what is asserted is what a copy of the database would show.
    """
    found: models.QuerySet[Any] = rows._base_manager.all() if isinstance(rows, type) else rows
    known: Any = found.model._meta.get_field(field)
    held = [getattr(row, known.attname) for row in found.iterator(chunk_size=500)]
    if plaintext not in held:
        raise AssertionError(f"none of {len(held)} rows has this {field}: nothing is shown about it")
    text = str(plaintext).encode()
    cells = raw_cells(found, known)
    for pk, cell in cells:
        if cell is None:
            continue
        if not is_encrypted(known) or not known.looks_sealed(cell):
            raise AssertionError(
                f"{known} of row {pk!r} lies in the clear: {len(cell)} bytes that begin as no cell does"
            )
        if text and text in cell:
            raise AssertionError(f"{known} of row {pk!r} holds its own text")


def raw_cells(rows: models.QuerySet[Any], field: models.Field[Any, Any]) -> list[tuple[Any, bytes | None]]:
    """The primary key and the bytes in the database of each row."""
    connection = connections[rows.db]
    quoted = connection.ops.quote_name
    key: Any = rows.model._meta.pk
    wanted = [key.get_db_prep_value(pk, connection) for pk in rows.values_list("pk", flat=True)]
    select = (
        f"SELECT {quoted(key.column)}, {quoted(str(field.column))}"  # noqa: S608  names of the model, quoted
        f" FROM {quoted(field.model._meta.db_table)} WHERE {quoted(key.column)} IN "
    )
    found: list[tuple[Any, bytes | None]] = []
    with connection.cursor() as cursor:
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            cursor.execute(f"{select} ({', '.join(['%s'] * len(part))})", part)
            found += [(pk, _as_bytes(cell)) for pk, cell in cursor.fetchall()]
    return found


def _as_bytes(cell: Any) -> bytes | None:
    """What a column holds; of a plain column that is no text, its text."""
    if cell is None or isinstance(cell, (bytes, bytearray, memoryview)):
        return None if cell is None else bytes(cell)
    return str(cell).encode()


class Runner(DiscoverRunner):
    """`TEST_RUNNER = "strongroom.django.testing.Runner"`: the keystore stands before the test databases are made.

    So data migrations may encrypt, and `manage.py test --parallel` has equal keys in every process, forked or spawned.
    """

    def setup_test_environment(self, **kwargs: Any) -> None:
        """Put the keystore in place."""
        super().setup_test_environment(**kwargs)
        self._keys = override_keystore()
        self._keys.enable()

    def teardown_test_environment(self, **kwargs: Any) -> None:
        """Put back what the settings say."""
        self._keys.disable()
        super().teardown_test_environment(**kwargs)


def _start_worker(*arguments: Any, **named: Any) -> None:
    ParallelTestSuite.init_worker(*arguments, **named)
    if multiprocessing.get_start_method() == "spawn":  # a forked process has its parent's
        override_keystore().enable()


class _Suite(ParallelTestSuite):
    init_worker = _start_worker


Runner.parallel_test_suite = _Suite
