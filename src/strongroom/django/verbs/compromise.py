"""`manage.py strongroom compromise`: as the command, and the site's models say at once what the version protected."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from strongroom.django.connections import keystores
from strongroom.django.verbs.base import Verb
from strongroom.exitcodes import DONE
from strongroom.keystore.compromising import compromise
from strongroom.sealing.private_files import read_private_file

_ELSE = "--value-file FILE names another, and --generate makes a value up: manage.py strongroom compromise --help"


class _Compromise:
    help = "Mark a version compromised, replace it if it was primary, and list the rows that it protected."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="A keyset.")
        parser.add_argument("number", type=int, metavar="VERSION", help="A version of it.")
        parser.add_argument("--reason", required=True, help="Why; it is kept with the version.")
        parser.add_argument("--value-file", type=Path, metavar="FILE", help="A secret's next value, in a private file.")
        parser.add_argument("--generate", action="store_true", help="A secret's next value may be made up.")
        parser.add_argument("--json", action="store_true", help="For machines.")

    def run(self, command: BaseCommand, **options: Any) -> int:
        path = options["value_file"]
        done = compromise(
            keystores[options["keystore"]],
            options["name"],
            options["number"],
            reason=options["reason"],
            value=None if path is None else read_private_file(path, what="value file", hint=_ELSE),
            generate=options["generate"],
        )
        if options["json"]:
            facts = {"keyset": done.keyset.name, "compromised": done.version, **done.facts()}
            command.stdout.write(json.dumps(facts, indent=2))
            return DONE
        command.stdout.write(f"version {done.version} of {done.keyset.name} is compromised")
        for sentence in done.sentences():
            command.stdout.write(sentence)
        return DONE


COMPROMISE: Verb = _Compromise()
