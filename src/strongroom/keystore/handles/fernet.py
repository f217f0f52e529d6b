"""Fernet bound to a keyset: tokens of the Fernet spec, nothing added, nothing assumed about whose they are."""

from __future__ import annotations

from collections.abc import Iterable

from strongroom.errors import DecryptionError, PurposeError
from strongroom.keystore.handles.base import Handle, Kit, is_compromised, processing
from strongroom.keystore.live import Snapshot
from strongroom.model.names import KeyId
from strongroom.model.types import KeyType
from strongroom.primitives.fernet import FernetKey, FernetRing, InvalidToken

_FAILED = "the token does not open under this keyset"


class _FernetKit(Kit):
    __slots__ = ("every", "protect", "ring", "ring_with_compromised")

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        every = self.every = processing(snapshot, compromised=True)
        sound = tuple(version for version in every if not is_compromised(snapshot, version))
        # the token's own time, which an attacker can choose, only orders the trial: when a version was promoted is
        # when its first tokens were made
        pairs = {
            version.number: (self.material(version), (version.promote_at or version.created) // 1000)
            for version in every
        }
        self.ring = FernetRing([pairs[version.number] for version in sound]) if sound else None
        self.ring_with_compromised = FernetRing([pairs[version.number] for version in every]) if every else None
        self.protect: FernetKey | None = None
        if self.refusal is None:
            self.protect = FernetKey(pairs[self.protecting.number][0])


class Fernet(Handle[_FernetKit]):
    """Encrypts with the primary, decrypts with whichever version made the token.

    Tokens are strictly parsed: url-safe base64, no white space, nothing after the padding. Fernet has no associated
    data and names no key; the HMAC alone decides which version a token belongs to.
    """

    __slots__ = ()

    def _make(self, snapshot: Snapshot) -> _FernetKit:
        if snapshot.keyset.type is not KeyType.FERNET:
            raise PurposeError(
                f"{self.name!r} is {snapshot.keyset.type.value}, not fernet", hint=f"strongroom show {self.name}"
            )
        return _FernetKit(snapshot)

    def encrypt(self, data: bytes) -> bytes:
        """A token. Raises StateError where no version protects now, StaleError and ExposedRootError as the store."""
        kit = self._kit
        if self._monotonic() >= kit.snapshot.until:
            kit = self._renew()
        protect = kit.protect
        if protect is None:
            kit.refuse()
        return protect.encrypt(data)

    def decrypt(self, token: bytes | str, ttl: int | None = None, *, compromised_too: bool = False) -> bytes:
        """The data. ttl: the greatest age in seconds. Raises DecryptionError, which does not say why.

        compromised_too: also try versions marked compromised; what they protect may be forged.
        """
        kit = self._kit
        if self._monotonic() >= kit.snapshot.until:
            kit = self._renew()
        ring = kit.ring_with_compromised if compromised_too else kit.ring
        if ring is not None:
            try:
                return ring.decrypt(token) if ttl is None else ring.decrypt(token, ttl=ttl)
            except InvalidToken:
                pass
        raise DecryptionError(_FAILED)

    def key_id_of(self, token: bytes | str) -> KeyId | None:
        """The key id of the version that made the token, found by trial; None where none that may process did."""
        kit = self._current()
        if kit.ring_with_compromised is not None:
            try:
                return kit.every[kit.ring_with_compromised.decrypt_and_tell(token)[1]].key_id
            except InvalidToken:
                pass
        return None

    def extract_timestamp(self, token: bytes | str) -> int:
        """When the token was made (seconds since the epoch), once its HMAC has been verified."""
        ring = self._current().ring
        if ring is not None:
            try:
                return ring.extract_timestamp(token)
            except InvalidToken:
                pass
        raise DecryptionError(_FAILED)

    def rotate(self, token: bytes | str) -> bytes:
        """The same data and time under the primary. Raises DecryptionError; StateError where nothing protects."""
        return self.rotate_many([token])[0]

    def rotate_many(self, tokens: Iterable[bytes | str]) -> list[bytes]:
        """`rotate` for many tokens, several times faster than one by one. One that does not open fails the call."""
        kit = self._current()
        number = kit.protecting.number
        if kit.ring is not None:
            try:
                return kit.ring.rotate_many(list(tokens))
            except InvalidToken:
                pass
        raise DecryptionError(f"{_FAILED}; version {number} would have protected it")
