"""A sign of life for a person who waits longer than a second. Machines and pipes see nothing of it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATIENCE = 1.0
"""Seconds that a person waits without asking himself whether it hangs."""
_BEAT = 0.12
_FRAMES = "|/-\\"


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on a terminal that `what` goes on, from the first second to the end of the block.

    Never around anything at which gpg may ask for a passphrase: both would write on the one terminal.
    """
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    sign = threading.Thread(target=_turn, args=(what, done), daemon=True)
    sign.start()
    try:
        yield
    finally:
        done.set()
        sign.join()


def _turn(what: str, done: threading.Event) -> None:
    started = time.monotonic()
    if done.wait(PATIENCE):
        return
    with suppress(OSError, ValueError):  # a terminal that is gone
        turn = 0
        while True:
            waited = int(time.monotonic() - started)
            sys.stderr.write(f"\r{_FRAMES[turn % len(_FRAMES)]} {what} ({waited} s)")
            sys.stderr.flush()
            turn += 1
            if done.wait(_BEAT):
                break
        sys.stderr.write("\r\x1b[K")  # the line is as if it had not been
        sys.stderr.flush()
