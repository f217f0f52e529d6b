"""The BlackBox repository beside a store, where there is one: whose admins' keys seal the root, and who is listed."""

from __future__ import annotations

from collections.abc import Mapping

from strongroom.blackbox.repository import Repository
from strongroom.errors import NotFoundError
from strongroom.keystore.environment import Environment
from strongroom.keystore.facade import KeyStore
from strongroom.openpgp.engine import Engine


def repository_beside(
    keystore: KeyStore, engine: Engine | None, environ: Mapping[str, str] | None
) -> Repository | None:
    """The repository that the store's directory lies in, settled; None where there is none, or no directory."""
    if keystore.base is None:
        return None
    try:
        found = Repository.discover(
            keystore.base.parent, engine=engine, environ=Environment.of(environ), clock=keystore.clock
        )
    except NotFoundError:
        return None
    found.settle()
    return found
