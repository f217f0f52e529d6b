"""A worker, which opens no store, has the encrypted cache and SECRET_KEY from its publication; and sees a rotation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.test import override_settings

from strongroom._clock import SYSTEM_CLOCK
from strongroom.django import keystores
from strongroom.errors import NotGrantedError
from strongroom.keystore.publishing import publish
from strongroom.keystore.secretkey import django_secret_key, is_kept_open
from strongroom.keystore.workers import grant
from strongroom.sealing.identities import write_identity
from tests.django.cache_sites import ENCRYPTED, LOCMEM, inner
from tests.workers.scenes import Site

FILES = "django.core.cache.backends.filebased.FileBasedCache"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site.make(tmp_path / ".strongroom", SYSTEM_CLOCK)
    made.keystore.create("cache", "aes256-gcm")
    made.keystore.create("cache-names", "hmac-sha256")
    made.keystore.create("django-secret-key", "secret")
    made.keystore.create("payroll", "fernet")
    write_identity(tmp_path / "web.identity", made.group("web"))
    grant(made.keystore, "web", ["cache", "cache-names", "django-secret-key"])
    publish(made.keystore, ["web"], out=tmp_path / "web.publication")
    yield made
    made.keystore.close()


def settings_of(tmp_path: Path) -> dict[str, Any]:
    return {"CACHE": f"file:{tmp_path}/web.publication", "IDENTITY": tmp_path / "web.identity"}


def wait_until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.usefixtures("site")
def test_a_worker_seals_and_opens_and_is_refused_what_was_not_granted(tmp_path: Path) -> None:
    given = {
        "default": {"BACKEND": ENCRYPTED, "OPTIONS": {"CACHE": "inner", "KEYSET": "cache"}},
        "other": {"BACKEND": ENCRYPTED, "OPTIONS": {"CACHE": "inner", "KEYSET": "payroll", "NAMES": "cache-names"}},
        "inner": inner(LOCMEM),
    }
    with override_settings(STRONGROOM={"default": settings_of(tmp_path)}, CACHES=given):
        caches["inner"].clear()
        caches["default"].set("k", {"grade": 1}, timeout=60)
        assert caches["default"].get("k") == {"grade": 1}
        with pytest.raises(NotGrantedError):
            caches["other"].set("k", "plain")
        assert len(caches["inner"]._cache) == 1


def test_a_workers_secret_key_follows_what_is_published(site: Site, tmp_path: Path) -> None:
    said = settings_of(tmp_path)
    key, fallbacks = django_secret_key("django-secret-key", settings=said)
    old = str(key)
    assert old == site.keystore.secret("django-secret-key").reveal_text()
    with override_settings(STRONGROOM={"default": said}):
        assert is_kept_open(keystores["default"])  # one opening for both
    site.keystore.rotate("django-secret-key", now=True, generate=True)
    publish(site.keystore, ["web"], out=tmp_path / "web.publication")
    wait_until(lambda: str(key) != old)
    assert list(fallbacks) == [old]


@pytest.mark.usefixtures("site")
def test_a_garbled_file_is_a_miss_and_does_not_spoil_its_neighbours(tmp_path: Path) -> None:
    files = tmp_path / "files"
    options = {"CACHE": "inner", "KEYSET": "cache", "ALLOW_PICKLE_BACKEND": True}
    given = {
        "default": {"BACKEND": ENCRYPTED, "OPTIONS": options},
        "inner": {"BACKEND": FILES, "LOCATION": files},
    }
    with override_settings(STRONGROOM={"default": settings_of(tmp_path)}, CACHES=given):
        cache = caches["default"]
        cache.set("a", 1)
        (file,) = files.iterdir()
        whole = file.read_bytes()
        cache.set("b", 2)
        for cut in (len(whole) - 3, len(whole) // 2):
            file.write_bytes(whole[:cut])
            assert cache.get_many(["a", "b"]) == {"b": 2}
            assert not file.exists()
            file.write_bytes(whole[:cut])
            assert cache.get("a", "missing") == "missing"
            assert cache.add("a", 1)
