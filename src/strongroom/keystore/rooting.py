"""The root is replaced, and old ones destroyed. All that can be refused is refused before a byte is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from strongroom._encoding import Timestamp, b64encode
from strongroom.blackbox.repository import Repository
from strongroom.errors import ExposedRootError
from strongroom.keystore import acts
from strongroom.keystore.approving import certificates_of
from strongroom.keystore.beside import repository_beside
from strongroom.keystore.environment import Environment
from strongroom.keystore.exposures import Exposure, note_of
from strongroom.keystore.facade import KeyStore
from strongroom.openpgp.discovery import find_engine
from strongroom.openpgp.engine import Engine
from strongroom.sealing.header import Header
from strongroom.sealing.openpgp import seal_root_file
from strongroom.sealing.root import Root
from strongroom.sealing.unsealing import describe
from strongroom.stores import rotation
from strongroom.stores.rotation import Progress
from strongroom.stores.workers_records import WorkerGroups


@dataclass(frozen=True, slots=True, kw_only=True)
class RootRow:
    """A root that the header holds. `slots` open the newest; an older one is sealed under the one after it."""

    number: int
    id: str
    newest: bool
    slots: tuple[str, ...]
    pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RootRotated:
    """What a rotation did. `resumed`: it only ended one that was broken off. `to_add` are paths for git."""

    number: int
    pin: str
    moved: int
    resumed: bool
    to_add: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RootDestroyed:
    """The roots that are gone from the header, and the paths for git."""

    numbers: tuple[int, ...]
    to_add: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A rotation that nothing hinders any more; nothing of it is written."""

    seen: Header
    base: Header
    root: Root
    root_file: bytes | None
    exposure: Exposure | None


def list_roots(keystore: KeyStore) -> tuple[RootRow, ...]:
    """Every root that the header holds, the newest last."""
    header = keystore.sealed.header
    return tuple(
        RootRow(
            number=root.number,
            id=b64encode(root.id),
            newest=root is header.newest,
            slots=tuple(describe(slot) for slot in root.slots),
            pending=len(header.pending) if root.number == header.root - 1 else 0,
        )
        for root in header.roots
    )


def rotate_root(
    keystore: KeyStore,
    *,
    exposed: str | None = None,
    environ: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> RootRotated:
    """Make a new root, bring every record under it, and leave the old one sealed under it; or end what was broken off.

    No admin, slot or host has to do anything: each slot is sealed anew to its public key, and the new root is linked to
    the old one, which pinned hosts follow. `exposed`, in words, says that somebody could read the old root; so does a
    root that was found exposed: then `strongroom exposed` lists every keyset. Raises StaleError, IntegrityError,
    FormatError (a record that cannot be taken along), RecipientError, ConflictError, StoreError.
    """
    store = keystore.sealed
    store.follow()
    if store.header.pending:
        return finish(keystore, resumed=True, environ=environ, progress=progress)
    exposure = None if exposed is None else exposure_of(keystore, who="", reason=exposed)
    try:
        store.check_writable()
    except ExposedRootError as found:
        exposure = exposure or exposure_of(keystore, who="", reason=str(found)[:256])
    engine = find_engine(environ=Environment.of(environ)) if store.header.recipients else None
    try:
        repository = repository_beside(keystore, engine, environ)
        plan = plan_rotation(keystore, store.header, exposure, repository, engine)
    finally:
        if engine is not None:
            engine.close()
    begin(keystore, plan)
    return finish(keystore, environ=environ, progress=progress)


def exposure_of(keystore: KeyStore, *, who: str, reason: str) -> Exposure:
    """What is to be noted of one who could read the newest root until now."""
    # what is made in this very millisecond comes after it; what was made in it before is told by its key id
    time = Timestamp(keystore.clock.now() - 1)
    return Exposure(time=time, who=who, root=keystore.sealed.header.root, reason=reason)


def plan_rotation(
    keystore: KeyStore,
    base: Header,
    exposure: Exposure | None,
    repository: Repository | None,
    engine: Engine | None,
) -> Plan:
    """A new root for a header that follows the one of now, sealed to its recipients. RecipientError; FormatError."""
    store = keystore.sealed
    root = Root.generate(store.header.store, number=store.header.root + 1)
    root_file = None
    if base.recipients and engine is not None:
        certificates = certificates_of(base, repository, engine)
        root_file = seal_root_file(root, base, certificates, engine=engine, now=keystore.clock.now())
    return Plan(seen=store.header, base=base, root=root, root_file=root_file, exposure=exposure)


def begin(keystore: KeyStore, plan: Plan) -> None:
    """Carry out a plan up to the header that makes the new root the newest."""
    exposure = plan.exposure
    rotation.begin(
        keystore.sealed,
        groups_of(keystore),
        plan.root,
        seen=plan.seen,
        base=plan.base,
        root_file=plan.root_file,
        note=None if exposure is None else lambda keysets: note_of(keystore.sealed, exposure, keysets),
    )
    acts.record("root-rotated", root=plan.root.number, id=b64encode(plan.root.id))


def finish(
    keystore: KeyStore,
    *,
    resumed: bool = False,
    environ: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> RootRotated:
    """Bring what is still under the older root under the new one, and drop the list of it."""
    store = keystore.sealed
    listed = _enlisted(keystore, environ) if store.header.registered else ()
    moved = rotation.finish(store, groups_of(keystore), progress=progress)
    acts.record("root-rotation-ended", root=store.header.root, records=moved)
    keystore.changed()
    own = () if keystore.base is None else (str(keystore.base),)
    return RootRotated(
        number=store.header.root, pin=str(store.pin), moved=moved, resumed=resumed, to_add=(*own, *listed)
    )


def destroy_root(keystore: KeyStore, number: int) -> RootDestroyed:
    """Forget root `number` and all before it: nothing here opens what is under them any more, an old branch above all.

    NotFoundError where the header has no such root; PolicyError for the newest one, and while a rotation is broken off.
    What git's history holds of them stays, and opens for whoever could open them then.
    """
    store = keystore.sealed
    store.follow()
    header = store.header.without_roots(number)
    gone = tuple(root.number for root in store.header.roots if root.number <= number)
    base = keystore.base
    files = () if base is None else tuple(path for each in gone if (path := base / f"root.{each}.gpg").exists())
    with store.writing():
        store.check_complete()  # git may still hold what is not here, under the very root that would go
        store.replace_header(header)
        for each in gone:
            store.remove_root_file(each)
    acts.record("root-destroyed", roots=",".join(map(str, gone)))
    paths = () if base is None else (str(base / "store.json"), *map(str, files))
    return RootDestroyed(numbers=gone, to_add=paths)


def groups_of(keystore: KeyStore) -> WorkerGroups | None:
    """The worker groups of a store in a directory."""
    return None if keystore.base is None else WorkerGroups(keystore.sealed, keystore.base)


def _enlisted(keystore: KeyStore, environ: Mapping[str, str] | None) -> tuple[str, ...]:
    """Put the new root file on BlackBox's list, for a team that chose so (DESIGN section 4); the paths for git."""
    repository = repository_beside(keystore, None, environ)
    if repository is None or keystore.base is None:
        return ()
    plain = keystore.base.resolve() / f"root.{keystore.sealed.header.root}"
    if not plain.is_relative_to(repository.root):
        return ()
    name = str(plain.relative_to(repository.root))
    if name in repository.files():
        return ()
    return tuple(str(repository.root / each) for each in repository.enlist(name, commit=False).changed)
