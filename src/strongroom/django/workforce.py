"""Several processes that each do a part of one work. They share the open keystore by fork, and no connection.

Every part is made of steps that look before they write, so nothing of it can be lost or done twice: where a process is
killed, another one does its part once more, and finds what is left of it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from django.db import connections

from strongroom import errors
from strongroom.django.cells import Cells, Key
from strongroom.django.columns import Column
from strongroom.django.reencryption import Moved, Tell, move
from strongroom.django.tally import answering
from strongroom.errors import StoreError, StrongroomError

Part = Callable[[Tell], object]
"""A part of the work. It tells of each range of rows that it is through with."""


def move_all(column: Column, using: str, *, processes: int, size: int, compromised_too: bool, tell: Tell) -> Moved:
    """Move a column with so many processes. The first error of one of them is raised when all have ended."""
    cells = Cells(column, using)
    if processes == 1 or must_be_alone():
        return move(cells, size=size, compromised_too=compromised_too, tell=tell)
    open_keyset_of(cells)
    said = {"size": size, "compromised_too": compromised_too}
    return share([partial(_move, column, using, bounds, said) for bounds in cells.bounds(processes)], tell)


def _move(column: Column, using: str, bounds: tuple[Key | None, Key | None], said: dict[str, Any], tell: Tell) -> None:
    with answering(column.label, using):
        move(Cells(column, using), after=bounds[0], upto=bounds[1], tell=tell, **said)


def must_be_alone() -> bool:
    """Whether another process could not see what this one sees: a transaction that is open, a database in memory."""
    held: Iterable[Any] = connections.all(initialized_only=True)
    return any(each.in_atomic_block or getattr(each, "is_in_memory_db", bool)() for each in held)


def open_keyset_of(cells: Cells) -> None:
    """Have the store opened before the fork: once, and not once a process."""
    for rows in cells.windows(1):
        cells.column.field.box(cells.column.field.context_of(rows[0].context) if rows[0].context is not None else None)
        return


def share(parts: Sequence[Part], tell: Tell) -> Moved:
    """Have each part done by a process of its own. The first error of one of them is raised when all have ended."""
    total, failures, dead = Moved(), list[StrongroomError](), 0
    working: dict[Connection, _Worker] = {}
    for part in parts:
        _start(part, working)
    try:
        while working:
            for pipe in wait(list(working)):
                assert isinstance(pipe, Connection)  # noqa: S101  nothing else was given to it
                try:
                    what, said = pipe.recv()
                except (EOFError, OSError):  # it has ended, perhaps in the midst of a word
                    ended = working.pop(pipe)
                    pipe.close()
                    ended.process.join()
                    if ended.is_done:
                        continue
                    if ended.process.exitcode < 0 and not ended.is_second:
                        _start(ended.part, working, is_second=True)
                    else:
                        dead += 1
                    continue
                if what == "moved":
                    total.add(said)
                    tell(said)
                    continue
                working[pipe].is_done = True
                if what == "failed":
                    kind, message, hint = said
                    failures.append(getattr(errors, kind)(message, hint=hint))
    finally:
        for pipe, worker in working.items():
            pipe.close()  # it ends when it has something to tell
            worker.process.join()
    if failures:
        raise failures[0]
    if dead:
        raise StoreError(
            f"{dead} of {len(parts)} processes died; what they had moved stays moved",
            hint="manage.py strongroom reencrypt goes on where they stopped",
        )
    return total


@dataclass(slots=True)
class _Worker:
    process: Any
    part: Part
    is_second: bool
    """Whether it does what a process was killed at."""
    is_done: bool = False


def _start(part: Part, working: dict[Connection, _Worker], *, is_second: bool = False) -> None:
    connections.close_all()  # a child that used its parent's connection would take the answers of the other
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(part, theirs, [ours, *working]))
    process.start()
    theirs.close()
    working[ours] = _Worker(process, part, is_second)


def _work(part: Part, pipe: Connection, parents: Sequence[Connection]) -> None:
    for end in parents:
        end.close()  # or no process would notice that their parent is gone
    try:
        pipe.send(_done(part, pipe))
    except (BrokenPipeError, KeyboardInterrupt):
        return  # the parent is gone, or has given up
    finally:
        connections.close_all()
        pipe.close()


def _done(part: Part, pipe: Connection) -> tuple[str, Any]:
    try:
        part(lambda moved: pipe.send(("moved", moved)))
    except StrongroomError as error:
        return "failed", (type(error).__name__, str(error), error.hint)
    return "done", None
