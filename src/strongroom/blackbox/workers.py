"""The same work on many files, a few at a time, in order of the files. gpg is another process, so threads do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Progress = Callable[[int, int, str], None]
"""Called in the caller's thread for each file: how many are done, of how many, and the name of the one just done."""

_MOST = 8
_TOGETHER = 25
_T = TypeVar("_T")


def silent(done: int, total: int, name: str) -> None:
    """Progress that nobody watches."""


def each(
    names: Sequence[str], work: Callable[[Sequence[str]], list[_T]], *, progress: Progress | None = None
) -> list[_T]:
    """A result for every name, in their order. `work` gives those of a few names, as one start of gpg may serve them.

    The first failure, in order of the names, is raised, and ends it. The first name is worked on alone: engines make
    their rings then, and a person is asked for a passphrase once. While one thread's few wait for the agent, which
    opens one message at a time, another's are sealed.
    """
    tell = progress or silent
    results: list[_T] = []
    if names:
        results += work(names[:1])
        tell(1, len(names), names[0])
    rest = [names[at : at + _TOGETHER] for at in range(1, len(names), _TOGETHER)]
    if rest:
        with ThreadPoolExecutor(max_workers=min(_MOST, os.cpu_count() or 1, len(rest))) as pool:
            waiting = [pool.submit(work, few) for few in rest]
            done = 1
            try:
                for few, future in zip(rest, waiting, strict=True):
                    results += future.result()
                    for name in few:
                        done += 1
                        tell(done, len(names), name)
            finally:
                _cancel(waiting)
    return results


def _cancel(waiting: Iterable[Future[list[_T]]]) -> None:
    """What has not begun never does; what runs is the work of a few files, and has its own time limit."""
    for future in waiting:
        future.cancel()
