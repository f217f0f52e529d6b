"""Worker groups: made, granted to and removed by holders. Nothing changes for a worker before the next publishing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from strongroom._encoding import Timestamp
from strongroom.caching.publication import key_hash
from strongroom.caching.publisher import ISSUER, issuer_public
from strongroom.errors import ExistsError, NotFoundError, PolicyError
from strongroom.keystore import acts
from strongroom.keystore.facade import KeyStore
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, Revision, draw_key_id, parse_name
from strongroom.model.policy import Policy
from strongroom.model.types import TRAITS, KeyType, Prefix, Purpose
from strongroom.model.version import Version
from strongroom.primitives import material, rsa
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.identities import WorkerIdentity, write_identity
from strongroom.stores.sealed import SealedStore
from strongroom.stores.workers_codec import Grant, Group, check_group
from strongroom.stores.workers_records import WorkerGroups

BITS = 3072
"""Bits of a group's RSA key: good beyond 2030 (SP 800-57 part 1 rev. 5, table 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCreated:
    """A new group: its identity file, and the paths to give to git."""

    group: str
    identity: Path
    to_add: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """A group as `worker list` shows it; `key` is the SHA-256 of its public key, in hexadecimal."""

    name: str
    key: str
    bits: int
    created: Timestamp
    changed: Timestamp
    grants: tuple[Grant, ...]


def create_worker(
    keystore: KeyStore,
    group: str,
    out: Path | None = None,
    *,
    bits: int = BITS,
    passphrase: SecretBytes | None = None,
) -> WorkerCreated:
    """Make a group, its key pair and its one identity file, mode 0600, at `out` (GROUP.identity here).

    The private half is in that file alone: the store keeps the public one. The first group of a store makes its issuer
    too. ExistsError for a group or file that is there; PolicyError for an identity in the store's own directory;
    PassphraseError for a weak passphrase.
    """
    store, groups = keystore.sealed, _groups(keystore)
    name = check_group(group)
    path = Path(f"{name}.identity") if out is None else out
    _keep_out_of_store(path, keystore.base)
    store.check_writable()
    if name in groups.names():
        raise ExistsError(f"there is a worker group {name!r} already", hint="strongroom worker list")
    now = keystore.clock.now()
    made_issuer = _ensure_issuer(store, now)
    private = rsa.generate(bits)
    identity = WorkerIdentity(
        name=name,
        store=store.header.store,
        group=name,
        issuer=issuer_public(store, keystore.clock.now()),
        public=rsa.public_der(rsa.load_sealed(private)),
        private=_pkcs8(private),
    )
    write_identity(path, identity, passphrase=passphrase)
    try:
        groups.write(
            Group(name=name, revision=Revision(1), public=identity.public, created=now, changed=now), replaces=None
        )
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    acts.record("worker-created", group=name, key=key_hash(identity.public).hex()[:16])
    to_add = [str(groups.path_of(name))]
    if made_issuer:
        to_add.insert(0, str(store.path_of(ISSUER)))
    return WorkerCreated(group=name, identity=path, to_add=tuple(to_add))


def grant(keystore: KeyStore, group: str, names: Sequence[str], *, public: bool = False) -> Group:
    """Let a group have keysets, or only the public halves of them, from the next publishing on.

    NotFoundError for a group or keyset that is not there; InvalidNameError for the store's own keysets; PolicyError
    for the public half of a keyset that has none.
    """
    groups = _groups(keystore)
    old = groups.read(group)
    wanted = []
    for name in names:
        keyset = keystore.show(parse_name(name))
        if public and not TRAITS[keyset.type].asymmetric:
            raise PolicyError(
                f"{name!r} is {keyset.type.value}, which has no public half to grant",
                hint=f"strongroom worker grant {group} {name}",
            )
        wanted.append(Grant(keyset=keyset.name, public=public))
    new = old.granting(tuple(wanted), now=keystore.clock.now())
    groups.write(new, replaces=old.revision)
    acts.record("worker-granted", group=group, keysets=",".join(names), public=public)
    keystore.changed()
    return new


def revoke(keystore: KeyStore, group: str, names: Sequence[str]) -> Group:
    """Let a group no longer have keysets, from the next publishing on. NotFoundError.

    What its processes have read, and an earlier publication until it expires, stays readable to them: rotate what
    they should not go on reading.
    """
    groups = _groups(keystore)
    old = groups.read(group)
    new = old.revoking(tuple(parse_name(name) for name in names), now=keystore.clock.now())
    groups.write(new, replaces=old.revision)
    acts.record("worker-revoked", group=group, keysets=",".join(names))
    keystore.changed()
    return new


def list_workers(keystore: KeyStore) -> tuple[GroupRow, ...]:
    """All groups, verified, by name."""
    groups = _groups(keystore)
    return tuple(
        GroupRow(
            name=each.name,
            key=key_hash(each.public).hex(),
            bits=rsa.load_public(each.public).key_size,
            created=each.created,
            changed=each.changed,
            grants=each.grants,
        )
        for each in map(groups.read, groups.names())
    )


def remove_worker(keystore: KeyStore, group: str) -> Path:
    """Forget a group; nothing is published to it any more. The path to give to git. NotFoundError."""
    groups = _groups(keystore)
    groups.remove(group)
    acts.record("worker-removed", group=group)
    return groups.path_of(group)


def _groups(keystore: KeyStore) -> WorkerGroups:
    return WorkerGroups(keystore.sealed, keystore.base)


def _ensure_issuer(store: SealedStore, now: Timestamp) -> bool:
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


def _keep_out_of_store(path: Path, base: Path | None) -> None:
    if base is not None and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(base)):
        raise PolicyError(
            f"{str(path)!r} is in the store, and whoever has the repository would have the worker's key",
            hint="strongroom worker create GROUP --out a file outside the repository",
        )


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _pkcs8(stored: SecretBytes) -> SecretBytes:
    return SecretBytes(stored.reveal()[len(rsa.VALIDATED) :])
