"""A keyset under what a witness knows: states may only become sterner. Nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId
from strongroom.model.states import KeyState, sterner
from strongroom.model.version import Version


def under_witness(keyset: Keyset, states: Mapping[KeyId, KeyState]) -> Keyset:
    """The keyset with the sterner of the recorded and the known state for each version; the same object if none is.

    The moment of a promotion stays: were it cleared, an older version would be primary in place of a compromised one,
    and data would go out under it where nothing should.
    """
    versions = tuple(_under(version, states.get(version.key_id)) for version in keyset.versions)
    if all(new is old for new, old in zip(versions, keyset.versions, strict=True)):
        return keyset
    return replace(keyset, versions=versions)


def _under(version: Version, known: KeyState | None) -> Version:
    state = version.state if known is None else sterner(version.state, known)
    if state is version.state:
        return version
    gone = state is KeyState.DESTROYED
    return replace(
        version,
        state=state,
        sealed=None if gone else version.sealed,
        destroy_at=None if gone else version.destroy_at,
    )
