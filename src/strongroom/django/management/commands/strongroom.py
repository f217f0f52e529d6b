"""`manage.py strongroom VERB`: what needs Django beside the store. A verb is one call of a floor below."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from strongroom.django.verbs import VERBS
from strongroom.errors import StrongroomError
from strongroom.exitcodes import DONE, exit_code


class Command(BaseCommand):
    """Finds the verb, and turns errors into messages with a hint and the exit statuses of `strongroom`."""

    help = "Keys of this site: what needs its models and caches beside the store."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One sub-parser a verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for name, verb in VERBS.items():
            added = verbs.add_parser(name, help=verb.help, description=verb.help)
            added.add_argument("--keystore", default="default", metavar="ALIAS", help="An alias of STRONGROOM.")
            verb.add_arguments(added)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb. What it returns is the exit status."""
        try:
            status = VERBS[options["verb"]].run(self, **options)
        except StrongroomError as error:
            hint = f"\nstrongroom: hint: {error.hint}" if error.hint else ""
            raise CommandError(f"{error}{hint}", returncode=exit_code(error)) from None
        if status != DONE:
            raise SystemExit(status)
