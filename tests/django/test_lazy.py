"""Lazy values in the settings: a name until somebody uses them, then the keyset's primary, rotations included."""

from __future__ import annotations

import copy
import html
import pickle
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import RequestFactory, override_settings
from django.views.debug import ExceptionReporter
from jwcrypto import jwk

import strongroom
from strongroom.django import keystores
from strongroom.errors import CannotOpenError, InvalidNameError, NotFoundError, PurposeError, SettingsError, StateError
from strongroom.formats.jwk import public_jwk, thumbprint
from strongroom.keystore.opening import open_store
from tests.django.conftest import ROOT, python

urlpatterns: list[object] = []
PASSWORD = "the quick brown password"


@pytest.fixture
def site(development: Path) -> Any:
    with open_store(development) as keystore:
        keystore.import_key("smtp-password", PASSWORD.encode(), "secret")
    with override_settings(STRONGROOM={"default": {"STORE": development}}, ROOT_URLCONF=__name__):
        yield keystores["default"]


@pytest.fixture(scope="module")
def rsa_pem() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def oidc(site: Any, rsa_pem: bytes) -> Any:
    site.import_key("oidc", rsa_pem, purpose="sign")
    return site


def kid(pem: str) -> str:
    return jwk.JWK.from_pem(pem.encode("utf-8")).thumbprint()


def kid_of(keystore: Any, version: int) -> str:
    return thumbprint(public_jwk(keystore.public_key("oidc", version=version)))


def test_a_secret_is_read_where_it_is_used_and_follows_a_rotation(site: Any) -> None:
    password = strongroom.lazy_secret("smtp-password")
    assert password == PASSWORD
    site.rotate("smtp-password", now=True, value=b"another")
    assert str(password) == "another"
    assert password.encode("ascii") == b"another"


def test_settings_may_hold_it_before_there_is_a_store_or_django(tmp_path: Path) -> None:
    program = """
import sys
import strongroom
made = [strongroom.lazy_secret("a"), strongroom.lazy_pem("b"), strongroom.simplejwt_keys("c"),
        strongroom.oauth2_provider("d"), strongroom.allauth_private_keys("e"),
        strongroom.database({"PASSWORD": strongroom.lazy_secret("f")})]
print(made)
assert all(made)
print([name for name in sys.modules if name.split(".")[0] in ("django", "jwt", "rest_framework")])
"""
    done = python("-c", program, environ={}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    assert "<secret 'a'>" in shown
    assert "<private key 'b'>" in shown


def test_it_is_not_read_while_the_settings_load(development: Path, tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text(
        f"import strongroom\nSTRONGROOM = {{'default': {{'STORE': {str(development)!r}}}}}\n"
        "URL = 'smtp://ada:' + strongroom.lazy_secret('django-secret-key')\n"
    )
    environ = {"DJANGO_SETTINGS_MODULE": "early", "PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}"}
    done = python("-c", "from django.conf import settings; settings.DEBUG", environ=environ, cwd=tmp_path)
    assert done.returncode != 0
    assert "while the settings are still loading" in done.stderr


def test_a_name_that_is_none_is_told_at_once_and_a_missing_keyset_at_its_use(site: Any) -> None:
    makers = (strongroom.lazy_secret, strongroom.lazy_pem, strongroom.simplejwt_keys, strongroom.oauth2_provider)
    for make in (*makers, strongroom.allauth_private_keys):
        with pytest.raises(InvalidNameError):
            make("No Name")
    with pytest.raises(NotFoundError):
        str(strongroom.lazy_secret("missing"))
    with pytest.raises(SettingsError, match="no store 'other'"):
        str(strongroom.lazy_secret("smtp-password", keystore="other"))
    with pytest.raises(PurposeError):
        str(strongroom.lazy_secret("student-records"))


def test_a_store_that_does_not_open_gives_an_error_at_the_use_and_never_the_placeholder() -> None:
    sealed = ROOT / "tests" / "vectors" / "format-1" / "store"
    assert (sealed / "store.json").exists()
    with override_settings(STRONGROOM={"default": {"STORE": sealed}}):
        for value in (strongroom.lazy_secret("smtp-password"), strongroom.lazy_pem("oidc")):
            for use in (str, "{}".format, lambda text: text.encode(), lambda text: text == "x", lambda text: "" + text):
                with pytest.raises(CannotOpenError):
                    use(value)
        for values in (strongroom.oauth2_provider("oidc")["OIDC_RSA_PRIVATE_KEYS_INACTIVE"],):
            with pytest.raises(CannotOpenError):
                list(values)


def test_neither_settings_nor_frames_on_the_debug_page_show_it(site: Any) -> None:
    password = strongroom.lazy_secret("smtp-password")
    with override_settings(DEBUG=True, EMAILS={"default": {"X": password}}, STORAGE_OPTIONS={"plain": password}):
        try:
            settings.STORAGE_OPTIONS["plain"].index("no such thing")
        except ValueError:
            request = RequestFactory().get("/")
            page = html.unescape(ExceptionReporter(request, *sys.exc_info()).get_traceback_html())
    assert "<secret 'smtp-password'>" in page
    assert PASSWORD not in page


def test_a_build_gets_a_throw_away_value_and_opens_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRONGROOM_BUILD", "1")
    with override_settings(STRONGROOM={"default": {"STORE": tmp_path / "no store"}}):
        assert len(strongroom.lazy_secret("smtp-password")) >= 50
        assert strongroom.lazy_pem("oidc").startswith("-----BEGIN PRIVATE KEY-----")
        assert len(strongroom.oauth2_provider("oidc")["OIDC_RSA_PRIVATE_KEYS_INACTIVE"]) == 0
        assert len(strongroom.allauth_private_keys("oidc")) == 1


# --- PEM, for packages that take nothing else


def test_the_pem_is_the_primarys_and_the_inactive_ones_are_what_others_should_know(oidc: Any) -> None:
    provider = strongroom.oauth2_provider("oidc", tokens_live=timedelta(hours=1))
    key, inactive = provider["OIDC_RSA_PRIVATE_KEY"], provider["OIDC_RSA_PRIVATE_KEYS_INACTIVE"]
    assert (kid(key), [*inactive]) == (kid_of(oidc, 1), [])
    oidc.rotate("oidc")
    assert (kid(key), [kid(pem) for pem in inactive]) == (kid_of(oidc, 1), [kid_of(oidc, 2)])
    oidc.promote("oidc", 2)
    assert (kid(key), [kid(pem) for pem in inactive]) == (kid_of(oidc, 2), [kid_of(oidc, 1)])
    assert kid(inactive[0]) == kid_of(oidc, 1)
    oidc.compromise("oidc", 1, reason="a test")
    assert (len(inactive), list(inactive)) == (0, [])


def test_allauths_keys_have_the_times_in_which_they_sign_and_verify(oidc: Any) -> None:
    keys = strongroom.allauth_private_keys("oidc", tokens_live=timedelta(hours=1))
    assert isinstance(keys, list)
    oidc.rotate("oidc")
    signing, coming = keys
    now = datetime.now(UTC)
    assert (signing["not_before"], signing["expires_at"]) == (None, None)
    assert signing["issued_at"] <= now < coming["not_before"]
    oidc.promote("oidc", 2)
    signing, former = keys
    assert kid(signing["pem"]) == kid_of(oidc, 2)
    assert signing["issued_at"] > former["issued_at"]
    assert now < former["expires_at"] <= datetime.now(UTC) + timedelta(hours=1)
    oidc.suspend("oidc", 2, reason="a test")
    assert all(key["not_before"] > now for key in keys)  # the former key does not sign in its place


def test_without_a_word_about_it_keys_are_shown_as_long_as_the_packages_tokens_live(
    oidc: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inactive = strongroom.oauth2_provider("oidc")["OIDC_RSA_PRIVATE_KEYS_INACTIVE"]
    allauth = strongroom.allauth_private_keys("oidc")
    assert (inactive._lives(), allauth._lives()) == (timedelta(hours=10), timedelta(hours=1))
    with override_settings(OAUTH2_PROVIDER={"ID_TOKEN_EXPIRE_SECONDS": 60}, IDP_OIDC_ID_TOKEN_EXPIRES_IN=7200):
        assert (inactive._lives(), allauth._lives()) == (timedelta(minutes=1), timedelta(hours=2))


def test_a_pem_of_another_kind_of_keyset_or_of_one_that_does_not_sign_now_is_refused(oidc: Any) -> None:
    oidc.create("api-tokens", "ed25519")
    oidc.create("letters", "rsa-2048", purpose="encrypt")
    for name in ("api-tokens", "letters", "student-records", "smtp-password"):
        with pytest.raises(PurposeError):
            str(strongroom.lazy_pem(name))
        with pytest.raises(PurposeError):
            list(strongroom.allauth_private_keys(name))
    oidc.suspend("oidc", 1, reason="a test")
    with pytest.raises(StateError):
        str(strongroom.lazy_pem("oidc"))


def test_nothing_of_a_key_is_in_what_is_shown_pickled_or_copied(oidc: Any) -> None:
    pem = str(strongroom.lazy_pem("oidc"))
    lines = pem.splitlines()[1:-1]
    kept = [strongroom.lazy_pem("oidc"), strongroom.oauth2_provider("oidc"), strongroom.allauth_private_keys("oidc")]
    oidc.rotate("oidc", now=True)
    pickled = pickle.dumps(kept)
    assert not [line for line in lines if line in repr(kept) or line.encode() in pickled]
    again = pickle.loads(pickled)  # noqa: S301  our own
    assert kid(again[0]) == kid_of(oidc, 2)
    assert kid(again[1]["OIDC_RSA_PRIVATE_KEYS_INACTIVE"][0]) == kid_of(oidc, 1)
    assert len(copy.deepcopy(kept)[2]) == 2
