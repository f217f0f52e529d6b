"""The part of docs/reference/cli.md that the program knows best: every command, written from the tree of commands.

`python -m tests.cli.reference` writes it into the page.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from strongroom.exitcodes import MEANINGS
from tests.cli.tree import commands

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
BEGIN = "<!-- from here on written by: python -m tests.cli.reference -->\n"


def written() -> str:
    """The page from the mark to its end."""
    return BEGIN + "\n" + "\n".join(_page())


def _page() -> Iterator[str]:
    yield "## Exit status\n"
    yield "| code | meaning |\n|---|---|"
    yield from (f"| {code} | {meaning} |" for code, meaning in MEANINGS.items())
    yield "\n## Commands"
    for ctx, command in commands():
        yield from _command(ctx, command)


def _command(ctx: click.Context, command: click.Command) -> Iterator[str]:
    group = isinstance(command, click.Group)
    usage = " ".join(command.collect_usage_pieces(ctx))
    yield f"\n### {ctx.command_path}\n"
    if not group:
        yield f"    {ctx.command_path} {usage}\n"
    yield _prose(command.help or "")
    options = [each for each in command.params if isinstance(each, click.Option) and "--json" not in each.opts]
    if options:
        yield "\n| option | meaning |\n|---|---|"
        yield from (_row(ctx, option) for option in options)
    if not group:
        yield "\n" + "\n".join(f"    {line.strip()}" for line in (command.epilog or "").splitlines()[1:])


def _row(ctx: click.Context, option: click.Option) -> str:
    record = option.get_help_record(ctx)
    assert record is not None
    names, meaning = (" ".join(text.split()).replace("|", "\\|") for text in record)
    return f"| `{names}` | {re.sub(r'  +', ' ', meaning)} |"


def _prose(text: str) -> str:
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


if __name__ == "__main__":
    before = PAGE.read_text().partition(BEGIN)[0]
    PAGE.write_text(before + written() + "\n")
