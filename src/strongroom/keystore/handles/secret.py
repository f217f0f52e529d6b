"""Opaque secrets bound to a keyset: one word lets them out."""

from __future__ import annotations

from strongroom.errors import FormatError, StateError
from strongroom.keystore.handles.base import Handle, Kit
from strongroom.keystore.handles.guarding import admit_out
from strongroom.keystore.handles.prefixed import wanted
from strongroom.keystore.live import Snapshot
from strongroom.model.states import Operation, permits
from strongroom.model.types import KeyType


class Secret(Handle[Kit]):
    """A password, a token, a connection string. Its primary version is the one in use."""

    __slots__ = ()

    def _make(self, snapshot: Snapshot) -> Kit:
        wanted(snapshot, self.name, (KeyType.SECRET,), "secret")
        return Kit(snapshot)

    def reveal(self, version: int | None = None) -> bytes:
        """The bytes of the primary, or of a version that may still process (an old password in a hand-over).

        Raises StateError where the version may not, PolicyError where its time or the policy does not allow it,
        NotFoundError where there is none of that number.
        """
        kit = self._current()
        snapshot = kit.snapshot
        chosen = snapshot.primary if version is None else snapshot.keyset.version(version)
        if chosen is None:
            raise StateError(
                f"{self.name!r} has no primary version", hint=f"strongroom promote {self.name} 1 makes one primary"
            )
        if not permits(chosen.state_at(snapshot.now), Operation.PROCESS, primary=chosen is snapshot.primary):
            raise StateError(
                f"version {chosen.number} of {self.name!r} is {chosen.state_at(snapshot.now).value}",
                hint=f"strongroom show {self.name}",
            )
        admit_out(snapshot, chosen)
        return kit.material(chosen).reveal()

    def reveal_text(self, version: int | None = None) -> str:
        """`reveal`, as text. Raises FormatError where the bytes are not UTF-8."""
        try:
            return self.reveal(version).decode("utf-8")
        except UnicodeDecodeError:
            pass
        raise FormatError(f"the secret {self.name!r} is not UTF-8 text", hint="use reveal() for its bytes")

    def others(self) -> tuple[int, ...]:
        """The numbers of the versions beside the primary that may still process, newest first."""
        kit = self._current()
        primary = kit.snapshot.primary
        return tuple(v.number for v in kit.snapshot.keyset.processing(kit.snapshot.now) if v is not primary)
