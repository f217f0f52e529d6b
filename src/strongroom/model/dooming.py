"""The end of a version, scheduled: days in which whoever still needs it is noticed, and it can be spared."""

from __future__ import annotations

from strongroom._encoding import Timestamp, format_duration
from strongroom.errors import PolicyError, StateError
from strongroom.model.keyset import Keyset

SHORTEST_WAIT, LONGEST_WAIT = 7 * 86_400, 30 * 86_400
"""Seconds between the scheduling of a destruction and the destruction."""


def doomed(keyset: Keyset, number: int, *, now: Timestamp, wait_s: int, reason: str) -> Keyset:
    """With the destruction of a version scheduled: never of the primary (StateError).

    PolicyError unless the wait is one of 7 to 30 days. An active version is deactivated: it goes on processing.
    """
    at = _doomsday(now, wait_s)
    version = keyset.version(number)
    if version is keyset.primary_at(now):
        raise StateError(
            f"version {number} of {keyset.name!r} is the primary; another one must be primary first",
            hint=f"strongroom rotate {keyset.name} --now",
        )
    return keyset.with_versions(version.doomed(at, now=now, reason=reason))


def doomed_whole(keyset: Keyset, *, now: Timestamp, wait_s: int, reason: str) -> Keyset:
    """With the destruction of every version scheduled, the primary's too; from now on nothing is protected."""
    at = _doomsday(now, wait_s)
    if not keyset.alive:
        raise StateError(f"keyset {keyset.name!r} is destroyed whole already", hint=f"strongroom show {keyset.name}")
    return keyset.with_versions(*(version.doomed(at, now=now, reason=reason) for version in keyset.alive))


def spared(keyset: Keyset, number: int, *, now: Timestamp, reason: str | None = None) -> Keyset:
    """With a scheduled destruction cancelled. The version stays in the state that the schedule gave it."""
    version = keyset.version(number)
    if version.destroy_at is None:
        raise StateError(
            f"the destruction of version {number} of {keyset.name!r} is not scheduled",
            hint=f"strongroom show {keyset.name}",
        )
    return keyset.with_versions(version.spared(now=now, reason=reason))


def spared_whole(keyset: Keyset, *, now: Timestamp, reason: str | None = None) -> Keyset:
    """With every scheduled destruction cancelled. StateError where none is."""
    found = [version for version in keyset.alive if version.destroy_at is not None]
    if not found:
        raise StateError(
            f"no destruction of a version of {keyset.name!r} is scheduled", hint=f"strongroom show {keyset.name}"
        )
    return keyset.with_versions(*(version.spared(now=now, reason=reason) for version in found))


def expired(keyset: Keyset, now: Timestamp) -> tuple[int, ...]:
    """The numbers of the versions whose destruction was scheduled for a moment that has come."""
    return tuple(v.number for v in keyset.versions if v.destroy_at is not None and v.destroy_at <= now)


def _doomsday(now: Timestamp, wait_s: int) -> Timestamp:
    if not SHORTEST_WAIT <= wait_s <= LONGEST_WAIT:
        raise PolicyError(
            f"a destruction comes {SHORTEST_WAIT // 86_400} to {LONGEST_WAIT // 86_400} days after it was scheduled,"
            f" not {format_duration(wait_s)}",
            hint="strongroom destroy NAME VERSION --reason TEXT --after 30d",
        )
    return Timestamp(now + wait_s * 1000)
