"""The key set that a site publishes for its tokens (RFC 7517): public halves, and how long others may keep them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta

from strongroom.errors import SettingsError
from strongroom.keystore.facade import KeyStore
from strongroom.model.types import KeyType
from strongroom.stores.sealed import SealedStore

MEDIA_TYPE = "application/jwk-set+json"
"""RFC 7517 section 8.5.2."""

MAX_AGE = timedelta(minutes=5)
"""How long a verifier may keep the set, unless somebody says otherwise: a compromised key is believed so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """A JWK Set as it is sent: its bytes, a strong entity tag, and seconds that it may be kept."""

    body: bytes
    etag: str
    max_age: int


def key_set(
    keystore: KeyStore,
    name: str,
    *,
    tokens_live: timedelta,
    algorithm: str | None = None,
    max_age: timedelta = MAX_AGE,
) -> KeySet:
    """The set for one keyset's tokens.

    tokens_live: for how long after a key has stopped signing a token of its may be good. max_age: as above; where the
    keyset's propagation is shorter, that: else a verifier could still hold the set from before a new key was added when
    that key begins to sign. Raises what `KeyStore.jwt` raises; SettingsError for periods below zero.
    """
    for what, period in (("tokens_live", tokens_live), ("max_age", max_age)):
        if period < timedelta(0):
            raise SettingsError(f"{what} must not be below zero")
    keys = keystore.jwt(name, algorithm=algorithm).jwks(tokens_live=tokens_live)
    body = json.dumps(keys, separators=(",", ":")).encode()
    travels = _propagation(keystore, name)
    seconds = int(max_age.total_seconds())
    return KeySet(
        body=body,
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        max_age=seconds if travels is None else min(seconds, travels),
    )


def _propagation(keystore: KeyStore, name: str) -> int | None:
    """Seconds from a rotation to the promotion; None where it is the store's default, which a worker cannot know."""
    said = keystore.current(name, KeyType.ED25519).keyset.policy.propagation
    if said is None and isinstance(keystore.source, SealedStore):
        return keystore.source.propagation
    return said
