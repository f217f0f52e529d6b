"""The RSA slot: OAEP with SHA-256 and nothing else, under a label that names store and root (RFC 8017 section 7.1)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from strongroom.errors import DecryptionError, IntegrityError
from strongroom.primitives.rsa import oaep_unwrap, oaep_wrap
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.root import Root, RootRef, matching
from strongroom.sealing.slots import Slot, check_label


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaSlot:
    """A way to open the root with an RSA private key. `public` is a SubjectPublicKeyInfo in DER."""

    label: str
    public: bytes = field(repr=False)
    sealed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_label(self.label)

    @classmethod
    def create(cls, root: Root, public: bytes, *, label: str) -> Self:
        """A slot for the holder of the private key. PolicyError when the key is too weak."""
        return cls(label=label, public=public, sealed=_sealed(root, public))

    @property
    def kind(self) -> str:
        return "rsa"

    @property
    def wants(self) -> str:
        return f"the RSA private key of slot {self.label!r} (STRONGROOM_IDENTITY_FILE)"

    def open(self, private: SecretBytes, wanted: RootRef) -> Root:
        """The root, by the private key as PKCS #8 DER. IntegrityError when it does not open; else as `matching`."""
        try:
            line = oaep_unwrap(private, self.sealed, label=wanted.binding("rsa"))
        except DecryptionError:
            raise IntegrityError(
                f"what RSA slot {self.label!r} holds was not sealed for root {wanted.number} of this store",
                hint="see 'git log' for who changed the store, and 'strongroom doctor'",
            ) from None
        return matching(line, wanted)

    def reseal(self, root: Root) -> Self:
        return replace(self, sealed=_sealed(root, self.public))


def _sealed(root: Root, public: bytes) -> bytes:
    return oaep_wrap(public, root.line(), label=root.ref.binding("rsa"))


def _conforms(slot: RsaSlot) -> Slot:
    return slot
