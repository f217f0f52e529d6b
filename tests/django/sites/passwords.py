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
from django.core.mail import EmailMessage, get_connection
from django.core.management import call_command

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


@pytest.fixture(params=["PLAIN", "LOGIN", "CRAM-MD5"])
def mail(request: Any) -> Iterator[SmtpServer]:
    with SmtpServer(keystores["default"].secret("smtp-password").reveal_text(), request.param) as server:
        settings.EMAIL_PORT = server.port
        yield server


def sends() -> bool:
    mailer = get_connection()
    try:
        return EmailMessage("Hello", "A mail.", "site@example.org", ["ada@example.org"], connection=mailer).send() == 1
    except smtplib.SMTPAuthenticationError:
        return False
    finally:
        mailer.close()


def test_mail_is_sent_with_the_password_of_now(mail: SmtpServer) -> None:
    assert sends()
    assert "Subject: Hello" in mail.mails
    mail.password = f"another {mail.mechanism}"
    assert not sends()
    rotate_elsewhere("smtp-password", mail.password)
    until(sends)


def test_nothing_of_the_settings_shows_a_password() -> None:
    shown = f"{settings.DATABASES!r} {settings.EMAIL_HOST_PASSWORD!r} {json.dumps(settings.EMAIL_HOST_PASSWORD)}"
    shown += repr(pickle.dumps([settings.DATABASES, settings.EMAIL_HOST_PASSWORD]))
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
