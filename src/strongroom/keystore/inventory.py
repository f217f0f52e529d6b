"""All keysets for a person's eyes: one that is damaged, turned back or gone hides no other, and is told."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.errors import ClosedError, StaleError, StrongroomError
from strongroom.keystore.facade import KeyStore
from strongroom.model.keyset import Keyset
from strongroom.stores.sealed import SealedStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What a store holds. `broken` is why a keyset is not among `keysets`, `doubts` what to know of those that are."""

    keysets: tuple[Keyset, ...]
    broken: tuple[StrongroomError, ...]
    doubts: tuple[StrongroomError, ...]


def inventory(keystore: KeyStore) -> Inventory:
    """Every keyset that is authentic, sorted by name. No material is unwrapped. Raises what opening a store raises."""
    names = keystore.names()
    source = keystore.source
    opened, broken = [], []
    try:
        opened = list(source.load_all())
    except ClosedError:
        raise
    except StrongroomError:
        for name in names:
            try:
                opened.append(source.load(name))
            except ClosedError:
                raise
            except StrongroomError as trouble:
                broken.append(trouble)
    doubts = {str(each.hindrance): each.hindrance for each in opened if isinstance(each.hindrance, StaleError)}
    vanished = source.vanished() if isinstance(source, SealedStore) else ()
    return Inventory(
        keysets=tuple(each.keyset for each in opened), broken=tuple(broken), doubts=(*doubts.values(), *vanished)
    )
