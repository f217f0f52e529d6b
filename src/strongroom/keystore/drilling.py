"""A drill: shares are tried while nothing is lost. It proves, and notes the day; it changes nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom._encoding import Timestamp
from strongroom.errors import StrongroomError
from strongroom.keystore import acts
from strongroom.keystore.credentials import Given
from strongroom.keystore.drills import RECOVERY, note_drill
from strongroom.keystore.environment import Environment
from strongroom.keystore.opening import open_store
from strongroom.keystore.recovery import directory_at, hpke_slots
from strongroom.sealing.credentials import WithIdentity
from strongroom.sealing.header_codec import decode_header
from strongroom.sealing.shares import Share, join_shares
from strongroom.sealing.unsealing import describe, unseal
from strongroom.stores.directory import DirectoryStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """What shares were proven to open. `problem` says why the day could not be noted in the store; else it is."""

    set_name: str
    threshold: int
    indices: tuple[int, ...]
    slot: str
    root: int
    at: Timestamp
    problem: StrongroomError | None
    to_add: tuple[str, ...]


def drill_recovery(
    shares: Sequence[Share],
    location: str | None = None,
    *,
    pin: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
    environ: Mapping[str, str] | None = None,
) -> Drill:
    """Prove that these shares, and nothing else, open the store, and note the day in it; nothing else is changed.

    Errors as `join_shares`, and of opening a slot. A store that cannot be written, or is not ours by pin or witness,
    has a `problem`: the proof stands.
    """
    environ = Environment.of(environ)
    directory = directory_at(location, environ)
    store = DirectoryStore(directory)
    unverified = decode_header(store.header())
    identity = join_shares(shares, hpke_slots(unverified), store=unverified.claims.store)
    opened = unseal(unverified, store.attachment, (WithIdentity(identity),))
    indices = tuple(sorted(share.index for share in shares))
    now = clock.now()
    acts.record("recovery-drilled", slot=opened.slot.label, set=shares[0].set_name, shares=",".join(map(str, indices)))
    problem: StrongroomError | None = None
    to_add: tuple[str, ...] = ()
    try:
        with open_store(
            directory, given=Given(identity_held=identity), pin=pin, clock=clock, environ=environ
        ) as keystore:
            slot = next(each for each in hpke_slots(unverified) if each.public == identity.public)
            if note_drill(keystore.sealed, slot, shares[0], now=now):
                to_add = (str(keystore.path_of(RECOVERY)),)
    except StrongroomError as trouble:
        problem = trouble
    return Drill(
        set_name=shares[0].set_name,
        threshold=shares[0].threshold,
        indices=indices,
        slot=describe(opened.slot),
        root=opened.root.number,
        at=now,
        problem=problem,
        to_add=to_add,
    )
