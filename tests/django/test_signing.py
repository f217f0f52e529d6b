"""The signing backend: cookies under a keyset, through rotation, compromise and the change-over from SECRET_KEY."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core import signing
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from strongroom.django import keystores
from strongroom.django.signing import TimestampSigner
from strongroom.errors import PurposeError, SettingsError
from strongroom.keystore.opening import open_store

BACKEND = "strongroom.django.signing.TimestampSigner"


@pytest.fixture
def site(development: Path) -> Iterator[None]:
    with open_store(development) as keystore:
        keystore.create("signing", "hmac-sha256")
    with override_settings(
        STRONGROOM={"default": {"STORE": development}},
        SIGNING_BACKEND=BACKEND,
        STRONGROOM_SIGNING={"KEYSET": "signing"},
    ):
        yield


def cookie() -> str:
    response = HttpResponse()
    response.set_signed_cookie("cart", "7", salt="shop")
    return response.cookies["cart"].value


def read(value: str, *, name: str = "cart", salt: str = "shop", max_age: int | None = 60) -> str | None:
    request = RequestFactory().get("/")
    request.COOKIES[name] = value
    return request.get_signed_cookie(name, default=None, salt=salt, max_age=max_age)


@pytest.mark.usefixtures("site")
def test_a_cookie_goes_round_and_a_changed_moved_or_old_one_is_refused() -> None:
    value = cookie()
    assert read(value) == "7"
    assert read("8" + value[1:]) is None
    assert read(value[:-1] + ("A" if value[-1] != "A" else "B")) is None
    assert read(value, name="other") is None
    assert read(value, salt="elsewhere") is None
    assert read(value, max_age=-1) is None
    assert read("no signature") is None
    assert read(value.rpartition(":")[0] + ":") is None


@pytest.mark.usefixtures("site")
def test_a_rotation_loses_no_cookie_and_a_compromise_loses_its_own() -> None:
    old = cookie()
    keystores["default"].rotate("signing", now=True)
    new = cookie()
    assert (read(old), read(new)) == ("7", "7")
    keystores["default"].compromise("signing", 1, reason="a test")
    assert (read(old), read(new)) == (None, "7")


@pytest.mark.usefixtures("site")
def test_what_secret_key_signed_is_read_only_where_that_is_said() -> None:
    with override_settings(SIGNING_BACKEND="django.core.signing.TimestampSigner"):
        former = cookie()
        assert read(former) == "7"
    assert read(former) is None
    with override_settings(STRONGROOM_SIGNING={"KEYSET": "signing", "ACCEPT_SECRET_KEY": True}):
        assert read(former) == "7"
        assert read(former, max_age=-1) is None
        assert read(cookie()) == "7"
        with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=["the tests' own, and nobody else's"]):
            assert read(former) == "7"
        with override_settings(SECRET_KEY="another"):
            assert read(former) is None


@pytest.mark.usefixtures("site")
def test_objects_are_signed_by_hand() -> None:
    signer = TimestampSigner(salt="mail")
    signed = signer.sign_object({"to": "a"}, compress=True)
    assert TimestampSigner(salt="mail").unsign_object(signed, max_age=60) == {"to": "a"}
    with pytest.raises(signing.BadSignature):
        TimestampSigner(salt="other").unsign_object(signed)
    with pytest.raises(signing.SignatureExpired):
        signer.unsign_object(signed, max_age=-1)


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("said", [None, {}, {"KEYSET": 7}, {"KEYSET": "signing", "KEYSTOR": "default"}])
def test_settings_that_say_no_keyset_are_told(said: object) -> None:
    with override_settings(STRONGROOM_SIGNING=said), pytest.raises(SettingsError, match="STRONGROOM_SIGNING"):
        cookie()


@pytest.mark.usefixtures("site")
def test_a_keyset_of_another_purpose_signs_nothing() -> None:
    with override_settings(STRONGROOM_SIGNING={"KEYSET": "student-records"}), pytest.raises(PurposeError):
        cookie()
