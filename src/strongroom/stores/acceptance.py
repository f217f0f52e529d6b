"""What a person is shown of the witness, and accepts. It asks for authentic records, and never lifts a final state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from strongroom.errors import FormatError, NotFoundError
from strongroom.model.names import KeysetName, Revision
from strongroom.model.record import Record
from strongroom.sealing.root import Root
from strongroom.stores.seen import HEADER, Difference, Mark, Seen, Witness, vanished


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessRow:
    """One record as it was seen, and how the one that is here differs; nothing in `differences` means fresh."""

    name: KeysetName
    revision: Revision
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """Everything that was seen, for people. `absence` says why there is no witness, where there is none."""

    location: str
    absence: str
    rows: tuple[WitnessRow, ...]


class Acceptance:
    """Compares what is here with what was seen, and makes the one the other. `read` and `read_all` verify."""

    __slots__ = ("_header", "_read", "_read_all", "_root", "_witness")

    def __init__(
        self,
        witness: Witness,
        *,
        root: Root,
        header: Mark,
        read: Callable[[KeysetName], Record],
        read_all: Callable[[], Sequence[Record]],
    ) -> None:
        self._witness = witness
        self._root = root
        self._header = header
        self._read = read
        self._read_all = read_all

    def witnessed(self) -> Witnessed:
        """What was seen of each record, and how the one that is here differs."""
        differing = self._differing_of_all()
        return Witnessed(
            location=self._witness.location,
            absence=self._witness.absence,
            rows=(
                *self._header_row(),
                *(
                    WitnessRow(
                        name=seen.name,
                        revision=seen.revision,
                        differences=tuple(map(str, differing[seen.name].found)) if seen.name in differing else (),
                    )
                    for seen in self._witness.show()
                    if seen.revision
                ),
            ),
        )

    def _header_row(self) -> tuple[WitnessRow, ...]:
        """Of the header, where it differs."""
        seen = self._witness.seen_mark(HEADER)
        told = () if seen is None else seen.differences(self._header)
        if seen is None or not told:
            return ()
        return (WitnessRow(name=HEADER, revision=seen.revision, differences=tuple(map(str, told))),)

    def of_header(self) -> tuple[KeysetName, ...]:
        """Accept the header as it is; its name if it differed."""
        if not self._witness.check_mark(HEADER, self._header):
            return ()
        self._witness.accept_mark(HEADER, self._header)
        return (HEADER,)

    def of(self, name: KeysetName) -> tuple[KeysetName, ...]:
        """Accept one record as it is, or that it is gone; its name if it differed. NotFoundError if it never was."""
        seen = self._witness.show(name)
        try:
            records = [self._read(name)]
        except NotFoundError:
            if not any(each.revision for each in seen):
                raise
            records = []
        return self._accepted(self._differing(records, seen))

    def of_all(self) -> tuple[KeysetName, ...]:
        """Accept every record as it is, the header and the root; the names of those that differed.

        A damaged memory goes aside.
        """
        try:
            later = max(self._witness.roots().values(), default=0) > self._root.number
            self._witness.show()
        except FormatError:
            self._witness.set_aside()
            later = False
        if later:
            self._witness.accept_root(self._root)
        else:
            self._witness.learn_root(self._root)
        return (*self.of_header(), *self._accepted(self._differing_of_all()))

    def _accepted(self, differing: dict[KeysetName, _Differing]) -> tuple[KeysetName, ...]:
        for name, each in differing.items():
            self._witness.accept(name, each.record)
        return tuple(differing)

    def _differing_of_all(self) -> dict[KeysetName, _Differing]:
        return self._differing(self._read_all(), self._witness.show())

    def _differing(self, records: Sequence[Record], seen: Sequence[Seen]) -> dict[KeysetName, _Differing]:
        """The records that are not what was seen, sorted by name. What is news is learned on the way."""
        verdicts = self._witness.check_all(records)
        found = {
            record.keyset.name: _Differing(record, verdict.differences)
            for record, verdict in zip(records, verdicts, strict=True)
            if verdict.differences
        }
        here = {record.keyset.name for record in records}
        for each in seen:
            if each.revision and each.name not in here:
                found[each.name] = _Differing(None, (vanished(each),))
        return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class _Differing:
    record: Record | None
    """None for one that is not here."""
    found: tuple[Difference, ...]
