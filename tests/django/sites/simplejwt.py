"""The site of docs/how-to/simplejwt.md, from inside: real tokens through its URLs, a rotation, and forgeries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from rest_framework_simplejwt import state
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, UntypedToken

import strongroom
from strongroom.django import keystores
from strongroom.errors import PurposeError
from tests.django.sites.making import until

NAME = "api-tokens"


@pytest.fixture(scope="module", autouse=True)
def user() -> User:
    call_command("migrate", verbosity=0)
    return User.objects.create_user("ada", password="enchantress of numbers")


@pytest.fixture
def client() -> Client:
    return Client()


def obtained(client: Client) -> dict[str, str]:
    answer = client.post("/token/", {"username": "ada", "password": "enchantress of numbers"})
    assert answer.status_code == 200, answer.content
    return answer.json()


def accepts(client: Client, token: str) -> bool:
    return client.post("/token/verify/", {"token": token}).status_code == 200


def kid(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


def test_loading_the_settings_opened_nothing_and_the_checks_are_content() -> None:
    assert keystores._open == {}
    call_command("check")
    assert keystores._open == {}


def test_tokens_carry_the_kid_of_the_primary_and_the_key_set_has_it(client: Client) -> None:
    token = obtained(client)["access"]
    assert jwt.get_unverified_header(token)["alg"] == "EdDSA"
    [shown] = client.get("/.well-known/jwks.json").json()["keys"]
    assert kid(token) == shown["kid"] == keystores["default"].jwt(NAME).kid
    key = jwt.PyJWKSet.from_dict({"keys": [shown]})[shown["kid"]]
    assert jwt.decode(token, key)["token_type"] == "access"  # as another service would
    assert accepts(client, token)


def test_a_rotation_elsewhere_is_seen_here_with_no_restart_and_old_tokens_stay_valid(client: Client) -> None:
    pair = obtained(client)
    with strongroom.open(settings.STRONGROOM["default"]["STORE"]) as another_process:
        another_process.rotate(NAME, now=True)
    until(lambda: kid(obtained(client)["access"]) != kid(pair["access"]))
    assert accepts(client, pair["access"])
    renewed = client.post("/token/refresh/", {"refresh": pair["refresh"]})
    assert renewed.status_code == 200
    assert kid(renewed.json()["access"]) == keystores["default"].jwt(NAME).kid
    assert len(client.get("/.well-known/jwks.json").json()["keys"]) == 2


def test_a_token_from_before_the_store_has_no_kid_and_is_still_good(user: User) -> None:
    key = keystores["default"].private_key(NAME, version=1)
    claims = AccessToken.for_user(user).payload
    assert AccessToken(jwt.encode(claims, key, "EdDSA"))["user_id"] == str(user.pk)


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forgeries(claims: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every way to a token without our private key that RFC 8725 tells of."""
    keys = keystores["default"].jwt(NAME)
    mallory = Ed25519PrivateKey.generate()
    public = keystores["default"].public_key(NAME)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    body = segment(claims)
    yield "no signature", f"{segment({'alg': 'none', 'kid': keys.kid})}.{body}."
    for secret in (pem, b"".join(pem.splitlines()[1:-1]), settings.SECRET_KEY.encode()):
        text = f"{segment({'alg': 'HS256', 'kid': keys.kid, 'typ': 'JWT'})}.{body}"
        yield "HS256", f"{text}.{segment(hmac.digest(secret, text.encode(), hashlib.sha256))}"
    their = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(mallory.public_key()))
    for header in (
        {"kid": keys.kid},
        {"kid": "unknown"},
        {"kid": "mine", "jwk": {**their, "kid": "mine"}},
        {"kid": keys.kid, "jwk": their},
        {"kid": keys.kid, "jku": "http://127.0.0.1:9/jwks.json", "x5u": "http://127.0.0.1:9/cert"},
        {},
    ):
        yield str(header), jwt.encode(claims, mallory, "EdDSA", headers=header)
    ours = keystores["default"].private_key(NAME)
    yield "critical", jwt.encode(claims, ours, "EdDSA", headers={"kid": keys.kid, "crit": ["x"], "x": 1})
    good = jwt.encode(claims, **keys.signing())
    head, _, signature = good.split(".")
    yield "other claims", f"{head}.{segment({**claims, 'user_id': '0'})}.{signature}"


def test_what_no_private_key_of_ours_signed_is_refused(client: Client, user: User) -> None:
    claims = AccessToken.for_user(user).payload
    assert accepts(client, jwt.encode(claims, **keystores["default"].jwt(NAME).signing()))
    for what, token in forgeries(claims):
        assert not accepts(client, token), what
        with pytest.raises(TokenError):
            UntypedToken(token)


def test_after_a_compromise_no_token_of_that_key_is_taken(client: Client) -> None:
    pair = obtained(client)
    version = keystores["default"].jwt(NAME).version
    keystores["default"].compromise(NAME, version, reason="a test")
    assert not accepts(client, pair["access"])
    assert client.post("/token/refresh/", {"refresh": pair["refresh"]}).status_code == 401
    assert accepts(client, obtained(client)["access"])


def test_audience_issuer_and_leeway_work_as_ever(user: User) -> None:
    backend = state.token_backend
    other = type(backend)(settings.SIMPLE_JWT["SIGNING_KEY"])
    other.audience, other.issuer = "api", "https://ada.example"
    token = other.encode(RefreshToken.for_user(user).payload)
    assert other.decode(token)["iss"] == "https://ada.example"
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == "api"
    other.issuer = "https://mallory.example"
    with pytest.raises(Exception, match="invalid"):
        other.decode(token)


def test_an_algorithm_that_the_key_does_not_do_signs_nothing(user: User) -> None:
    other = type(state.token_backend)(settings.SIMPLE_JWT["SIGNING_KEY"])
    for algorithm in ("HS256", "RS256"):
        other.algorithm = algorithm
        with pytest.raises(PurposeError):
            other.encode(RefreshToken.for_user(user).payload)


def test_no_file_of_the_site_but_the_store_knows_a_key() -> None:
    raw = keystores["default"].current(NAME).opened.material(1).reveal()
    for path in Path(settings.BASE_DIR).iterdir():
        assert not path.is_file() or raw not in path.read_bytes()
