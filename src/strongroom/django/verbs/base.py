"""What a verb of `manage.py strongroom` is: words about it, its arguments, and one call."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, Protocol

from django.core.management.base import BaseCommand


class Verb(Protocol):
    """One verb. It writes only through the command's stdout and stderr, so that call_command can catch it."""

    @property
    def help(self) -> str:
        """One sentence for --help."""
        ...

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The verb's own arguments; `--keystore ALIAS` is there already."""
        ...

    def run(self, command: BaseCommand, **options: Any) -> int:
        """Do it; the exit status (strongroom.exitcodes). A StrongroomError is told by the frame."""
        ...
