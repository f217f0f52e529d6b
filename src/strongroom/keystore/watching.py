"""Publishing until somebody says stop: SIGTERM ends it between two rounds, so that nothing is left half done."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from strongroom.caching.publisher import WATCH_LIFE
from strongroom.errors import StrongroomError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.publishing import Published, watch

EVERY = 1.0
"""Seconds between two looks."""
TELL_EVERY = 60.0
"""Seconds after which a trouble that lasts is told again."""
_STEP = 0.1


def watch_until_terminated(
    keystore: KeyStore,
    groups: Sequence[str] = (),
    *,
    to: Sequence[str],
    life: int = WATCH_LIFE,
    allow_pickle: bool = False,
) -> Iterator[tuple[Published, ...] | StrongroomError]:
    """Publish each change within a second, until SIGTERM comes. What a person would want to know is yielded: what was
    written, and a trouble when it begins and once a minute."""
    told, told_at = "", 0.0
    with _terminated() as terminated:
        for done in watch(keystore, groups, to=to, life=life, allow_pickle=allow_pickle):
            if isinstance(done, StrongroomError):
                if str(done) != told or time.monotonic() >= told_at + TELL_EVERY:
                    told, told_at = str(done), time.monotonic()
                    yield done
            else:
                told = ""
                written = tuple(each for each in done if each.written)
                if written:
                    yield written
            end = time.monotonic() + EVERY
            while not terminated() and time.monotonic() < end:
                time.sleep(_STEP)
            if terminated():
                return


@contextmanager
def _terminated() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM has come. Outside the main thread it cannot be caught, and means what it meant before."""
    came: list[int] = []
    before = None
    with contextlib.suppress(ValueError):
        before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        yield lambda: bool(came)
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
