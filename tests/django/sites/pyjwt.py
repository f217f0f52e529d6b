"""The site of docs/how-to/pyjwt.md, from inside: its own lines, a verifier that has only the key set's address."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import joserfc.jwt
import jwt
import pytest
import tokens
import verifier
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from joserfc.jwk import KeySet

import strongroom
from strongroom.django import keystores
from tests.django.sites.making import until

PLACE = "/.well-known/jwks.json"


class Served(http.server.BaseHTTPRequestHandler):
    """Hands the site's key set out over real HTTP, on a free port."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).seen.append(self.path)
        answer = Client().get(self.path)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Served)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}{PLACE}"
    server.shutdown()
    thread.join()
    server.server_close()


def rotate_elsewhere(**how: bool) -> None:
    with strongroom.open(settings.STRONGROOM["default"]["STORE"]) as another_process:
        another_process.rotate("api-tokens", **how)


def test_the_checks_are_content() -> None:
    call_command("check")


def test_the_pages_lines_make_and_read_tokens_through_a_rotation() -> None:
    old = tokens.make("ada")
    assert tokens.subject(old) == "ada"
    rotate_elsewhere(now=True)
    kid = jwt.get_unverified_header(old)["kid"]
    until(lambda: jwt.get_unverified_header(tokens.make("ada"))["kid"] != kid)
    assert tokens.subject(old) == tokens.subject(tokens.make("ada")) == "ada"


def test_the_pages_lines_take_no_forgery() -> None:
    good = tokens.make("ada")
    head, claims, signature = good.split(".")
    for bad in ("", "x", f"{head}.{claims}.", f"{head}.{claims}.{signature[:-4]}AAAA", good.replace(".", "..")):
        assert tokens.subject(bad) is None
    expired = {"sub": "ada", "aud": "api", "exp": datetime.now(UTC) - timedelta(minutes=1)}
    assert tokens.subject(jwt.encode(expired, **keystores["default"].jwt("api-tokens").signing())) is None


def test_a_service_with_only_the_address_has_the_next_key_before_it_signs(address: str) -> None:
    client = verifier.Verifier(address)
    assert client.subject(tokens.make("ada")) == "ada"
    rotate_elsewhere()
    until(lambda: len(Client().get(PLACE).json()["keys"]) == 3)  # a former one, the primary and the next
    client = verifier.Verifier(address)
    assert client.subject(tokens.make("ada")) == "ada"
    Served.seen.clear()
    keystores["default"].promote("api-tokens", 3)
    assert client.subject(tokens.make("ada")) == "ada"
    assert Served.seen == []  # it had the key already


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # RFC 9864; PyJWT knows no other name
def test_joserfc_verifies_with_the_same_set() -> None:
    keys = KeySet.import_key_set(json.loads(Client().get(PLACE).content))
    assert joserfc.jwt.decode(tokens.make("ada"), keys, algorithms=["EdDSA"]).claims["sub"] == "ada"
