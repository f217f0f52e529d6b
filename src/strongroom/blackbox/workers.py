"""The same work on many files, some at a time, in order of the files. gpg is another process, so threads do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Progress = Callable[[int, int, str], None]
"""Called in the caller's thread after each file: how many are done, of how many, and the name of the one just done."""

_MOST = 8
_T = TypeVar("_T")


def silent(done: int, total: int, name: str) -> None:
    """Progress that nobody watches."""


def each(names: Sequence[str], work: Callable[[str], _T], *, progress: Progress | None = None) -> list[_T]:
    """`work(name)` for every name, results in their order. The first failure, in that order, is raised, and ends it.

    The first name is worked on alone: engines make their rings then, and a person is asked for a passphrase once.
    """
    tell = progress or silent
    results: list[_T] = []
    for name in names[:1]:
        results.append(work(name))
        tell(1, len(names), name)
    rest = names[1:]
    if rest:
        with ThreadPoolExecutor(max_workers=min(_MOST, os.cpu_count() or 1, len(rest))) as pool:
            waiting = [pool.submit(work, name) for name in rest]
            try:
                for done, (name, future) in enumerate(zip(rest, waiting, strict=True), start=2):
                    results.append(future.result())
                    tell(done, len(names), name)
            finally:
                _cancel(waiting)
    return results


def _cancel(waiting: Iterable[Future[_T]]) -> None:
    """What has not begun never does; what runs is one file's work, and has its own time limit."""
    for future in waiting:
        future.cancel()
