"""Backups: one sealed file of the whole store, and compared with it while both are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import (
    ForeignStoreError,
    FormatError,
    NotFoundError,
    PolicyError,
    StoreError,
)
from strongroom.keystore import acts
from strongroom.keystore.credentials import Engines, Given, credentials
from strongroom.keystore.environment import Environment
from strongroom.keystore.facade import KeyStore
from strongroom.model.names import parse_name
from strongroom.model.record import Record
from strongroom.sealing.header_codec import encode_header
from strongroom.sealing.lineage import lineage
from strongroom.sealing.root import Root
from strongroom.sealing.unsealing import Unsealed, unseal
from strongroom.stores.archive import Archive, Entry, write_archive
from strongroom.stores.base import Opened
from strongroom.stores.descending import KEYSETS
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.listing import ENDING
from strongroom.stores.pins import Pin
from strongroom.stores.roots import Roots
from strongroom.stores.workers_codec import check_group, decode_group
from strongroom.stores.workers_records import WORKERS, WorkerGroups


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A backup that was written, or a store that was made of one."""

    path: Path
    keysets: int
    groups: int
    size: int
    pin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was compared, and how the backup differs from the store, a sentence each; nothing is the best news."""

    keysets: int
    versions: int
    groups: int
    differences: tuple[str, ...]


def create_backup(keystore: KeyStore, path: Path) -> Backup:
    """Write every record, verified now, into one file that opens as the store does.

    Writers wait meanwhile, so that it is the store of one moment. ExistsError, StoreError; FormatError, IntegrityError
    for the first record that is not as it should be: a backup of damage would be found out too late.
    """
    sealed, base = keystore.sealed, _base(keystore)
    if path.absolute().resolve().is_relative_to(base.resolve()):
        raise PolicyError(f"{str(path)!r} is in the store itself", hint="name a file outside it")
    counts = {KEYSETS: 0, WORKERS: 0}

    def counted(entries: Iterator[Entry]) -> Iterator[Entry]:
        for entry in entries:
            counts[entry[0].partition("/")[0]] += 1
            yield entry

    store = DirectoryStore(base)
    with _still(store):
        header = encode_header(sealed.header, sealed.root)
        if store.header() != header:
            raise StoreError("the header was changed since the store was opened", hint="run it again")
        root_file = None
        if sealed.header.openpgp is not None:
            with suppress(NotFoundError):
                root_file = store.attachment(sealed.header.openpgp.file)
        size = write_archive(
            path, header=header, root_file=root_file, root=sealed.root, entries=counted(_entries(keystore, store))
        )
    acts.record("backed-up", keysets=counts[KEYSETS], groups=counts[WORKERS], bytes=size)
    return Backup(path=path, keysets=counts[KEYSETS], groups=counts[WORKERS], size=size, pin=str(sealed.pin))


def verify_backup(
    keystore: KeyStore, path: Path, *, given: Given | None = None, environ: Mapping[str, str] | None = None
) -> Comparison:
    """Open the backup by its own slots, and compare every version's material and state with the store's.

    IntegrityError, FormatError where it is damaged; ForeignStoreError where it is of another store, or of a root that
    the store does not come from; CannotOpenError where nothing here opens it.
    """
    differences: list[str] = []
    counts = {KEYSETS: 0, WORKERS: 0}
    versions = 0
    groups = WorkerGroups(keystore.sealed, keystore.base)
    seen: set[str] = set()
    with Archive(path) as archive:
        opened = opened_archive(archive, given, environ)
        _check_same(opened, keystore)
        roots = Roots(opened.root, opened.header)
        here: dict[str, Opened] = {each.keyset.name: each for each in keystore.sealed.load_all()}
        for kind, name, raw in named_entries(archive, opened.root):
            counts[kind] += 1
            seen.add(f"{kind}/{name}")
            if kind == WORKERS:
                group = group_in(raw, name, opened.root)
                try:
                    if groups.read(name) != group:
                        differences.append(f"worker group {name!r} is another one in the store")
                except NotFoundError:
                    differences.append(f"worker group {name!r} is not in the store any more")
                continue
            record = roots.verified(raw, parse_name(name, reserved=True))
            versions += len(record.keyset.versions)
            differences += _compared(record, roots, here.get(record.keyset.name))
    differences += [f"keyset {name!r} is not in the backup" for name in here if f"{KEYSETS}/{name}" not in seen]
    differences += [
        f"worker group {name!r} is not in the backup" for name in groups.names() if f"{WORKERS}/{name}" not in seen
    ]
    acts.record("backup-verified", keysets=counts[KEYSETS], versions=versions, differences=len(differences))
    return Comparison(
        keysets=counts[KEYSETS], versions=versions, groups=counts[WORKERS], differences=tuple(differences)
    )


def _entries(keystore: KeyStore, store: DirectoryStore) -> Iterator[Entry]:
    sealed = keystore.sealed
    roots = Roots(sealed.root, sealed.header)
    names = sorted(store.names(), key=lambda name: f"{name}{ENDING}")
    for start in range(0, len(names), 500):
        some = names[start : start + 500]
        for name, raw in zip(some, store.read_many(some), strict=True):
            if raw is not None:
                roots.verified(raw, name)
                yield f"{KEYSETS}/{name}{ENDING}", raw
    groups = WorkerGroups(sealed, keystore.base)
    for group in sorted(groups.names(), key=lambda name: f"{name}{ENDING}"):
        groups.read(group)
        yield f"{WORKERS}/{group}{ENDING}", groups.path_of(group).read_bytes()


def named_entries(archive: Archive, root: Root) -> Iterator[tuple[str, str, bytes]]:
    """Kind, name and bytes of each entry; a path that is no record's is a FormatError, before anything is written."""
    for path, raw in archive.entries(root):
        kind, _, rest = path.partition("/")
        if kind not in {KEYSETS, WORKERS} or not rest.endswith(ENDING):
            raise FormatError(f"the backup holds {path[:80]!r}, which is no file of a store")
        name = rest.removesuffix(ENDING)
        yield kind, (parse_name(name, reserved=True) if kind == KEYSETS else check_group(name)), raw


def group_in(raw: bytes, name: str, root: Root) -> object:
    """A worker group, verified. FormatError, IntegrityError."""
    record = decode_group(raw, name=name)
    if record.root != root.id:
        raise FormatError(f"worker group {name!r} in the backup is under another root")
    root.check_record(record.body, record.mac)
    return record.group


def opened_archive(archive: Archive, given: Given | None, environ: Mapping[str, str] | None) -> Unsealed:
    """A backup's root, by one of its slots. CannotOpenError."""
    unverified = archive.claims()
    environ = Environment.of(environ)

    def read(name: str) -> bytes:
        if archive.root_file is None:
            raise NotFoundError(f"there is no {name!r} in the backup")
        return archive.root_file

    engines = Engines()
    try:
        offered, _ = credentials(given or Given(), engines, environ)
        return unseal(unverified, read, offered)
    finally:
        engines.close()


def _check_same(opened: Unsealed, keystore: KeyStore) -> None:
    sealed = keystore.sealed
    older = {each.id for each in lineage(sealed.header, sealed.root)}
    if opened.root.store != sealed.root.store or opened.root.id not in {sealed.root.id, *older}:
        raise ForeignStoreError(
            f"the backup is of {Pin.of(opened.root)}, from which the store here, {sealed.pin}, does not follow",
            hint="strongroom pin; a root that was destroyed takes its backups along",
        )


def _compared(record: Record, roots: Roots, here: Opened | None) -> Iterator[str]:
    keyset = record.keyset
    if here is None:
        yield f"keyset {keyset.name!r} is not in the store any more"
        return
    root = roots.of(record.root)
    now = here.keyset
    if now.revision != keyset.revision:
        yield f"keyset {keyset.name!r} has revision {keyset.revision} in the backup and {now.revision} in the store"
    known = {version.key_id: version for version in now.versions}
    for version in keyset.versions:
        shown = f"version {version.number} of {keyset.name!r}"
        same = known.pop(version.key_id, None)
        if same is None:
            yield f"{shown} is not in the store any more"
            continue
        if same.state is not version.state:
            yield f"{shown} is {version.state.value} in the backup and {same.state.value} in the store"
        if version.sealed is None or same.sealed is None:
            continue
        held = root.open(
            version.sealed, name=keyset.name, key_id=version.key_id, type=keyset.type, purpose=keyset.purpose
        )
        if held != here.material(same.number):
            yield f"{shown} holds other material in the backup"
    if known:
        yield f"{len(known)} versions of {keyset.name!r} are not in the backup"


def _base(keystore: KeyStore) -> Path:
    if keystore.base is None:
        raise PolicyError(f"{keystore.source.location!r} is no directory, and has no backup", hint="strongroom list")
    return keystore.base


@contextmanager
def _still(store: DirectoryStore) -> Iterator[None]:
    """Keep writers out for a block, where there can be any: on a read-only disk there is no lock, and no writer."""
    with ExitStack() as held:
        with suppress(StoreError):
            held.enter_context(store.lock())
        yield
