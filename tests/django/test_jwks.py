"""The view of a key set: public keys for everybody, a lifetime that no new key outruns, and nothing private, ever."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.checks import run_checks
from django.test import Client, override_settings
from django.urls import path

from strongroom.django import keystores, lazy
from strongroom.django.jwks import jwks_view
from strongroom.errors import NotFoundError, PurposeError, SettingsError
from strongroom.keystore.opening import open_store

HOUR = timedelta(hours=1)
URL = "/.well-known/jwks.json"

urlpatterns = [
    path(".well-known/jwks.json", jwks_view("api-tokens", tokens_live=HOUR)),
    path("rsa.json", jwks_view("oidc", tokens_live=HOUR, algorithm="RS256", max_age=timedelta(days=2))),
    path("missing.json", jwks_view("missing", tokens_live=HOUR)),
    path("fernet.json", jwks_view("student-records", tokens_live=HOUR)),
    path("below-zero.json", jwks_view("api-tokens", tokens_live=-HOUR)),
]


@pytest.fixture
def site(development: Path) -> Any:
    with open_store(development) as keystore:
        keystore.create("api-tokens", "ed25519")
        keystore.create("oidc", "rsa-2048", purpose="sign")
    with override_settings(ROOT_URLCONF=__name__, STRONGROOM={"default": {"STORE": development}}):
        yield keystores["default"]


def test_a_verifier_fetches_the_keys_and_verifies_with_them(site: Any) -> None:
    answer = Client().get(URL)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/jwk-set+json")
    token = jwt.encode({"sub": "42"}, **site.jwt("api-tokens").signing())
    key = jwt.PyJWKSet.from_json(answer.content.decode())[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key) == {"sub": "42"}


def test_what_others_may_do_with_the_answer_is_said(site: Any) -> None:
    answer = Client().get(URL)
    assert answer["Cache-Control"] == "public, max-age=300"
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert not answer.cookies
    assert answer["ETag"].startswith('"')
    assert "Vary" not in answer


def test_a_verifier_that_has_the_keys_is_told_so_until_they_change(site: Any) -> None:
    client = Client()
    etag = client.get(URL)["ETag"]
    again = client.get(URL, headers={"If-None-Match": f'W/"x", {etag}'})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    assert again["Cache-Control"] == "public, max-age=300"
    site.rotate("api-tokens")
    changed = client.get(URL, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert len(changed.json()["keys"]) == 2


def test_head_says_the_same_and_everything_else_is_refused(site: Any) -> None:
    client = Client()
    head = client.head(URL)
    assert (head.status_code, head.content, head["ETag"]) == (200, b"", client.get(URL)["ETag"])
    for method in ("post", "put", "patch", "delete", "options", "trace"):
        refused = getattr(client, method)(URL)
        assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD")


def test_the_answer_is_kept_no_longer_than_a_new_key_travels(site: Any, development: Path) -> None:
    assert Client().get("/rsa.json")["Cache-Control"] == "public, max-age=86400"  # not the two days that it asks for
    site.create("api-tokens-of-minutes", "ed25519", propagation="2m")
    view = jwks_view("api-tokens-of-minutes", tokens_live=HOUR)
    with override_settings(ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("short.json", view)]})):
        assert Client().get("/short.json")["Cache-Control"] == "public, max-age=120"


def spellings(raw: bytes) -> set[str]:
    return {raw.hex(), *(text for f in (base64.b64encode, base64.urlsafe_b64encode) for text in [f(raw).decode()[:-4]])}


@pytest.mark.parametrize("place", [URL, "/rsa.json"])
def test_no_spelling_of_a_private_key_is_in_any_answer(site: Any, place: str) -> None:
    name = "oidc" if "rsa" in place else "api-tokens"
    site.rotate(name)
    answer = Client().get(place)
    text = answer.content.decode() + str(answer.headers)
    for number in (1, 2):
        key = site.private_key(name, version=number)
        private = [site.current(name).opened.material(number).reveal()]
        if name == "oidc":
            numbers = key.private_numbers()
            private += [n.to_bytes((n.bit_length() + 7) // 8, "big") for n in (numbers.p, numbers.q, numbers.d)]
            private += [key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())]
        for raw in private:
            assert not [spelling for spelling in spellings(raw) if spelling in text]
    members = {member for key in answer.json()["keys"] for member in key}
    assert members <= {"kty", "crv", "x", "n", "e", "kid", "alg", "use"}


def test_where_the_store_does_not_open_now_a_verifier_is_asked_to_come_again(
    site: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.django.conftest import ROOT  # a vector is a store that nothing here opens

    sealed = next((ROOT / "tests" / "vectors" / "format-1").rglob("store.json")).parent
    with override_settings(STRONGROOM={"default": {"STORE": sealed}}):
        answer = Client().get(URL)
    assert (answer.status_code, answer["Cache-Control"], answer["Retry-After"]) == (503, "no-store", "30")
    assert "event=jwks-unavailable" in caplog.text


def test_a_mistake_is_no_outage_and_is_raised(site: Any) -> None:
    client = Client()
    for place, error in (("missing", NotFoundError), ("fernet", PurposeError), ("below-zero", SettingsError)):
        with pytest.raises(error):
            client.get(f"/{place}.json")


def test_a_site_that_wants_a_login_everywhere_does_not_want_one_here() -> None:
    assert jwks_view("api-tokens", tokens_live=HOUR).login_required is False


def test_a_view_says_whose_keys_it_shows() -> None:
    assert repr(jwks_view("api-tokens", tokens_live=HOUR)) == "<JWKS view of 'api-tokens'>"


# --- the checks


def ids(**more: Any) -> list[str]:
    with override_settings(**more):
        return sorted(m.id for m in run_checks(tags=["security", "urls"]) if m.id.startswith("strongroom."))


def views(*patterns: Any) -> Any:
    return type("urls", (), {"urlpatterns": list(patterns)})


GOOD = path("k.json", jwks_view("api-tokens", tokens_live=HOUR))


def simple(algorithm: str = "EdDSA", name: str = "api-tokens", **more: Any) -> dict[str, Any]:
    return {"ALGORITHM": algorithm, "SIGNING_KEY": lazy.simplejwt_keys(name), **more}


def test_a_site_that_is_well_is_told_nothing(site: Any) -> None:
    assert ids(ROOT_URLCONF=views(GOOD), SIMPLE_JWT=simple()) == []
    assert ids(ROOT_URLCONF=views(GOOD), SIMPLE_JWT={"ALGORITHM": "HS256", "SIGNING_KEY": "their own"}) == []
    assert ids(ROOT_URLCONF=views(), OAUTH2_PROVIDER=lazy.oauth2_provider("oidc")) == []


def test_e040_an_algorithm_or_a_second_key_that_does_not_go_with_a_keyset(site: Any) -> None:
    for algorithm in ("HS256", "RS512", "none"):
        assert ids(ROOT_URLCONF=views(), SIMPLE_JWT=simple(algorithm)) == ["strongroom.E040"]
    assert ids(ROOT_URLCONF=views(), SIMPLE_JWT={"SIGNING_KEY": lazy.simplejwt_keys("api-tokens")}) == [
        "strongroom.E040"
    ]
    for other in ("VERIFYING_KEY", "JWK_URL"):
        assert ids(ROOT_URLCONF=views(), SIMPLE_JWT=simple(**{other: "x"})) == ["strongroom.E040"]


def test_e041_a_keyset_that_is_missing_or_does_not_do_the_algorithm(site: Any) -> None:
    assert ids(ROOT_URLCONF=views(), SIMPLE_JWT=simple("ES256")) == ["strongroom.E041"]
    assert ids(ROOT_URLCONF=views(), SIMPLE_JWT=simple(name="missing")) == ["strongroom.E041"]
    assert ids(ROOT_URLCONF=views(), OAUTH2_PROVIDER=lazy.oauth2_provider("api-tokens")) == ["strongroom.E041"]
    assert ids(ROOT_URLCONF=views(), IDP_OIDC_PRIVATE_KEYS=lazy.allauth_private_keys("api-tokens")) == [
        "strongroom.E041"
    ]
    assert ids(ROOT_URLCONF=views(), HEADLESS_JWT_PRIVATE_KEY=lazy.lazy_pem("student-records")) == ["strongroom.E041"]
    unsaid = path("k.json", jwks_view("oidc", tokens_live=HOUR))
    assert ids(ROOT_URLCONF=views(unsaid)) == ["strongroom.E041"]


def test_w040_a_key_set_that_drops_a_key_before_its_tokens_expire(site: Any) -> None:
    day = {"ACCESS_TOKEN_LIFETIME": timedelta(days=1)}
    assert ids(ROOT_URLCONF=views(GOOD), SIMPLE_JWT=simple(**day)) == ["strongroom.W040"]


def test_w041_keys_that_sign_before_verifiers_have_fetched_them(site: Any) -> None:
    site.create("hasty", "ed25519", propagation="10s")
    hasty = path("k.json", jwks_view("hasty", tokens_live=HOUR))
    assert ids(ROOT_URLCONF=views(hasty)) == ["strongroom.W041"]
    assert ids(ROOT_URLCONF=views(), SIMPLE_JWT=simple(name="hasty")) == ["strongroom.W041"]


def test_the_checks_open_nothing(site: Any) -> None:
    keystores.close_all()
    ids(ROOT_URLCONF=views(GOOD), SIMPLE_JWT=simple())
    assert keystores._open == {}


def test_in_a_build_there_are_no_keysets_to_miss(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRONGROOM_BUILD", "1")
    assert ids(ROOT_URLCONF=views(), SIMPLE_JWT=simple(name="missing")) == []
    answer = Client().get(URL)
    assert len(json.loads(answer.content)["keys"]) == 1
