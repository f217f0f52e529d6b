"""`manage.py strongroom publish`: the grants of worker groups go to the CACHE of the settings, or where it is told."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from strongroom._encoding import parse_duration
from strongroom.django import conf
from strongroom.django.connections import keystores
from strongroom.django.verbs.base import Verb
from strongroom.keystore.exitcodes import DONE
from strongroom.keystore.publishing import publish


class _Publish:
    help = "Publish what was granted to worker groups: sealed to each group's key, and signed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("groups", nargs="*", help="Worker groups; all of them by default.")
        parser.add_argument("--to", action="append", metavar="URL", help="Instead of CACHE; may be given again.")
        parser.add_argument("--out", type=Path, metavar="FILE", help="A file, for one group.")
        parser.add_argument("--life", metavar="DURATION", help="How long it holds (24h in a cache, 30d in a file).")
        parser.add_argument("--force", action="store_true", help="Even where what is published is newer.")
        parser.add_argument("--json", action="store_true", help="For machines.")

    def run(self, command: BaseCommand, **options: Any) -> int:
        alias = options["keystore"]
        said = conf.effective_settings(alias)
        usual = [] if options["out"] is not None or said.cache is None else said.cache.split()
        done = publish(
            keystores[alias],
            options["groups"],
            out=options["out"],
            to=options["to"] or usual,
            life=None if options["life"] is None else parse_duration(options["life"]),
            force=options["force"],
            allow_pickle=said.allow_pickle_backend,
        )
        if options["json"]:
            command.stdout.write(json.dumps([each.facts() for each in done], indent=2))
            return DONE
        for each in done:
            for sentence in each.sentences():
                command.stdout.write(sentence)
        return DONE


PUBLISH: Verb = _Publish()
