"""How many messages may still be protected with a key in this process. Counting costs a subtraction, and no lock."""

from __future__ import annotations

from typing import NoReturn

from strongroom.errors import PolicyError


class Allowance:
    """Whoever protects a message takes 1 from `left`, and calls `refuse` where it is below zero then.

    Taking is not atomic: threads may lose a count. So it is approximate, and a bound stands well below what it guards.
    """

    __slots__ = ("left",)

    def __init__(self, messages: int) -> None:
        self.left = messages

    def refuse(self) -> NoReturn:
        """Raise PolicyError: this was one too many."""
        raise PolicyError(
            "this key has encrypted as many messages in this process as random IVs allow",
            hint="strongroom rotate NAME",
        )
