"""pydantic-settings with keysets: wrapped secrets, asked for only where nobody else gave them, shown nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, SecretBytes, SecretStr, ValidationError
from pydantic_settings import BaseSettings

from strongroom.errors import FormatError, InvalidNameError, NotFoundError, PurposeError, SettingsError
from strongroom.keystore.opening import open_store
from strongroom.sources.pydantic import Keyset, KeysetSource
from tests.sources.conftest import PASSWORD


def settings(place: Path, **fields: Any) -> type[BaseSettings]:
    """A class with these annotated fields, filled from the store at that place."""

    class Sourced(BaseSettings):
        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, init_settings: Any, env_settings: Any, **_: Any) -> Any:
            return init_settings, env_settings, KeysetSource(settings_cls, store=place)

    return type("Settings", (Sourced,), {"__annotations__": fields, "__module__": __name__})


def test_a_field_that_names_a_keyset_has_its_secret(store: Path) -> None:
    made = settings(
        store,
        password=Annotated[SecretStr, Keyset("smtp-password")],
        raw=Annotated[SecretBytes, Keyset("bytes")],
        perhaps=Annotated[SecretStr | None, Keyset("dollars")],
    )()
    assert made.password.get_secret_value() == PASSWORD
    assert made.raw.get_secret_value() == b"\xff\xfe"
    assert made.perhaps.get_secret_value() == "$SECRET"


def test_an_alias_is_the_name_that_pydantic_goes_by(store: Path) -> None:
    made = settings(store, password=Annotated[SecretStr, Field(validation_alias="MAIL"), Keyset("smtp-password")])()
    assert made.password.get_secret_value() == PASSWORD


def test_what_an_earlier_source_gave_is_not_asked_for(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "of the environment")
    nowhere = settings(tmp_path / "no store", password=Annotated[SecretStr, Keyset("smtp-password")])
    assert nowhere().password.get_secret_value() == "of the environment"
    monkeypatch.delenv("PASSWORD")
    assert nowhere(password="given").password.get_secret_value() == "given"
    with pytest.raises(NotFoundError):
        nowhere()


def test_the_next_object_sees_a_rotation(store: Path) -> None:
    cls = settings(store, password=Annotated[SecretStr, Keyset("smtp-password")])
    assert cls().password.get_secret_value() == PASSWORD
    with open_store(store) as keystore:
        keystore.rotate("smtp-password", now=True, value=b"another")
    assert cls().password.get_secret_value() == "another"


@pytest.mark.parametrize("kind", [str, bytes, int, Any])
def test_a_type_that_would_show_the_secret_is_refused_before_anything_opens(tmp_path: Path, kind: Any) -> None:
    with pytest.raises(SettingsError, match="would show its secret"):
        settings(tmp_path / "no store", password=Annotated[kind, Keyset("smtp-password")])()


def test_an_error_of_any_field_does_not_quote_the_secret(store: Path) -> None:
    for more in (
        {"password": Annotated[SecretStr, Field(max_length=3), Keyset("smtp-password")]},
        {"password": Annotated[SecretStr, Keyset("smtp-password")], "missing": int},
    ):
        with pytest.raises(ValidationError) as caught:
            settings(store, **more)()
        assert PASSWORD not in str(caught.value) + repr(caught.value.errors())


def test_neither_the_model_nor_the_source_shows_it(store: Path) -> None:
    made = settings(store, password=Annotated[SecretStr, Keyset("smtp-password")])()
    shown = repr(made) + str(made.model_dump()) + made.model_dump_json() + repr(KeysetSource(type(made), store=store))
    assert PASSWORD not in shown


def test_a_name_or_keyset_that_will_not_do_is_told(store: Path) -> None:
    with pytest.raises(InvalidNameError):
        Keyset("Bad Name")
    for name, error in (("missing", NotFoundError), ("box", PurposeError), ("bytes", FormatError)):
        with pytest.raises(error):
            settings(store, password=Annotated[SecretStr, Keyset(name)])()


def test_a_build_gets_throw_away_values_and_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRONGROOM_BUILD", "1")
    made = settings(tmp_path / "no store", password=Annotated[SecretStr, Keyset("smtp-password")])()
    assert len(made.password.get_secret_value()) >= 50
