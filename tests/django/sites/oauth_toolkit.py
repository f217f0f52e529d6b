"""The site of docs/how-to/oauth-toolkit.md, from inside: an authorization code flow, and a rotation under it."""

from __future__ import annotations

import base64
import hashlib
import secrets
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from oauth2_provider.models import Application

import strongroom
from strongroom.django import keystores
from strongroom.errors import StateError
from tests.django.sites.making import until

NAME = "oidc-signing"
JWKS = "/o/.well-known/jwks.json"
BACK = "https://client.example/back"


@pytest.fixture(scope="module", autouse=True)
def application() -> Application:
    call_command("migrate", verbosity=0)
    User.objects.create_user("ada", password="enchantress of numbers")
    return Application.objects.create(
        name="client", client_type="public", authorization_grant_type="authorization-code", redirect_uris=BACK,
        algorithm="RS256", skip_authorization=True, client_id="client",
    )  # fmt: skip


def id_token() -> str:
    """An ID token, as a relying party gets it."""
    client = Client()
    client.force_login(User.objects.get())
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "client_id": "client", "response_type": "code", "redirect_uri": BACK, "scope": "openid",
        "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    answer = client.get("/o/authorize/", asked)
    [code] = parse_qs(urlsplit(answer["Location"]).query)["code"]
    given = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": "client",
        "code_verifier": verifier,
    }  # fmt: skip
    answer = client.post("/o/token/", given)
    assert answer.status_code == 200, answer.content
    return answer.json()["id_token"]


def shown() -> list[str]:
    return [key["kid"] for key in Client().get(JWKS).json()["keys"]]


def verifies(token: str) -> bool:
    """What a relying party does that has just fetched the keys."""
    keys = jwt.PyJWKSet.from_dict(Client().get(JWKS).json())
    try:
        key = keys[jwt.get_unverified_header(token)["kid"]]
    except KeyError:
        return False
    return jwt.decode(token, key, algorithms=["RS256"], audience="client")["sub"] == str(User.objects.get().pk)


def test_the_checks_are_content_and_open_nothing() -> None:
    call_command("check")
    assert keystores._open == {}


def test_id_tokens_are_signed_by_the_primary_and_kids_are_those_of_the_keyset() -> None:
    token = id_token()
    assert jwt.get_unverified_header(token)["kid"] == keystores["default"].jwt(NAME, algorithm="RS256").kid
    assert verifies(token)


def test_the_next_key_is_shown_first_and_then_signs_with_no_restart_and_old_tokens_still_verify() -> None:
    old = id_token()
    [first] = shown()
    with strongroom.open(settings.STRONGROOM["default"]["STORE"]) as another_process:
        another_process.rotate(NAME)
    until(lambda: len(shown()) == 2)
    assert shown()[0] == first == jwt.get_unverified_header(id_token())["kid"]
    second = shown()[1]
    with strongroom.open(settings.STRONGROOM["default"]["STORE"]) as another_process:
        another_process.promote(NAME, 2)
    until(lambda: shown() == [second, first])
    new = id_token()
    assert jwt.get_unverified_header(new)["kid"] == second
    assert verifies(new)
    assert verifies(old)


def test_a_compromised_key_is_shown_to_nobody_at_once() -> None:
    [_, former] = shown()
    keystores["default"].compromise(NAME, 1, reason="a test")
    assert former not in shown()


def test_a_suspended_key_signs_nothing() -> None:
    keystores["default"].suspend(NAME, 2, reason="a test")
    with pytest.raises(StateError):
        id_token()
    keystores["default"].resume(NAME, 2)
    assert verifies(id_token())
