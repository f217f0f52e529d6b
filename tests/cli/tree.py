"""The tree of commands, walked as click has it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from strongroom.cli.main import cli


def commands() -> Iterator[tuple[click.Context, click.Command]]:
    """Every group and verb with its context, the root first, in the order of the help."""
    yield from _below(click.Context(cli, info_name="strongroom", **cli.context_settings))


def _below(ctx: click.Context) -> Iterator[tuple[click.Context, click.Command]]:
    yield ctx, ctx.command
    if isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            command = ctx.command.get_command(ctx, name)
            assert command is not None
            yield from _below(click.Context(command, parent=ctx, info_name=name))


def verbs() -> list[tuple[click.Context, click.Command]]:
    """The commands that do something."""
    return [(ctx, command) for ctx, command in commands() if not isinstance(command, click.Group)]
