"""`manage.py strongroom destroy`: as the command, where the site's models say what versions still protect."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand

from strongroom._encoding import parse_duration
from strongroom.django.connections import keystores
from strongroom.django.verbs.base import Verb
from strongroom.errors import PolicyError, SettingsError
from strongroom.exitcodes import DONE, REFUSED
from strongroom.keystore import destruction
from strongroom.keystore.in_use import Use
from strongroom.model.dooming import LONGEST_WAIT

_CALL = "manage.py strongroom destroy"


class _Destroy:
    help = "Schedule the end of a version, spare it, or carry out what is due; never of what still protects a row."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="A keyset.")
        parser.add_argument("number", nargs="?", type=int, metavar="VERSION", help="A version of it.")
        parser.add_argument("--reason", help="Why; it is kept with the version.")
        parser.add_argument("--after", metavar="TIME", help="When: 7 to 30 days from now (30d).")
        parser.add_argument("--all", action="store_true", help="Every version of the keyset.")
        parser.add_argument("--cancel", action="store_true", help="Spare the version.")
        parser.add_argument("--due", action="store_true", help="Destroy what was scheduled and whose day has come.")
        parser.add_argument("--shred", action="store_true", help="Even where rows become unreadable by it; asks.")
        parser.add_argument("--yes", action="store_true", help="With --shred: do not ask.")
        parser.add_argument("--json", action="store_true", help="For machines.")

    def run(self, command: BaseCommand, **options: Any) -> int:
        keystore = keystores[options["keystore"]]
        name, number = options["name"], options["number"]
        said = "--due" if options["due"] else "--all" if options["all"] else number
        confirm = _Confirm(command, said=said, yes=options["yes"]) if options["shred"] else None
        if options["due"]:
            done = destruction.destroy_due(keystore, only=name, shred=confirm)
            after = destruction.aftermath(keystore) if any(not each.problem for each in done) else ()
            _tell(command, options, [each.facts() for each in done], (*(each.sentence() for each in done), *after))
            return REFUSED if any(each.problem for each in done) else DONE
        if name is None or (number is None) != options["all"]:
            raise SettingsError(
                "destroy takes a keyset and a version, or a keyset and --all, or --due",
                hint="manage.py strongroom destroy --help",
            )
        if options["cancel"]:
            keystore.spare(name, number, reason=options["reason"])
            which = "every version" if number is None else f"version {number}"
            _tell(command, options, {"keyset": name, "spared": number}, (f"spared {which} of {name}",))
            return DONE
        if not options["reason"]:
            raise SettingsError("a destruction has a reason", hint="manage.py strongroom destroy NAME VERSION --reason")
        after_s = LONGEST_WAIT if options["after"] is None else parse_duration(options["after"])
        keyset = destruction.schedule(keystore, name, number, reason=options["reason"], after_s=after_s, shred=confirm)
        _tell(command, options, {"keyset": name, "scheduled": number}, (destruction.scheduled(keyset, number),))
        return DONE


class _Confirm:
    """Shows what is lost on stderr, and wants the keyset's name typed. `said`: which versions, as they were named."""

    def __init__(self, command: BaseCommand, *, said: str | int, yes: bool) -> None:
        self._command = command
        self._said = said
        self._yes = yes

    def __call__(self, name: str, uses: Sequence[Use]) -> bool:
        for sentence in destruction.unreadable(uses):
            self._command.stderr.write(sentence)
        if self._yes:
            return True
        if not sys.stdin.isatty():
            raise PolicyError(
                f"{name!r} still protects data, and stdin is no terminal on which to ask whether that is to be lost",
                hint=f"at a terminal, or with --yes: {_CALL} {name} {self._said} --shred --yes",
            )
        self._command.stderr.write(f"Type the keyset's name ({name}) to go on: ", ending="")
        if sys.stdin.readline().rstrip("\r\n") != name:
            raise PolicyError(
                f"{name!r} still protects data, and its name was not what was typed: nothing is destroyed",
                hint=f"{_CALL} {name} {self._said} --shred, and then {name}",
            )
        return True


def _tell(command: BaseCommand, options: dict[str, Any], facts: object, sentences: Sequence[str]) -> None:
    if options["json"]:
        command.stdout.write(json.dumps(facts, indent=2))
        return
    for sentence in sentences or ("no destruction is due",):
        command.stdout.write(sentence)


DESTROY: Verb = _Destroy()
