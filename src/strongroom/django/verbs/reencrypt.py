"""`manage.py strongroom reencrypt`: cells go to the primary version, and the cells themselves say whether all did."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connections

from strongroom.django.cells import Cells
from strongroom.django.columns import Column, columns
from strongroom.django.marks import outdated_marks
from strongroom.django.reencryption import Moved, counted, remaining, seal
from strongroom.django.tally import Tally, answering
from strongroom.django.verbs.base import Verb
from strongroom.django.workforce import move_all
from strongroom.errors import NotFoundError, SettingsError
from strongroom.exitcodes import DONE, WORK_REMAINS

PASSES = 3
"""How often a column is gone through where others write at the same time."""


class _Reencrypt:
    help = "Encrypt the cells of encrypted columns again under the primary version of their keysets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "targets", nargs="*", metavar="app.Model.field", help="app, app.Model or a field; else all."
        )
        parser.add_argument(
            "--report", action="store_true", help="Count the cells that each version protects; no more."
        )
        parser.add_argument("--dry-run", action="store_true", help="Say how many cells would be moved.")
        parser.add_argument("--database", metavar="ALIAS", help="Only this one; else each that has the table.")
        parser.add_argument("--batch-size", type=_count, default=1000, metavar="N", help="Rows a transaction (1000).")
        parser.add_argument(
            "--processes", type=_count, default=1, metavar="N", help="Processes that share the work (1)."
        )
        parser.add_argument(
            "--compromised-too",
            action="store_true",
            help="Also move cells of compromised versions. Whoever had the key may have made them.",
        )
        parser.add_argument("--json", action="store_true", help="For machines.")

    def run(self, command: BaseCommand, **options: Any) -> int:
        places = _places(options["targets"], keystore=options["keystore"], database=options["database"])
        told = [self._one(command, column, using, options) for column, using in places]
        if options["json"]:
            command.stdout.write(json.dumps(told, indent=2))
        elif not told:
            command.stdout.write("no model has an encrypted column")
        if options["report"]:
            return DONE
        return WORK_REMAINS if any(each["remaining"] for each in told) else DONE

    def _one(self, command: BaseCommand, column: Column, using: str, options: dict[str, Any]) -> dict[str, Any]:
        cells = Cells(column, using)
        with answering(column, using):
            done = Moved()
            if not options["report"] and not options["dry_run"]:
                done = _moved(command, column, using, options)
            found = counted(cells)
            marks, clear = outdated_marks(cells), cells.clear()
        if not options["json"]:
            for sentence in _sentences(column, using, found, (marks, clear), done, options):
                command.stdout.write(sentence)
        return {
            "column": column.label,
            "database": using,
            "moved": done.moved,
            "broken": done.broken,
            "examples": [[str(part) for part in key] for key in done.examples],
            "remaining": remaining(found) + marks + clear,
            "marks": marks,
            "clear": clear,
            "versions": [
                {"keyset": each.keyset, "version": each.version, "primary": each.primary, "count": each.count}
                for each in found
            ],
        }


def _places(targets: list[str], *, keystore: str, database: str | None) -> list[tuple[Column, str]]:
    if database is not None and database not in connections:
        raise SettingsError(f"DATABASES has no {database!r}", hint=f"it has {', '.join(connections)}")
    wanted = columns(targets)
    mine = [column for column in wanted if column.store == keystore]
    if targets and not mine:
        raise NotFoundError(
            f"{', '.join(targets)}: not under the store {keystore!r}",
            hint=f"manage.py strongroom reencrypt --keystore {wanted[0].store}",
        )
    return [(column, using) for column in mine for using in column.databases() if database is None or using == database]


def _moved(command: BaseCommand, column: Column, using: str, options: dict[str, Any]) -> Moved:
    sealed = seal(Cells(column, using), size=options["batch_size"])
    done = Moved()
    done.add(sealed)
    for _ in range(PASSES):
        with _progress(command, column, Cells(column, using).count()) as progress:
            passed = move_all(
                column,
                using,
                processes=options["processes"],
                size=options["batch_size"],
                compromised_too=options["compromised_too"],
                progress=progress,
            )
        done.add(passed)
        done.broken = sealed.broken + passed.broken
        done.examples = [*sealed.examples, *passed.examples]
        # a process that has not seen the rotation may have written behind us
        if not passed.missed and remaining(counted(Cells(column, using))) <= passed.broken:
            break
    return done


def _sentences(
    column: Column, using: str, found: list[Tally], others: tuple[int, int], done: Moved, options: dict[str, Any]
) -> Iterator[str]:
    place = column.label if using == "default" else f"{column.label} in {using!r}"
    left = remaining(found)
    marks, clear = others
    if clear:
        yield f"{place}: {clear} rows are in the clear, for EncryptColumn is under way"
    if marks:
        yield f"{place}: {marks} marks of its blind index are not under the primary of {column.field.index.keyset}"
    if options["report"]:
        yield from (f"{place}: {_named(each)}: {each.count} cells" for each in found)
        if not found:
            yield f"{place}: no cells"
        return
    if options["dry_run"]:
        yield f"{place}: {left} cells would be moved; {sum(each.count for each in found) - left} are under the primary"
        return
    yield f"{place}: {done.moved} cells moved, {left} remain"
    if done.broken:
        keys = ", ".join("/".join(map(str, key)) for key in done.examples)
        yield f"{place}: {done.broken} cells do not open; the first have the primary keys {keys}"
    if left:
        yield from (f"{place}: {_named(each)}: {each.count} cells remain" for each in found if not each.primary)


def _named(each: Tally) -> str:
    if each.keyset is None:
        return "under no version of this store"
    return f"{each.keyset} version {each.version}{' (primary)' if each.primary else ''}"


@contextmanager
def _progress(command: BaseCommand, column: Column, total: int) -> Iterator[Callable[[int], None]]:
    """A line on a terminal that counts; nothing where a machine reads."""
    read, shown = 0, 0.0
    terminal = command.stderr.isatty()

    def tell(count: int) -> None:
        nonlocal read, shown
        read += count
        if terminal and time.monotonic() - shown > 0.2:
            shown = time.monotonic()
            command.stderr.write(f"\r{column.label}: {read} of {total} rows", ending="")

    yield tell
    if terminal and shown:
        command.stderr.write("\r\x1b[K", ending="")  # the line is as if it had not been


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise ArgumentTypeError(f"{text!r} is no number from 1 to 1000000")
    return int(text)


REENCRYPT: Verb = _Reencrypt()
