"""A site in a process of its own whose SECRET_KEY is rotated while it runs: python -m tests.django.live_site STORE.

It prints one word for each promise that held, and fails at the first that did not.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

import django
import strongroom

STORE = Path(sys.argv[1])
NAME = "django-secret-key"
PASSWORD = "correct horse battery staple"


def whoami(request: HttpRequest) -> HttpResponse:
    return HttpResponse(getattr(request, "user", None) and request.user.get_username())


def configure(engine: str) -> None:
    from django.urls import path

    key, fallbacks = strongroom.django_secret_key(NAME, store=STORE)
    settings.configure(
        SECRET_KEY=key,
        SECRET_KEY_FALLBACKS=fallbacks,
        STRONGROOM={"default": {"STORE": STORE}},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "strongroom.django",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}",
        CACHES={
            "default": {
                "BACKEND": "strongroom.django.cache.EncryptedCache",
                "OPTIONS": {"CACHE": "inner", "KEYSET": "cache"},
            },
            "inner": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        },
        ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("", whoami)]}),
        ALLOWED_HOSTS=["testserver"],
    )
    django.setup()


def wait_until(seen: Callable[[], bool]) -> None:
    """Another process's change reaches this one when handles ask their source again: each second."""
    deadline = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def elsewhere(act: Callable[[Any], object]) -> None:
    """As another process on this host would do it: with a keystore of its own."""
    with strongroom.open(STORE) as keystore:
        act(keystore)


def main() -> None:
    configure(sys.argv[2])
    from django.contrib.auth.models import User
    from django.contrib.auth.tokens import default_token_generator
    from django.core import signing
    from django.core.management import call_command
    from django.test import Client

    from strongroom.django import keystores
    from strongroom.keystore.secretkey import is_kept_open

    call_command("migrate", verbosity=0)
    user = User.objects.create_user("alice", password=PASSWORD)
    client = Client()
    assert client.login(username="alice", password=PASSWORD)
    assert client.get("/").content == b"alice"
    signed, token = signing.dumps({"n": 1}), default_token_generator.make_token(user)
    old = str(settings.SECRET_KEY)
    assert is_kept_open(keystores["default"])
    print("opened-once")

    elsewhere(lambda keystore: keystore.rotate(NAME, now=True, generate=True))
    wait_until(lambda: str(settings.SECRET_KEY) != old)
    assert [*settings.SECRET_KEY_FALLBACKS] == [old]
    print("rotated")
    assert client.get("/").content == b"alice"  # Django moves the session to the new key here
    assert signing.loads(signed) == {"n": 1}
    assert default_token_generator.check_token(user, token)
    print("survived")
    again = signing.dumps({"n": 2})
    assert signing.loads(again, key=str(settings.SECRET_KEY), fallback_keys=[]) == {"n": 2}
    print("new-key-signs")

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            elsewhere(lambda keystore: keystore.compromise(NAME, 1, reason="a test"))
            wait_until(lambda: len(settings.SECRET_KEY_FALLBACKS) == 0)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    print("child-saw-it")
    wait_until(lambda: len(settings.SECRET_KEY_FALLBACKS) == 0)
    for gone in (lambda: signing.loads(signed), lambda: default_token_generator.check_token(user, token) or 1 / 0):
        try:
            gone()
        except (signing.BadSignature, ZeroDivisionError):
            continue
        raise AssertionError("what the compromised key signed still stands")
    assert signing.loads(again) == {"n": 2}
    assert client.get("/").content == b"alice"
    print("compromised-is-gone")

    call_command("check", deploy=True, tags=["security"], fail_level="CRITICAL")
    keystores.close_all()
    assert str(settings.SECRET_KEY)
    print("stays-open")


if __name__ == "__main__":
    main()
