"""The Fernet rows: against cryptography's own Fernet and MultiFernet, and against the floor of the parts alone."""

from __future__ import annotations

import os
import random
import sqlite3
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_context
from types import ModuleType

import cryptography.fernet as library
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from benchmarks._timing import Row, Timing, main, measure
from strongroom.fernet import Fernet, MultiFernet
from strongroom.primitives.fernet import FernetRing
from strongroom.primitives.secret import SecretBytes

pybase64: ModuleType | None
try:
    import pybase64
except ImportError:
    pybase64 = None

_LIBRARY = "cryptography Fernet"
_MULTI = "MultiFernet"
_OLD, _NEW = library.Fernet.generate_key(), library.Fernet.generate_key()
_TOKENS = 4096  # for the rows about re-encryption; of 20 to 80 bytes, as names and numbers are


def rows() -> list[Row]:
    """DESIGN §9's rows about Fernet. Those of 1 MiB are for pybase64, and left out where it is not installed."""
    large = [] if pybase64 is None else [*_large(pybase64), *_threads_large()]
    return [*_short(), *_threads_short(), *large, *_versions(), *_rotation()]


def _short() -> list[Row]:
    ours, theirs = Fernet(_NEW), library.Fernet(_NEW)
    data = os.urandom(32)
    token = theirs.encrypt(data)
    encrypt = measure([lambda: ours.encrypt(data), lambda: theirs.encrypt(data)])
    decrypt = measure([lambda: ours.decrypt(token), lambda: theirs.decrypt(token)])
    return [
        Row("fernet 32 B, encrypt", _LIBRARY, encrypt[0], encrypt[1], goal=3.0),
        Row("fernet 32 B, decrypt", _LIBRARY, decrypt[0], decrypt[1], goal=3.5),
    ]


def _threads_short() -> list[Row]:
    box = Fernet(_NEW)
    token = box.encrypt(os.urandom(32))

    def work() -> None:
        for _ in range(5000):
            box.decrypt(token)

    one, four = _by_threads(work, 4)
    return [Row("fernet 32 B, decrypt: four threads' rate", "one thread", four, one, goal=0.8)]


def _large(base64: ModuleType) -> list[Row]:
    ours, theirs = Fernet(_NEW), library.Fernet(_NEW)
    data = os.urandom(1 << 20)
    token = theirs.encrypt(data)
    sealed_floor, opened_floor = _floors(base64, data, token)
    encrypt = measure([lambda: ours.encrypt(data), lambda: theirs.encrypt(data), sealed_floor])
    decrypt = measure([lambda: ours.decrypt(token), lambda: theirs.decrypt(token), opened_floor])
    return [
        Row("fernet 1 MiB, encrypt", _LIBRARY, encrypt[0], encrypt[1], goal=4.0),
        Row("fernet 1 MiB, decrypt", _LIBRARY, decrypt[0], decrypt[1], goal=5.5),
        Row("fernet 1 MiB, encrypt", "AES + HMAC + base64 alone", encrypt[0], encrypt[2], goal=0.85),
        Row("fernet 1 MiB, decrypt", "AES + HMAC + base64 alone", decrypt[0], decrypt[2], goal=0.85),
    ]


def _floors(base64: ModuleType, data: bytes, token: bytes) -> tuple[Callable[[], object], Callable[[], object]]:
    aes = Cipher(AES(os.urandom(16)), CBC(os.urandom(16)))
    encryptor, decryptor, mac = aes.encryptor(), aes.decryptor(), HMAC(os.urandom(16), SHA256())
    raw = base64.b64decode(token, b"-_")

    def parts(context: CipherContext) -> None:
        context.update(data)
        copy = mac.copy()
        copy.update(data)
        copy.finalize()

    def seal() -> None:
        parts(encryptor)
        base64.b64encode(raw, b"-_")

    def open_() -> None:
        parts(decryptor)
        base64.b64decode(token, b"-_", validate=True)

    return seal, open_


def _threads_large() -> list[Row]:
    box = Fernet(_NEW)
    data = os.urandom(1 << 20)
    token = box.encrypt(data)

    def encrypt() -> None:
        for _ in range(20):
            box.encrypt(data)

    def decrypt() -> None:
        for _ in range(20):
            box.decrypt(token)

    rows = []
    for name, work in (("encrypt", encrypt), ("decrypt", decrypt)):
        one, two = _by_threads(work, 2)
        rows.append(Row(f"fernet 1 MiB, {name}: two threads' rate", "one thread", two, one, goal=1.7))
    return rows


def _by_threads(work: Callable[[], None], threads: int) -> tuple[Timing, Timing]:
    """Time for a unit of work done by one thread, and by several at once (their time, shared out)."""
    with ThreadPoolExecutor(threads) as pool:
        one, all_ = measure(
            [
                lambda: pool.submit(work).result(),
                lambda: wait([pool.submit(work) for _ in range(threads)]),
            ],
            number=2,
        )
    return one, Timing(all_.least / threads, all_.median / threads)


def _versions() -> list[Row]:
    keys = [os.urandom(32) for _ in range(100)]
    # one version a day, the first named the newest
    ring = FernetRing([(SecretBytes(key), 86400 * (100 - age)) for age, key in enumerate(keys)])
    boxes = [library.Fernet(urlsafe_b64encode(key)) for key in keys]
    multi = library.MultiFernet(boxes)
    token = boxes[-1].encrypt_at_time(os.urandom(32), 86400 + 60)
    ours, theirs = measure([lambda: ring.decrypt(token), lambda: multi.decrypt(token)])
    return [Row("decrypt under 100 versions, the oldest key", _MULTI, ours, theirs, goal=100)]


def _rotation() -> list[Row]:
    ours = MultiFernet([Fernet(_NEW), Fernet(_OLD)])
    tokens = _old_tokens()
    one, theirs = measure([lambda: ours.rotate_many(tokens), lambda: _rotate_theirs(tokens)], number=1)
    rows = [Row(f"re-encrypt {_TOKENS} tokens, one process", f"{_MULTI}.rotate", one, theirs, goal=5.5)]

    halves = [tokens[::2], tokens[1::2]]
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        two, theirs_two = measure(
            [lambda: list(pool.map(_rotate_ours, halves)), lambda: list(pool.map(_rotate_theirs, halves))], number=1
        )
    rows.append(Row("re-encrypt them, two processes", f"{_MULTI}.rotate in two", two, theirs_two, goal=4.5))

    with _database(tokens) as database:
        in_place, theirs_in_place = measure(
            [lambda: _rewrite(database, _rotate_ours), lambda: _rewrite(database, _rotate_theirs)], number=1
        )
    rows.append(Row("re-encrypt them in SQLite", f"{_MULTI}.rotate", in_place, theirs_in_place, goal=3.0))
    return rows


def _old_tokens() -> list[bytes]:
    box = library.Fernet(_OLD)
    sizes = random.Random(7)  # noqa: S311  # sizes, not secrets
    return [box.encrypt(os.urandom(sizes.randrange(20, 81))) for _ in range(_TOKENS)]


def _rotate_theirs(tokens: list[bytes]) -> list[bytes]:
    multi = library.MultiFernet([library.Fernet(_NEW), library.Fernet(_OLD)])
    return [multi.rotate(token) for token in tokens]


def _rotate_ours(tokens: list[bytes]) -> list[bytes]:
    return MultiFernet([Fernet(_NEW), Fernet(_OLD)]).rotate_many(tokens)


@contextmanager
def _database(tokens: list[bytes]) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE cell (id INTEGER PRIMARY KEY, token BLOB)")
    database.executemany("INSERT INTO cell VALUES (?, ?)", enumerate(tokens))
    database.commit()
    try:
        yield database
    finally:
        database.close()


def _rewrite(database: sqlite3.Connection, rotate: Callable[[list[bytes]], list[bytes]]) -> None:
    """Read every row, rotate, and write it back where nobody changed it meanwhile; then the old ones are put back."""
    page = database.execute("SELECT id, token FROM cell ORDER BY id").fetchall()
    fresh = rotate([token for _, token in page])
    done = database.executemany(
        "UPDATE cell SET token = ? WHERE id = ? AND token = ?",
        [(new, key, old) for new, (key, old) in zip(fresh, page, strict=True)],
    )
    assert done.rowcount == _TOKENS
    database.rollback()


if __name__ == "__main__":
    main(rows)
