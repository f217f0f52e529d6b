"""Links between issuers: the word of one that was replaced for the one that signs now. A reader follows one at most.

docs/reference/publication.md, section 5. Whoever knew the key of an issuer that was replaced can make a link from it to
a key of his own: so a reader who has followed one believes the issuer before no more, in anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import UnsetType

from strongroom._encoding import b64decode, b64encode, encode_fields
from strongroom.errors import FormatError, SignatureError
from strongroom.model.names import StoreId
from strongroom.primitives.signing import Ed25519Private, Ed25519Public

MAX_LINKS: Final = 64
"""The most links that a publication carries."""
ISSUER_SIZE: Final = 44
"""Bytes of an issuer's public key: SubjectPublicKeyInfo of Ed25519, which has one length (RFC 8410)."""
SIGNATURE_SIZE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """From the issuer with the public key `old` to whoever signs the publication that carries it."""

    old: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs a publication that carries links: his public key, and the word of the others for it."""

    public: bytes
    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        if len(self.public) != ISSUER_SIZE or any(len(each.old) != ISSUER_SIZE for each in self.links):
            raise FormatError("an issuer of a publication is no Ed25519 key")
        if any(len(each.signature) != SIGNATURE_SIZE for each in self.links):
            raise FormatError("a link of a publication is not signed")
        olds = [each.old for each in self.links]
        if not 1 <= len(olds) <= MAX_LINKS or len({self.public, *olds}) != 1 + len(olds):
            raise FormatError(f"a publication carries one link from each of 1 to {MAX_LINKS} issuers before its own")

    @property
    def spelled(self) -> tuple[str, list[tuple[str, str]]]:
        """As a header has it: the public key, and of each link the old key and the signature."""
        return b64encode(self.public), [(b64encode(each.old), b64encode(each.signature)) for each in self.links]


class Issuer:
    """An issuer that is believed: the public key (SubjectPublicKeyInfo DER) and what it verifies."""

    __slots__ = ("_key", "public")

    def __init__(self, public: bytes) -> None:
        self.public = public
        self._key = Ed25519Public(public, b"")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Issuer) and other.public == self.public

    def __hash__(self) -> int:
        return hash(self.public)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if the issuer signed it; else SignatureError."""
        self._key.verify(signature, message)

    def successor(self, signer: Signer, *, store: StoreId) -> Issuer | None:
        """Who signs by this issuer's own word: itself, or whom its link names. None where it says nothing true."""
        if signer.public == self.public:
            return self
        for link in signer.links:
            if link.old == self.public:
                try:
                    self.verify(link.signature, linked(store, self.public, signer.public))
                    return Issuer(signer.public)
                except (SignatureError, FormatError):
                    return None
        return None


def make_link(old: Ed25519Private, *, public: bytes, new: bytes, store: StoreId) -> Link:
    """The word of the issuer with the public key `public` for `new`."""
    return Link(old=public, signature=old.sign(linked(store, public, new)))


def linked(store: StoreId, old: bytes, new: bytes) -> bytes:
    """What an issuer signs of its successor: for this store, and no publication is ever spelled so."""
    return encode_fields(b"strongroom/1 issuer link", store, old, new)


def read_signer(issuer: str | UnsetType, links: Sequence[tuple[str, str]] | UnsetType) -> Signer | None:
    """The signer that a header spells; None where it spells none. FormatError."""
    if isinstance(issuer, UnsetType) and isinstance(links, UnsetType):
        return None
    if isinstance(issuer, UnsetType) or isinstance(links, UnsetType):
        raise FormatError("an issuer and links come together")
    read = tuple([Link(old=b64decode(old), signature=b64decode(signature)) for old, signature in links])
    return Signer(public=b64decode(issuer), links=read)
