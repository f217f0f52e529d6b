"""The site of docs/how-to/jwks.md, from inside."""

from __future__ import annotations

import contextlib
import io
import json
import runpy

from django.core.management import call_command
from django.test import Client


def test_the_checks_are_content() -> None:
    call_command("check")


def test_the_view_and_the_lines_without_django_give_the_same_keys() -> None:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        runpy.run_path("publish.py")
    assert json.loads(shown.getvalue()) == Client().get("/.well-known/jwks.json").json()
