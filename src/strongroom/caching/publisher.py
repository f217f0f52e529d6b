"""Publishing: what a group was granted, sealed to its key and signed. Nothing older, stale or exposed goes out.

What was published last is read back from where it lies, and believed only under our own issuer's signature. Its ledger,
which holders alone can open, says what it held; so a holder needs no memory of his own, and no worker's key.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from strongroom._encoding import Timestamp
from strongroom.caching.issuer_links import Signer
from strongroom.caching.issuing import Issuing
from strongroom.caching.publication import (
    Publication,
    compose,
    joined,
    key_hash,
    label,
    parse,
    signed,
)
from strongroom.caching.publication_ledger import Ledger, Line, open_ledger, seal_ledger
from strongroom.caching.publication_tokens import Granted, digest, encode_token, stripped
from strongroom.errors import (
    FormatError,
    IntegrityError,
    NotFoundError,
    PolicyError,
    StaleError,
)
from strongroom.model.codec import is_extended
from strongroom.model.states import KeyState
from strongroom.model.types import TRAITS
from strongroom.primitives.rsa import oaep_wrap
from strongroom.primitives.secret import SecretBytes
from strongroom.stores.base import Opened
from strongroom.stores.sealed import SealedStore
from strongroom.stores.workers_codec import Grant, Group

DAY: Final = 86_400
LIFE: Final = DAY
"""Seconds for which a publication in a cache holds."""
WATCH_LIFE: Final = 900
"""The same under `publish --watch`."""
FILE_LIFE: Final = 30 * DAY
"""The same for a file that is shipped."""
MAX_LIFE: Final = 90 * DAY
MIN_LIFE: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """A publication to be put where workers look; `fresh` is False where the last one still serves."""

    raw: bytes
    serial: int
    expires: Timestamp
    keysets: int
    fresh: bool


class Publisher:
    """Makes the publications of one sealed store."""

    __slots__ = ("_store",)

    def __init__(self, store: SealedStore) -> None:
        self._store = store

    def issue(
        self, group: Group, *, last: Sequence[bytes], now: Timestamp, life: int = LIFE, force: bool = False
    ) -> Issue:
        """The publication for a group that holds for `life` seconds; `last` is what lies where it will go.

        The last one is given back, not fresh, while it says the same and over half of that life is left. Raises
        StaleError where what is published is newer than what is here (not with `force`); what hinders the store or a
        keyset (StaleError, ExposedRootError); NotFoundError where there is no issuer yet, or for a granted keyset that
        is gone; PolicyError.
        """
        if not MIN_LIFE <= life <= MAX_LIFE:
            raise PolicyError(f"a publication holds {MIN_LIFE} seconds to 90 days, not {life} seconds")
        self._store.check_writable()
        granted = [self._granted(grant) for grant in group.grants]
        ledger = Ledger(
            group=group.revision,
            lines=tuple(
                Line(
                    name=each.keyset.name,
                    public=each.public_only,
                    revision=each.keyset.revision,
                    digest=digest(each),
                )
                for each in granted
            ),
        )
        issuing = Issuing(self._store, now)
        signer = issuing.signer_for(group)
        newest, before = self._newest(group, last, issuing, force=force)
        if newest is not None:
            known = self._ledger_of(newest)
            if not force:
                _check_not_older(group, known, ledger)
            left = newest.expires - now
            same = known == ledger and hmac.compare_digest(newest.key, key_hash(group.public))
            if same and not force and issuing.signed_so(newest, signer) and life * 500 < left <= life * 1000:
                return Issue(
                    raw=before, serial=newest.serial, expires=newest.expires, keysets=len(granted), fresh=False
                )
        serial = max(now, 0 if newest is None else newest.serial + 1)
        expires = Timestamp(now + life * 1000)
        return Issue(
            raw=self._composed(
                group, granted, ledger, serial=serial, now=now, expires=expires, issuing=issuing, signer=signer
            ),
            serial=serial,
            expires=expires,
            keysets=len(granted),
            fresh=True,
        )

    def _composed(
        self,
        group: Group,
        granted: Sequence[Granted],
        ledger: Ledger,
        *,
        serial: int,
        now: Timestamp,
        expires: Timestamp,
        issuing: Issuing,
        signer: Signer | None,
    ) -> bytes:
        store = self._store.header.store
        key = SecretBytes(os.urandom(32))
        tokens = [encode_token(key, each, store=store, group=group.name, serial=serial, at=now) for each in granted]
        header = compose(
            extended=any(is_extended(each.keyset) for each in granted),
            signer=signer,
            serial=serial,
            store=store,
            group=group.name,
            key=key_hash(group.public),
            issued=now,
            expires=expires,
            wrapped=oaep_wrap(group.public, key, label=label(store, group.name, serial)),
            ledger=seal_ledger(self._store, ledger, group=group.name),
            tokens=tokens,
        )
        return joined(header, issuing.sign(signed(header)), tokens)

    def _granted(self, grant: Grant) -> Granted:
        try:
            opened = self._store.load(grant.keyset)
        except NotFoundError:
            raise NotFoundError(
                f"keyset {grant.keyset!r} is granted and not there",
                hint=f"strongroom worker revoke GROUP {grant.keyset}",
            ) from None
        if opened.hindrance is not None:
            raise opened.hindrance
        return granted_of(opened, grant, store=self._store)

    def _newest(
        self, group: Group, last: Sequence[bytes], issuing: Issuing, *, force: bool
    ) -> tuple[Publication | None, bytes]:
        """The newest of those that one of our issuers signed for this group; others are nobody's.

        StaleError, unless forced, for one by an issuer who follows ours.
        """
        found: tuple[Publication | None, bytes] = (None, b"")
        for raw in last:
            try:
                publication = parse(raw)
            except FormatError:
                continue
            if (publication.store, publication.group) != (self._store.header.store, group.name):
                continue
            if not issuing.signed(publication):
                if not force and issuing.was_succeeded(publication):
                    raise StaleError(
                        f"what is published for {group.name!r} was signed by an issuer who follows the one of here",
                        hint="git pull; or strongroom publish --force",
                    )
                continue
            if found[0] is None or publication.serial > found[0].serial:
                found = (publication, raw)
        return found

    def _ledger_of(self, publication: Publication) -> Ledger | None:
        try:
            return open_ledger(self._store, publication.ledger, group=publication.group)
        except IntegrityError:
            return None


def granted_of(opened: Opened, grant: Grant, *, store: SealedStore) -> Granted:
    """What a group gets of a keyset. PolicyError where a public half was granted of a keyset that has none."""
    keyset = opened.keyset
    if grant.public and not TRAITS[keyset.type].asymmetric:
        raise PolicyError(
            f"{keyset.name!r} is {keyset.type.value}, which has no public half to grant",
            hint=f"strongroom worker grant GROUP {keyset.name}",
        )
    living = () if grant.public else [each for each in keyset.versions if each.state is not KeyState.DESTROYED]
    return Granted(
        keyset=stripped(keyset, store=store.header.store),
        public_only=grant.public,
        material={version.number: opened.material(version.number) for version in living},
    )


def _check_not_older(group: Group, published: Ledger | None, here: Ledger) -> None:
    if published is None:
        raise StaleError(
            f"what is published for {group.name!r} was made under another root, perhaps a newer one",
            hint="git pull; if that root was destroyed here, strongroom publish --force",
        )
    newer = (
        [f"the group itself (revision {published.group}, here {here.group})"] if published.group > here.group else []
    )
    known = {line.name: line for line in here.lines}
    for line in published.lines:
        mine = known.get(line.name)
        if mine is not None and mine.revision < line.revision:
            newer.append(f"{line.name} (revision {line.revision}, here {mine.revision})")
        elif mine is not None and mine.revision == line.revision and mine.digest != line.digest:
            newer.append(f"{line.name} (another record of revision {line.revision})")
    if newer:
        raise StaleError(
            f"what is published for {group.name!r} is newer than what is here: {'; '.join(newer[:10])}",
            hint="git pull; or strongroom publish --force",
        )
