"""The page about the command line says what the command line does."""

from __future__ import annotations

import re

from strongroom.exitcodes import MEANINGS
from tests.cli import reference
from tests.cli.tree import commands


def test_the_page_has_every_command_and_option_as_the_program_has_them() -> None:
    page = reference.PAGE.read_text()
    told = page[page.index(reference.BEGIN) :]
    assert told == reference.written() + "\n", "python -m tests.cli.reference writes it anew"


def test_every_command_has_its_heading() -> None:
    headings = re.findall(r"^### (.+)$", reference.PAGE.read_text(), re.MULTILINE)
    assert headings == [ctx.command_path for ctx, _ in commands()]


def test_the_page_of_exit_codes_has_the_same_table() -> None:
    page = (reference.PAGE.parent / "exit-codes.md").read_text()
    assert {int(code) for code in re.findall(r"^\| ([0-9]+) \|", page, re.MULTILINE)} == set(MEANINGS)
