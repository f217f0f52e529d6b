"""A keyset: all versions of one named key, and the moves they may make. A change is a new keyset, one revision on."""

from __future__ import annotations

from typing import Self

import msgspec
from msgspec.structs import force_setattr, replace

from strongroom._encoding import Timestamp, format_time
from strongroom.errors import NotFoundError, StateError
from strongroom.model.names import KeyId, KeysetName, Revision, format_key_id
from strongroom.model.policy import NO_LABELS, Labels, Policy, check_labels
from strongroom.model.states import KeyState, Operation, check_move, permits
from strongroom.model.types import TRAITS, KeyType, Prefix, Purpose, resolve_prefix
from strongroom.model.version import Version
from strongroom.model.view import KeysetView

MAX_REVISION = (1 << 53) - 1
"""The greatest integer that every JSON reader keeps whole (RFC 8259 section 6)."""


class Keyset(msgspec.Struct, frozen=True, kw_only=True):  # a struct for speed: see version.py
    """All versions of one named key, oldest first, and at most one of them primary.

    Every move checks the effective state at `now`, raises StateError where SP 800-57 part 1 rev. 5 section 7 or the
    words of DESIGN section 1 forbid it, NotFoundError for a version that is not there, and else returns a new keyset
    with the next revision. `changed` and `reason` of the versions that a move does not touch stay as they are.
    """

    name: KeysetName
    type: KeyType
    purpose: Purpose
    policy: Policy
    labels: Labels
    revision: Revision
    versions: tuple[Version, ...]

    def __post_init__(self) -> None:
        versions = self.versions
        force_setattr(self, "labels", check_labels(self.labels))
        if not 0 < self.revision <= MAX_REVISION:
            raise StateError(f"keyset {self.name!r} cannot have the revision {self.revision}")
        if not versions:
            raise StateError(f"keyset {self.name!r} has no version")
        if len({version.key_id for version in versions}) != len(versions):
            raise StateError(f"keyset {self.name!r} uses a key id twice")
        traits = TRAITS[self.type]
        public, prefixed = traits.asymmetric, resolve_prefix(self.type, self.purpose) is Prefix.TINK
        for number, version in enumerate(versions, start=1):
            if version.number != number:
                raise StateError(f"keyset {self.name!r} has version {version.number} where {number} should be")
            if (version.public is not None) is not public:
                wants = "a" if public else "no"
                raise StateError(f"version {number} of {self.name!r}: type {self.type.value!r} has {wants} public half")
            if not prefixed and version.prefix is not Prefix.NONE:
                raise StateError(f"version {number} of {self.name!r}: type {self.type.value!r} writes no prefix")

    @classmethod
    def created(
        cls,
        name: KeysetName,
        version: Version,
        *,
        type: KeyType,  # noqa: A002  # the word of DESIGN section 1, as in the field
        purpose: Purpose,
        policy: Policy,
        labels: Labels = NO_LABELS,
        now: Timestamp,
    ) -> Self:
        """A new keyset whose first version is primary at once: there is no host yet that could lack it."""
        versions = (version.promoted(now=now),)
        return cls(
            name=name, type=type, purpose=purpose, policy=policy, labels=labels, revision=Revision(1), versions=versions
        )

    def __hash__(self) -> int:
        return hash((self.name, self.revision, self.versions))

    def __repr__(self) -> str:
        return f"<keyset {self.name!r} ({self.type.value}), revision {self.revision}, {len(self.versions)} versions>"

    @property
    def next_number(self) -> int:
        """The number of the version that `add` wants next."""
        return len(self.versions) + 1

    @property
    def key_ids(self) -> frozenset[KeyId]:
        """Every key id that was ever used here, those of destroyed versions too."""
        return frozenset(version.key_id for version in self.versions)

    def version(self, number: int) -> Version:
        """The version of that number, or NotFoundError."""
        if not 0 < number < self.next_number:
            raise NotFoundError(
                f"keyset {self.name!r} has no version {number}: it has 1 to {len(self.versions)}",
                hint=f"strongroom show {self.name}",
            )
        return self.versions[number - 1]

    def by_key_id(self, key_id: KeyId) -> Version:
        """The version that wrote an output with this key id, or NotFoundError."""
        for version in self.versions:
            if version.key_id == key_id:
                return version
        raise NotFoundError(
            f"keyset {self.name!r} has no version with the key id {format_key_id(key_id)}",
            hint=f"strongroom show {self.name}",
        )

    def primary_at(self, now: Timestamp) -> Version | None:
        """The version whose promotion came last, whatever its state; a destroyed one is never it."""
        primary: Version | None = None
        for version in self.versions:  # ascending numbers: of two promoted at one moment the later number wins
            promote_at = version.promote_at
            if promote_at is None or promote_at > now or version.state is KeyState.DESTROYED:
                continue
            if primary is None or primary.promote_at is None or promote_at >= primary.promote_at:
                primary = version
        return primary

    def protecting(self, now: Timestamp) -> Version:
        """The version that encrypts, signs and computes MACs now: the primary, if it is active, else StateError."""
        primary = self.primary_at(now)
        if primary is None and not self.alive:
            raise StateError(f"keyset {self.name!r} is destroyed whole", hint=f"strongroom show {self.name}")
        if primary is None:
            raise StateError(
                f"keyset {self.name!r} has no primary version yet",
                hint=f"strongroom promote {self.name} {self._promotable(now) or 'VERSION'}",
            )
        state = primary.state_at(now)
        if not permits(state, Operation.PROTECT, primary=True):
            raise StateError(
                f"version {primary.number} of {self.name!r} is primary and {state.value}: nothing can be protected",
                hint=f"strongroom rotate {self.name} --now",
            )
        return primary

    def processing(self, now: Timestamp, *, compromised_too: bool = False) -> tuple[Version, ...]:
        """The versions that decrypt and verify now: the primary first, then from the newest to the oldest."""
        primary = self.primary_at(now)
        ready = [
            version
            for version in reversed(self.versions)
            if permits(
                version.state_at(now), Operation.PROCESS, primary=version is primary, compromised_too=compromised_too
            )
        ]
        ready.sort(key=lambda version: version is not primary)
        return tuple(ready)

    def pending(self, now: Timestamp) -> tuple[Version, ...]:
        """The versions whose promotion is still to come, the next one first."""
        waiting = (version for version in self.alive if version.awaits(now))
        return tuple(sorted(waiting, key=lambda version: (version.promote_at or 0, version.number)))

    def next_change(self, now: Timestamp) -> Timestamp | None:
        """The moment of the next promotion; None where none is to come."""
        waiting = self.pending(now)
        return waiting[0].promote_at if waiting else None

    def at(self, now: Timestamp) -> KeysetView:
        """The keyset as it stands at `now`."""
        return KeysetView(
            primary=self.primary_at(now),
            states={version.number: version.state_at(now) for version in self.versions},
            until=self.next_change(now),
        )

    def add(self, version: Version) -> Self:
        """With a new version: pre-activation, numbered `next_number`, under a key id not used here before."""
        if version.state is not KeyState.PRE_ACTIVATION or version.promote_at is not None:
            raise StateError(f"version {version.number} of {self.name!r} must be added as pre-activation, unscheduled")
        return self._changed(*self.versions, version)

    def schedule(self, number: int, at: Timestamp, *, now: Timestamp) -> Self:
        """With the promotion of a version fixed for `at`, not before `now`; it must not be in force already."""
        version = self._movable(number, now=now)
        if version.in_force(now):
            raise StateError(
                f"version {number} of {self.name!r} is in force already and cannot be scheduled",
                hint=f"strongroom promote {self.name} {number}",
            )
        if at < now:
            raise StateError(f"version {number} of {self.name!r} cannot be promoted at a time that is past")
        if any(other.promote_at == at for other in self.versions[number:]):
            # of two promoted at one moment the later number wins: this promotion would never show
            raise StateError(
                f"a later version of {self.name!r} is promoted at {format_time(at)} too; choose another time"
            )
        return self.with_versions(version.promoting(at, now=now))

    def rotation(self, version: Version, *, now: Timestamp, propagation_s: int) -> Self:
        """With a new version that becomes primary `propagation_s` seconds from now, behind every promotion to come."""
        added = self.add(version)
        queue = self.pending(now)
        behind = (queue[-1].promote_at or 0) + 1 if queue else 0
        at = Timestamp(max(now + propagation_s * 1000, behind))
        return added.schedule(version.number, at, now=now).as_revision(added.revision)

    def replacement(self, version: Version, *, now: Timestamp) -> Self:
        """With a new version that is primary at once (`rotate --now`); promotions that waited are given up."""
        added = self.add(version)
        return added.promote(version.number, now=now).as_revision(added.revision)

    def promote(self, number: int, *, now: Timestamp, reason: str | None = None) -> Self:
        """With another version primary at once. Promotions of older versions that are still to come are given up."""
        version = self._movable(number, now=now)
        if version is self.primary_at(now):
            raise StateError(
                f"version {number} of {self.name!r} is the primary already", hint=f"strongroom show {self.name}"
            )
        changed = [version.promoted(now=now, reason=reason)]
        for other in self.alive:
            if other is version or other.promote_at is None or other.promote_at < now:
                continue
            if other.state is KeyState.PRE_ACTIVATION and other.promote_at > now:
                if other.number < number:
                    changed.append(other.promoting(None, now=now))
            else:
                # In force already, in this very millisecond or by a clock ahead of ours: it must not outrank the
                # version that a person has just chosen, here or on any host.
                changed.append(other.promoting(Timestamp(max(now - 1, 0)), now=now))
        return self.with_versions(*changed)

    def suspend(self, number: int, *, now: Timestamp, reason: str | None = None) -> Self:
        """With an active version that does nothing until it is resumed; as the primary it stays primary."""
        return self._moved(number, KeyState.SUSPENDED, now=now, reason=reason)

    def resume(self, number: int, *, now: Timestamp, reason: str | None = None) -> Self:
        """With a suspended version active again."""
        version = self.version(number)
        if version.state is not KeyState.SUSPENDED:
            raise StateError(
                f"version {number} of {self.name!r} is {version.state_at(now).value}; only a suspended one is resumed",
                hint=f"strongroom show {self.name}",
            )
        self._check_spared(version)
        return self._moved(number, KeyState.ACTIVE, now=now, reason=reason)

    def deactivate(self, number: int, *, now: Timestamp, reason: str | None = None) -> Self:
        """With a version that only processes any more; never the primary."""
        return self._moved(number, KeyState.DEACTIVATED, now=now, reason=reason)

    def compromise(self, number: int, *, now: Timestamp, reason: str | None = None) -> Self:
        """With a version marked as known to others. Its material stays, for reading by explicit wish; no way back."""
        return self._moved(number, KeyState.COMPROMISED, now=now, reason=reason)

    def destroy(self, number: int, *, now: Timestamp, reason: str | None = None) -> Self:
        """Without a version's material, for ever; number, key id, dates and public half stay.

        Never the primary, unless the whole keyset is to be destroyed.
        """
        return self._moved(number, KeyState.DESTROYED, now=now, reason=reason)

    def with_policy(self, policy: Policy) -> Self:
        """With another policy; promotions already fixed stay. PolicyError where the present one forbids it."""
        return replace(self, policy=self.policy.followed_by(policy), revision=Revision(self.revision + 1))

    def as_revision(self, revision: Revision) -> Self:
        """The same keyset under another revision, where several moves are written as one record."""
        return replace(self, revision=revision)

    def with_labels(self, labels: Labels) -> Self:
        """With other labels in place of all former ones."""
        return replace(self, labels=labels, revision=Revision(self.revision + 1))

    @property
    def alive(self) -> tuple[Version, ...]:
        """The versions that are not destroyed."""
        return tuple(version for version in self.versions if version.state is not KeyState.DESTROYED)

    def _promotable(self, now: Timestamp) -> int | None:
        """The newest version that `promote` would take."""
        lawful = (KeyState.PRE_ACTIVATION, KeyState.ACTIVE)
        return max((v.number for v in self.versions if v.state_at(now) in lawful), default=None)

    def _movable(self, number: int, *, now: Timestamp) -> Version:
        """The version of that number, if it may become primary."""
        version = self.version(number)
        state = version.state_at(now)
        if state not in (KeyState.PRE_ACTIVATION, KeyState.ACTIVE):
            raise StateError(
                f"version {number} of {self.name!r} is {state.value} and cannot become primary",
                hint=f"strongroom rotate {self.name}",
            )
        self._check_spared(version)
        return version

    def _check_spared(self, version: Version) -> None:
        if version.destroy_at is not None:
            raise StateError(
                f"version {version.number} of {self.name!r} is to be destroyed at {format_time(version.destroy_at)}",
                hint=f"strongroom destroy {self.name} {version.number} --cancel",
            )

    def _moved(self, number: int, to: KeyState, *, now: Timestamp, reason: str | None) -> Self:
        version = self.version(number)
        state = version.state_at(now)
        ends = to in (KeyState.DEACTIVATED, KeyState.DESTROYED)
        whole = to is KeyState.DESTROYED and all(each.destroy_at is not None for each in self.alive)
        if ends and not whole and version is self.primary_at(now):
            raise StateError(
                f"version {number} of {self.name!r} is the primary; another one must be primary first",
                hint=f"strongroom rotate {self.name} --now",
            )
        # a suspect version that protected nothing yet is given up, not suspended (states.MOVES)
        unused = state is KeyState.PRE_ACTIVATION and to is KeyState.SUSPENDED
        hint = f"strongroom compromise {self.name} {number}" if unused else f"strongroom show {self.name}"
        check_move(state, to, what=f"version {number} of {self.name!r}", hint=hint)
        return self.with_versions(version.moved(to, now=now, reason=reason))

    def with_versions(self, *changed: Version) -> Self:
        """With these versions in place of those that have their numbers, and the next revision."""
        by_number = {version.number: version for version in changed}
        return self._changed(*(by_number.get(version.number, version) for version in self.versions))

    def _changed(self, *versions: Version) -> Self:
        return replace(self, versions=versions, revision=Revision(self.revision + 1))
