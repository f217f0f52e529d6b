"""The site of docs/how-to/allauth.md, from inside: its provider's tokens and its headless tokens, and rotations."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.internal.tokens import decode_jwt_token
from allauth.idp.oidc.models import Client as RelyingParty
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import Client

import strongroom
from strongroom.django import keystores
from tests.django.sites.making import until

NAME = "oidc-signing"
JWKS = "/.well-known/jwks.json"
BACK = "https://client.example/back"


@pytest.fixture(scope="module", autouse=True)
def ada() -> User:
    call_command("migrate", verbosity=0)
    party = RelyingParty(id="client", name="client", type="public", skip_consent=True)
    party.set_redirect_uris([BACK])
    party.set_scopes(["openid"])
    party.set_default_scopes(["openid"])
    party.set_response_types(["code"])
    party.set_grant_types(["authorization_code"])
    party.save()
    user = User.objects.create_user("ada", password="enchantress of numbers", email="ada@example.org")
    user.emailaddress_set.create(email=user.email, verified=True, primary=True)
    return user


def id_token() -> str:
    """An ID token, as a relying party gets it."""
    client = Client()
    client.force_login(User.objects.get(), "allauth.account.auth_backends.AuthenticationBackend")
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "client_id": "client", "response_type": "code", "redirect_uri": BACK, "scope": "openid", "state": "x",
        "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    answer = client.get("/identity/o/authorize", asked)
    [code] = parse_qs(urlsplit(answer["Location"]).query)["code"]
    given = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": "client",
        "code_verifier": verifier,
    }  # fmt: skip
    answer = client.post("/identity/o/api/token", given)
    assert answer.status_code == 200, answer.content
    return answer.json()["id_token"]


def shown() -> list[str]:
    return [key["kid"] for key in Client().get(JWKS).json()["keys"]]


def elsewhere(verb: str, *arguments: object, **more: object) -> None:
    with strongroom.open(settings.STRONGROOM["default"]["STORE"]) as another_process:
        getattr(another_process, verb)(*arguments, **more)


def verifies(token: str) -> bool:
    keys = jwt.PyJWKSet.from_dict(Client().get(JWKS).json())
    try:
        key = keys[jwt.get_unverified_header(token)["kid"]]
    except KeyError:
        return False
    return "sub" in jwt.decode(token, key, algorithms=["RS256"], audience="client")


def test_the_checks_are_content_and_open_nothing() -> None:
    call_command("check")
    assert keystores._open == {}


def test_the_provider_signs_with_the_next_key_from_its_promotion_on_and_old_tokens_still_verify() -> None:
    old = id_token()
    [first] = shown()
    assert jwt.get_unverified_header(old)["kid"] == first == keystores["default"].jwt(NAME, algorithm="RS256").kid
    elsewhere("rotate", NAME)
    until(lambda: len(shown()) == 2)
    [second] = {*shown()} - {first}
    assert jwt.get_unverified_header(id_token())["kid"] == first  # shown, and not signing yet
    elsewhere("promote", NAME, 2)
    until(lambda: jwt.get_unverified_header(id_token())["kid"] == second)
    assert {*shown()} == {first, second}
    for token in (old, id_token()):
        assert verifies(token)
        assert decode_jwt_token(token, client_id="client", verify_exp=True, verify_iss=False) is not None


def test_a_compromised_key_is_shown_to_nobody_and_verifies_nothing() -> None:
    keystores["default"].promote(NAME, 1)
    token = id_token()
    keystores["default"].compromise(NAME, 1, reason="a test")
    assert not verifies(token)
    assert decode_jwt_token(token, client_id="client", verify_exp=True, verify_iss=False) is None


def test_while_the_primary_is_suspended_nothing_signs_not_even_a_former_key() -> None:
    version = keystores["default"].jwt(NAME, algorithm="RS256").version
    keystores["default"].suspend(NAME, version, reason="a test")
    with pytest.raises(ImproperlyConfigured, match="No active private key"):
        get_adapter().get_signing_key()
    keystores["default"].resume(NAME, version)
    assert verifies(id_token())


def login() -> dict[str, str]:
    answer = Client().post(
        "/_allauth/app/v1/auth/login",
        json.dumps({"username": "ada", "password": "enchantress of numbers"}),
        content_type="application/json",
    )
    assert answer.status_code == 200, answer.content
    return answer.json()["meta"]


def is_logged_in(access_token: str) -> bool:
    answer = Client().get("/_allauth/app/v1/auth/session", headers={"Authorization": f"Bearer {access_token}"})
    return answer.status_code == 200


def test_headless_tokens_follow_a_rotation_and_those_of_the_former_key_end_with_it() -> None:
    old = login()["access_token"]
    assert jwt.get_unverified_header(old)["alg"] == "RS256"
    assert is_logged_in(old)
    elsewhere("rotate", "headless-tokens", now=True)
    until(lambda: not is_logged_in(old))
    assert is_logged_in(login()["access_token"])
