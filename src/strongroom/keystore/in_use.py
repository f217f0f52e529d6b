"""What still depends on a version. The keystore asks; whoever keeps data under its keys answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from strongroom.keystore.counting import Counting
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId

NOBODY_NAMED = "manage.py strongroom asks a site's models, and STRONGROOM_IN_USE names who else is asked"
"""What is said where no application is registered that could tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Data that one version still protects. `place` is for people (`school.Student.ssn`); `count` are items there."""

    place: str
    version: int
    count: int

    def facts(self) -> dict[str, object]:
        """For machines."""
        return {"place": self.place, "version": self.version, "count": self.count}


class InUse(Protocol):
    """One who keeps data under keysets. It is registered with a keystore, and asked before a version is destroyed."""

    def uses(self, keyset: Keyset) -> Sequence[Use]:
        """Every place and version of this keyset with at least one item. StrongroomError where that cannot be told."""
        ...


class Answering(ABC):
    """What a KeyStore knows of the use of its versions: from those who keep data, and from what was counted."""

    _reports: list[InUse]
    _counting: Counting

    @abstractmethod
    def show(self, name: str) -> Keyset:
        """One keyset, verified."""

    def register_use(self, report: InUse) -> None:
        """Have `report` asked what versions still protect. Registering the same one again changes nothing."""
        if report not in self._reports:
            self._reports.append(report)

    @property
    def has_reports(self) -> bool:
        """Whether anybody is registered who could say what versions still protect."""
        return bool(self._reports)

    def uses(self, name: str) -> tuple[Use, ...]:
        """What the versions of a keyset still protect, as far as whoever is registered here knows. NotFoundError."""
        keyset = self.show(name)
        return tuple(use for report in self._reports for use in report.uses(keyset))

    def message_counts(self) -> Mapping[tuple[str, KeyId], int]:
        """Messages that each version protected, as holders of this checkout added up. StoreError; FormatError."""
        usage = self._counting.usage
        return {} if usage is None else usage.totals()
