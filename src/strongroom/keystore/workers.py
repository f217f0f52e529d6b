"""Worker groups: made, granted to and removed by holders. Nothing changes for a worker before the next publishing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

from strongroom._encoding import Timestamp
from strongroom.caching.issuing import ISSUER, Issuing
from strongroom.caching.publication import key_hash
from strongroom.errors import ExistsError, PolicyError
from strongroom.keystore import acts
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.issuer import ensure_issuer, issuing_of
from strongroom.keystore.outside import check_outside, known_to_git, place_for
from strongroom.keystore.undoing import kept_if_written
from strongroom.model.names import KeyId, Revision, StoreId, parse_name
from strongroom.model.types import TRAITS
from strongroom.primitives import rsa
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.signing import Ed25519Public
from strongroom.sealing.identities import RsaIdentity, WorkerIdentity, write_identity
from strongroom.stores.workers_codec import Grant, Group, check_group
from strongroom.stores.workers_records import WorkerGroups

BITS = 3072
"""Bits of a group's RSA key: good beyond 2030 (SP 800-57 part 1 rev. 5, table 4)."""


_OUTSIDE = "strongroom worker create GROUP --out FILE outside it, or --ignored where git ignores FILE"


class KeyWords(TypedDict, total=False):
    """How a group gets its key. `bits` of a new one (3072), and the `passphrase` that protects its identity file.

    public: a key that exists (RSA, as SubjectPublicKeyInfo); then no file is written, and `join` makes it where the
    private half is. ignored: the file may be in the repository where git ignores it.
    """

    bits: int
    passphrase: SecretBytes | None
    public: bytes | None
    ignored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerMade:
    """A group's new key: its identity file (None where the private half is elsewhere), and the paths to give to git.

    store, issuer: what the identity of a private half that is elsewhere has to say (`join`).
    """

    group: str
    identity: Path | None
    store: StoreId
    issuer: bytes
    named: KeyId | None
    """The issuer as the group's record names it."""
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
    outdated: bool
    """Whether its identity names an issuer that was replaced."""


def create_worker(keystore: KeyStore, group: str, out: Path | None = None, **key: Unpack[KeyWords]) -> WorkerMade:
    """Make a group, its key pair and its one identity file, mode 0600, at `out` (else `place_for`).

    The private half is in that file alone: the store keeps the public one. The first group of a store makes its issuer
    too. ExistsError for a group or file that is there; PolicyError for an identity in the repository;
    PassphraseError for a weak passphrase.
    """
    store, groups = keystore.sealed, _groups(keystore)
    name = check_group(group)
    store.check_writable()
    if name in groups.names():
        raise ExistsError(f"there is a worker group {name!r} already", hint="strongroom worker list")
    path = place_for(f"{name}.identity", keystore.base) if out is None else out
    check_outside(path, keystore.base, hint=_OUTSIDE, ignored=key.get("ignored", False))
    now = keystore.clock.now()
    made_issuer = ensure_issuer(store, now)
    with _keyed(keystore, name, path, key) as (public, made):
        groups.write(
            Group(name=name, revision=Revision(1), public=public, created=now, changed=now, issuer=made.named),
            replaces=None,
        )
    acts.record("worker-created", group=name, key=key_hash(public).hex()[:16])
    return replace(made, to_add=(str(store.path_of(ISSUER)), *made.to_add)) if made_issuer else made


def rotate_worker(keystore: KeyStore, group: str, out: Path | None = None, **key: Unpack[KeyWords]) -> WorkerMade:
    """Give a group a new key pair and a new identity file, at `out` (else `place_for`); as `create_worker`.

    From the next publishing on only the new identity, which names the issuer of now, opens what is published. Processes
    with the old one go on with what they have until it expires, and do not start again. What was granted stays.
    A key that exists may stay where the issuer is another one: then `join` alone is to be called again.
    """
    groups = _groups(keystore)
    old = groups.read(group)
    keystore.sealed.check_writable()
    path = place_for(f"{old.name}.{old.revision + 1}.identity", keystore.base) if out is None else out
    with _keyed(keystore, old.name, path, key) as (public, made):
        if (public, made.named) == (old.public, old.issuer):
            raise PolicyError(f"that is the key that {group!r} has", hint="strongroom worker list")
        groups.write(old.rekeyed(public, issuer=made.named, now=keystore.clock.now()), replaces=old.revision)
    acts.record("worker-rotated", group=group, key=key_hash(public).hex()[:16])
    keystore.changed()
    return made


def join(
    private: RsaIdentity, out: Path, *, group: str, store: StoreId, issuer: bytes, passphrase: SecretBytes | None = None
) -> None:
    """Write a worker's identity file where the private half is: what `create_worker` says of the store, and the key.

    ExistsError; PassphraseError for a weak passphrase; FormatError for an issuer that is no key.
    """
    Ed25519Public(issuer, b"")
    name = check_group(group)
    identity = WorkerIdentity(
        name=name, store=store, group=name, issuer=issuer, public=private.public, private=private.private
    )
    write_identity(out, identity, passphrase=passphrase)


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
    issuing = issuing_of(keystore)
    return tuple(
        GroupRow(
            name=each.name,
            key=key_hash(each.public).hex(),
            bits=rsa.load_public(each.public).key_size,
            created=each.created,
            changed=each.changed,
            grants=each.grants,
            outdated=issuing is not None and not issuing.is_named_by(each),
        )
        for each in map(groups.read, groups.names())
    )


def remove_worker(keystore: KeyStore, group: str) -> tuple[str, ...]:
    """Forget a group; nothing is published to it any more. What to give to git, if it has the group. NotFoundError."""
    groups = _groups(keystore)
    groups.remove(group)
    acts.record("worker-removed", group=group)
    path = groups.path_of(group)
    return (str(path),) if known_to_git(path) else ()


@contextmanager
def _keyed(keystore: KeyStore, name: str, path: Path, key: KeyWords) -> Iterator[tuple[bytes, WorkerMade]]:
    """A group's key, with its identity file written; the file is gone again where the block does not end well."""
    store, public = keystore.sealed, key.get("public")
    issuing = Issuing(store, keystore.clock.now())
    made = WorkerMade(
        group=name,
        identity=path if public is None else None,
        store=store.header.store,
        issuer=issuing.public,
        named=issuing.named,
        to_add=(str(_groups(keystore).path_of(name)),),
    )
    if public is not None:
        yield public, made
        return
    check_outside(path, keystore.base, hint=_OUTSIDE, ignored=key.get("ignored", False))
    private = rsa.generate(key.get("bits", BITS))
    identity = WorkerIdentity(
        name=name,
        store=made.store,
        group=name,
        issuer=made.issuer,
        public=rsa.public_der(rsa.load_sealed(private)),
        private=_pkcs8(private),
    )
    write_identity(path, identity, passphrase=key.get("passphrase"))
    with kept_if_written(path):
        yield identity.public, made


def _groups(keystore: KeyStore) -> WorkerGroups:
    return WorkerGroups(keystore.sealed, keystore.base)


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _pkcs8(stored: SecretBytes) -> SecretBytes:
    return SecretBytes(stored.reveal()[len(rsa.VALIDATED) :])
