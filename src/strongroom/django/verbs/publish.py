"""`manage.py strongroom publish`: the grants of worker groups go to the CACHE of the settings, or where it is told."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from strongroom._encoding import parse_duration
from strongroom.caching.publisher import WATCH_LIFE
from strongroom.django import conf
from strongroom.django.connections import keystores
from strongroom.django.verbs.base import Verb
from strongroom.errors import SettingsError, StrongroomError
from strongroom.exitcodes import DONE
from strongroom.keystore.publishing import Published, publish
from strongroom.keystore.watching import watch_until_terminated


class _Publish:
    help = "Publish what was granted to worker groups: sealed to each group's key, and signed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("groups", nargs="*", help="Worker groups; all of them by default.")
        parser.add_argument("--to", action="append", metavar="URL", help="Instead of CACHE; may be given again.")
        parser.add_argument("--out", type=Path, metavar="FILE", help="A file, for one group.")
        parser.add_argument("--life", metavar="DURATION", help="How long it holds (24h in a cache, 30d in a file).")
        parser.add_argument("--watch", action="store_true", help="Go on until SIGTERM: each change within a second.")
        parser.add_argument("--force", action="store_true", help="Even where what is published is newer.")
        parser.add_argument("--json", action="store_true", help="For machines.")

    def run(self, command: BaseCommand, **options: Any) -> int:
        alias = options["keystore"]
        said = conf.effective_settings(alias)
        usual = [] if options["out"] is not None or said.cache is None else said.cache.split()
        to = options["to"] or usual
        life = None if options["life"] is None else parse_duration(options["life"])
        if options["watch"]:
            if options["out"] is not None or options["force"]:
                raise SettingsError("--watch goes with --to, not with --out or --force")
            for news in watch_until_terminated(
                keystores[alias],
                options["groups"],
                to=to,
                life=life or WATCH_LIFE,
                allow_pickle=said.allow_pickle_backend,
            ):
                if isinstance(news, StrongroomError):
                    command.stderr.write(f"strongroom: warning: {news}")
                else:
                    _tell(command, news, as_json=options["json"])
            return DONE
        done = publish(
            keystores[alias],
            options["groups"],
            out=options["out"],
            to=to,
            life=life,
            force=options["force"],
            allow_pickle=said.allow_pickle_backend,
        )
        _tell(command, done, as_json=options["json"])
        return DONE


def _tell(command: BaseCommand, done: Sequence[Published], *, as_json: bool) -> None:
    if as_json:
        command.stdout.write(json.dumps([each.facts() for each in done], indent=2))
        return
    for each in done:
        for sentence in each.sentences():
            command.stdout.write(sentence)


PUBLISH: Verb = _Publish()
