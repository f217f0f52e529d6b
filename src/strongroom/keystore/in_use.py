"""What still depends on a version. The keystore asks; whoever keeps data under its keys answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from strongroom.model.keyset import Keyset


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Data that one version still protects. `place` is for people (`school.Student.ssn`); `count` are items there."""

    place: str
    version: int
    count: int


class InUse(Protocol):
    """One who keeps data under keysets. It is registered with a keystore, and asked before a version is destroyed."""

    def uses(self, keyset: Keyset) -> Sequence[Use]:
        """Every place and version of this keyset with at least one item. StrongroomError where that cannot be told."""
        ...
