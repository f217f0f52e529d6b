"""What a version may still do, and whether its material may go out: told, or refused unless the caller may ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from strongroom._encoding import format_time
from strongroom.errors import PolicyError, StaleError
from strongroom.keystore.live import Snapshot
from strongroom.model.states import Operation
from strongroom.model.types import KeyType
from strongroom.model.version import Version

P = TypeVar("P")


def check_allowed(snapshot: Snapshot, operation: Operation) -> None:
    """Raise PolicyError where the keyset's policy does not allow the operation."""
    keyset = snapshot.keyset
    if not keyset.policy.permits(operation):
        raise PolicyError(
            f"the policy of {keyset.name!r} does not allow to {operation.value}",
            hint=f"strongroom policy {keyset.name} --allow protect,process",
        )


def admit(snapshot: Snapshot, version: Version, *, asked: bool = False) -> None:
    """Let a version process: PolicyError where its time for that is over and nobody asked; told where it is doomed."""
    keyset = snapshot.keyset
    check_allowed(snapshot, Operation.PROCESS)
    if version.number in snapshot.rights.lapsed and not asked:
        raise PolicyError(
            f"the recipient-usage period of version {version.number} of {keyset.name!r} is over",
            hint=f"ask for it (compromised_too), or strongroom policy {keyset.name} --recipient TIME",
        )
    if version.destroy_at is not None:
        snapshot.notice("doomed-version-used", version=version.number, destroy_at=format_time(version.destroy_at))


def admit_out(snapshot: Snapshot, version: Version) -> None:
    """As `admit`, for material that goes out as text or bytes: the one law of what may.

    A `secret` is kept to be read. A key is kept to be used, and goes out only where its policy says `exportable`.
    A key object in this process (`private_key`, what signs a JWT) is use. Of a stale record nobody knows whether
    `exportable` still holds: then a key stays here, and StaleError says why.
    """
    keyset = snapshot.keyset
    if keyset.type is not KeyType.SECRET and not keyset.policy.exportable:
        raise PolicyError(
            f"{keyset.name!r} is {keyset.type.value} and not exportable: its key is used here, and does not go out",
            hint="a program that opens the store uses it there; strongroom create NAME --type TYPE --exportable"
            " makes one that may go out",
        )
    if keyset.type is not KeyType.SECRET and isinstance(snapshot.opened.hindrance, StaleError):
        raise snapshot.opened.hindrance.again()
    admit(snapshot, version)


def guard(snapshot: Snapshot, version: Version, primitive: P, *, asked: bool = False) -> P | Guarded:
    """The primitive itself, or one that calls `admit` about each output of the version that turns up."""
    lapsed = version.number in snapshot.rights.lapsed and not asked
    if not lapsed and version.destroy_at is None:
        return primitive
    return Guarded(primitive, lambda: admit(snapshot, version, asked=asked))


class Guarded:
    """A primitive that says when it was needed: only authentic outputs count, anyone can write a key id."""

    __slots__ = ("_admit", "_primitive")

    def __init__(self, primitive: Any, admitted: Callable[[], None]) -> None:
        self._primitive = primitive
        self._admit = admitted

    def decrypt(self, *parts: Any, **named: Any) -> bytes:
        """As the primitive, and then as `admit`."""
        opened: bytes = self._primitive.decrypt(*parts, **named)
        self._admit()
        return opened

    def verify(self, *parts: bytes) -> None:
        """As the primitive, and then as `admit`."""
        self._primitive.verify(*parts)
        self._admit()

    def extract_timestamp(self, token: bytes | str) -> int:
        """As the primitive: it opens nothing."""
        made: int = self._primitive.extract_timestamp(token)
        return made
