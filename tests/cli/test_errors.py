"""What goes wrong is told in one line with a hint, as JSON where that was asked for, and by one exit status."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

from strongroom import errors
from strongroom.cli.context import Session
from strongroom.cli.ending import ended
from strongroom.exitcodes import exit_code
from tests.cli.program import program, within

EXPECTED = {
    2: {"SettingsError", "InvalidNameError"},
    3: {
        "CannotOpenError", "SealError", "PassphraseError", "IdentityError", "EngineMissingError", "NoSecretKeyError",
        "AgentError", "ForeignStoreError",
    },
    5: {"StateError", "PurposeError", "PolicyError", "ExposedRootError", "NotGrantedError"},
    6: {"StaleError", "ConflictError", "LockError"},
    69: {"NotPublishedError"},
}  # fmt: skip
CLASSES = [
    found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, errors.StrongroomError)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: str(kind.__name__))
def test_every_error_has_the_exit_status_of_the_design(kind: type[errors.StrongroomError]) -> None:
    expected = next((code for code, names in EXPECTED.items() if kind.__name__ in names), 1)
    error = kind("it", reason="a test") if issubclass(kind, errors.PublicationError) else kind("it")
    assert exit_code(error) == expected
    assert exit_code(error.again()) == expected


@pytest.mark.parametrize(
    ("argv", "told", "hint"),
    [
        (["rotte"], "strongroom has no command 'rotte'", "did you mean 'strongroom rotate'?"),
        (["admin", "lst"], "strongroom admin has no command 'lst'", "did you mean 'strongroom admin list'?"),
        (["blackbox", "kat"], "strongroom blackbox has no command 'kat'", "did you mean 'strongroom blackbox cat'?"),
        (["zzzz"], "strongroom has no command 'zzzz'", "strongroom --help lists them"),
        (["help", "create"], "strongroom has no command 'help'", "strongroom create --help"),
        (["help"], "strongroom has no command 'help'", "strongroom --help"),
        (["list", "--jason"], "strongroom list has no option '--jason'", "did you mean '--json'?"),
        (["list", "--store", "x"], "strongroom list has no option '--store'", "--store goes before the command: "),
        (["init", "--admin", "x"], "strongroom init has no option '--admin'", "strongroom init --help"),
        (["show"], "missing argument 'NAME'", "strongroom show --help"),
        (["promote", "it", "two"], "invalid value for 'VERSION': 'two' is not", "strongroom promote --help"),
        (["create", "it", "--type", "fernet", "--label", "x"], "'x' is not a label", "strongroom create --help"),
        (["run", "--env", "A", "--", "true"], "--env A names no keyset", "strongroom run --help"),
    ],
)  # fmt: skip
def test_a_line_that_is_not_understood_is_told_with_a_way_on(argv: list[str], told: str, hint: str) -> None:
    ran = within(*argv)
    first, second = ran.stderr.splitlines()
    assert (ran.status, ran.stdout) == (2, b"")
    assert first.startswith(f"strongroom: error: {told}")
    assert second.startswith(f"strongroom: hint: {hint}")


def test_a_name_with_an_underscore_is_the_one_with_a_hyphen(place: Path) -> None:
    assert "list-files" not in within("blackbox", "list_files").stderr
    assert "BlackBox" in within("blackbox", "list_files").stderr


def test_the_program_alone_shows_its_help_and_exits_2() -> None:
    ran = within()
    assert ran.status == 2
    assert ran.stdout == b""
    assert "Start:" in ran.stderr


@pytest.mark.parametrize("argv", [["--json", "show", "it"], ["show", "it", "--json"], ["show", "--json", "it"]])
def test_json_may_stand_before_or_after_the_verb(store: Path, argv: list[str]) -> None:
    ran = within(*argv)
    assert (ran.status, ran.stdout) == (1, b"")
    assert ran.error["error"] == "NotFoundError"
    assert "'it'" in ran.error["message"]
    assert ran.error["hint"]


@pytest.mark.parametrize("argv", [["--json", "rotte"], ["list", "--json", "--bogus"], ["show", "--json"]])
def test_usage_errors_are_json_too(argv: list[str]) -> None:
    ran = within(*argv)
    assert ran.status == 2
    assert set(ran.error) == {"error", "message", "hint"}


def test_the_json_of_a_program_to_run_is_not_ours(store: Path) -> None:
    ran = within("run", "--env", "A=nothing", "--", "program", "--json")
    assert ran.stderr.startswith("strongroom: error: ")


def test_warnings_are_json_where_errors_are(store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRONGROOM_STATE", str(tmp_path / "another"))
    told = within("--json", "list").stderr
    assert told
    assert all("warning" in json.loads(line) for line in told.splitlines())
    monkeypatch.setenv("STRONGROOM_STATE", str(tmp_path / "a-third"))
    assert within("list").stderr.startswith("strongroom: warning: ")


def failing(material: str) -> BaseException:
    held = material + material
    try:
        int(held)
    except ValueError as error:  # which quotes it
        return error
    raise AssertionError(held)


def test_a_bug_is_one_line_that_quotes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(failing("hunter2"), Session(), []) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "ValueError" in told[0]
    assert told[1] == "strongroom: hint: set STRONGROOM_DEBUG=1 for a traceback"
    assert "hunter2" not in "".join(told)


def test_the_traceback_that_debug_shows_has_no_locals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRONGROOM_DEBUG", "1")
    assert ended(failing("hunter2"), Session(), []) == 1
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "material = " not in told
    assert "held = 'hunter2" not in told


def test_a_bug_names_its_place_in_our_source(capsys: pytest.CaptureFixture[str]) -> None:
    from strongroom.cli.views import short_time

    try:
        short_time("never")  # type: ignore[arg-type]  # a bug, made here
    except TypeError as error:
        ended(error, Session(as_json=True), [])
    told = json.loads(capsys.readouterr().err)
    assert told["error"] == "InternalError"
    assert re.search(r"TypeError at strongroom/[\w/]+\.py:[0-9]+", told["message"])


def test_debug_shows_where_an_error_of_ours_comes_from(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRONGROOM_DEBUG", "1")
    ran = within("show", "it")
    assert "Traceback" in ran.stderr
    assert ran.stderr.splitlines()[-2].startswith("strongroom: error: ")


@pytest.mark.parametrize("word", ["\x1b[31mred", "a\nstrongroom: error: forged", "b\u202eb", "\x9b31m", "\udcff"])
def test_a_hostile_word_never_reaches_stderr_as_it_is(store: Path, word: str) -> None:
    for argv in (["show", word], [word], ["create", word, "--type", word], ["list", f"--{word}"]):
        ran = program(*argv, cwd=store.parent)
        assert ran.status != 0
        lines = ran.stderr.split("\n")
        assert all(line.isprintable() for line in lines), ran.stderr
        assert all(line.startswith("strongroom: ") for line in lines if line), ran.stderr


def test_no_gpg_and_no_store_are_told_apart(place: Path) -> None:
    ran = program("list", cwd=place)
    assert ran.status == 1
    assert "strongroom init" in ran.stderr
    assert list(place.iterdir()) == []
