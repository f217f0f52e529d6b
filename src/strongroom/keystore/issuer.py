"""The issuer, whose signature workers believe: made with the first group. Who names which."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from strongroom._encoding import Timestamp
from strongroom.caching.issuing import ISSUER, Issuing
from strongroom.caching.publication import key_hash
from strongroom.errors import NotFoundError, StrongroomError
from strongroom.keystore import acts
from strongroom.keystore.facade import KeyStore
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, draw_key_id
from strongroom.model.policy import Policy
from strongroom.model.types import KeyType, Prefix, Purpose
from strongroom.model.version import Version
from strongroom.primitives import material
from strongroom.stores.sealed import SealedStore
from strongroom.stores.workers_records import WorkerGroups


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerNow:
    """Who signs publications: the version of `strongroom.issuer`, its public key, and the SHA-256 of that.

    `outdated` are the groups whose identity names an issuer before this one: what is published to them carries a link.
    """

    version: int
    public: bytes
    fingerprint: str
    outdated: tuple[str, ...]


def issuer_now(keystore: KeyStore) -> IssuerNow | None:
    """Who signs publications; None where the store has no issuer, or none that may sign."""
    issuing = issuing_of(keystore)
    if issuing is None:
        return None
    return IssuerNow(
        version=issuing.version.number,
        public=issuing.public,
        fingerprint=key_hash(issuing.public).hex(),
        outdated=outdated_groups(keystore, issuing),
    )


def issuing_of(keystore: KeyStore) -> Issuing | None:
    """The issuer of now; None where there is none, or none that may sign: whoever publishes is told why."""
    with suppress(StrongroomError):
        return Issuing(keystore.sealed, keystore.clock.now())
    return None


def outdated_groups(keystore: KeyStore, issuing: Issuing) -> tuple[str, ...]:
    """The groups whose identity names an issuer before this one. A record that cannot be read says nothing here."""
    if keystore.base is None:
        return ()
    groups = WorkerGroups(keystore.sealed, keystore.base)
    found = []
    for name in groups.names():
        with suppress(StrongroomError):
            if not issuing.is_named_by(groups.read(name)):
                found.append(name)
    return tuple(found)


def ensure_issuer(store: SealedStore, now: Timestamp) -> bool:
    """Make the issuer where there is none; whether it was made. Never called on use: only as a group is made."""
    try:
        store.load(ISSUER)
    except NotFoundError:
        pass
    else:
        return False
    kind, key_id = KeyType.ED25519, KeyId(draw_key_id(()))
    seed = material.generate(kind.value)
    version = Version.added(
        1,
        key_id,
        sealed=store.seal(seed, name=ISSUER, key_id=key_id, type=kind, purpose=Purpose.SIGN),
        public=material.public_of(kind.value, seed),
        prefix=Prefix.NONE,
        now=now,
    )
    keyset = Keyset.created(
        ISSUER,
        version,
        type=kind,
        purpose=Purpose.SIGN,
        policy=Policy(rotate_every=None, propagation=None),
        now=now,
    )
    store.create(keyset)
    acts.record("created", keyset=ISSUER, type=kind.value)
    return True
