"""What the owners of keys have to do, and by when: read from records and counts alone. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from strongroom._encoding import Timestamp, format_time
from strongroom.errors import ClosedError, FormatError, StoreError, StrongroomError
from strongroom.keystore import acts
from strongroom.keystore.counting import NEAR, limit_of
from strongroom.keystore.drills import RECOVERY, sharings
from strongroom.keystore.facade import KeyStore
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, KeysetName, is_reserved
from strongroom.model.periods import End, originator_end, processes_at, recipient_end, rights_at, since
from strongroom.model.states import Operation
from strongroom.model.types import KeyType, resolve_prefix
from strongroom.model.version import Version

OWNER = "owner"
"""The label that says whose duty it is."""


class Work(Enum):
    """What is to be done."""

    ROTATE = "rotate"
    """A new version: the interval is over, the time to protect ends, or so many messages were protected."""
    REENCRYPT = "re-encrypt"
    """The time in which what a version protected is read ends: move the data, then let the version go."""
    DESTROY = "destroy"
    """The day that was set for a destruction."""
    DRILL = "drill"
    """Recovery shares were never tried, or not for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """One thing to do, with a version or, where that is None, with paper. `at`: by when.

    stated: the policy or a person says so; else it is usual (SP 800-57, table 1). by_hand: no command can do it alone,
    because a value comes from outside (a `secret`), data is to be moved, or people come together. ended: until it is
    done the keyset protects nothing.
    """

    keyset: KeysetName
    version: int | None
    work: Work
    why: str
    at: Timestamp
    stated: bool
    owner: str
    by_hand: bool
    ended: bool = False

    def is_due(self, now: Timestamp) -> bool:
        """Whether the time has come."""
        return self.at <= now

    def facts(self, now: Timestamp) -> dict[str, object]:
        """For machines."""
        return {
            "keyset": self.keyset,
            "version": self.version,
            "work": self.work.value,
            "why": self.why,
            "at": format_time(self.at),
            "due": self.is_due(now),
            "stated": self.stated,
            "owner": self.owner,
            "by_hand": self.by_hand,
            "ended": self.ended,
        }


def due(keystore: KeyStore, *, within_s: int = 0) -> tuple[Duty, ...]:
    """Everything whose time has come, or comes within so many seconds; the most urgent first.

    Raises what reading the store raises. Counts that cannot be read are logged and left out.
    """
    now = keystore.clock.now()
    until = Timestamp(now + within_s * 1000)
    totals = _totals(keystore)
    usual = keystore.sealed.propagation
    found = [
        duty
        for keyset in keystore.list()
        for duty in duties(keyset, now, totals, propagation_s=usual)
        if duty.at <= until
    ]
    found += [duty for duty in _drills(keystore) if duty.at <= until]
    return tuple(sorted(found, key=lambda duty: (duty.at, duty.keyset, duty.version or 0, duty.work.value)))


def _drills(keystore: KeyStore) -> Iterator[Duty]:
    for each in sharings(keystore):
        if each.due is not None:
            yield Duty(
                keyset=RECOVERY,
                version=None,
                work=Work.DRILL,
                why=each.why,
                at=each.due,
                stated=True,
                owner="",
                by_hand=True,
            )


def duties(
    keyset: Keyset, now: Timestamp, totals: Mapping[tuple[str, KeyId], int], *, propagation_s: int
) -> Iterator[Duty]:
    """The duties that a keyset brings, past and to come. Those of a version that protects nothing more are few.

    propagation_s: the store's, for keysets that have none of their own.
    """
    if is_reserved(keyset.name):
        return  # the store's own: who replaces the issuer replaces every worker's identity with it
    primary = keyset.primary_at(now)
    if primary is not None and not keyset.pending(now) and _is_to_protect(keyset, primary):
        yield from _rotations(keyset, primary, now, totals, propagation_s)
    for version in keyset.alive:
        if version.destroy_at is not None:
            why = "its destruction was scheduled"
            yield _duty(keyset, version, Work.DESTROY, why, End(version.destroy_at, True))
            continue
        end = recipient_end(keyset, version)
        if end is not None and processes_at(keyset, version, now):
            why = "the time in which its data is read ends"
            yield _duty(keyset, version, Work.REENCRYPT, why, end)


def _is_to_protect(keyset: Keyset, primary: Version) -> bool:
    return primary.destroy_at is None and keyset.policy.permits(Operation.PROTECT)


def _rotations(
    keyset: Keyset, primary: Version, now: Timestamp, totals: Mapping[tuple[str, KeyId], int], propagation_s: int
) -> Iterator[Duty]:
    """The soonest reason to rotate, and no more than one: one rotation answers all of them."""
    reasons: list[tuple[End, str]] = []
    if keyset.policy.rotate_every is not None:
        at = Timestamp(since(primary) + keyset.policy.rotate_every * 1000)
        reasons.append((End(at, True), "its rotation interval is over"))
    end = originator_end(keyset, primary)
    if end is not None:
        # a version that is added now protects after its propagation: later would be too late
        travels = propagation_s if keyset.policy.propagation is None else keyset.policy.propagation
        reasons.append((End(Timestamp(end.at - travels * 1000), end.stated), "its time to protect ends"))
    limit = limit_of(keyset)
    messages = totals.get((keyset.name, primary.key_id), 0)
    if limit is not None and messages >= limit * NEAR:
        stated = keyset.policy.max_messages is not None
        reasons.append((End(now, stated), f"it protected some {messages} of {limit} messages"))
    if reasons:
        soonest, why = min(reasons, key=lambda reason: reason[0].at)
        used_up = keyset.policy.max_messages is not None and messages >= keyset.policy.max_messages
        ended = used_up or bool(rights_at(keyset, now).barred)
        yield _duty(keyset, primary, Work.ROTATE, why, soonest, ended=ended)


def _duty(keyset: Keyset, version: Version, work: Work, why: str, end: End, *, ended: bool = False) -> Duty:
    return Duty(
        keyset=keyset.name,
        version=version.number,
        work=work,
        why=why,
        at=end.at,
        stated=end.stated,
        owner=keyset.labels.get(OWNER, ""),
        by_hand=work is Work.REENCRYPT or (work is Work.ROTATE and _is_outsiders(keyset, version)),
        ended=ended,
    )


def _is_outsiders(keyset: Keyset, version: Version) -> bool:
    """Whether somebody outside made this version, and must know its successor: secrets, keys with no prefix of ours."""
    return keyset.type is KeyType.SECRET or version.prefix is not resolve_prefix(keyset.type, keyset.purpose)


def _totals(keystore: KeyStore) -> Mapping[tuple[str, KeyId], int]:
    try:
        return keystore.message_counts()
    except (StoreError, FormatError) as trouble:
        acts.warn("usage-not-read", problem=trouble)
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What `rotate --due` did, and what it left: `failed` are names with what kept each from being rotated."""

    rotated: tuple[Keyset, ...]
    left: tuple[Duty, ...]
    failed: tuple[tuple[str, str], ...]


def rotate_due(keystore: KeyStore) -> Rotated:
    """Rotate every keyset whose rotation is due. What needs a person is left; one failure keeps no other waiting.

    The new version becomes primary after the keyset's propagation, or at once where the old one protects nothing any
    more: who has not got the new one yet would not be helped by waiting.
    """
    now = keystore.clock.now()
    rotated: list[Keyset] = []
    left: list[Duty] = []
    failed: list[tuple[str, str]] = []
    for duty in due(keystore):
        if not duty.is_due(now) or duty.work is not Work.ROTATE:
            continue
        if duty.by_hand:
            left.append(duty)
            continue
        try:
            rotated.append(keystore.rotate(duty.keyset, now=duty.ended))
        except ClosedError:
            raise
        except StrongroomError as trouble:
            failed.append((duty.keyset, str(trouble)))
    return Rotated(rotated=tuple(rotated), left=tuple(left), failed=tuple(failed))
