"""A circuit breaker: a place that fails is left alone for a while, so that no look-up waits for it again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from strongroom._clock import Clock
from strongroom.caching.backends import Backend
from strongroom.errors import FormatError, NotFoundError, StoreError

T = TypeVar("T")


class Guarded:
    """A backend behind a circuit breaker.

    After `FAILURES` in a row it is left alone for `PAUSE` seconds, then asked once; each further failure doubles the
    pause, up to `LONGEST` seconds. So of a thousand look-ups in a hundred seconds nine wait for a server that hangs.
    """

    FAILURES: Final = 3
    PAUSE: Final = 5.0
    LONGEST: Final = 20.0

    def __init__(self, backend: Backend, *, clock: Clock, opened: Callable[[float], None] | None = None) -> None:
        """opened: told the seconds for which the backend is left alone, each time that it begins."""
        self.backend = backend
        self._clock = clock
        self._opened = opened
        self._failed = 0
        self._until = 0.0
        self._why = ""

    @property
    def location(self) -> str:
        """The backend's."""
        return self.backend.location

    @property
    def is_open(self) -> bool:
        """Whether it is left alone now."""
        return self._failed >= self.FAILURES and self._clock.monotonic() < self._until

    def head(self) -> bytes:
        """As the backend; StoreError at once while it is left alone."""
        return self._guarded(self.backend.head)

    def read(self) -> bytes:
        """As the backend; StoreError at once while it is left alone."""
        return self._guarded(self.backend.read)

    def close(self) -> None:
        """Close the backend."""
        self.backend.close()

    def _guarded(self, ask: Callable[[], T]) -> T:
        if self.is_open:
            raise StoreError(f"{self._why} (left alone for a while after {self._failed} failures)")
        try:
            answer = ask()
        except StoreError as error:
            self._failed += 1
            pause = min(self.PAUSE * 2 ** min(max(self._failed - self.FAILURES, 0), 8), self.LONGEST)
            self._until = self._clock.monotonic() + pause
            self._why = str(error)
            if self._failed >= self.FAILURES and self._opened is not None:
                self._opened(pause)
            raise
        except (NotFoundError, FormatError):
            self._failed = 0  # it answered
            raise
        self._failed = 0
        return answer
