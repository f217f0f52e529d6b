"""What a witness knows and says. Its memory goes forward only; states that it knows to be final are never lifted.

DESIGN section 4, "Rollback". git checkouts and merges are honest reasons for an older record, so a difference is not an
error: it makes a record stale, which goes on processing and protects nothing until somebody accepts it.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol, Self

from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, KeysetName, Revision, RootId, StoreId, format_key_id
from strongroom.model.record import Record
from strongroom.model.states import KeyState, sterner
from strongroom.sealing.header import Header
from strongroom.sealing.root import Root

FINAL = frozenset({KeyState.COMPROMISED, KeyState.DESTROYED})
"""The states that a witness keeps: nothing lawful leads back from them."""

HEADER = KeysetName("store.json")
"""By this name, which no keyset can have, the store's header is remembered among its records."""

BESIDE = "strongroom.workers/"
"""So begin the names by which worker groups are remembered: as a header lists them, and as no keyset is named."""

NO_STATES: Mapping[KeyId, KeyState] = MappingProxyType({})


class Cause(enum.Enum):
    """In what way a record differs from what was seen."""

    OLDER = "older"
    OTHER = "other"
    KEY_MISSING = "key-missing"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a record differs from what was seen of it, and the same in words."""

    cause: Cause
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of one record. Revision 0 stands for a record whose end was accepted."""

    name: KeysetName
    revision: Revision
    mac: bytes
    key_ids: frozenset[KeyId]
    states: Mapping[KeyId, KeyState]


class Mark(NamedTuple):
    """What is remembered of the header, or of a worker group: which revision, and a digest of all of it.

    No digest stands for what was removed at that revision, here or by somebody whose removal came here.
    """

    revision: Revision
    digest: bytes

    @classmethod
    def of_header(cls, header: Header, raw: bytes) -> Self:
        """The mark of a verified header, which these bytes are."""
        return cls(header.revision, hashlib.sha256(raw).digest())

    def differences(self, here: Mark) -> tuple[Difference, ...]:
        """In what that which is here falls behind this, which was seen."""
        if here.revision <= self.revision and not self.digest:
            text = f"revision {here.revision} is here, and revision {self.revision} was removed"
            return (Difference(Cause.OLDER, text),)
        if here.revision < self.revision:
            text = f"revision {here.revision} is here, and revision {self.revision} was seen"
            return (Difference(Cause.OLDER, text),)
        if here.revision == self.revision and here.digest != self.digest:
            return (Difference(Cause.OTHER, f"another revision {self.revision} was seen"),)
        return ()


class Verdict(NamedTuple):
    """How a record stands to what was seen: nothing in `differences` means fresh; `states` hold whatever comes."""

    differences: tuple[Difference, ...]
    states: Mapping[KeyId, KeyState]


UNKNOWN = Verdict((), NO_STATES)


class Witness(Protocol):
    """Memory, outside the repository, of what was seen of each record. It is told of authentic records only.

    Every method may raise FormatError (its memory is damaged) or StoreError (it cannot be read now).
    """

    @property
    def location(self) -> str:
        """Where it is, for people; empty where there is none."""
        ...

    @property
    def absence(self) -> str:
        """Why there is none, as words; empty where there is one."""
        ...

    def check(self, record: Record) -> Verdict:
        """Compare one record with what was seen, and learn it if it is news."""
        ...

    def check_all(self, records: Sequence[Record]) -> list[Verdict]:
        """The same for many records, in the same order."""
        ...

    def sterner_states(self, name: KeysetName) -> Mapping[KeyId, KeyState]:
        """The versions of a keyset that are known to be compromised or destroyed."""
        ...

    def known_names(self) -> frozenset[KeysetName]:
        """The records that were seen and whose end nobody accepted."""
        ...

    def show(self, name: KeysetName | None = None) -> tuple[Seen, ...]:
        """What was seen of the record of this name, if anything; None: everything, by name."""
        ...

    def accept(self, name: KeysetName, record: Record | None) -> None:
        """Take this record for the newest, older or not; None: take it that there is none. States stay known."""
        ...

    def check_mark(self, name: KeysetName, mark: Mark) -> tuple[Difference, ...]:
        """In what the header (HEADER) or a group falls behind what was seen of it; it is learned if it is news."""
        ...

    def seen_mark(self, name: KeysetName) -> Mark | None:
        """The newest that was seen of it."""
        ...

    def groups(self) -> Mapping[KeysetName, Mark]:
        """The newest that was seen of each worker group, by the name under which it is remembered."""
        ...

    def accept_mark(self, name: KeysetName, mark: Mark) -> None:
        """Take this for the newest, older or not."""
        ...

    def roots(self) -> Mapping[RootId, int]:
        """The root ids that were seen, with their numbers."""
        ...

    def learn_root(self, root: Root) -> None:
        """From now on this root is ours, and no other one of its number."""
        ...

    def accept_root(self, root: Root) -> None:
        """Take this root for the newest: those with greater numbers are forgotten."""
        ...

    def other_stores(self) -> tuple[StoreId, ...]:
        """Other stores that were seen in this very place."""
        ...

    def set_aside(self) -> Path | None:
        """Give a damaged memory another name, and begin anew; the new name of the old one."""
        ...

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        ...


class NoWitness:
    """Where there is no place to remember anything: everything is news. DESIGN section 4 names the gap."""

    def __init__(self, absence: str) -> None:
        self.absence = absence

    location = ""

    def __repr__(self) -> str:
        return f"<no witness: {self.absence}>"

    def check(self, record: Record) -> Verdict:
        """Nothing was seen."""
        return UNKNOWN

    def check_all(self, records: Sequence[Record]) -> list[Verdict]:
        """Nothing was seen."""
        return [UNKNOWN] * len(records)

    def sterner_states(self, name: KeysetName) -> Mapping[KeyId, KeyState]:
        """None."""
        return NO_STATES

    def known_names(self) -> frozenset[KeysetName]:
        """None."""
        return frozenset()

    def show(self, name: KeysetName | None = None) -> tuple[Seen, ...]:
        """Nothing."""
        return ()

    def accept(self, name: KeysetName, record: Record | None) -> None:
        """There is nothing to change."""

    def check_mark(self, name: KeysetName, mark: Mark) -> tuple[Difference, ...]:
        """Nothing was seen."""
        return ()

    def seen_mark(self, name: KeysetName) -> Mark | None:
        """None."""
        return None

    def groups(self) -> Mapping[KeysetName, Mark]:
        """None."""
        return {}

    def accept_mark(self, name: KeysetName, mark: Mark) -> None:
        """There is nothing to change."""

    def roots(self) -> Mapping[RootId, int]:
        """None."""
        return {}

    def learn_root(self, root: Root) -> None:
        """It is forgotten at once."""

    def accept_root(self, root: Root) -> None:
        """There is nothing to change."""

    def other_stores(self) -> tuple[StoreId, ...]:
        """None."""
        return ()

    def set_aside(self) -> Path | None:
        """There is nothing to set aside."""
        return None

    def close(self) -> None:
        """Nothing is held."""


def differences(seen: Seen, record: Record) -> tuple[Difference, ...]:
    """In what a record falls behind what was seen of it; empty for the same record and for a newer one."""
    keyset = record.keyset
    if keyset.revision == seen.revision and record.mac == seen.mac:
        return ()
    found: list[Difference] = []
    if keyset.revision < seen.revision:
        text = f"revision {keyset.revision} is here, and revision {seen.revision} was seen"
        found.append(Difference(Cause.OLDER, text))
    elif keyset.revision == seen.revision:
        found.append(Difference(Cause.OTHER, f"another revision {seen.revision} was seen"))
    missing = sorted(seen.key_ids - keyset.key_ids)
    if missing:
        ids = ", ".join(map(format_key_id, missing))
        text = (
            f"a version that was seen is not here: key id {ids}"
            if len(missing) == 1
            else f"{len(missing)} versions that were seen are not here: key ids {ids}"
        )
        found.append(Difference(Cause.KEY_MISSING, text))
    return tuple(found)


def vanished(seen: Seen) -> Difference:
    """The difference of a record that is not there any more."""
    return Difference(Cause.VANISHED, f"no record is here, and revision {seen.revision} was seen")


def final_states(keyset: Keyset) -> dict[KeyId, KeyState]:
    """The versions of a keyset from whose state nothing leads back."""
    return {version.key_id: version.state for version in keyset.versions if version.state in FINAL}


def united(known: Mapping[KeyId, KeyState], more: Mapping[KeyId, KeyState]) -> dict[KeyId, KeyState]:
    """Both, and of two states of one version the sterner."""
    merged = dict(known)
    for key_id, state in more.items():
        merged[key_id] = sterner(merged[key_id], state) if key_id in merged else state
    return merged


def _conforms(witness: NoWitness) -> Witness:
    return witness
