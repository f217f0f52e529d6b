"""Several processes that each move a range of one column. They share the open keystore by fork, and no connection."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from django.db import connections

from strongroom import errors
from strongroom.django.cells import Cells
from strongroom.django.columns import Column
from strongroom.django.reencryption import Moved, move
from strongroom.errors import StoreError, StrongroomError


def move_all(
    column: Column, using: str, *, processes: int, size: int, compromised_too: bool, progress: Callable[[int], None]
) -> Moved:
    """Move a column with so many processes. The first error of one of them is raised when all have ended."""
    cells = Cells(column, using)
    connection = connections[using]
    alone = processes == 1 or connection.in_atomic_block or getattr(connection, "is_in_memory_db", bool)()
    if alone:
        return move(cells, size=size, compromised_too=compromised_too, progress=progress)
    ranges = cells.bounds(processes)
    _open_what_is_needed(cells)
    connections.close_all()  # a child that used its parent's connection would take the answers of the other
    context = multiprocessing.get_context("fork")
    started: list[tuple[Any, Connection]] = []
    for after, upto in ranges:
        ours, theirs = context.Pipe(duplex=False)
        said = {"size": size, "after": after, "upto": upto, "compromised_too": compromised_too}
        process = context.Process(target=_work, args=(column, using, said, theirs))
        process.start()
        theirs.close()
        started.append((process, ours))
    try:
        return _gathered([pipe for _, pipe in started], progress)
    finally:
        for process, pipe in started:
            pipe.close()
            process.join()


def _open_what_is_needed(cells: Cells) -> None:
    """Have the store opened before the fork: once, and not once a process."""
    for rows in cells.windows(1):
        cells.column.field.box(cells.column.field.context_of(rows[0].context) if rows[0].context is not None else None)
        return


def _work(column: Column, using: str, said: dict[str, Any], pipe: Connection) -> None:
    try:
        done = move(Cells(column, using), progress=lambda count: pipe.send(("progress", count)), **said)
        pipe.send(("done", done))
    except StrongroomError as error:
        pipe.send(("failed", (type(error).__name__, str(error), error.hint)))
    except BrokenPipeError:
        return  # the parent is gone, or has given up
    finally:
        connections.close_all()
        pipe.close()


def _gathered(pipes: list[Connection], progress: Callable[[int], None]) -> Moved:
    total = Moved()
    failure: StrongroomError | None = None
    ended = 0
    waiting = list(pipes)
    while waiting:
        for pipe in wait(waiting):
            assert isinstance(pipe, Connection)  # noqa: S101  nothing else was given to it
            try:
                what, said = pipe.recv()
            except EOFError:
                waiting.remove(pipe)
                continue
            if what == "progress":
                progress(said)
            elif what == "done":
                ended += 1
                total.add(said)
            else:
                ended += 1
                kind, message, hint = said
                failure = getattr(errors, kind)(message, hint=hint)
    if failure is not None:
        raise failure
    if ended != len(pipes):
        raise StoreError(
            f"{len(pipes) - ended} of {len(pipes)} processes died; what they had swapped is in the database",
            hint="manage.py strongroom reencrypt goes on where they stopped",
        )
    return total
