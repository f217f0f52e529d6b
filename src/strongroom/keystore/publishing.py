"""Publishing the grants of worker groups to where they look. A place that fails keeps none of the others waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from strongroom._encoding import Timestamp, format_count, format_time
from strongroom.caching.backends import Backend
from strongroom.caching.file_backend import FileBackend
from strongroom.caching.locating import backend_of, split_group
from strongroom.caching.publisher import FILE_LIFE, LIFE, WATCH_LIFE, Issue, Publisher
from strongroom.errors import ClosedError, FormatError, NotFoundError, SettingsError, StoreError, StrongroomError
from strongroom.keystore import acts
from strongroom.keystore.facade import KeyStore
from strongroom.stores.workers_codec import Group
from strongroom.stores.workers_records import WorkerGroups

TIMEOUT = 2.0
"""Seconds for one step with Redis when publishing: a holder at a terminal can wait longer than a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was published to one group: `written` are the places that got it, `unchanged` those that had it."""

    group: str
    serial: int
    expires: Timestamp
    keysets: int
    written: tuple[str, ...]
    unchanged: tuple[str, ...]

    def facts(self) -> dict[str, object]:
        """For machines: text, numbers and lists."""
        return {
            "group": self.group,
            "serial": self.serial,
            "expires": format_time(self.expires),
            "keysets": self.keysets,
            "written": list(self.written),
            "unchanged": list(self.unchanged),
        }

    def sentences(self) -> list[str]:
        """For people: a line a place."""
        until = f"{format_count(self.keysets, 'keyset')}, until {format_time(self.expires)}"
        return [
            *(f"published {self.group} to {place}: {until}" for place in self.written),
            *(f"{self.group} at {place} still serves: {until}" for place in self.unchanged),
        ]


def publish(
    keystore: KeyStore,
    groups: Sequence[str] = (),
    *,
    out: Path | None = None,
    to: Sequence[str] = (),
    life: int | None = None,
    force: bool = False,
    allow_pickle: bool = False,
) -> tuple[Published, ...]:
    """Publish what was granted to these groups (all, where none is named) into a file, or to URLs, or both.

    life: seconds that it holds; by default 24 hours at a URL and 30 days in a file. Nothing is written where nothing
    has changed and over half of that is left. allow_pickle: a Django cache that unpickles will
    do. Raises SettingsError (no place, or one file for several groups),
    NotFoundError, StaleError (`force` overrides it where what is published is newer), ExposedRootError, PolicyError;
    StoreError once all other places are served.
    """
    known = WorkerGroups(keystore.sealed, keystore.base)
    names = tuple(groups) or known.names()
    if out is None and not to:
        raise SettingsError("publishing needs a place", hint="strongroom publish --to URL, or --out FILE")
    if not names:
        raise NotFoundError("there is no worker group", hint="strongroom worker create GROUP")
    store = keystore.sealed.header.store
    read = [known.fresh(name) for name in names]
    publisher = Publisher(keystore.sealed)
    done: list[Published] = []
    problems: list[str] = []
    for group in read:
        files: list[Backend] = [] if out is None else [FileBackend(out)]
        caches: list[Backend] = []
        for url in to:
            bare, named = split_group(url)
            if named is None or named == group.name:
                backend = backend_of(bare, store=store, group=group.name, timeout=TIMEOUT, allow_pickle=allow_pickle)
                (files if isinstance(backend, FileBackend) else caches).append(backend)
        if files and len(read) > 1:
            raise SettingsError(
                f"a file holds the publication of one group, and there are {len(read)}",
                hint=f"strongroom publish {group.name} --out FILE",
            )
        for backends, usual in ((caches, LIFE), (files, FILE_LIFE)):
            if backends:
                done.append(
                    _published(keystore, publisher, group, backends, life or usual, force=force, problems=problems)
                )
    if problems:
        raise StoreError(f"not everything was published: {'; '.join(problems)}", hint="strongroom publish")
    return tuple(done)


def watch(
    keystore: KeyStore,
    groups: Sequence[str] = (),
    *,
    to: Sequence[str],
    life: int = WATCH_LIFE,
    allow_pickle: bool = False,
) -> Iterator[tuple[Published, ...] | StrongroomError]:
    """Publish, and again each time that the next result is asked for: what was done, or what kept it from being done.

    Everything is looked at anew: the grants, the records, and what lies at the URLs, so that what was lost there comes
    back. Only ClosedError ends it, and SettingsError, which no waiting mends.
    """
    while True:
        try:
            yield publish(keystore, groups, to=to, life=life, allow_pickle=allow_pickle)
        except (ClosedError, SettingsError):
            raise
        except StrongroomError as problem:
            yield problem


def publish_changes(keystore: KeyStore, to: Sequence[str], *, allow_pickle: bool = False) -> Callable[[], None]:
    """What a holder with CACHE does after each change. A change that is written stands, published or not: a trouble is
    a warning, and the next change, or `strongroom publish`, makes up for it."""

    def publish_change() -> None:
        try:
            if WorkerGroups(keystore.sealed, keystore.base).names():
                publish(keystore, to=to, allow_pickle=allow_pickle)
        except StrongroomError as problem:
            acts.warn("publish-failed", error=type(problem).__name__, problem=problem)

    return publish_change


def _published(
    keystore: KeyStore,
    publisher: Publisher,
    group: Group,
    backends: Sequence[Backend],
    life: int,
    *,
    force: bool,
    problems: list[str],
) -> Published:
    try:
        last = [_last(backend) for backend in backends]
        issue = publisher.issue(
            group, last=[raw for raw in last if raw], now=keystore.clock.now(), life=life, force=force
        )
        stale = [backend for backend, raw in zip(backends, last, strict=True) if raw != issue.raw]
        written = [backend for backend in stale if _written(backend, issue, keystore.clock.now(), problems)]
    finally:
        for backend in backends:
            backend.close()
    if written:
        acts.record("published", group=group.name, serial=issue.serial, keysets=issue.keysets)
    return Published(
        group=group.name,
        serial=issue.serial,
        expires=issue.expires,
        keysets=issue.keysets,
        written=tuple(each.location for each in written),
        unchanged=tuple(each.location for each in backends if each not in stale),
    )


def _last(backend: Backend) -> bytes:
    """What lies there; empty where nothing does that could be ours. A dead place tells as it is written to."""
    try:
        return backend.read()
    except (NotFoundError, FormatError, StoreError):
        return b""


def _written(backend: Backend, issue: Issue, now: Timestamp, problems: list[str]) -> bool:
    try:
        backend.write(issue.raw, seconds=max(1, (issue.expires - now) // 1000))
    except StoreError as problem:
        problems.append(str(problem))
        return False
    return True
