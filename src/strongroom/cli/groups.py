"""Groups of verbs: their help needs none of them imported, and a mistyped one is answered with the nearest."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli import output
from strongroom.cli.verbs import Verb
from strongroom.errors import SettingsError

if TYPE_CHECKING:  # 3 ms that only a shell's question needs
    from click.shell_completion import CompletionItem

_COMMANDS = "strongroom.cli.commands"


class _WithExamples(click.Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            formatter.write_paragraph()
            formatter.write(f"{self.epilog}\n")  # laid out already

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with output.written():  # --help writes while the line is parsed
            return super().make_context(*args, **kwargs)


class VerbCommand(_WithExamples):
    """A verb."""


class VerbGroup(_WithExamples, click.Group):
    """A group that says which verb was meant."""

    command_class = VerbCommand

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if ctx.resilient_parsing or self.get_command(ctx, args[0]) is not None:
            return super().resolve_command(ctx, args)
        path, word = ctx.command_path, args[0][:80]
        if word == "help":
            known = " ".join(args[1:2] if len(args) > 1 and self.get_command(ctx, args[1]) else ())
            raise SettingsError(f"{path} has no command 'help'", hint=f"{path} {known} --help".replace("  ", " "))
        raise SettingsError(f"{path} has no command {word!r}", hint=_nearest(path, word, self.list_commands(ctx)))


class LazyGroup(VerbGroup):
    """A group that knows its verbs' names and one-line helps, and imports a verb's module only to run it."""

    def __init__(self, *args: Any, sections: dict[str, tuple[Verb, ...]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections
        self.verbs = {verb.name: verb for verbs in sections.values() for verb in verbs}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = self.verbs.get(cmd_name) or self.verbs.get(cmd_name.replace("_", "-"))
        if verb is None:
            return None
        command: click.Command = getattr(import_module(f"{_COMMANDS}.{verb.module}"), verb.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self.verbs)
        for title, verbs in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(verb.name.ljust(width), verb.help) for verb in verbs])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Verbs from the table: click's own way would import every module for its help."""
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(verb.name, help=verb.help)
            for verb in self.verbs.values()
            if verb.name.startswith(incomplete)
        ]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]


def _nearest(path: str, word: str, known: Iterable[str]) -> str:
    import difflib  # only after a typing error

    near = difflib.get_close_matches(word.replace("_", "-").lower(), list(known), n=1)
    return f"did you mean '{path} {near[0]}'?" if near else f"{path} --help lists them"
