"""The issuer as holders have it: it signs, those before it give their word for it, and what they signed is known again.

A version of the keyset is an issuer. Whoever left knew those of his time: so what they signed counts for what was
published before, and never for who follows.
"""

from __future__ import annotations

from typing import Final

from strongroom._encoding import Timestamp
from strongroom.caching.issuer_links import MAX_LINKS, Issuer, Signer, make_link
from strongroom.caching.publication import Publication
from strongroom.errors import NotFoundError, PublicationError, StateError
from strongroom.model.names import KeyId, KeysetName, parse_name
from strongroom.model.states import KeyState
from strongroom.model.version import Version
from strongroom.primitives.signing import Ed25519Private
from strongroom.stores.sealed import SealedStore
from strongroom.stores.workers_codec import Group

ISSUER: Final[KeysetName] = parse_name("strongroom.issuer", reserved=True)
"""The sealed keyset that signs publications: every holder can, and nobody else."""

_VOUCHES: Final = frozenset({KeyState.PRE_ACTIVATION, KeyState.ACTIVE, KeyState.DEACTIVATED})
_KNOWN: Final = _VOUCHES | {KeyState.SUSPENDED}
_AHEAD: Final = 86_400_000
"""Milliseconds by which a serial of a former issuer may be ahead of the clock: no honest one is."""


class Issuing:
    """The issuer of a sealed store at one moment."""

    __slots__ = ("_now", "_opened", "_signing", "_store")

    def __init__(self, store: SealedStore, now: Timestamp) -> None:
        """NotFoundError where there is none yet; StaleError, ExposedRootError, StateError as its keyset."""
        try:
            self._opened = store.load(ISSUER)
        except NotFoundError:
            raise NotFoundError(
                f"{store.location!r} has no issuer yet", hint="strongroom worker create GROUP makes one"
            ) from None
        if self._opened.hindrance is not None:
            raise self._opened.hindrance
        self._store = store
        self._now = now
        self._signing = self._opened.keyset.protecting(now)

    @property
    def version(self) -> Version:
        """The version that signs now."""
        return self._signing

    @property
    def public(self) -> bytes:
        """Its public key, which workers hold."""
        return _public(self._signing)

    @property
    def named(self) -> KeyId | None:
        """What a group's record says of an identity that is made now: the key id, and None for the first version."""
        first = self._opened.keyset.versions[0].key_id
        return None if self._signing.key_id == first else self._signing.key_id

    def is_named_by(self, group: Group) -> bool:
        """Whether the group's identity was made under the issuer that signs now."""
        return group.issuer == self.named

    def sign(self, message: bytes) -> bytes:
        """The signature of the issuer."""
        return self._private(self._signing).sign(message)

    def signer_for(self, group: Group) -> Signer | None:
        """Who signs, with the word of each other issuer; None where the group's identity surely names him.

        A worker may have moved on from the issuer that its identity names, so each of them gives its word, and not that
        one alone. One that is compromised gives none: it would be worth nothing.
        """
        versions = self._opened.keyset.versions
        # where two branches each made the first issuer, a group that names none may mean the other branch's
        if group.issuer == self._signing.key_id or (group.issuer is None and len(versions) == 1):
            return None
        public, store = self.public, self._store.header.store
        links = [
            make_link(self._private(each), public=_public(each), new=public, store=store)
            for each in versions
            if each.state in _VOUCHES and each is not self._signing
        ]
        return Signer(public=public, links=tuple(links[-MAX_LINKS:])) if links else None

    def signed_so(self, publication: Publication, signer: Signer | None) -> bool:
        """Whether the issuer of now signed it, with these words for him."""
        # Ed25519 is deterministic (RFC 8032 section 5.1.6): equal words are equal bytes
        return publication.signer == signer and _signed(publication, Issuer(self.public))

    def signed(self, publication: Publication) -> bool:
        """Whether it is one of ours: by the issuer of now, or one before him whom nobody has called compromised."""
        for version in reversed(self._opened.keyset.versions):
            if version.state in _KNOWN and _signed(publication, Issuer(_public(version))):
                # a former issuer's serial beyond all clocks would leave none for those that come
                return version is self._signing or publication.serial <= self._now + _AHEAD
        return False

    def was_succeeded(self, publication: Publication) -> bool:
        """Whether an issuer signed it who follows ours, and whom nobody knows here yet.

        Only our issuer of now is asked: whoever knew a former one could stop us with a link from it.
        """
        try:
            signer = publication.issuer_for(Issuer(self.public), store=self._store.header.store)
        except PublicationError:
            return False
        return _signed(publication, signer)

    def _private(self, version: Version) -> Ed25519Private:
        return Ed25519Private(self._opened.material(version.number), b"")


def _signed(publication: Publication, issuer: Issuer) -> bool:
    try:
        publication.check_signature(issuer)
        publication.check_hashes()
    except PublicationError:
        return False
    return True


def _public(version: Version) -> bytes:
    if version.public is None:
        raise StateError(f"{ISSUER!r} has no public half", hint="strongroom show strongroom.issuer")
    return version.public
