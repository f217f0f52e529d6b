"""What a person should know of the keys themselves: who can open them for how long yet, weak types, an odd clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from strongroom._encoding import Timestamp, format_count, format_time
from strongroom.blackbox.overview import days_left
from strongroom.errors import StrongroomError
from strongroom.keystore.adopting import adoptable
from strongroom.keystore.drills import sharings
from strongroom.keystore.exposures import EXPOSURES, strangers
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.findings import Finding
from strongroom.model.keyset import Keyset
from strongroom.model.states import KeyState
from strongroom.model.types import KeyType
from strongroom.openpgp.discovery import find_engine
from strongroom.stores.sealed import SealedStore
from strongroom.stores.workers_records import WorkerGroups

SOON: Final = 60
"""Days before its end from which an OpenPGP key is warned about: a key is prolonged by a person, who may be away."""

SKEW: Final = 300_000
"""Milliseconds by which clocks may differ before it is told."""


def look_at_keys(keystore: KeyStore, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Of a sealed store in a directory; other sources have nothing to say here."""
    if not isinstance(keystore.source, SealedStore):
        return
    yield from _ways_in(keystore)
    yield from _recipients(keystore, environ)
    keysets = []
    for name in keystore.names():
        try:
            keysets.append(keystore.source.load(name).keyset)
        except StrongroomError:
            continue  # told already
    yield from _strangers(keystore.sealed)
    yield from _drills(keystore)
    yield from _gone(keystore)
    yield from _weak(keysets)
    yield from _clock(keysets, keystore.clock.now())
    if keystore.base is not None:
        for name in adoptable(keystore):
            yield Finding(
                level="warning",
                about=name,
                fact="comes from a branch from before a rotation of the root, and does not count",
                hint=f"strongroom adopt {name}, if you know who made it",
            )


def _ways_in(keystore: KeyStore) -> Iterator[Finding]:
    header = keystore.sealed.header
    if not header.development and len(header.recipients) + sum(bool(slot.label) for slot in header.slots) == 1:
        yield Finding(
            level="note",
            about="slots",
            fact="only one key or passphrase opens the store: with it every key here would be lost",
            hint="strongroom recovery create --threshold 2 --shares 3, or strongroom admin add FPR",
        )


def _recipients(keystore: KeyStore, environ: Mapping[str, str]) -> Iterator[Finding]:
    recipients = keystore.sealed.header.recipients
    if not recipients:
        return
    now = keystore.clock.now()
    try:
        engine = find_engine(environ=environ)
    except StrongroomError:
        return
    try:
        for recipient in recipients:
            try:
                certificate = engine.certificate(recipient.fingerprint).narrowed(recipient.subkeys)
            except StrongroomError:
                continue  # 'strongroom admin list' tells whose key is not at hand
            problem, left = certificate.problem(now), days_left(certificate, now)
            hint = (
                f"gpg --quick-set-expire {recipient.fingerprint} 2y '*', and the new public key to everybody; "
                f"strongroom blackbox addadmin {recipient.fingerprint} brings it into a tracked keyring"
            )
            if problem is not None:
                fact = f"nothing can be sealed to {recipient.name!r} ({recipient.fingerprint}), whose key: {problem}"
                if certificate.revoked:
                    hint = f"strongroom admin remove {recipient.fingerprint}"
                yield Finding(level="warning", about="admins", fact=fact, hint=hint)
            elif left is not None and left <= SOON:
                fact = f"the key of {recipient.name!r} ({recipient.fingerprint}) expires in {left} days"
                yield Finding(level="warning", about="admins", fact=fact, hint=hint)
    finally:
        engine.close()


def _drills(keystore: KeyStore) -> Iterator[Finding]:
    """Shares that nobody tried for as long as the store says, or ever."""
    try:
        found = sharings(keystore)
    except StrongroomError:
        return  # told already
    for each in found:
        if each.due is not None and each.due <= keystore.clock.now():
            yield Finding(level="warning", about="recovery", fact=each.why, hint="strongroom recovery drill")


def _gone(keystore: KeyStore) -> Iterator[Finding]:
    """Records that were seen and are not here, and worker groups that are older than they were."""
    for gone in keystore.sealed.vanished():
        yield Finding(level="problem", about="keysets", fact=str(gone), hint=gone.hint)
    if keystore.base is None:
        return
    groups = WorkerGroups(keystore.sealed, keystore.base)
    for name in groups.names():
        try:
            groups.fresh(name)
        except StrongroomError as trouble:
            yield Finding(level="problem", about="workers", fact=str(trouble), hint=trouble.hint)


def _strangers(store: SealedStore) -> Iterator[Finding]:
    try:
        numbers = strangers(store)
    except StrongroomError:
        return  # told already
    if numbers:
        yield Finding(
            level="warning",
            about=EXPOSURES,
            fact=f"versions {', '.join(map(str, numbers))} note no exposure, and are passed over",
            hint="strongroom exposed lists those that are noted; 'git log' tells who put the others there",
        )


def _weak(keysets: list[Keyset]) -> Iterator[Finding]:
    alive = [each for each in keysets if any(version.state is not KeyState.DESTROYED for version in each.versions)]
    counts = Counter(each.type for each in alive)
    for keyset in alive:
        if keyset.type is KeyType.RSA_2048:
            # SP 800-57 part 1 rev. 5, table 2 and 4: 112 bits of strength are not enough beyond 2030
            yield Finding(
                level="warning",
                about=keyset.name,
                fact="rsa-2048 has 112 bits of strength, which SP 800-57 allows until 2030",
                hint="strongroom create NAME --type rsa-3072, or ed25519 where the other side knows it",
            )
    if counts[KeyType.FERNET]:
        yield Finding(
            level="note",
            about="keysets",
            fact=f"{format_count(counts[KeyType.FERNET], 'fernet keyset')}: AES-128, and tokens bound to no place",
            hint="strongroom create NAME --type aes256-gcm binds what it encrypts",
        )


def _clock(keysets: list[Keyset], now: Timestamp) -> Iterator[Finding]:
    newest = max((max(version.changed, version.created) for each in keysets for version in each.versions), default=now)
    if newest > now + SKEW:
        yield Finding(
            level="warning",
            about="clock",
            fact=f"a record was changed at {format_time(Timestamp(newest))}, and this host's clock says"
            f" {format_time(now)}: one of them is wrong, and promotions follow the clock",
            hint="date -u on both hosts; timedatectl tells whether the clock is kept",
        )
