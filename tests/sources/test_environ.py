"""django-environ with keysets: names in the environment, secrets out of the store, and none in an error."""

from __future__ import annotations

import traceback
from pathlib import Path

import environ
import pytest

from strongroom.errors import FormatError, InvalidNameError, NotFoundError, PurposeError
from strongroom.keystore.opening import open_store
from strongroom.sources.environ import KeysetEnv
from tests.sources.conftest import PASSWORD


@pytest.fixture
def set_(monkeypatch: pytest.MonkeyPatch) -> object:
    def each(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return each


def test_a_variable_that_names_a_keyset_has_the_secrets_text(store: Path, set_) -> None:
    set_(MAIL_KEYSET="smtp-password")
    env = KeysetEnv(store=store)
    assert env("MAIL") == env.str("MAIL") == PASSWORD
    assert env.bytes("MAIL") == PASSWORD.encode()
    assert "MAIL" in env


def test_all_else_is_as_in_django_environ(store: Path, set_, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of a file")
    set_(TOKEN_FILE=str(tmp_path / "token"), PLAIN="plain", PORT="25", PROXIED="$PLAIN", MAIL_KEYSET="", MAIL="own")
    env = KeysetEnv(store=tmp_path / "no store", DEBUG=(bool, False), PORT=int)
    assert (env("TOKEN"), env("PLAIN"), env("PORT"), env("PROXIED"), env("DEBUG")) == (
        "of a file", "plain", 25, "plain", False,
    )  # fmt: skip
    assert env("MAIL") == "own"
    assert env("ABSENT", default="x") == "x"
    with pytest.raises(environ.ImproperlyConfigured):
        env("ABSENT")
    assert "ABSENT" not in env


def test_casts_and_urls_work(store: Path, set_) -> None:
    set_(DB_KEYSET="url", WORDS_KEYSET="smtp-password")
    env = KeysetEnv(store=store, WORDS=(list, []))
    assert env.db_url("DB")["PASSWORD"] == "p@ss"
    assert env("WORDS") == [PASSWORD]
    assert env("WORDS", cast=str) == PASSWORD


def test_a_prefix_belongs_to_the_variable(store: Path, set_) -> None:
    set_(SITE_MAIL_KEYSET="smtp-password")
    env = KeysetEnv(store=store)
    env.prefix = "SITE_"
    assert env("MAIL") == PASSWORD


def test_a_secret_that_begins_with_a_dollar_is_no_other_variables_name(store: Path, set_) -> None:
    set_(MAIL_KEYSET="dollars", SECRET="of somebody else")
    assert KeysetEnv(store=store)("MAIL") == "$SECRET"


@pytest.mark.parametrize("cast", [int, float, "json", dict])
def test_a_cast_that_fails_does_not_quote_the_secret(store: Path, set_, cast: object) -> None:
    set_(MAIL_KEYSET="smtp-password")
    env = KeysetEnv(store=store)
    with pytest.raises(FormatError) as caught:
        env.json("MAIL") if cast == "json" else env("MAIL", cast=cast)
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert PASSWORD not in told
    assert caught.value.__cause__ is None


def test_what_cannot_be_a_text_is_told(store: Path, set_) -> None:
    for keyset, error in (
        ("missing", NotFoundError), ("Bad Name", InvalidNameError), ("box", PurposeError), ("bytes", FormatError),
    ):  # fmt: skip
        set_(MAIL_KEYSET=keyset)
        with pytest.raises(error):
            KeysetEnv(store=store)("MAIL", default="not this")


def test_the_store_is_opened_once_by_the_first_name_and_again_after_close(store: Path, set_) -> None:
    set_(MAIL_KEYSET="smtp-password", PLAIN="x")
    env = KeysetEnv(store=store)
    env("PLAIN")
    assert env._keystore is None
    env("MAIL")
    opened = env._keystore
    env("MAIL")
    assert env._keystore is opened
    env.close()
    with open_store(store) as keystore:
        keystore.rotate("smtp-password", now=True, value=b"another")
    assert env("MAIL") == "another"


def test_a_build_gets_throw_away_text_and_opens_nothing(set_, tmp_path: Path) -> None:
    set_(MAIL_KEYSET="smtp-password", STRONGROOM_BUILD="1")
    assert len(KeysetEnv(store=tmp_path / "no store")("MAIL")) >= 50


def test_neither_the_object_nor_its_state_shows_a_secret(store: Path, set_) -> None:
    set_(MAIL_KEYSET="smtp-password")
    env = KeysetEnv(store=store)
    env("MAIL")
    assert PASSWORD not in repr(env) + repr(vars(env))
