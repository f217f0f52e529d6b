"""What a place for publications is. Whoever can write there is believed in nothing; every wait has a limit."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

from strongroom.caching.publication import MAX_PUBLICATION
from strongroom.errors import FormatError

TIMEOUT: Final = 0.2
"""Seconds for one step with a place, connecting or answering."""


class Backend(Protocol):
    """A place for one group's publication. StoreError: it does not answer, or refuses."""

    @property
    def location(self) -> str:
        """Where it is, for people; no password is in it."""
        ...

    def head(self) -> bytes:
        """The first bytes of what is there, at most HEAD: the cheap question. NotFoundError; FormatError."""
        ...

    def read(self) -> bytes:
        """What is there. NotFoundError; FormatError above the size limit or for another kind of value."""
        ...

    def write(self, raw: bytes, *, seconds: int) -> None:
        """Put it there whole; after `seconds` it may go by itself."""
        ...

    def close(self) -> None:
        """Give up what is held."""
        ...


class Subscription(Protocol):
    """Hears that something was published at a place. It may miss some: asking is the truth, this is only sooner."""

    def heard(self, seconds: float) -> bool:
        """Wait for a notice, at most so many seconds; whether one came. StoreError where the place is gone."""
        ...

    def close(self) -> None:
        """Hear no more."""
        ...


@runtime_checkable
class Announcing(Protocol):
    """A place that tells its readers at once."""

    def subscribe(self) -> Subscription:
        """Begin to hear. StoreError where the place does not serve, or does not let this reader hear."""
        ...


def too_large(location: str) -> FormatError:
    """What is raised above the size limit."""
    return FormatError(f"{location!r} holds more than {MAX_PUBLICATION} bytes, which is the limit of a publication")
