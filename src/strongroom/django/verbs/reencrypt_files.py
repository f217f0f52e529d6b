"""What `manage.py strongroom reencrypt` does to encrypted files, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand

from strongroom.django.file_columns import FileColumn
from strongroom.django.file_moving import FileMover, count_files
from strongroom.django.file_workforce import move_all_files, move_all_listed
from strongroom.django.reencryption import PASSES, Moved, Tell, remaining
from strongroom.django.storage import EncryptedStorage
from strongroom.django.stored import count_listed, listed_files, listed_storages, place_of
from strongroom.django.tally import Tally, answering
from strongroom.django.verbs.telling import facts, sentences

Progress = Callable[[str], AbstractContextManager[Tell]]


def of_columns(
    command: BaseCommand, places: Sequence[tuple[FileColumn, str]], options: dict[str, Any], progress: Progress
) -> Iterator[dict[str, Any]]:
    """Move, or count, what the rows of these columns name."""
    for column, using in places:
        done = Moved()
        with answering(column.label, using):
            if _moves(options):
                done = _passes(partial(_move, column, using, options, progress))
            found = count_files(column, using)
        yield _told(command, f"the files of {column.place(using)}", using, done, found, options)


def of_storages(command: BaseCommand, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Move, or count, what the storages of STORAGES list: files that no row names are among it."""
    for alias, storage in listed_storages(options["keystore"]).items():
        done = _passes(partial(_move_listed, alias, storage, options)) if _moves(options) else Moved()
        yield _told(command, place_of(alias), None, done, count_listed(alias, storage), options)


def _moves(options: dict[str, Any]) -> bool:
    return not options["report"] and not options["dry_run"]


def _mover(storage: EncryptedStorage, options: dict[str, Any]) -> FileMover:
    return FileMover(storage, options["compromised_too"], options["no_writers"])


def _move(column: FileColumn, using: str, options: dict[str, Any], progress: Progress) -> Moved:
    mover = _mover(column.storage, options)
    with progress(column.label) as tell:
        return move_all_files(column, using, mover, processes=options["processes"], tell=tell)


def _move_listed(alias: str, storage: EncryptedStorage, options: dict[str, Any]) -> Moved:
    names = partial(listed_files, alias, storage)
    return move_all_listed(_mover(storage, options), names, processes=options["processes"])


def _passes(once: Callable[[], Moved]) -> Moved:
    done = Moved()
    for _ in range(PASSES):
        passed = once()
        done.add(passed)
        done.broken, done.examples = passed.broken, passed.examples
        if not passed.missed:  # what somebody else saved meanwhile may be under the old version
            break
    return done


def _told(
    command: BaseCommand, place: str, using: str | None, done: Moved, found: list[Tally], options: dict[str, Any]
) -> dict[str, Any]:
    if not options["json"]:
        for sentence in _sentences(place, using is None, done, found, options):
            command.stdout.write(sentence)
    return {
        "files": place.removeprefix("the files of "),
        "database": using,
        **facts(done, found),
    }


def _sentences(place: str, listed: bool, done: Moved, found: list[Tally], options: dict[str, Any]) -> Iterator[str]:
    left = remaining(found)
    if listed and not done.moved and not left and not options["report"]:
        return  # its files are those that rows name, and were told
    if options["report"] and not found and not listed:
        yield f"{place}: none"
    yield from sentences(place, done, found, options)
    if left and listed and not done.broken and _moves(options):
        yield f"{place}: what no row names is moved in a directory only: save it anew, or delete it"
