"""What all handles share: following the keyset, refusing to protect, and keeping material to themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, NoReturn, TypeVar

from strongroom.errors import PolicyError, StateError, StrongroomError
from strongroom.keystore.counting import Counted
from strongroom.keystore.handles.guarding import check_allowed
from strongroom.keystore.live import LiveKeyset, Snapshot
from strongroom.model.names import format_key_id
from strongroom.model.states import KeyState, Operation
from strongroom.model.version import Version
from strongroom.primitives.secret import SecretBytes

K = TypeVar("K", bound="Kit")
P = TypeVar("P")


class Kit:
    """The primitives made from one snapshot. A handle replaces it whole; it is never changed half.

    `refusal` is why nothing is protected now: a state, a policy, or what hinders the store. What it costs to find that
    out is paid once a snapshot, and not at every use.
    """

    __slots__ = ("refusal", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.refusal: StrongroomError | None = None
        if snapshot.opened.hindrance is not None:
            self.refusal = snapshot.opened.hindrance
        else:
            try:
                snapshot.keyset.protecting(snapshot.now)
                check_protection(snapshot)
            except (StateError, PolicyError) as error:
                self.refusal = error

    @property
    def protecting(self) -> Version:
        """The version that protects now; raises what hinders it (StateError, PolicyError, StaleError, …)."""
        if self.refusal is not None or self.snapshot.primary is None:
            self.refuse()
        return self.snapshot.primary

    def refuse(self) -> NoReturn:
        """Raise why nothing is protected now."""
        raise (self.refusal or StateError("this keyset has no primary version")).again()

    def counted(self, primitive: P) -> P | Counted:
        """The primitive that protects, counting its messages where the policy states a limit."""
        tally = self.snapshot.tally
        if tally is None or self.snapshot.keyset.policy.max_messages is None:
            return primitive
        return Counted(primitive, tally)

    def unopened(self, failure: StrongroomError) -> StrongroomError:
        """The error where nothing was opened: it does not say why. PolicyError where the policy allows no opening."""
        check_allowed(self.snapshot, Operation.PROCESS)
        return failure

    def material(self, version: Version) -> SecretBytes:
        """The version's material, unwrapped now."""
        return self.snapshot.opened.material(version.number)


class Handle(ABC, Generic[K]):
    """A primitive bound to a keyset.

    It follows the keyset: rotations, suspensions and compromises take effect in a held handle, within the recheck
    time of the keystore's limits. It never shows, pickles, copies or compares material.
    """

    __slots__ = ("__weakref__", "_kit", "_live", "_monotonic")

    def __init__(self, live: LiveKeyset) -> None:
        self._live = live
        self._monotonic = live.clock.monotonic
        self._kit: K = self._make(live.snapshot())

    @abstractmethod
    def _make(self, snapshot: Snapshot) -> K:
        """The primitives for this snapshot."""

    def _current(self) -> K:
        kit = self._kit
        if self._monotonic() < kit.snapshot.until:
            return kit
        return self._renew()

    def _renew(self) -> K:
        snapshot = self._live.snapshot()
        kit = self._kit
        if kit.snapshot.same_force(snapshot):
            kit.snapshot = snapshot
        else:
            kit = self._kit = self._make(snapshot)
        return kit

    @property
    def name(self) -> str:
        """The keyset's name."""
        return self._live.name

    @property
    def version(self) -> int:
        """The number of the version that protects now. Raises StateError where none does."""
        return self._current().protecting.number

    def __repr__(self) -> str:
        kit = getattr(self, "_kit", None)  # one that was refused while it was made is shown in its error's frames
        primary = None if kit is None else kit.snapshot.primary
        which = "no primary" if primary is None else f"version {primary.number}, key id {format_key_id(primary.key_id)}"
        return f"<{type(self).__name__} of {self.name!r}: {which}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a handle is not pickled or copied; pass the keyset's name and ask the keystore there")

    def __copy__(self) -> NoReturn:
        raise TypeError("a handle is not copied; ask the keystore again")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a handle is not copied; ask the keystore again")


def processing(snapshot: Snapshot, *, compromised: bool) -> tuple[Version, ...]:
    """The versions that decrypt and verify now; with `compromised`, those too. None where the policy allows none."""
    if not snapshot.keyset.policy.permits(Operation.PROCESS):
        return ()
    return snapshot.keyset.processing(snapshot.now, compromised_too=compromised)


def check_protection(snapshot: Snapshot) -> None:
    """Raise PolicyError where the policy, or a period that it states, lets nothing be protected now."""
    check_allowed(snapshot, Operation.PROTECT)
    if snapshot.rights.barred:
        name = snapshot.keyset.name
        raise PolicyError(
            f"{snapshot.rights.barred}: nothing can be protected with {name!r}", hint=f"strongroom rotate {name} --now"
        )


def is_compromised(snapshot: Snapshot, version: Version) -> bool:
    """Whether the version is compromised now: it then processes only when asked."""
    return version.state_at(snapshot.now) is KeyState.COMPROMISED
