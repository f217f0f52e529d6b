"""How many messages each version protects: counted here, added up by holders now and then, and told before the limit.

It is approximate by design. Each process counts in memory, at the price of a subtraction; what it made is added to the
counts beside the witness (stores/usage.py) once a minute, sooner where the limit is near, and when the keystore closes.
A process that is killed takes up to a minute's count with it; a worker has no witness, and counts for itself alone.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

from strongroom.errors import FormatError, PolicyError, StoreError
from strongroom.keystore import acts
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, KeysetName
from strongroom.model.periods import is_countable
from strongroom.model.version import Version
from strongroom.primitives.aead import MAX_MESSAGES
from strongroom.primitives.allowance import Allowance
from strongroom.stores.usage import Usage

EVERY = 60.0
"""Seconds between two reports of one process, while it protects."""

Verb = Callable[..., bytes]

NEAR = 0.75
"""The part of a limit from which on it is warned about."""


def limit_of(keyset: Keyset) -> int | None:
    """The messages that a version of this keyset may protect, stated or by the standard; None for any number."""
    if keyset.policy.max_messages is not None:
        return keyset.policy.max_messages
    return MAX_MESSAGES if is_countable(keyset) else None


class Tally(Allowance):
    """The messages of one version. A stated limit is kept to; the standard's is one that each process keeps for itself.

    `total` is what is known of all processes together, as of the last report.
    """

    __slots__ = ("__weakref__", "_given", "_reported_at", "_stated", "key_id", "limit", "name", "number", "total")

    def __init__(self, keyset: Keyset, version: Version, limit: int, *, stated: bool) -> None:
        super().__init__(limit)
        self.name: KeysetName = keyset.name
        self.key_id: KeyId = version.key_id
        self.number = version.number
        self.limit = limit
        self.total = 0
        self._stated = stated
        self._given = limit
        self._reported_at = float("-inf")
        _TALLIES.add(self)

    def __repr__(self) -> str:
        return f"<{self.made} messages of version {self.number} of {self.name!r} since the last report>"

    @property
    def made(self) -> int:
        """Messages protected here since the last report."""
        return max(0, self._given - max(self.left, 0))

    @property
    def is_near(self) -> bool:
        """Whether so many were protected that somebody should rotate."""
        return self.total + self.made >= self.limit * NEAR

    def take(self, messages: int) -> None:
        """Take some for messages that are protected together. PolicyError as `refuse`."""
        self.left -= messages
        if self.left < 0:
            self.refuse()

    def refuse(self) -> NoReturn:
        """Raise PolicyError: the version has protected as many messages as it may."""
        whose = "its policy allows" if self._stated else "random IVs allow one process (SP 800-38D section 8.3)"
        raise PolicyError(
            f"version {self.number} of {self.name!r} has protected the {self.limit} messages that {whose}",
            hint=f"strongroom rotate {self.name} --now",
        )

    def report(self, usage: Usage | None, monotonic: float, *, at_once: bool = False) -> None:
        """Tell the others what was made here, if it is time, and learn what they made. Trouble is logged."""
        made = self.made
        soon = at_once or made > self.limit // 1000 or monotonic >= self._reported_at + EVERY
        if not soon or (at_once and not made):
            return
        self._reported_at = monotonic
        try:
            total = self.total + made if usage is None else usage.add(self.name, self.key_id, made)
        except (StoreError, FormatError) as trouble:
            acts.warn("usage-not-counted", keyset=self.name, problem=trouble)
            return
        self.total = total
        left = max(0, self.limit - total) if self._stated else max(self.left, 0)
        self._given = self.left = left

    def forget(self) -> None:
        """What was made so far is somebody else's to tell: the parent's, in a forked child."""
        self._given = self.left = max(self.left, 0)


class Counting:
    """The tallies of one keystore. `usage` is where holders add up; a worker has a share of its own instead."""

    __slots__ = ("_is_worker", "_tallies", "usage")

    def __init__(self, usage: Usage | None, *, is_worker: bool) -> None:
        self.usage = usage
        self._is_worker = is_worker
        self._tallies: dict[tuple[KeysetName, KeyId], Tally] = {}

    def tally(self, keyset: Keyset, version: Version | None) -> Tally | None:
        """The tally of a version; None where nobody counts."""
        policy = keyset.policy
        limit = limit_of(keyset)
        if version is None or limit is None:
            return None
        if self._is_worker and policy.worker_messages is not None:
            limit = policy.worker_messages
        held = self._tallies.get((keyset.name, version.key_id))
        if held is None or held.limit != limit:
            if held is not None:
                held.report(self.usage, 0.0, at_once=True)
            stated = policy.max_messages is not None
            held = self._tallies[keyset.name, version.key_id] = Tally(keyset, version, limit, stated=stated)
        return held

    def close(self) -> None:
        """Report what is not reported yet, and let go of the file."""
        for tally in list(self._tallies.values()):
            tally.report(self.usage, 0.0, at_once=True)
        self._tallies.clear()
        if self.usage is not None:
            self.usage.close()


class Counted:
    """A primitive whose messages are counted one by one: what has a stated limit, and does not count by itself.

    Its verbs are the primitive's, as they are called there. PolicyError where the limit is reached.
    """

    __slots__ = ("compute", "encrypt", "sign")

    def __init__(self, primitive: Any, tally: Tally) -> None:
        self.encrypt: Verb = _counted(getattr(primitive, "encrypt", None), tally)
        self.sign: Verb = _counted(getattr(primitive, "sign", None), tally)
        self.compute: Verb = _counted(getattr(primitive, "compute", None), tally)


def _counted(call: Any, tally: Tally) -> Verb:
    """The call, after one message is counted. A closure: a method that looks both up costs as much again."""

    def counted(*parts: Any) -> bytes:
        tally.left -= 1
        if tally.left < 0:
            tally.refuse()
        made: bytes = call(*parts)
        return made

    return counted


_TALLIES: weakref.WeakSet[Tally] = weakref.WeakSet()


def _forget_all() -> None:
    for tally in list(_TALLIES):
        tally.forget()


os.register_at_fork(after_in_child=_forget_all)
