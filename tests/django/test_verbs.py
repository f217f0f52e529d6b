"""`manage.py strongroom VERB`: its output, its errors and its exit statuses are those of the command `strongroom`."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from strongroom.django import keystores
from strongroom.exitcodes import FAILED, REFUSED, USAGE
from strongroom.keystore import workers
from strongroom.keystore.facade import KeyStore
from tests.django.school.models import Grade, School


def test_publish_goes_where_cache_says_and_tells_it(development: Path, tmp_path: Path) -> None:
    place = tmp_path / "web.publication"
    with override_settings(STRONGROOM={"default": {"STORE": development, "CACHE": f"file:{place}"}}):
        workers.create_worker(keystores["default"], "web", out=tmp_path / "web.identity")
        workers.grant(keystores["default"], "web", ["student-records"])
        place.unlink(missing_ok=True)
        told = StringIO()
        call_command("strongroom", "publish", stdout=told)
        assert f"published web to file:{place}: 1 keyset" in told.getvalue()
        told = StringIO()
        call_command("strongroom", "publish", "web", "--json", stdout=told)
        (row,) = json.loads(told.getvalue())
    assert row["unchanged"] == [f"file:{place}"]
    assert place.stat().st_size > 500


@pytest.mark.parametrize(
    ("arguments", "status", "hint"),
    [(["publish"], USAGE, "--to URL"), (["publish", "nobody", "--to", "file:/x"], FAILED, "worker")],
)
def test_an_error_has_its_hint_and_its_exit_status(
    development: Path, arguments: list[str], status: int, hint: str
) -> None:
    with (
        override_settings(STRONGROOM={"default": {"STORE": development}}),
        pytest.raises(CommandError) as caught,
    ):
        call_command("strongroom", *arguments)
    assert caught.value.returncode == status
    assert "strongroom: hint: " in str(caught.value)
    assert hint in str(caught.value)


SHRED = ("strongroom", "destroy", "schools/1", "--all", "--shred", "--reason", "the school has left")


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> Iterator[None]:
    """A terminal as stdin, on which somebody types this."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as stdin, os.fdopen(ours, "wb", buffering=0) as keyboard:
        monkeypatch.setattr("sys.stdin", stdin)
        keyboard.write(typed.encode())
        yield


def doomed(keystore: KeyStore) -> bool:
    return any(version.destroy_at for version in keystore.show("schools/1").versions)


def test_shredding_a_tenant_asks_for_its_name_and_says_what_hinders(
    school: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    Grade.objects.create(school=School.objects.create(id=1, name="1"), remark="r")
    shown = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(*SHRED[:4], *SHRED[5:], stderr=shown)
    assert "manage.py strongroom destroy schools/1 --all --shred" in str(caught.value)
    monkeypatch.setattr("sys.stdin", StringIO("schools/1\n"))
    with pytest.raises(CommandError, match="stdin is no terminal") as caught:
        call_command(*SHRED, stderr=shown)
    assert caught.value.returncode == REFUSED
    assert "--yes" in str(caught.value)
    for typed in ("wrong\n", "\x04"):
        with terminal(monkeypatch, typed), pytest.raises(CommandError, match="was not what was typed"):
            call_command(*SHRED, stderr=shown)
    assert not doomed(school)
    with terminal(monkeypatch, "wrong\n"), pytest.raises(CommandError, match="destroy schools/1 1 --shred"):
        call_command(*SHRED[:3], "1", *SHRED[4:], stderr=shown)
    with terminal(monkeypatch, "schools/1\n"):
        call_command(*SHRED, stdout=StringIO(), stderr=shown)
    assert doomed(school)
    assert "school.Grade.remark: 1 under version 1 become unreadable" in shown.getvalue()
    assert "Type the keyset's name (schools/1)" in shown.getvalue()


def test_who_says_yes_is_not_asked(school: KeyStore) -> None:
    Grade.objects.create(school=School.objects.create(id=1, name="1"), remark="r")
    call_command(*SHRED, "--yes", stdout=StringIO(), stderr=StringIO())
    assert doomed(school)
