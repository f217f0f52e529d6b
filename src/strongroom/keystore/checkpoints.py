"""Checkpoints of an open store: made with a release, and held against the store where it was deployed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from strongroom._encoding import Timestamp
from strongroom.errors import FormatError, NotFoundError, PolicyError, StoreError
from strongroom.keystore import acts
from strongroom.keystore.facade import KeyStore
from strongroom.stores.checkpoint import MAX_CHECKPOINT, Checkpoint, Present, decode_checkpoint, encode_checkpoint
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.roots import Roots
from strongroom.stores.workers_records import WorkerGroups


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointReport:
    """What a checkpoint says of the store here. `newer` and `new` count the keysets that were changed or made since."""

    made: Timestamp
    keysets: int
    groups: int
    newer: int
    new: int
    differences: tuple[str, ...]


def create_checkpoint(keystore: KeyStore) -> bytes:
    """The text of a checkpoint: name, revision and the MAC's first bytes of every record, each verified now."""
    sealed = keystore.sealed
    made = Checkpoint.of(
        sealed.header, sealed.root, keysets=_keysets(keystore), groups=_groups(keystore), now=keystore.clock.now()
    )
    acts.record("checkpoint-made", keysets=len(made.keysets), groups=len(made.groups), root=made.number)
    return encode_checkpoint(made, sealed.root)


def verify_checkpoint(keystore: KeyStore, path: Path) -> CheckpointReport:
    """Hold the store against a checkpoint. FormatError, IntegrityError, StaleError (it is of a later root)."""
    sealed = keystore.sealed
    checkpoint = decode_checkpoint(_bytes(path), header=sealed.header, root=sealed.root)
    keysets, groups = _keysets(keystore), _groups(keystore)
    differences = checkpoint.differences(sealed.header, keysets=keysets, groups=groups)
    acts.record("checkpoint-verified", keysets=len(checkpoint.keysets), differences=len(differences))
    seen = {line.name: line.revision for line in checkpoint.keysets}
    lines = [each.line for each in keysets]
    return CheckpointReport(
        made=checkpoint.made,
        keysets=len(checkpoint.keysets),
        groups=len(checkpoint.groups),
        newer=sum(line.revision > seen.get(line.name, line.revision) for line in lines),
        new=sum(line.name not in seen for line in lines),
        differences=differences,
    )


def _keysets(keystore: KeyStore) -> list[Present]:
    if keystore.base is None:
        raise PolicyError(
            f"{keystore.source.location!r} is no directory, and has no checkpoint", hint="strongroom list"
        )
    store, sealed = DirectoryStore(keystore.base), keystore.sealed
    roots = Roots(sealed.root, sealed.header)
    names = store.names()
    records = [
        roots.verified(raw, name) for name, raw in zip(names, store.read_many(names), strict=True) if raw is not None
    ]
    return [Present.of(each.keyset.name, each.keyset.revision, mac=each.mac, root=each.root) for each in records]


def _groups(keystore: KeyStore) -> list[Present]:
    groups = WorkerGroups(keystore.sealed, keystore.base)
    records = [groups.record(name) for name in groups.names()]
    return [Present.of(each.group.name, each.group.revision, mac=each.mac, root=each.root) for each in records]


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CHECKPOINT + 1)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no checkpoint {str(path)!r}", hint="strongroom checkpoint create writes one"
        ) from None
    except OSError as error:
        raise StoreError(f"the checkpoint {str(path)!r} cannot be read: {error.strerror}", hint="ls -ld") from None
    if len(raw) > MAX_CHECKPOINT:
        raise FormatError(f"the checkpoint has more than {MAX_CHECKPOINT} bytes")
    return raw
