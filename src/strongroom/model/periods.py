"""How long a version protects and processes: what a policy states is kept to, what is only usual is warned about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from strongroom._encoding import Timestamp
from strongroom.model.keyset import Keyset
from strongroom.model.states import KeyState, Operation, permits
from strongroom.model.types import KeyType, Purpose
from strongroom.model.version import MAX_TIME, Version

YEAR = 365 * 86_400


class Periods(NamedTuple):
    """Seconds from when a version became primary; None where there is no such period."""

    originator: int | None
    recipient: int | None


# SP 800-57 part 1 rev. 5, table 1, with the longest that it names: private signature keys 1 to 3 years (the keys that
# verify "several years": no end that a library could know); symmetric authentication and data-encryption keys 2 years,
# and 3 more for the recipient; public key-transport keys 1 to 2 years. Where it wants the private one ended after 2
# years too, data at rest would be lost with it: the 3 years more of row 6 stand here. It knows no opaque secrets.
_USUAL: Mapping[Purpose, Periods] = MappingProxyType(
    {
        Purpose.SIGN: Periods(3 * YEAR, None),
        Purpose.MAC: Periods(2 * YEAR, 5 * YEAR),
        Purpose.ENCRYPT: Periods(2 * YEAR, 5 * YEAR),
        Purpose.SECRET: Periods(None, None),
    }
)


def usual(keyset: Keyset) -> Periods:
    """The periods of table 1 for a keyset of this purpose."""
    return _USUAL[keyset.purpose]


def since(version: Version) -> Timestamp:
    """From when a version's periods count: its promotion, or its making where none is known."""
    return version.created if version.promote_at is None else version.promote_at


class End(NamedTuple):
    """When a period ends. `stated`: the policy says so, and it is kept to."""

    at: Timestamp
    stated: bool


def originator_end(keyset: Keyset, version: Version) -> End | None:
    """When a version's time to protect ends, any grace left out."""
    return _end(version, keyset.policy.originator, usual(keyset).originator)


def recipient_end(keyset: Keyset, version: Version) -> End | None:
    """When the time ends in which what a version protected is processed."""
    return _end(version, keyset.policy.recipient, usual(keyset).recipient)


def _end(version: Version, stated: int | None, usually: int | None) -> End | None:
    seconds = usually if stated is None else stated
    if seconds is None:
        return None
    return End(Timestamp(min(since(version) + seconds * 1000, MAX_TIME)), stated is not None)


class Rights(NamedTuple):
    """What a policy leaves of a keyset's rights at one moment.

    `barred`: why nothing may be protected, empty where it may. `lapsed`: the numbers of the versions that process only
    where the caller asks for it by name, because their recipient-usage period is over.
    """

    barred: str
    lapsed: frozenset[int]


UNBOUND = Rights("", frozenset())
"""What every keyset has whose policy states neither a period nor what is allowed."""


def rights_at(keyset: Keyset, now: Timestamp) -> Rights:
    """The rights at `now`."""
    policy = keyset.policy
    if not policy.extended:
        return UNBOUND
    barred = ""
    primary = keyset.primary_at(now)
    if not policy.permits(Operation.PROTECT):
        barred = "the policy does not allow to protect"
    elif primary is not None and policy.originator is not None and _protects_until(keyset, primary) <= now:
        barred = f"the originator-usage period of version {primary.number} is over"
    lapsed = frozenset(
        version.number
        for version in keyset.versions
        if policy.recipient is not None and (end := recipient_end(keyset, version)) is not None and end.at <= now
    )
    return Rights(barred, lapsed)


def next_end(keyset: Keyset, now: Timestamp) -> Timestamp | None:
    """The next moment at which `rights_at` changes by itself; None where none is to come."""
    policy = keyset.policy
    if policy.originator is None and policy.recipient is None:
        return None
    return min((at for at in _ends(keyset) if at > now), default=None)


def processes_at(keyset: Keyset, version: Version, now: Timestamp) -> bool:
    """Whether a version still processes without being asked for by name: what a recipient-usage period would end."""
    return permits(version.state_at(now), Operation.PROCESS, primary=version is keyset.primary_at(now))


def is_countable(keyset: Keyset) -> bool:
    """Whether each version of a keyset may protect a bounded number of messages only, whatever its policy says."""
    # SP 800-38D section 8.3: at most 2^32 invocations under one key with random IVs
    return keyset.type is KeyType.AES256_GCM


def _ends(keyset: Keyset) -> Iterator[Timestamp]:
    for version in keyset.versions:
        if version.state is KeyState.DESTROYED:
            continue
        if keyset.policy.originator is not None:
            yield _protects_until(keyset, version)
        if keyset.policy.recipient is not None and (end := recipient_end(keyset, version)) is not None:
            yield end.at


def _protects_until(keyset: Keyset, version: Version) -> Timestamp:
    stated = (keyset.policy.originator or 0) + keyset.policy.grace
    return Timestamp(min(since(version) + stated * 1000, MAX_TIME))
