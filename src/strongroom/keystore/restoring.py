"""A store made of a backup again: whole, verified and in one step, where there is nothing, or not at all."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from strongroom._closing import let_go
from strongroom.errors import ExistsError, StoreError
from strongroom.keystore import acts
from strongroom.keystore.backup import Backup, group_in, named_entries, opened_archive
from strongroom.keystore.credentials import Given
from strongroom.keystore.recovery import hpke_slots
from strongroom.keystore.settings import StoreSettings
from strongroom.keystore.undoing import undone_on_failure
from strongroom.model.names import parse_name
from strongroom.sealing.shares import Share, join_shares
from strongroom.stores.archive import Archive
from strongroom.stores.descending import KEYSETS
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.listing import ENDING
from strongroom.stores.pins import Pin
from strongroom.stores.placing import sync
from strongroom.stores.roots import Roots
from strongroom.stores.workers_records import WORKERS


def restore_backup(
    path: Path,
    directory: Path,
    *,
    given: Given | None = None,
    shares: Sequence[Share] = (),
    pin: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Backup:
    """Make the store of a backup again in `directory`, where there must be nothing.

    shares: recovery shares that open it, where nothing else does. Everything is verified, and appears in one step: a
    failure, or a kill, leaves no half of a store there. Errors as
    `verify_backup`, and `join_shares`; ExistsError; StoreError.
    """
    counts = {KEYSETS: 0, WORKERS: 0}
    target = directory.absolute()
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise ExistsError(
            f"there is something in {str(directory)!r} already, and it is not overwritten", hint="name a new directory"
        )
    with Archive(path) as archive, _appearing(target) as beside:
        opened = opened_archive(archive, _shared(archive, shares, given), environ)
        wanted = pin or StoreSettings.from_environment(environ).pin
        if wanted:
            Pin.parse(wanted).check(opened.header, opened.root)
        roots = Roots(opened.root, opened.header)
        store = DirectoryStore.create(beside)
        for kind, name, raw in named_entries(archive, opened.root):
            counts[kind] += 1
            if kind == KEYSETS:
                roots.verified(raw, parse_name(name, reserved=True))
            else:
                group_in(raw, name, opened.root)
            _put(beside / kind / f"{name}{ENDING}", raw)
        if archive.root_file is not None and opened.header.openpgp is not None:
            store.write_attachment(opened.header.openpgp.file, archive.root_file)
        store.write_header(archive.header, replaces=None)
        size = path.stat().st_size
    restored = str(Pin.of(opened.root))
    acts.record("backup-restored", store=directory, keysets=counts[KEYSETS], groups=counts[WORKERS])
    return Backup(path=directory, keysets=counts[KEYSETS], groups=counts[WORKERS], size=size, pin=restored)


def _shared(archive: Archive, shares: Sequence[Share], given: Given | None) -> Given | None:
    if not shares:
        return given
    unverified = archive.claims()
    return Given(identity_held=join_shares(shares, hpke_slots(unverified), store=unverified.claims.store))


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A directory beside the target, which becomes it when the block ends well, and is gone otherwise."""
    beside = target.with_name(f".{target.name}.new-{secrets.token_hex(8)}")
    try:
        try:
            beside.mkdir(mode=0o755)
            with undone_on_failure(beside):
                yield beside
            _on_disk(beside)  # before the one rename that counts
            beside.rename(target)  # over an empty directory, or nothing
            descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sync(descriptor, shown=f"the store in {str(target)!r}")
            finally:
                let_go(descriptor)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    except OSError as error:
        hint = "df, ls -ld" if target.parent.is_dir() else f"mkdir -p {shlex.quote(str(target.parent))}"
        raise StoreError(f"no store can be made in {str(target)!r}: {error.strerror}", hint=hint) from None


def _on_disk(top: Path) -> None:
    """OSError where the disk does not take them. One sync(2) writes ten thousand files at once, and reports nothing;
    each fsync has little to write then, and tells of a page that was lost."""
    os.sync()
    for above, _, names in os.walk(top):
        for each in (above, *(f"{above}/{name}" for name in names)):
            descriptor = os.open(each, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                let_go(descriptor)


def _put(path: Path, raw: bytes) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
