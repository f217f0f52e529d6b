"""What this process can open, and if not, why, and which command helps. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom._encoding import format_count, format_time
from strongroom.caching.locating import SCHEMES
from strongroom.caching.observing import Standing
from strongroom.errors import NotFoundError, StrongroomError
from strongroom.keystore.credentials import Engines, Given, credentials
from strongroom.keystore.environment import Environment
from strongroom.keystore.examining_history import search_history
from strongroom.keystore.examining_host import look_around
from strongroom.keystore.examining_keys import look_at_keys
from strongroom.keystore.examining_leaving import look_at_leaving
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.finding import directory_of, holds_store, split_url
from strongroom.keystore.findings import Examination, Finding
from strongroom.keystore.opening import open_settings
from strongroom.keystore.settings import StoreSettings
from strongroom.openpgp.discovery import find_engine
from strongroom.sealing.header_codec import decode_header
from strongroom.sealing.unsealing import describe, explain
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.sealed import SealedStore


def examine(
    location: str | None = None,
    *,
    given: Given | None = None,
    pin: str | None = None,
    databases: Sequence[Path] = (),
    history: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    clock: Clock = SYSTEM_CLOCK,
    environ: Mapping[str, str] | None = None,
) -> Examination:
    """Look at gpg, the store, its slots, the pin, the witness, the records, and what lies around them.

    databases: files of databases, beside which no key should lie. history: search git's history, too, which may take
    minutes and tells its `progress`. Errors become findings.
    """
    environ = Environment.of(environ)
    # what opens with a worker's identity never starts gpg, and is looked at without it
    findings = [] if _of_a_worker(location, environ) else [_gpg(environ)]
    opens = False
    try:
        offered = (given or Given()).once()
        findings += _slots(location, offered, environ)
        settings = StoreSettings(store=location, pin=pin)
        with open_settings(settings, given=offered, clock=clock, environ=environ) as keystore:
            opens = True
            findings += _inside(keystore)
            findings += look_at_keys(keystore, environ)
            findings += look_at_leaving(keystore, environ)
    except StrongroomError as error:
        findings.append(Finding(level="problem", about="store", fact=str(error), hint=error.hint))
    directory = _directory(location, environ)
    if directory is not None:
        findings += look_around(directory, given or Given(), databases, environ)
        if history:
            findings += search_history(directory, progress, environ)
    return Examination(opens=opens, findings=tuple(findings))


def trouble_with_opening(
    location: str | None = None,
    *,
    given: Given | None = None,
    pin: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
    environ: Mapping[str, str] | None = None,
) -> StrongroomError | None:
    """Why the store does not open in this process now; None if it does. Nothing else is looked at: for probes."""
    try:
        open_settings(StoreSettings(store=location, pin=pin), given=given, clock=clock, environ=environ).close()
    except StrongroomError as trouble:
        return trouble
    return None


def _directory(location: str | None, environ: Mapping[str, str]) -> Path | None:
    """The directory of the store, where there is one; that there is none was said."""
    try:
        found = directory_of(location or environ.get("STRONGROOM_STORE") or None)
    except StrongroomError:
        return None
    return found if found is not None and holds_store(found) else None


def _of_a_worker(location: str | None, environ: Mapping[str, str]) -> bool:
    url = split_url(location or environ.get("STRONGROOM_STORE") or None)
    return url is not None and url[0] in SCHEMES


def _gpg(environ: Mapping[str, str]) -> Finding:
    try:
        engine = find_engine(environ=environ)
        try:
            keys = engine.secret_keys()
        finally:
            engine.close()
    except StrongroomError as error:
        # a machine with a passphrase or an RSA identity needs no gpg
        return Finding(level="note", about="gpg", fact=str(error), hint=error.hint)
    if not keys:
        return Finding(
            level="note",
            about="gpg",
            fact="gpg has no secret key of yours that can open anything",
            hint="set STRONGROOM_IDENTITY_FILE to a role's identity, or gpg --full-generate-key",
        )
    fact = f"{format_count(len(keys), 'secret key')}: {', '.join(key.label for key in keys)}"
    return Finding(level="ok", about="gpg", fact=fact)


def _slots(location: str | None, given: Given, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What each slot wants, for a store in a directory; anything else has none."""
    directory = directory_of(location or environ.get("STRONGROOM_STORE") or None)
    if directory is None:
        return
    store = DirectoryStore(directory)
    engines = Engines()
    try:
        header = decode_header(store.header())
        offered, _ = credentials(given, engines, environ)
        for attempt in explain(header, store.attachment, offered):
            if attempt.opens:
                fact = f"opens, with {attempt.credential}"
                yield Finding(level="ok", about=describe(attempt.slot), fact=fact)
            else:
                yield Finding(level="note", about=describe(attempt.slot), fact=attempt.problem, hint=attempt.hint)
        if header.claims.development:
            yield Finding(
                level="warning", about="store", fact="this is a development store: everybody can read its root"
            )
    except NotFoundError:
        return  # opening says it
    except StrongroomError as error:
        yield Finding(level="problem", about="slots", fact=str(error), hint=error.hint)
    finally:
        engines.close()


def _inside(keystore: KeyStore) -> Iterator[Finding]:
    yield Finding(level="ok", about="store", fact=f"opens: {keystore.source.location}")
    if (standing := keystore.standing) is not None:
        yield from _published(standing)
    for notice in keystore.notices:
        yield Finding(level="warning", about="trust", fact=notice, hint="strongroom pin" if "pin" in notice else "")
    if isinstance(keystore.source, SealedStore):
        for oddity in keystore.source.oddities():
            fact = f"{oddity.place!r} lies among the keysets: {oddity.problem}"
            yield Finding(level="warning", about="store", fact=fact, hint="git log tells who put it there; remove it")
    good = 0
    hindered: dict[str, tuple[StrongroomError, list[str]]] = {}  # what hinders the whole store is told once
    for name in keystore.names():
        try:
            opened = keystore.source.load(name)
        except StrongroomError as error:
            yield Finding(level="problem", about=name, fact=str(error), hint=error.hint)
            continue
        if opened.hindrance is not None:
            hindered.setdefault(str(opened.hindrance), (opened.hindrance, []))[1].append(name)
        else:
            good += 1
    for fact, (hindrance, names) in hindered.items():
        about = names[0] if len(names) == 1 else f"{len(names)} keysets"
        yield Finding(level="problem", about=about, fact=fact, hint=hindrance.hint)
    yield Finding(level="ok", about="keysets", fact=f"{good} authentic, and to be used")


def _published(standing: Standing) -> Iterator[Finding]:
    """What a worker holds, and each place that does not serve although another one does."""
    until = "-" if standing.expires is None else format_time(standing.expires)
    fact = f"serial {standing.serial} for {standing.group!r}, {format_count(standing.keysets, 'keyset')}, until {until}"
    yield Finding(level="ok", about="publication", fact=fact)
    if standing.moved_on:
        yield Finding(
            level="warning",
            about="identity",
            fact="its issuer was replaced, and a link led on to the one of now: a process that lost its memory would"
            " believe the former one again",
            hint=f"strongroom worker rotate {standing.group} makes another identity file, for this host",
        )
    for place in standing.places:
        if place.trouble:
            yield Finding(level="warning", about="publication", fact=place.trouble, hint="strongroom publish")
