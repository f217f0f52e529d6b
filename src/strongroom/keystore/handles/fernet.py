"""Fernet bound to a keyset: tokens of the Fernet spec, nothing added, nothing assumed about whose they are."""

from __future__ import annotations

from collections.abc import Iterable

from strongroom.errors import DecryptionError, PurposeError
from strongroom.keystore.counting import Counted
from strongroom.keystore.handles.base import Handle, Kit, is_compromised, processing
from strongroom.keystore.handles.guarding import guard
from strongroom.keystore.live import Snapshot
from strongroom.model.names import KeyId
from strongroom.model.types import KeyType
from strongroom.primitives.fernet import FernetKey, FernetRing, InvalidToken

_FAILED = "the token does not open under this keyset"


class _FernetKit(Kit):
    __slots__ = ("every", "late", "protect", "rewriting", "ring", "ring_with_compromised")

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
        lapsed = snapshot.rights.lapsed
        late = [version for version in every if version.destroy_at is not None or version.number in lapsed]
        lasting = [version for version in sound if version not in late]
        self.ring = FernetRing([pairs[version.number] for version in lasting]) if lasting else None
        self.ring_with_compromised = self.ring
        if len(lasting) < len(every):
            self.ring_with_compromised = FernetRing([pairs[version.number] for version in every])
        # tokens name no version: those of versions that nobody should need any more are tried last, to tell of them
        self.late = [guard(snapshot, v, FernetRing([pairs[v.number]])) for v in late if v in sound]
        whole = [version for version in sound if version.number not in lapsed]
        self.rewriting = self.ring if not late else FernetRing([pairs[v.number] for v in whole]) if whole else None
        self.protect: FernetKey | Counted | None = None
        if self.refusal is None:
            version = self.protecting
            unwrapped = pairs.get(version.number)  # a policy may let it protect, and nothing process
            self.protect = self.counted(FernetKey(self.material(version) if unwrapped is None else unwrapped[0]))


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
        """A token. Raises StateError or PolicyError where nothing protects now, StaleError, ExposedRootError."""
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
        for late in kit.late:
            try:
                return late.decrypt(token, ttl)
            except InvalidToken:
                pass
        if self._live.doubt():
            return self.decrypt(token, ttl, compromised_too=compromised_too)
        raise kit.unopened(DecryptionError(_FAILED))

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
        kit = self._current()
        for ring in (kit.ring, *kit.late):
            if ring is not None:
                try:
                    return ring.extract_timestamp(token)
                except InvalidToken:
                    pass
        raise kit.unopened(DecryptionError(_FAILED))

    def rotate(self, token: bytes | str) -> bytes:
        """The same data and time under the primary. Raises DecryptionError; StateError where nothing protects."""
        return self.rotate_many([token])[0]

    def rotate_many(self, tokens: Iterable[bytes | str]) -> list[bytes]:
        """`rotate` for many tokens, several times faster than one by one. One that does not open fails the call."""
        kit = self._current()
        number = kit.protecting.number
        held = list(tokens)
        if kit.snapshot.tally is not None:
            kit.snapshot.tally.take(len(held))
        if kit.rewriting is not None:
            try:
                return kit.rewriting.rotate_many(held)
            except InvalidToken:
                pass
        raise kit.unopened(DecryptionError(f"{_FAILED}; version {number} would have protected it"))
