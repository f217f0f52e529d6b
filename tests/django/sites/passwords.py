"""The site of docs/how-to/database-passwords.md, from inside: passwords that change under it."""

from __future__ import annotations

import contextlib
import json
import pickle
import smtplib
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMessage
from django.core.management import call_command

import django
import strongroom
from strongroom.django import keystores
from tests.django.sites.making import until
from tests.support.smtp_server import SmtpServer


def rotate_elsewhere(name: str, value: str) -> None:
    with strongroom.open(settings.STRONGROOM["default"]["STORE"]) as another_process:
        another_process.rotate(name, now=True, value=value.encode())


def test_the_checks_are_content_and_open_nothing() -> None:
    call_command("check")
    assert keystores._open == {}


def use(port: int) -> None:
    if django.VERSION >= (6, 1):
        settings.MAILERS["default"]["OPTIONS"]["port"] = port
    else:
        settings.EMAIL_PORT = port


def mailer() -> Any:
    return mail.mailers.default if django.VERSION >= (6, 1) else mail.get_connection()


def lazy_password() -> str:
    return (
        settings.MAILERS["default"]["OPTIONS"]["password"] if django.VERSION >= (6, 1) else settings.EMAIL_HOST_PASSWORD
    )


@pytest.fixture(params=["PLAIN", "LOGIN", "CRAM-MD5"])
def server(request: Any) -> Iterator[SmtpServer]:
    with SmtpServer(keystores["default"].secret("smtp-password").reveal_text(), request.param) as running:
        use(running.port)
        yield running


def sends() -> bool:
    sender = mailer()
    try:
        return sender.send_messages([EmailMessage("Hello", "A mail.", "site@example.org", ["ada@example.org"])]) == 1
    except smtplib.SMTPAuthenticationError:
        return False
    finally:
        sender.close()


def test_mail_is_sent_with_the_password_of_now(server: SmtpServer) -> None:
    assert sends()
    assert "Subject: Hello" in server.mails
    server.password = f"another {server.mechanism}"
    assert not sends()
    rotate_elsewhere("smtp-password", server.password)
    until(sends)


def test_nothing_of_the_settings_shows_a_password() -> None:
    shown = f"{settings.DATABASES!r} {lazy_password()!r} {json.dumps(lazy_password())}"
    shown += repr(pickle.dumps([settings.DATABASES, lazy_password()]))
    assert "database-password" in shown
    for name in ("database-password", "smtp-password"):
        for number in range(1, len(keystores["default"].show(name).versions) + 1):
            assert keystores["default"].secret(name).reveal_text(number) not in shown


def test_the_pages_dict_for_drivers_in_c_gives_plain_text() -> None:
    import c_driver

    entry = c_driver.DATABASES["default"]
    assert type(entry["PASSWORD"]) is str
    assert entry["PASSWORD"] == keystores["default"].secret("database-password").reveal_text()
    with contextlib.suppress(AttributeError):
        assert entry["PASSWORD"] not in repr(entry)
