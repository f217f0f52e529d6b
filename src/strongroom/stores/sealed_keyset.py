"""A keyset out of a sealed store. Its material is unwrapped at each call and kept nowhere."""

from __future__ import annotations

from collections.abc import Callable

from strongroom.errors import StateError, StrongroomError
from strongroom.model.keyset import Keyset
from strongroom.model.names import RootId
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.root import Root
from strongroom.stores.base import Opened


class SealedKeyset:
    """One verified keyset. `root_of` gives the root of an id for as long as the store is open, then ClosedError."""

    __slots__ = ("_root_of", "hindrance", "keyset", "root")

    verified = True

    def __init__(
        self, keyset: Keyset, root: RootId, hindrance: StrongroomError | None, root_of: Callable[[RootId], Root]
    ) -> None:
        self.keyset = keyset
        self.hindrance = hindrance
        self.root = root
        """The root that its record is under."""
        self._root_of = root_of

    def __repr__(self) -> str:
        return f"<sealed {self.keyset!r}>"

    def material(self, number: int) -> SecretBytes:
        """The material of a version. NotFoundError; StateError for a destroyed one; IntegrityError; ClosedError."""
        keyset = self.keyset
        version = keyset.version(number)
        if version.sealed is None:
            raise StateError(f"version {number} of {keyset.name!r} is destroyed", hint=f"strongroom show {keyset.name}")
        return self._root_of(self.root).open(
            version.sealed, name=keyset.name, key_id=version.key_id, type=keyset.type, purpose=keyset.purpose
        )


def _conforms(opened: SealedKeyset) -> Opened:
    return opened
