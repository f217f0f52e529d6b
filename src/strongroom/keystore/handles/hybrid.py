"""Encryption to a public key, bound to a keyset: HPKE where a context can be bound, JWE for RSA where it cannot."""

from __future__ import annotations

from collections.abc import Iterable

from strongroom.errors import DecryptionError, IntegrityError, PolicyError, PurposeError
from strongroom.keystore.counting import Counted
from strongroom.keystore.handles.base import Handle, Kit, is_compromised, processing
from strongroom.keystore.handles.guarding import Guarded, guard
from strongroom.keystore.handles.prefixed import ByPrefix, output_prefix, wanted
from strongroom.keystore.live import Snapshot
from strongroom.model.names import format_key_id
from strongroom.model.types import KeyType, Purpose
from strongroom.model.version import Version
from strongroom.primitives.hpke import HpkePrivate, HpkePublic
from strongroom.primitives.jwe import JwePrivate, JwePublic, key_id_of

_RSA = (KeyType.RSA_2048, KeyType.RSA_3072, KeyType.RSA_4096)
_HPKE = (KeyType.X25519, KeyType.MLKEM768_X25519)
_FAILED = "the ciphertext does not open under this keyset"


class _HybridKit(Kit):
    __slots__ = ("is_jwe", "jwe", "jwe_with_compromised", "protect", "protect_jwe", "sound", "with_compromised")

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        kind = snapshot.keyset.type
        self.is_jwe = kind in _RSA
        every = processing(snapshot, compromised=True)
        sound = [version for version in every if not is_compromised(snapshot, version)]
        self.jwe: dict[str, JwePrivate | Guarded] = {}
        self.jwe_with_compromised: dict[str, JwePrivate | Guarded] = {}
        self.sound: ByPrefix[HpkePrivate | Guarded] = ByPrefix(())
        self.with_compromised: ByPrefix[HpkePrivate | Guarded] = ByPrefix(())
        if self.is_jwe:
            keys = {v.number: JwePrivate(self.material(v)) for v in every}
            self.jwe = {format_key_id(v.key_id): guard(snapshot, v, keys[v.number]) for v in sound}
            self.jwe_with_compromised = {
                format_key_id(v.key_id): guard(snapshot, v, keys[v.number], asked=True) for v in every
            }
        else:
            made = {v.number: HpkePrivate(kind.value, self.material(v), output_prefix(v)) for v in every}
            self.sound = ByPrefix((v, guard(snapshot, v, made[v.number])) for v in sound)
            self.with_compromised = ByPrefix((v, guard(snapshot, v, made[v.number], asked=True)) for v in every)
        self.protect_jwe: JwePublic | Counted | None = None
        self.protect: HpkePublic | Counted | None = None
        if self.refusal is None:
            version = self.protecting
            if self.is_jwe:
                self.protect_jwe = self.counted(JwePublic(self._public(version), format_key_id(version.key_id)))
            else:
                self.protect = self.counted(HpkePublic(kind.value, self._public(version), output_prefix(version)))

    def _public(self, version: Version) -> bytes:
        if version.public is None or not self.snapshot.opened.verified:
            raise IntegrityError(f"the public half of version {version.number} is not verified")
        return version.public

    def jwe_candidates(self, token: bytes, *, compromised_too: bool) -> Iterable[JwePrivate | Guarded]:
        """The key that the token names; every one that may, where it names none."""
        kid = key_id_of(token)
        keys = self.jwe_with_compromised if compromised_too else self.jwe
        return [key for name, key in keys.items() if kid in {None, name}]


class Hybrid(Handle[_HybridKit]):
    """HPKE in base mode (RFC 9180: X25519 or X-Wing, HKDF-SHA256, AES-256-GCM) or JWE (RSA-OAEP-256, A256GCM).

    Whoever has the public half can encrypt: an opened message says nothing about its sender. X-Wing is a draft still.
    """

    __slots__ = ()

    def _make(self, snapshot: Snapshot) -> _HybridKit:
        wanted(snapshot, self.name, (*_RSA, *_HPKE), "hybrid encryption")
        if snapshot.keyset.purpose is not Purpose.ENCRYPT:
            raise PurposeError(
                f"{self.name!r} was made to {snapshot.keyset.purpose.value}, not to encrypt",
                hint=f"strongroom show {self.name}",
            )
        return _HybridKit(snapshot)

    def encrypt(self, plaintext: bytes, context: bytes | None) -> bytes:
        """A message to the primary's public half.

        context: what HPKE binds it to (b"" for nothing); for RSA it must be None, because a JWE has no place for it
        (PolicyError). Raises StateError where no version protects now.
        """
        kit = self._current()
        if kit.protect_jwe is not None:
            self._check_no_context(context)
            return kit.protect_jwe.encrypt(plaintext)
        protect = kit.protect
        if protect is None:
            kit.refuse()
        return protect.encrypt(plaintext, self._checked(context))

    def decrypt(self, ciphertext: bytes, context: bytes | None, *, compromised_too: bool = False) -> bytes:
        """The plaintext. Raises DecryptionError, which does not say why."""
        kit = self._current()
        if kit.is_jwe:
            self._check_no_context(context)
            for private in kit.jwe_candidates(ciphertext, compromised_too=compromised_too):
                try:
                    return private.decrypt(ciphertext)
                except DecryptionError:
                    continue
            if self._live.doubt():
                return self.decrypt(ciphertext, context, compromised_too=compromised_too)
            raise kit.unopened(DecryptionError(_FAILED))
        bound = self._checked(context)
        keys = kit.with_compromised if compromised_too else kit.sound
        for key in keys.candidates(ciphertext):
            try:
                return key.decrypt(ciphertext, bound)
            except DecryptionError:
                continue
        if self._live.doubt():
            return self.decrypt(ciphertext, context, compromised_too=compromised_too)
        raise kit.unopened(DecryptionError(_FAILED))

    def _check_no_context(self, context: bytes | None) -> None:
        if context is not None:
            raise PolicyError(
                f"{self.name!r} makes JWE, which binds no context; an x25519 keyset does",
                hint="strongroom create NAME --type x25519",
            )

    def _checked(self, context: bytes | None) -> bytes:
        if context is None:
            raise PolicyError(f"{self.name!r} binds a context, and none was said", hint='b"" says that there is none')
        return context
