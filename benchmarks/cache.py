"""EncryptedCache over locmem and Redis, against the inner cache itself, and against ten lines of `cryptography`.

python -m benchmarks.cache
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.support.redis_server import RedisServer

from benchmarks._timing import Row, main, measure
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store

VALUE = {"name": "Alice", "grade": 1.7, "ids": [1, 2, 3]}
LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 10_000}}
BYTES = "strongroom.django.serializers.BytesSerializer"


def ten_lines(under: Any, key: bytes) -> Any:
    """What a site writes for itself: values only, names in the clear, nothing bound, pickle below and above."""
    import pickle

    from cryptography.fernet import Fernet

    box = Fernet(key)

    class Plain:
        def get(self, name: str) -> Any:
            token = under.get(name)
            return None if token is None else pickle.loads(box.decrypt(token))  # noqa: S301  the rival's way

        def set(self, name: str, value: Any) -> None:
            under.set(name, box.encrypt(pickle.dumps(value)))

        def get_many(self, names: list[str]) -> dict[str, Any]:
            return {name: pickle.loads(box.decrypt(token)) for name, token in under.get_many(names).items()}  # noqa: S301  as above

        def incr(self, name: str) -> int:
            self.set(name, value := self.get(name) + 1)
            return int(value)

    return Plain()


def configure(store: Path, url: str) -> None:
    """Django with each inner cache, and the encrypted ones over them."""
    from django.conf import settings

    import django

    redis = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}
    under = {"locmem": LOCMEM, "redis": {**redis, "OPTIONS": {"serializer": BYTES}}}
    caches: dict[str, Any] = {"default": LOCMEM, "plain-locmem": LOCMEM, "plain-redis": redis, **under}
    for alias in under:
        for keyset in ("fernet", "aes256-gcm"):
            caches[f"{alias}-{keyset}"] = {
                "BACKEND": "strongroom.django.cache.EncryptedCache",
                "KEY_PREFIX": keyset,
                "OPTIONS": {"CACHE": alias, "KEYSET": keyset, "NAMES": "names"},
            }
    settings.configure(
        SECRET_KEY="of a benchmark",  # noqa: S106  it signs nothing
        CACHES=caches,
        STRONGROOM={"default": {"STORE": store}},
        INSTALLED_APPS=["strongroom.django"],
    )
    django.setup()


def rows() -> list[Row]:
    """get, set, get_many(100) and incr: over the inner cache, then against the ten lines."""
    place = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
    os.environ["STRONGROOM_DEVELOPMENT"] = "1"
    try:
        store = place / ".strongroom"
        found(store, development=True)
        with open_store(store) as keystore:
            keystore.create("fernet", "fernet")
            keystore.create("aes256-gcm", "aes256-gcm")
            keystore.create("names", "hmac-sha256")
        with RedisServer() as server:
            configure(store, server.url)
            measured = [row for alias in ("locmem", "redis") for row in _over(alias)]
            from django.core.cache import caches

            caches.close_all()
            return measured
    finally:
        shutil.rmtree(place)


def _over(alias: str) -> list[Row]:
    from cryptography.fernet import Fernet
    from django.core.cache import caches

    plain = caches[f"plain-{alias}"]
    ours = {keyset: caches[f"{alias}-{keyset}"] for keyset in ("fernet", "aes256-gcm")}
    theirs = ten_lines(plain, Fernet.generate_key())
    names = [f"student-{number}" for number in range(100)]
    for cache in (*ours.values(), plain):
        cache.set_many(dict.fromkeys(names, VALUE), timeout=3000)
        cache.set("count", 0)
    for name in names:
        theirs.set(f"{name}-theirs", VALUE)
    theirs.set("count-theirs", 0)
    wrapped = [f"{name}-theirs" for name in names]
    found: list[Row] = []
    calls = {
        "get": lambda cache, tail: cache.get(f"student-7{tail}"),
        "set": lambda cache, tail: cache.set(f"student-7{tail}", VALUE),
        "get_many(100)": lambda cache, tail: cache.get_many(wrapped if tail else names),
        "incr": lambda cache, tail: cache.incr(f"count{tail}"),
    }
    for name, call in calls.items():
        fernet, gcm, bare, their = measure(
            [
                lambda call=call: call(ours["fernet"], ""),
                lambda call=call: call(ours["aes256-gcm"], ""),
                lambda call=call: call(plain, ""),
                lambda call=call: call(theirs, "-theirs"),
            ],
            rounds=60,
            round_s=0.004,  # short ones, which a busy machine interrupts less
        )
        goal = GOALS[alias, name]
        for kind, timing, most in (("Fernet", fernet, goal[0]), ("AES-256-GCM", gcm, goal[1])):
            what = f"cache {name} over {alias}, {kind}"
            found.append(Row(what, "the inner cache", timing, bare, goal=most, at_most=True))
        found.append(Row(f"cache {name} over {alias}, Fernet", "ten lines of cryptography", fernet, their, goal=0.5))
    return found


GOALS = {
    ("locmem", "get"): (10.0, 8.0),
    ("locmem", "set"): (10.0, 8.0),
    ("locmem", "get_many(100)"): (8.0, 5.0),
    ("locmem", "incr"): (14.0, 10.0),
    ("redis", "get"): (1.6, 1.5),
    ("redis", "set"): (1.6, 1.5),
    ("redis", "get_many(100)"): (4.5, 3.0),
    ("redis", "incr"): (3.0, 2.8),
}
"""At most so many times the inner cache, with Fernet and with AES-256-GCM. Over Redis the way there is most of it, and
`incr` goes there twice. The ten lines hide no name and bind nothing, which is where the rest of the time goes."""


if __name__ == "__main__":
    main(rows)
