"""`manage.py strongroom reencrypt`: cells and files go to the primary, and they say themselves whether all did."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias, TypeVar

from django.core.management.base import BaseCommand
from django.db import connections

from strongroom.django.cells import Cells
from strongroom.django.columns import Column, all_columns, matching
from strongroom.django.file_columns import FileColumn, all_file_columns
from strongroom.django.marks import outdated_marks
from strongroom.django.reencryption import PASSES, Moved, Tell, counted, remaining, seal
from strongroom.django.tally import Tally, answering
from strongroom.django.verbs.base import Verb
from strongroom.django.verbs.reencrypt_files import of_columns, of_storages
from strongroom.django.verbs.telling import facts, sentences
from strongroom.django.workforce import move_all
from strongroom.errors import NotFoundError, SettingsError
from strongroom.exitcodes import DONE, WORK_REMAINS

P = TypeVar("P", Column, FileColumn)


class _Reencrypt:
    help = (
        "Encrypt encrypted columns and files again under the primary version of their keysets. Of a column with a"
        " blind index every cell is opened, each time: only what is in it tells whether its mark is the right one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "targets", nargs="*", metavar="app.Model.field", help="app, app.Model or a field; else all."
        )
        parser.add_argument("--report", action="store_true", help="Count what each version protects; no more.")
        parser.add_argument("--dry-run", action="store_true", help="Say how much would be moved.")
        parser.add_argument(
            "--database", metavar="ALIAS", help="Only this one; else each to which routers give the table."
        )
        parser.add_argument("--batch-size", type=_count, default=1000, metavar="N", help="Rows a transaction (1000).")
        parser.add_argument(
            "--processes",
            type=_count,
            default=1,
            metavar="N",
            help="Processes that share the work (1). Where another process does not see what one does, it is one.",
        )
        parser.add_argument(
            "--compromised-too",
            action="store_true",
            help="Also move what is under compromised versions. Whoever had the key may have made it.",
        )
        parser.add_argument(
            "--no-writers",
            action="store_true",
            help="Nobody saves files now: also move those of storages that overwrite files of one name.",
        )
        parser.add_argument("--json", action="store_true", help="For machines.")

    def run(self, command: BaseCommand, **options: Any) -> int:
        cells, files = _places(options["targets"], keystore=options["keystore"], database=options["database"])
        told = [self._one(command, column, using, options) for column, using in cells]
        told += of_columns(command, files, options, partial(_progress, command, None))
        if not options["targets"] and options["database"] is None:
            told += of_storages(command, options)
        if options["json"]:
            command.stdout.write(json.dumps(told, indent=2))
        elif not told:
            command.stdout.write("no model has an encrypted column")
        if options["report"]:
            return DONE
        return WORK_REMAINS if any(each["remaining"] for each in told) else DONE

    def _one(self, command: BaseCommand, column: Column, using: str, options: dict[str, Any]) -> dict[str, Any]:
        cells = Cells(column, using)
        with answering(column.label, using):
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
            **facts(done, found),
            "remaining": remaining(found) + marks + clear,
            "marks": marks,
            "clear": clear,
            "no_cells": sum(each.count for each in found if not each.sealed),
        }


_Places: TypeAlias = tuple[list[tuple[Column, str]], list[tuple[FileColumn, str]]]


def _places(targets: list[str], *, keystore: str, database: str | None) -> _Places:
    if database is not None and database not in connections:
        raise SettingsError(f"DATABASES has no {database!r}", hint=f"it has {', '.join(connections)}")
    cells, files = list(all_columns()), list(all_file_columns())
    if targets:
        wanted = [(target, matching(cells, target), matching(files, target)) for target in targets]
        for target, some, others in wanted:
            if not some and not others:
                known = ", ".join(dict.fromkeys([*(c.label for c in cells), *(c.label for c in files)]))
                raise NotFoundError(
                    f"there is no encrypted column {target!r}; there are {known or 'none'}",
                    hint="manage.py strongroom reencrypt --report",
                )
        cells = list(dict.fromkeys(column for _, some, _ in wanted for column in some))
        files = list(dict.fromkeys(column for _, _, others in wanted for column in others))
    stores = [*(column.store for column in cells), *(column.store for column in files)]
    if targets and keystore not in stores:
        raise NotFoundError(
            f"{', '.join(targets)}: not under the store {keystore!r}",
            hint=f"manage.py strongroom reencrypt --keystore {stores[0]}",
        )
    return _in_databases(cells, keystore, database), _in_databases(files, keystore, database)


def _in_databases(every: list[P], keystore: str, database: str | None) -> list[tuple[P, str]]:
    mine = [column for column in every if column.store == keystore]
    return [(column, using) for column in mine for using in column.databases() if database is None or using == database]


def _moved(command: BaseCommand, column: Column, using: str, options: dict[str, Any]) -> Moved:
    sealed = seal(Cells(column, using), size=options["batch_size"])
    done = Moved()
    done.add(sealed)
    for _ in range(PASSES):
        with _progress(command, Cells(column, using).count(), column.label) as tell:
            passed = move_all(
                column,
                using,
                processes=options["processes"],
                size=options["batch_size"],
                compromised_too=options["compromised_too"],
                tell=tell,
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
    place, (marks, clear) = column.place(using), others
    if clear:
        yield f"{place}: {clear} rows are in the clear, for EncryptColumn is under way"
    if marks:
        yield f"{place}: {marks} marks of its blind index are not under the primary of {column.field.index.keyset}"
    if options["report"] and not found:
        yield f"{place}: no cells"
    yield from sentences(place, done, found, options, what=" cells", first="; the first have the primary keys")


@contextmanager
def _progress(command: BaseCommand, total: int | None, label: str) -> Iterator[Tell]:
    """A line on a terminal that counts; nothing where a machine reads."""
    read, shown = 0, 0.0
    terminal = command.stderr.isatty()

    def tell(moved: Moved) -> None:
        nonlocal read, shown
        read += moved.read
        if terminal and time.monotonic() - shown > 0.2:
            shown = time.monotonic()
            of = "" if total is None else f" of {total}"
            command.stderr.write(f"\r{label}: {read}{of} rows", ending="")

    yield tell
    if terminal and shown:
        command.stderr.write("\r\x1b[K", ending="")  # the line is as if it had not been


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise ArgumentTypeError(f"{text!r} is no number from 1 to 1000000")
    return int(text)


REENCRYPT: Verb = _Reencrypt()
