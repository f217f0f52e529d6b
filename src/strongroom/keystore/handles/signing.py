"""Signatures bound to a keyset: one primary signs, every version that may process verifies."""

from __future__ import annotations

from strongroom.errors import IntegrityError, PurposeError, SignatureError
from strongroom.keystore.counting import Counted
from strongroom.keystore.handles.base import Handle, Kit, is_compromised, processing
from strongroom.keystore.handles.guarding import Guarded, guard
from strongroom.keystore.handles.prefixed import ByPrefix, output_prefix, wanted
from strongroom.keystore.live import Snapshot
from strongroom.model.types import KeyType, Purpose
from strongroom.model.version import Version
from strongroom.primitives.signing import (
    EcdsaP256Private,
    EcdsaP256Public,
    Ed25519Private,
    Ed25519Public,
    RsaPssPrivate,
    RsaPssPublic,
)

_RSA = (KeyType.RSA_2048, KeyType.RSA_3072, KeyType.RSA_4096)
_Private = Ed25519Private | EcdsaP256Private | RsaPssPrivate
_Public = Ed25519Public | EcdsaP256Public | RsaPssPublic
_PRIVATE: dict[KeyType, type[_Private]] = {
    KeyType.ED25519: Ed25519Private,
    KeyType.ECDSA_P256: EcdsaP256Private,
    **dict.fromkeys(_RSA, RsaPssPrivate),
}
_PUBLIC: dict[KeyType, type[_Public]] = {
    KeyType.ED25519: Ed25519Public,
    KeyType.ECDSA_P256: EcdsaP256Public,
    **dict.fromkeys(_RSA, RsaPssPublic),
}
_FAILED = "the signature does not belong to this message under this keyset"


class _SignerKit(Kit):
    __slots__ = ("protect",)

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self.protect: _Private | Counted | None = None
        if self.refusal is None:
            version = self.protecting
            private = _PRIVATE[snapshot.keyset.type](self.material(version), output_prefix(version))
            self.protect = self.counted(private)


class Signer(Handle[_SignerKit]):
    """Ed25519 (RFC 8032), ECDSA P-256 with SHA-256 in DER (FIPS 186-5), RSA-PSS with SHA-256 (RFC 8017 section 8.1).

    Signatures carry Tink's five-byte prefix, so the version is found in one step and Tink verifies them.
    """

    __slots__ = ()

    def _make(self, snapshot: Snapshot) -> _SignerKit:
        _check(snapshot, self.name, "signer")
        return _SignerKit(snapshot)

    def sign(self, message: bytes) -> bytes:
        """prefix ‖ signature under the primary. Raises StateError where no version protects now."""
        kit = self._current()
        protect = kit.protect
        if protect is None:
            kit.refuse()
        return protect.sign(message)


class _VerifierKit(Kit):
    __slots__ = ("sound", "with_compromised")

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        every = processing(snapshot, compromised=True)
        made = {version.number: self._public(version) for version in every}
        self.sound: ByPrefix[_Public | Guarded] = ByPrefix(
            (v, guard(snapshot, v, made[v.number])) for v in every if not is_compromised(snapshot, v)
        )
        self.with_compromised: ByPrefix[_Public | Guarded] = ByPrefix(
            (v, guard(snapshot, v, made[v.number], asked=True)) for v in every
        )

    def _public(self, version: Version) -> _Public:
        if version.public is None or not self.snapshot.opened.verified:
            raise IntegrityError(f"the public half of version {version.number} is not verified")
        return _PUBLIC[self.snapshot.keyset.type](version.public, output_prefix(version))


class Verifier(Handle[_VerifierKit]):
    """Verifies what any version of the keyset signed that may process now."""

    __slots__ = ()

    def _make(self, snapshot: Snapshot) -> _VerifierKit:
        _check(snapshot, self.name, "verifier")
        return _VerifierKit(snapshot)

    def verify(self, signature: bytes, message: bytes, *, compromised_too: bool = False) -> None:
        """Return if a version signed this message; else raise SignatureError, which does not say why."""
        kit = self._current()
        keys = kit.with_compromised if compromised_too else kit.sound
        for key in keys.candidates(signature):
            try:
                return key.verify(signature, message)
            except SignatureError:
                continue
        if self._live.doubt():
            return self.verify(signature, message, compromised_too=compromised_too)
        raise kit.unopened(SignatureError(_FAILED))


def _check(snapshot: Snapshot, name: str, what: str) -> None:
    wanted(snapshot, name, _PRIVATE, what)
    if snapshot.keyset.purpose is not Purpose.SIGN:
        raise PurposeError(
            f"{name!r} was made to {snapshot.keyset.purpose.value}, not to sign", hint=f"strongroom show {name}"
        )
