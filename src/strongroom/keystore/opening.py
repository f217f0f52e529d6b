"""Opening a store: find it, unseal its root, and make sure that it is ours. It never creates one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from urllib.parse import parse_qs

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.caching.limits import DEFAULT_LIMITS, Limits
from strongroom.caching.locating import SCHEMES as PUBLICATION_SCHEMES
from strongroom.caching.observing import Observer
from strongroom.errors import ForeignStoreError, NoSecretKeyError, NotFoundError, SettingsError, UnsupportedError
from strongroom.keystore.credentials import Engines, Given, credentials
from strongroom.keystore.environment import Environment
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.finding import DEFAULT_DIRECTORY, current_directory, directory_of, split_url
from strongroom.keystore.making import SeededMaker
from strongroom.keystore.publishing import publish_changes
from strongroom.keystore.settings import StoreSettings, is_build
from strongroom.keystore.worker_opening import open_worker
from strongroom.model.names import ID_SIZE, StoreId
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import decode_header, encode_header
from strongroom.sealing.passphrases import passphrase_from_bytes
from strongroom.sealing.root import Root
from strongroom.sealing.slots import DevelopmentSlot
from strongroom.sealing.unsealing import Unsealed, unseal
from strongroom.stores.base import Store
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.memory import MemoryStore
from strongroom.stores.pins import check_origin
from strongroom.stores.sealed import SealedStore
from strongroom.stores.witness import open_witness

SCHEMES = ("memory", "blackbox", *PUBLICATION_SCHEMES)
"""The URL schemes that are ours; others are looked up by exact name among the entry points `strongroom.stores`."""


def open_store(
    location: str | os.PathLike[str] | None = None,
    *,
    identity: str | os.PathLike[str] | None = None,
    passphrase: str | None = None,
    pin: str | None = None,
    witness: str | os.PathLike[str] | None = None,
    strict: bool | None = None,
    given: Given | None = None,
    limits: Limits = DEFAULT_LIMITS,
    clock: Clock = SYSTEM_CLOCK,
    environ: Mapping[str, str] | None = None,
    observer: Observer | None = None,
) -> KeyStore:
    """An open keystore, to be used in a `with` block.

    location: a directory, a URL (`memory:`, `memory:?seed=…` for tests, `blackbox:PATH` for the files of a BlackBox
    repository), or None: STRONGROOM_STORE, else `.strongroom` upwards. For a worker `redis://HOST/DB?group=web` or
    `file:PATH?group=web`, or several with blanks between: its identity opens what was published to its group.
    identity: an identity file. passphrase: text. pin: the store that is ours. strict: refuse a store that neither pin
    nor witness knows. observer: is told what happens to a worker's publications.

    Raises NotFoundError (no store there), CannotOpenError (SealError, PassphraseError, NoSecretKeyError, …;
    `strongroom doctor` tells more), ForeignStoreError, FormatError, IntegrityError, SettingsError; for a worker
    NotPublishedError.
    """
    environ = Environment.of(environ)
    held = None if passphrase is None else SecretBytes(passphrase.encode("utf-8", "surrogatepass"))
    passphrase = None  # this frame may be shown when the store does not open
    said = StoreSettings(
        store=None if location is None else os.fspath(location),
        identity=None if identity is None else Path(identity),
        witness=None if witness is None else Path(witness),
        pin=pin,
        strict=bool(strict),
    )
    offered = given or Given()
    if held is not None:
        offered = replace(offered, passphrase_secret=passphrase_from_bytes(held))
    return open_settings(said, given=offered, limits=limits, clock=clock, environ=environ, observer=observer)


def open_settings(
    said: StoreSettings,
    *,
    given: Given | None = None,
    limits: Limits = DEFAULT_LIMITS,
    clock: Clock = SYSTEM_CLOCK,
    environ: Mapping[str, str] | None = None,
    observer: Observer | None = None,
) -> KeyStore:
    """`open_store`, from settings; what they leave out comes from the environment."""
    if sys.platform == "win32":
        raise UnsupportedError("Windows is not supported", hint="use WSL, or a container")
    environ = Environment.of(environ)
    if is_build(environ):
        return KeyStore(_in_memory(clock), clock=clock, limits=limits, throw_away=True)
    settings = said.over(StoreSettings.from_environment(environ))
    if settings.max_age is not None:
        limits = replace(limits, max_age=settings.max_age)
    offered = given or Given()
    offered = replace(
        offered,
        identity=offered.identity or settings.identity,
        passphrase_file=offered.passphrase_file or settings.passphrase_file,
    )
    location = settings.store
    if location is None and split_url(settings.cache) is not None:
        location = settings.cache  # a worker sets no STORE
    url = split_url(location)
    if url is not None:
        if url[0] in PUBLICATION_SCHEMES:
            place = ":".join(url)
            return open_worker(place, settings, offered, limits=limits, clock=clock, environ=environ, observer=observer)
        return _open_url(*url, settings, offered, limits, clock, environ)
    directory = directory_of(location)
    if directory is None:
        raise NotFoundError(
            f"there is no {DEFAULT_DIRECTORY} directory here or above",
            hint="strongroom init makes one; --store or STRONGROOM_STORE names another",
        )
    return _open_sealed(DirectoryStore(directory), directory, settings, offered, limits, clock, environ)


def _open_sealed(
    store: Store,
    directory: Path,
    settings: StoreSettings,
    given: Given,
    limits: Limits,
    clock: Clock,
    environ: Mapping[str, str],
) -> KeyStore:
    engines = Engines()
    raw = store.header()
    claimed = decode_header(raw)  # what cannot be read is told before anybody is asked for a passphrase
    try:
        offered, _ = credentials(given, engines, environ)
    finally:
        engines.close()

    def reopen() -> Unsealed:
        """The header of now, with the credentials of the opening: how a process follows a rotation of the root."""
        try:
            found = store.header()
            return unseal(claimed if found == raw else decode_header(found), store.attachment, offered)
        finally:
            engines.close()

    try:
        unsealed = reopen()
    except NoSecretKeyError as error:
        if "IDENTITY" in error.hint:
            raise
        hint = f"{error.hint}; a machine sets STRONGROOM_IDENTITY_FILE; strongroom doctor tells more"
        raise NoSecretKeyError(str(error), hint=hint) from None
    witness = open_witness(
        unsealed.header.store,
        directory,
        setting=settings.witness,
        searched=settings.store is None,  # a nearer one that a commit brought is not taken for the one further up
        environ=environ,
    )
    try:
        notices = check_origin(
            unsealed.header, unsealed.root, pin=settings.pin, witness=witness, strict=settings.strict
        )
    except ForeignStoreError:
        if store.header() == unsealed.raw:
            raise
        # while it was opened the root was rotated, and another process has told the witness of that
        unsealed = reopen()
        notices = check_origin(
            unsealed.header, unsealed.root, pin=settings.pin, witness=witness, strict=settings.strict
        )
    if unsealed.header.registered and store.lies_open(unsealed.header.root):
        # elsewhere it is an exposed root; this team asked for it (DESIGN section 4, init --register)
        told = f"root {unsealed.header.root} lies in the clear in {str(directory)!r}, where BlackBox's scripts put it"
        notices = (*notices, f"{told}; whoever can read this host has it: remove the file")
    if unsealed.header.pending:
        notices = (*notices, "a rotation of the root was broken off: strongroom root rotate goes on with it")
    source = SealedStore(
        store,
        unsealed.root,
        unsealed.header,
        raw=unsealed.raw,
        witness=witness,
        audience=unsealed.audience,
        reopen=reopen,
    )
    if (behind := source.behind) is not None:
        notices = (*notices, f"{behind}; what is here is read, and nothing is protected or written")
    keystore = KeyStore(source, clock=clock, limits=limits, notices=notices, base=directory)
    if settings.cache is not None and split_url(settings.cache) is not None:
        keystore.after_change = publish_changes(
            keystore, settings.cache.split(), allow_pickle=settings.allow_pickle_backend
        )
    return keystore


def _open_url(
    scheme: str,
    rest: str,
    settings: StoreSettings,
    given: Given,
    limits: Limits,
    clock: Clock,
    environ: Mapping[str, str],
) -> KeyStore:
    if scheme == "memory":
        return open_memory(rest, limits=limits, clock=clock)
    if scheme == "blackbox":
        # other stores do without these
        from strongroom.blackbox.repository import Repository
        from strongroom.stores.plain_blackbox import PlainBlackBox

        engines = Engines()
        _, find = credentials(given, engines, environ)
        start = current_directory() / rest
        repository = Repository.discover(start, engine=find(), environ=environ)
        view = PlainBlackBox(repository, on_close=engines.close)
        notice = (
            f"{rest or '.'!r}: GnuPG proves no origin, so these entries are unverified; strongroom import seals them"
        )
        return KeyStore(view, clock=clock, limits=limits, notices=(notice,))
    for point in entry_points(group="strongroom.stores", name=scheme):
        opened = _loaded(point)(rest, settings=settings, given=given, limits=limits, clock=clock)
        if isinstance(opened, KeyStore):
            return opened
    raise SettingsError(
        f"{scheme!r} is not a kind of store here", hint=f"a directory, or one of {', '.join(f'{s}:' for s in SCHEMES)}"
    )


def _loaded(point: EntryPoint) -> Callable[..., object]:
    try:
        loaded = point.load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"the entry point of {point.name!r} stores, {point.value!r}, is broken: {error}") from None
    if not callable(loaded):
        raise SettingsError(f"the entry point of {point.name!r} stores, {point.value!r}, opens nothing")
    return loaded  # type: ignore[no-any-return]  # what it returns is looked at


def open_memory(rest: str = "", *, limits: Limits = DEFAULT_LIMITS, clock: Clock = SYSTEM_CLOCK) -> KeyStore:
    """A new, empty store in memory. `?seed=TEXT` gives equal keys to equal names: for parallel test processes only."""
    query = parse_qs(rest.removeprefix("?"), keep_blank_values=True)
    # an empty seed, or one without its word, would give the same keys to all who made the same slip
    if rest and (not rest.startswith("?") or list(query) != ["seed"] or query["seed"] == [""]):
        raise SettingsError(f"memory: takes a seed, not {rest!r}", hint="write it like memory:?seed=tests")
    maker = SeededMaker(query["seed"][0]) if "seed" in query else None
    return KeyStore(_in_memory(clock), clock=clock, limits=limits, maker=maker)


def _in_memory(clock: Clock) -> SealedStore:
    """A sealed store that dies with the process. Its root is in its header: what can read one can read the other."""
    root = Root.generate(StoreId(os.urandom(ID_SIZE)))
    header = Header.create(root, slots=[DevelopmentSlot.create(root)], now=clock.now(), propagation=0)
    store = MemoryStore()
    store.write_header(encode_header(header, root), replaces=None)
    return SealedStore(store, root, header)
