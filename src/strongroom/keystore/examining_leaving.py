"""What is left after somebody left: removals that are not done, keys that he knew, identities of an issuer before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from strongroom.caching.issuing import ISSUER
from strongroom.errors import StrongroomError
from strongroom.keystore.beside import repository_beside
from strongroom.keystore.exposures import exposed
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.findings import Finding
from strongroom.keystore.issuer import issuing_of, outdated_groups
from strongroom.keystore.unfinished import leavers, unfinished
from strongroom.openpgp.discovery import find_engine
from strongroom.openpgp.engine import Engine
from strongroom.stores.sealed import SealedStore


def look_at_leaving(keystore: KeyStore, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Of a sealed store; other sources have nothing to say here."""
    if not isinstance(keystore.source, SealedStore):
        return
    looks = {
        "admins": _removals(keystore, environ),
        "exposed": _known(keystore),
        "worker groups": _identities(keystore),
    }
    for about, look in looks.items():
        try:
            yield from look
        except StrongroomError as error:
            yield Finding(level="problem", about=about, fact=str(error), hint=error.hint)


def _removals(keystore: KeyStore, environ: Mapping[str, str]) -> Iterator[Finding]:
    if not leavers(keystore):
        return
    engine = _engine(environ)
    try:
        # where there is no gpg, what BlackBox's files say is not looked at: that it is missing was told
        repository = None if engine is None else repository_beside(keystore, engine, environ)
        for each in unfinished(keystore, repository):
            yield Finding(
                level="problem",
                about="admins",
                fact=f"the removal of {each.name!r} is not done: {'; '.join(each.left)}",
                hint=f"strongroom admin remove {each.fingerprint}",
            )
    finally:
        if engine is not None:
            engine.close()


def _engine(environ: Mapping[str, str]) -> Engine | None:
    with suppress(StrongroomError):
        return find_engine(environ=environ)
    return None


def _known(keystore: KeyStore) -> Iterator[Finding]:
    left = [row.name for row in exposed(keystore) if not row.replaced]
    if left:
        shown = ", ".join(left[:5]) + (", …" if len(left) > 5 else "")
        yield Finding(
            level="warning",
            about="exposed",
            fact=f"somebody who should not any more knows what {len(left)} keysets protect with: {shown}",
            hint="strongroom rotate --exposed, or strongroom root rotate first where the root itself was seen",
        )


def _identities(keystore: KeyStore) -> Iterator[Finding]:
    issuing = issuing_of(keystore)
    if issuing is None:
        return
    for group in outdated_groups(keystore, issuing):
        yield Finding(
            level="warning",
            about=f"worker group {group}",
            fact=f"its identity names an issuer that was replaced: its publications carry a link to version"
            f" {issuing.version.number} of {ISSUER}, which whoever knew the former one could forge for a worker that"
            " starts anew",
            hint=f"strongroom worker rotate {group}, its new identity file to each host, then strongroom publish",
        )
