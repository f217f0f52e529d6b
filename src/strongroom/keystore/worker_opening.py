"""Opening as a worker: an identity file and where publications lie. No root, repository or gpg is in the process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from strongroom._clock import Clock
from strongroom.caching.backends import Backend
from strongroom.caching.limits import Limits
from strongroom.caching.locating import backend_of, split_group
from strongroom.caching.observing import Observer
from strongroom.caching.worker import WAIT, WorkerSource
from strongroom.errors import IdentityError, SettingsError
from strongroom.keystore.credentials import Given
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.settings import StoreSettings
from strongroom.sealing.identities import WorkerIdentity
from strongroom.stores.witness import memory_directory


def open_worker(
    location: str,
    settings: StoreSettings,
    given: Given,
    *,
    limits: Limits,
    clock: Clock,
    environ: Mapping[str, str],
    observer: Observer | None = None,
) -> KeyStore:
    """The keystore of a worker. `location` holds one URL, or several with blanks between them.

    The group is the identity's; where a URL or a setting names one, it must be the same. `settings.timeout` are the
    seconds to wait for the first publication (10). Raises NotPublishedError after them; IdentityError without a
    worker's identity; SettingsError.
    """
    identity = given.identity_of(environ)
    if not isinstance(identity, WorkerIdentity):
        raise IdentityError(
            "a publication opens with a worker's identity, and "
            + ("none was given" if identity is None else f"{identity.name!r} is of kind {identity.kind!r}"),
            hint="strongroom worker create GROUP makes one; STRONGROOM_IDENTITY_FILE names it",
        )
    backends = [_backend(url, identity, settings) for url in location.split()]
    source = WorkerSource(
        identity,
        backends,
        clock=clock,
        min_serial=settings.min_serial or 0,
        observer=observer,
        memory=memory_directory(setting=settings.witness, environ=environ),
    )
    try:
        source.wait(WAIT if settings.timeout is None else settings.timeout)
    except BaseException:
        source.close()
        raise
    # the source itself bears a place that fails, until what it has expires: no grace comes on top of that
    keystore = KeyStore(source, clock=clock, limits=replace(limits, grace=0.0))
    source.on_news = keystore.look_again
    source.keep()
    return keystore


def _backend(url: str, identity: WorkerIdentity, settings: StoreSettings) -> Backend:
    bare, named = split_group(url)
    for wanted in (named, settings.group):
        if wanted is not None and wanted != identity.group:
            raise SettingsError(
                f"the identity {identity.name!r} is of the worker group {identity.group!r}, not {wanted!r}",
                hint="STRONGROOM_IDENTITY_FILE names the identity",
            )
    return backend_of(bare, store=identity.store, group=identity.group, allow_pickle=settings.allow_pickle_backend)
