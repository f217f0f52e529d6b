"""`manage.py strongroom VERB`: its output, its errors and its exit statuses are those of the command `strongroom`."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from strongroom.django import keystores
from strongroom.exitcodes import FAILED, USAGE
from strongroom.keystore import workers


def test_publish_goes_where_cache_says_and_tells_it(development: Path, tmp_path: Path) -> None:
    place = tmp_path / "web.publication"
    with override_settings(STRONGROOM={"default": {"STORE": development, "CACHE": f"file:{place}"}}):
        workers.create_worker(keystores["default"], "web", out=tmp_path / "web.identity")
        workers.grant(keystores["default"], "web", ["student-records"])
        place.unlink(missing_ok=True)
        told = StringIO()
        call_command("strongroom", "publish", stdout=told)
        assert f"published web to file:{place}: 1 keysets" in told.getvalue()
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
