"""One run of Django's cache tests, in a process of its own; prints {test: outcome} as JSON on its last line.

python -m tests.django.upstream.run {plain|sealed} [--redis URL] [--django-redis] [--memcached ADDRESS] [--keyset TYPE]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.test.runner import DiscoverRunner
from django.test.utils import override_settings

import django
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from tests.django.upstream.source import unpacked

CORE_REDIS = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"
PYMEMCACHE = "django.core.cache.backends.memcached.PyMemcacheCache"
BYTES = "strongroom.django.serializers.BytesSerializer"
SEALED = "tests.django.upstream.through.ReachThrough"
OURS = ("KEY_PREFIX", "VERSION", "KEY_FUNCTION")
"""What the outer cache does to keys; the inner one sees hidden names."""

urlpatterns: list[Any] = []


def over_django_redis(caches: dict[str, Any]) -> dict[str, Any]:
    """The same caches, with django-redis where Django's own Redis backend was said."""
    return {
        alias: {**entry, "BACKEND": DJANGO_REDIS} if entry.get("BACKEND") == CORE_REDIS else entry
        for alias, entry in caches.items()
    }


def sealed(caches: dict[str, Any]) -> dict[str, Any]:
    """Each alias as an EncryptedCache, over what stood there."""
    made: dict[str, Any] = {}
    if any(entry.get("BACKEND") == SEALED for entry in caches.values()):
        return caches  # a class hands its settings on to each of its tests
    for alias, entry in caches.items():
        if "BACKEND" not in entry:  # of a backend that is not configured, whose tests are skipped
            made[alias] = entry
            continue
        inner = {name: value for name, value in entry.items() if name not in OURS}
        option = {CORE_REDIS: "serializer", DJANGO_REDIS: "SERIALIZER"}.get(entry["BACKEND"])
        if option is not None:
            inner["OPTIONS"] = {**inner.get("OPTIONS", {}), option: BYTES}
        made[alias] = {name: entry[name] for name in (*OURS, "TIMEOUT") if name in entry}
        made[alias] |= {
            "BACKEND": SEALED,
            "OPTIONS": {
                "CACHE": f"{alias}--inner",
                "KEYSET": "cache",
                "SERIALIZER": "django.core.cache.backends.redis.RedisSerializer",
                "ALLOW_PICKLE_BACKEND": True,
            },
        }
        made[f"{alias}--inner"] = inner
    return made


class Outcomes(unittest.TextTestResult):
    """Writes down what came of each test."""

    found: ClassVar[dict[str, str]] = {}

    def _note(self, test: Any, outcome: str, why: str = "") -> None:
        name = f"{type(test).__name__}.{test._testMethodName}" if hasattr(test, "_testMethodName") else str(test)
        if self.found.get(name) != "failed":
            self.found[name] = outcome
        if why:
            print(f"--- {name}\n{why}", file=sys.stderr)

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        self._note(test, "passed")

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self._note(test, "failed", self._exc_info_to_string(err, test))

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self._note(test, "failed", self._exc_info_to_string(err, test))

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(test, "failed", self._exc_info_to_string(err, test))

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        self._note(test, "skipped")


class Runner(DiscoverRunner):
    """Django's, quiet."""

    def get_resultclass(self) -> type[Outcomes]:
        return Outcomes

    def get_test_runner_kwargs(self) -> dict[str, Any]:
        return {**super().get_test_runner_kwargs(), "stream": io.StringIO()}


def configure(given: argparse.Namespace, store: Path) -> None:
    """Settings as Django's own runner has them, as far as these tests ask."""
    caches: dict[str, Any] = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    if given.redis:
        caches["redis"] = {"BACKEND": CORE_REDIS, "LOCATION": given.redis}
    if given.memcached:
        caches["memcached"] = {"BACKEND": PYMEMCACHE, "LOCATION": given.memcached}
    settings.configure(
        SECRET_KEY="of Django's tests",
        CACHES=caches,
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
            "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
        },
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sites",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "strongroom.django",
            "cache",
        ],
        STRONGROOM={"default": {"STORE": store}},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        ROOT_URLCONF=__name__,
        LANGUAGE_CODE="en",
        SITE_ID=1,
        STATIC_URL="static/",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        USE_TZ=False,
    )


def transform_caches(given: argparse.Namespace) -> None:
    """Every CACHES that a test sets goes through `sealed`: Django's tests are the same text, plain and sealed."""
    before = override_settings.__init__

    def init(self: Any, **kwargs: Any) -> None:
        if "CACHES" in kwargs:
            caches = kwargs["CACHES"]
            if given.django_redis:
                caches = over_django_redis(caches)
            kwargs["CACHES"] = sealed(caches) if given.mode == "sealed" else caches
        before(self, **kwargs)

    override_settings.__init__ = init


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["plain", "sealed"])
    parser.add_argument("--redis", metavar="URL")
    parser.add_argument("--django-redis", action="store_true")
    parser.add_argument("--memcached", metavar="ADDRESS")
    parser.add_argument("--keyset", default="fernet")
    parser.add_argument("-k", action="append")
    given = parser.parse_args()
    sys.path.insert(0, str(unpacked()))
    os.environ["STRONGROOM_DEVELOPMENT"] = "1"
    with tempfile.TemporaryDirectory(prefix="sr-upstream-") as place:
        store = Path(place) / ".strongroom"
        found(store, development=True)
        with open_store(store) as keystore:
            keystore.create("cache", given.keyset)
            keystore.create("cache-names", "hmac-sha256")
        configure(given, store)
        transform_caches(given)
        django.setup()
        Runner(verbosity=0, interactive=False, test_name_patterns=given.k).run_tests(["cache"])
    print(json.dumps({"django": django.get_version(), "outcomes": Outcomes.found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
