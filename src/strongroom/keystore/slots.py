"""Ways into the store, added and taken away. Each opens alone; who had one that goes knew the root: it is rotated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import ExistsError, NotFoundError
from strongroom.keystore import acts
from strongroom.keystore.beside import repository_beside
from strongroom.keystore.credentials import Engines, Given, credentials
from strongroom.keystore.drills import Sharing, sharings
from strongroom.keystore.environment import Environment
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.outside import check_outside
from strongroom.keystore.rooting import RootRotated, begin, exposure_of, finish, plan_rotation
from strongroom.keystore.undoing import kept_if_written
from strongroom.openpgp.discovery import find_engine
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header_codec import decode_header
from strongroom.sealing.hpke import HpkeSlot
from strongroom.sealing.identities import HpkeIdentity, write_identity
from strongroom.sealing.passphrase import PassphraseSlot
from strongroom.sealing.rsa import RsaSlot
from strongroom.sealing.rsa_keys import public_from_file
from strongroom.sealing.slots import check_label
from strongroom.sealing.unsealing import Attempt, explain
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.rotation import Progress

POST_QUANTUM = (
    "a post-quantum slot keeps a recorded repository from a quantum computer only if no other kind of slot was ever"
    " committed for this root; X-Wing is still a draft"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRow:
    """One way to open the newest root. `label` is empty for the OpenPGP and the development slot.

    sharing: what is known of its recovery shares, where it has some.
    """

    kind: str
    label: str
    wants: str
    sharing: Sharing | None


def list_slots(keystore: KeyStore) -> tuple[SlotRow, ...]:
    """Every slot of the newest root."""
    shared = {each.label: each for each in sharings(keystore)}
    return tuple(
        SlotRow(kind=slot.kind, label=slot.label, wants=slot.wants, sharing=shared.get(slot.label))
        for slot in keystore.sealed.header.slots
    )


def add_passphrase_slot(keystore: KeyStore, label: str, passphrase: SecretBytes) -> None:
    """A slot that this passphrase opens. PassphraseError where it is weak; ExistsError; PolicyError."""
    _add(keystore, PassphraseSlot.create(keystore.sealed.root, passphrase, label=label))


def add_rsa_slot(keystore: KeyStore, label: str, public: Path) -> None:
    """A slot for the holder of an RSA private key, by the public half in PEM or DER. IdentityError; ExistsError."""
    raw = _content(public)
    _add(keystore, RsaSlot.create(keystore.sealed.root, public_from_file(raw, source=str(public)), label=label))


def add_hpke_slot(keystore: KeyStore, label: str, public: bytes, *, suite: str) -> None:
    """A slot for the holder of an HPKE private key, by the raw public half. FormatError; ExistsError."""
    _add(keystore, HpkeSlot.create(keystore.sealed.root, public, suite=suite, label=label))


def check_free(keystore: KeyStore, label: str) -> None:
    """Raise what adding a slot of this label would raise, before anybody is given a key of it."""
    if any(slot.label == check_label(label) for slot in keystore.sealed.header.slots):
        raise ExistsError(f"there is a slot {label!r} already", hint="strongroom slot list")


def create_hpke_slot(keystore: KeyStore, label: str, out: Path, *, suite: str, ignored: bool = False) -> None:
    """A slot with a fresh key pair, whose identity file of mode 0600 is the only copy of the private half.

    PolicyError for a file in the repository; `ignored`: unless git ignores it.
    """
    hint = "strongroom slot add LABEL --new FILE outside it, or --ignored where git ignores FILE"
    check_outside(out, keystore.base, hint=hint, ignored=ignored)
    store = keystore.sealed
    identity = HpkeIdentity.generate(suite, name=label, store=store.header.store)
    slot = HpkeSlot.create(store.root, identity.public, suite=suite, label=label)
    store.header.with_slot(slot)  # what is refused is refused before a file is made
    write_identity(out, identity)
    with kept_if_written(out):
        _add(keystore, slot)


def remove_slot(
    keystore: KeyStore, label: str, *, environ: Mapping[str, str] | None = None, progress: Progress | None = None
) -> RootRotated:
    """Take a slot away, and rotate the root, which whoever had it knew; every keyset is noted as exposed.

    NotFoundError; PolicyError for the last slot, and for those of admins: strongroom admin remove.
    """
    store = keystore.sealed
    store.follow()
    if store.header.pending:
        finish(keystore, environ=environ, progress=progress)
    base = store.header.without_slot(label)
    exposure = exposure_of(keystore, who=f"slot {label}", reason="a slot was removed")
    engine = find_engine(environ=Environment.of(environ)) if base.recipients else None
    try:
        repository = repository_beside(keystore, engine, environ)
        plan = plan_rotation(keystore, base, exposure, repository, engine)
    finally:
        if engine is not None:
            engine.close()
    begin(keystore, plan)
    acts.record("slot-removed", slot=label, root=store.header.root)
    return finish(keystore, environ=environ, progress=progress)


def try_slots(
    directory: Path, *, given: Given | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Attempt, ...]:
    """For each slot, whether it opens in this process by itself, and if not, why."""
    store = DirectoryStore(directory)
    engines = Engines()
    try:
        offered, _ = credentials(given or Given(), engines, Environment.of(environ))
        return explain(decode_header(store.header()), store.attachment, offered)
    finally:
        engines.close()


def _add(keystore: KeyStore, slot: PassphraseSlot | RsaSlot | HpkeSlot) -> None:
    store = keystore.sealed
    with store.writing():
        store.replace_header(store.header.with_slot(slot))
    acts.record("slot-added", slot=slot.label, kind=slot.kind)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFoundError(
            f"{str(path)!r} cannot be read: {error.strerror}", hint="strongroom slot add LABEL --rsa FILE: PEM or DER"
        ) from None
