"""Finding the version of an output by Tink's five-byte prefix; only imported versions without one are tried in turn."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Generic, TypeVar

from strongroom.errors import PurposeError
from strongroom.keystore.live import Snapshot
from strongroom.model.types import KeyType, Prefix
from strongroom.model.version import Version

P = TypeVar("P")


class ByPrefix(Generic[P]):
    """Primitives by the prefix of what they made.

    A prefixed output has at most one candidate beside the versions without a prefix: a chance of 2^-40 that raw
    bytes look prefixed must not make them unreadable, so those are tried as well (as Tink does).
    """

    __slots__ = ("_bare", "_by_prefix")

    def __init__(self, pairs: Iterable[tuple[Version, P]]) -> None:
        self._by_prefix: dict[bytes, tuple[P, ...]] = {}
        bare: list[P] = []
        for version, primitive in pairs:
            prefix = output_prefix(version)
            if prefix:
                self._by_prefix[prefix] = (primitive,)
            else:
                bare.append(primitive)
        self._bare = tuple(bare)
        if bare:
            self._by_prefix = {prefix: (*found, *self._bare) for prefix, found in self._by_prefix.items()}

    def candidates(self, output: bytes) -> tuple[P, ...]:
        """What may have made this output, the likeliest first."""
        return self._by_prefix.get(output[:5], self._bare)


def output_prefix(version: Version) -> bytes:
    """Tink's five bytes, 01 and the key id, big-endian; none for a version that was imported without them."""
    return b"\x01" + version.key_id.to_bytes(4, "big") if version.prefix is Prefix.TINK else b""


def wanted(snapshot: Snapshot, name: str, kinds: Container[KeyType], what: str) -> None:
    """Raise PurposeError where the keyset's type is not one of these (SP 800-57 part 1 rev. 5, section 5.2)."""
    kind = snapshot.keyset.type
    if kind not in kinds:
        raise PurposeError(f"{name!r} is {kind.value}, which gives no {what}", hint=f"strongroom show {name}")
