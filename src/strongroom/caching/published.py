"""A keyset out of a publication: its material was opened with the rest, and only what was granted is there."""

from __future__ import annotations

from strongroom.caching.publication_tokens import Granted
from strongroom.errors import NotGrantedError, StateError, StrongroomError
from strongroom.model.keyset import Keyset
from strongroom.primitives.secret import SecretBytes
from strongroom.stores.base import Opened


class PublishedKeyset:
    """A keyset out of a publication."""

    __slots__ = ("_granted", "keyset")

    verified = True
    hindrance: StrongroomError | None = None

    def __init__(self, granted: Granted) -> None:
        self._granted = granted
        self.keyset: Keyset = granted.keyset

    def __repr__(self) -> str:
        return f"<published {self.keyset!r}>"

    def material(self, number: int) -> SecretBytes:
        """The material of a version. NotFoundError; StateError; NotGrantedError where public halves were granted."""
        keyset = self.keyset
        version = keyset.version(number)
        if version.sealed is None:
            raise StateError(f"version {number} of {keyset.name!r} is destroyed", hint=f"strongroom show {keyset.name}")
        if self._granted.public_only:
            raise NotGrantedError(
                f"only the public halves of {keyset.name!r} were granted to this worker",
                hint=f"strongroom worker grant GROUP {keyset.name}",
            )
        return self._granted.material[number]


def _conforms(opened: PublishedKeyset) -> Opened:
    return opened
