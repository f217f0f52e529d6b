"""What a keystore is told, and by whom: unknown words and wrong kinds are refused, the nearer one decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.errors import SettingsError, StrongroomError
from strongroom.keystore.environment import Environment
from strongroom.keystore.finding import directory_of, find_store, split_url
from strongroom.keystore.settings import KNOWN_SETTINGS, StoreSettings, allows_development, is_build


def test_every_setting_is_read_into_its_kind() -> None:
    settings = StoreSettings.from_mapping(
        {
            "STORE": Path("/srv/.strongroom"), "CACHE": "redis://localhost/0", "GROUP": "web", "IDENTITY": "/run/id",
            "PASSPHRASE_FILE": "/run/pass", "WITNESS": "/var/w", "PIN": "a:b", "STRICT": "yes", "MAX_AGE": "15m",
            "TIMEOUT": 2.5, "MIN_SERIAL": "17", "ALLOW_PICKLE_BACKEND": False,
        }
    )  # fmt: skip
    assert settings.store == "/srv/.strongroom"
    assert settings.identity == Path("/run/id")
    assert settings.witness == Path("/var/w")
    assert (settings.strict, settings.max_age, settings.timeout, settings.min_serial) == (True, 900.0, 2.5, 17)
    assert not settings.allow_pickle_backend


def test_an_unknown_setting_is_told_with_the_nearest() -> None:
    for wrong, near in (("STROE", "STORE"), ("PASSPHRASE_FIEL", "PASSPHRASE_FILE"), ("max_age", "MAX_AGE")):
        with pytest.raises(SettingsError) as caught:
            StoreSettings.from_mapping({wrong: "x"})
        assert near in caught.value.hint
    with pytest.raises(SettingsError) as caught:
        StoreSettings.from_mapping({"PASSPHRASE": "never in settings"})
    assert "never in settings" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("STORE", ""), ("STORE", 7), ("STORE", b"/x"), ("IDENTITY", ["x"]), ("STRICT", "maybe"), ("STRICT", 1),
        ("MAX_AGE", -1), ("MAX_AGE", "soon"), ("MAX_AGE", True), ("MAX_AGE", float("nan")), ("MAX_AGE", float("inf")),
        ("MIN_SERIAL", -1), ("MIN_SERIAL", "٣"), ("MIN_SERIAL", "1.5"), ("MIN_SERIAL", True),
        ("TIMEOUT", "1e3"), ("PIN", object()),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_refused_by_name(name: str, wrong: object) -> None:
    with pytest.raises(StrongroomError) as caught:
        StoreSettings.from_mapping({name: wrong})
    assert isinstance(caught.value, SettingsError)
    assert name in str(caught.value)


@pytest.mark.parametrize(("text", "seconds"), [("2", 2.0), ("0", 0.0), ("2.5", 2.5), ("15m", 900.0)])
def test_a_variable_has_seconds_or_a_duration(text: str, seconds: float) -> None:
    assert StoreSettings.from_environment({"STRONGROOM_TIMEOUT": text}).timeout == seconds
    assert StoreSettings.from_mapping({"TIMEOUT": text, "MAX_AGE": text}).max_age == seconds


@pytest.mark.parametrize("wrong", ["-2", "2.", "٢", "2 s", "1e3", "soon"])
def test_a_variable_is_refused_by_its_own_name(wrong: str) -> None:
    with pytest.raises(SettingsError, match="STRONGROOM_TIMEOUT must be seconds, or a duration like 15m, not"):
        StoreSettings.from_environment({"STRONGROOM_TIMEOUT": wrong})


def test_none_says_nothing() -> None:
    assert StoreSettings.from_mapping(dict.fromkeys(KNOWN_SETTINGS)) == StoreSettings()


def test_what_is_said_nearer_decides() -> None:
    environment = StoreSettings.from_environment(
        {"STRONGROOM_STORE": "/env", "STRONGROOM_PIN": "env", "STRONGROOM_STRICT": "1"}
    )
    both = StoreSettings(store="/arg").over(environment)
    assert (both.store, both.pin, both.strict) == ("/arg", "env", True)


def test_empty_variables_say_nothing() -> None:
    assert StoreSettings.from_environment({"STRONGROOM_STORE": "", "STRONGROOM_TIMEOUT": ""}) == StoreSettings()
    with pytest.raises(SettingsError):
        StoreSettings.from_environment({"STRONGROOM_STRICT": "perhaps"})


@pytest.mark.parametrize("guard", ["STRONGROOM_PIN", "STRONGROOM_STRICT", "STRONGROOM_MIN_SERIAL"])
def test_an_empty_guard_is_refused(guard: str) -> None:
    """As a pipeline passes it on that misspells the name of its variable."""
    with pytest.raises(SettingsError, match=f"{guard} is empty") as caught:
        StoreSettings.from_environment({guard: ""})
    assert f"unset {guard}" in caught.value.hint


def test_build_and_development_are_one_exact_word() -> None:
    for value in ("", "0", "true", "yes", "01", " 1"):
        assert not is_build({"STRONGROOM_BUILD": value})
        assert not allows_development({"STRONGROOM_DEVELOPMENT": value})
    assert is_build({"STRONGROOM_BUILD": "1"})
    assert allows_development({"STRONGROOM_DEVELOPMENT": "1"})


def test_a_url_is_told_from_a_directory() -> None:
    assert split_url("memory:") == ("memory", "")
    assert split_url("blackbox:/srv/x:y") == ("blackbox", "/srv/x:y")
    for directory in (None, "/srv/a:b", "./a:b", "plain", "../x:"):
        assert split_url(directory) is None


def test_the_nearest_store_upwards_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_store(deep) is None
    for place in (tmp_path, tmp_path / "a"):
        (place / ".strongroom").mkdir()
        (place / ".strongroom" / "store.json").touch()
        assert find_store(deep) == place / ".strongroom"
    assert directory_of(str(tmp_path)) == tmp_path / ".strongroom"
    assert directory_of(str(tmp_path / ".strongroom")) == tmp_path / ".strongroom"
    assert directory_of("memory:") is None


def test_an_environment_shows_only_how_much_it_holds() -> None:
    environment = Environment.of({"PASSWORD": "canary"})
    assert "canary" not in f"{environment!r} {environment}"
    assert Environment.of(environment) is environment
    assert environment["PASSWORD"] == "canary"
