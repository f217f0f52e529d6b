"""Recovery by shares: made while the store opens, tried while nothing is lost, used when nothing else opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom._encoding import Timestamp, b64encode, format_time
from strongroom.errors import (
    ExistsError,
    FormatError,
    IdentityError,
    NotFoundError,
    PolicyError,
    RecipientError,
    SettingsError,
    StoreError,
    StrongroomError,
)
from strongroom.keystore import acts
from strongroom.keystore.admins import add_admin
from strongroom.keystore.credentials import Given
from strongroom.keystore.drills import RECOVERY, note_made, sharings
from strongroom.keystore.environment import Environment
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.finding import DEFAULT_DIRECTORY, directory_of
from strongroom.keystore.opening import open_store
from strongroom.keystore.outside import check_outside
from strongroom.keystore.people import parse_fingerprint
from strongroom.model.names import StoreId
from strongroom.openpgp.discovery import find_engine
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header_codec import UnverifiedHeader, decode_header
from strongroom.sealing.hpke import HpkeSlot
from strongroom.sealing.passphrase import PassphraseSlot
from strongroom.sealing.private_files import MAX_PRIVATE_FILE, read_private_file, write_private_file
from strongroom.sealing.shares import LABEL, Share, join_shares, read_shares, share_slot
from strongroom.sealing.unsealing import describe
from strongroom.stores.directory import DirectoryStore

WHAT = "recovery share"

_ELSE = "strongroom recovery drill asks for the words, where no file is named"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """A sharing that was made: `files` are those that were written, `to_add` what is to be given to git."""

    set_name: str
    threshold: int
    shares: int
    files: tuple[Path, ...]
    to_add: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """How the store opens from now on; `to_add` is to be given to git."""

    how: str
    to_add: tuple[str, ...]


def create_recovery(
    keystore: KeyStore,
    *,
    threshold: int,
    shares: int,
    custodians: Sequence[str] = (),
    out: Path | None = None,
    show: Callable[[SecretBytes], None] | None = None,
    label: str = LABEL,
    again: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Recovery:
    """Share a new slot of the store. The shares are out, and proven, before the slot counts.

    The first shares go to the OpenPGP keys of the custodians, one to each, as files in `out`; the rest as words in
    files of mode 0600 there, or, without `out`, to `show`. `again` replaces a former sharing, whose shares then open
    what was sealed before and nothing later. ExistsError, RecipientError; PolicyError for a place in the repository,
    and for another kind of slot under this label.
    """
    store = keystore.sealed
    store.check_writable()
    if len(custodians) > shares or (custodians and out is None):
        raise SettingsError(
            f"{len(custodians)} custodians get sealed files, and there are {shares} shares",
            hint="strongroom recovery create --to FPR --out DIR, at most one --to a share",
        )
    if out is None and show is None:
        raise SettingsError("nothing tells where the shares should go", hint="strongroom recovery create --out DIR")
    header = store.header
    if any(slot.label == label for slot in header.slots):
        if not again:
            raise ExistsError(
                f"there is a slot {label!r} already", hint="strongroom recovery create --again replaces its shares"
            )
        if label not in {each.label for each in sharings(keystore)}:
            # whoever opens the store with that slot today would be locked out, and the root would not be rotated
            raise PolicyError(
                f"slot {label!r} is not known to open with shares, and is not replaced by some",
                hint="strongroom recovery list names those that are; strongroom recovery create --label another one",
            )
        header = header.without_slot(label)
    slot, made = share_slot(store.root, threshold=threshold, shares=shares, label=label)
    # the very header that will be written must be lawful before anybody holds a share of it
    header = header.with_slot(slot)
    now = keystore.clock.now()
    sheets = [_sheet(share, len(made), store.header.store, now) for share in made]
    sealed = _sealed(sheets, custodians, environ, now)
    written: list[Path] = []
    with _removed_on_failure(written, keystore, slot):
        if out is not None:
            _make_place(out, keystore.base, plain=len(sealed) < len(sheets))
        for share, sheet in zip(made, sheets, strict=True):
            message = sealed.get(share.index)
            if out is not None:
                ending = "txt" if message is None else "gpg"
                path = out / f"share-{share.index}-of-{len(made)}-{share.set_name}.{ending}"
                write_private_file(path, sheet if message is None else message, what=WHAT)
                written.append(path)
            elif show is not None:
                show(sheet)
        note_made(store, slot, made, now=now)
        store.replace_header(header)
    acts.record("recovery-created", slot=label, set=made[0].set_name, threshold=threshold, shares=shares)
    base, noted = keystore.base, keystore.path_of(RECOVERY)
    return Recovery(
        set_name=made[0].set_name,
        threshold=threshold,
        shares=shares,
        files=tuple(written),
        to_add=() if base is None else (str(base / "store.json"), str(noted)),
    )


def restore_recovery(
    shares: Sequence[Share],
    location: str | None = None,
    *,
    recipient: str | None = None,
    passphrase: SecretBytes | None = None,
    label: str = "restored",
    pin: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
    environ: Mapping[str, str] | None = None,
) -> Restored:
    """Open the store with the shares, and give it another way in: an OpenPGP key, or a passphrase.

    Errors as `join_shares`, and of opening a store; ExistsError for a label that is taken; as `add_admin`.
    """
    environ = Environment.of(environ)
    if (recipient is None) == (passphrase is None):
        raise SettingsError(
            "the store is sealed anew to one OpenPGP key, or with one passphrase",
            hint="strongroom recovery restore --recipient FPR, or --passphrase",
        )
    directory = directory_at(location, environ)
    unverified = decode_header(DirectoryStore(directory).header())
    identity = join_shares(shares, hpke_slots(unverified), store=unverified.claims.store)
    with open_store(directory, given=Given(identity_held=identity), pin=pin, clock=clock, environ=environ) as keystore:
        acts.record("recovery-used", set=shares[0].set_name, shares=",".join(str(share.index) for share in shares))
        if recipient is not None:
            change = add_admin(keystore, recipient, environ=environ)
            return Restored(how=f"OpenPGP, for {change.name}", to_add=change.to_add)
        if passphrase is None:  # one of the two was given
            raise SettingsError("there is no passphrase", hint="strongroom recovery restore --passphrase")
        sealed = keystore.sealed
        sealed.check_writable()
        slot = PassphraseSlot.create(sealed.root, passphrase, label=label)
        sealed.replace_header(sealed.header.with_slot(slot))
        acts.record("slot-added", slot=label, kind=slot.kind)
    return Restored(how=describe(slot), to_add=(str(directory / "store.json"),))


def shares_of_file(path: Path, *, environ: Mapping[str, str] | None = None) -> tuple[Share, ...]:
    """The shares in a file: words in a private one, or an OpenPGP message that gpg opens here (`.gpg`).

    NotFoundError; FormatError names the file, and which row or word is wrong; what opening an OpenPGP message raises.
    """
    text = _sheet_of_message(path, environ) if path.suffix == ".gpg" else _sheet_of_words(path)
    try:
        return read_shares(text)
    except FormatError as wrong:
        raise type(wrong)(f"{WHAT} {str(path)!r}: {wrong}", hint=wrong.hint) from None


def _sheet_of_words(path: Path) -> SecretBytes:
    try:
        return read_private_file(path, what=WHAT, hint=_ELSE)
    except IdentityError as wrong:
        if wrong.hint in {"", _ELSE}:
            raise
        # a stick's file system may know no modes
        raise IdentityError(
            str(wrong), hint=f"{wrong.hint}; or strongroom recovery drill --shares-fd 3 3< FILE"
        ) from None


def _sheet_of_message(path: Path, environ: Mapping[str, str] | None) -> SecretBytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PRIVATE_FILE + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no {WHAT} {str(path)!r}", hint=_ELSE) from None
    except OSError as error:
        raise StoreError(f"{WHAT} {str(path)!r} cannot be read: {error.strerror}", hint="ls -ld") from None
    engine = find_engine(environ=Environment.of(environ))
    try:
        return engine.decrypt(raw, limit=MAX_PRIVATE_FILE).plaintext
    finally:
        engine.close()


def _sheet(share: Share, of: int, store: StoreId, now: Timestamp) -> SecretBytes:
    """The paper of one custodian: what it is, and ten rows of five words."""
    head = (
        f"# Strongroom recovery share {share.index} of {of}; any {share.threshold} of them open the store\n"
        f"# store {b64encode(store)}, set {share.set_name}, made {format_time(now)[:10]}\n"
        "# Keep it apart from the others, and out of the repository. strongroom recovery drill tries it.\n"
    )
    return _printed(head, share.rows())


def _sealed(
    sheets: Sequence[SecretBytes], custodians: Sequence[str], environ: Mapping[str, str] | None, now: Timestamp
) -> dict[int, SecretBytes]:
    """The OpenPGP messages by the index of their share, from the first on."""
    if not custodians:
        return {}
    engine = find_engine(environ=Environment.of(environ))
    try:
        to = [_custodian(each, engine, now) for each in custodians]
        if len({each.fingerprint for each in to}) != len(to):
            raise SettingsError("one custodian is named twice, and would hold two shares", hint="one --to a person")
        return {
            index: SecretBytes(engine.encrypt(sheet, to=[custodian], filename=""))
            for index, (custodian, sheet) in enumerate(zip(to, sheets, strict=False), start=1)
        }
    finally:
        engine.close()


def _custodian(fingerprint: str, engine: Engine, now: Timestamp) -> Certificate:
    certificate = engine.certificate(parse_fingerprint(fingerprint))
    problem = certificate.problem(now)
    if problem is not None:
        raise RecipientError(
            f"{certificate.label} cannot be encrypted to: {problem}", hint=f"gpg --list-keys {certificate.fingerprint}"
        )
    return certificate


def _make_place(out: Path, base: Path | None, *, plain: bool) -> None:
    if plain:
        hint = "strongroom recovery create --out a directory outside it, or --to FPR for every share"
        check_outside(out, base, hint=hint)
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {str(out)!r}: {error.strerror}") from None


@contextmanager
def _removed_on_failure(written: list[Path], keystore: KeyStore, slot: HpkeSlot) -> Iterator[None]:
    """Shares of a slot that never came to be open nothing; whoever found them would think otherwise."""
    try:
        yield
    except BaseException:
        if not _counts(keystore, slot):
            for path in written:
                path.unlink(missing_ok=True)
        raise


def _counts(keystore: KeyStore, slot: HpkeSlot) -> bool:
    """Whether the slot is in the header on the disk: a failure after the rename leaves it there. In doubt it is."""
    if keystore.base is None:
        return False
    try:
        claims = decode_header(DirectoryStore(keystore.base).header()).claims
    except StrongroomError:
        return True
    return slot in claims.slots


def hpke_slots(unverified: UnverifiedHeader) -> list[HpkeSlot]:
    """The slots of the newest root that shares may be of, as the header claims."""
    return [slot for slot in unverified.claims.slots if isinstance(slot, HpkeSlot)]


def directory_at(location: str | None, environ: Mapping[str, str]) -> Path:
    """The directory of the store that is meant. NotFoundError."""
    directory = directory_of(location or environ.get("STRONGROOM_STORE") or None)
    if directory is None:
        raise NotFoundError(
            f"there is no {DEFAULT_DIRECTORY} directory here or above", hint="--store or STRONGROOM_STORE names another"
        )
    return directory


# Plain text of a share lives below this line only, in functions that do not raise (STYLE section 6).


def _printed(head: str, rows: Sequence[SecretBytes]) -> SecretBytes:
    lines = [f"{number:>2}  {row.reveal().decode('ascii')}\n" for number, row in enumerate(rows, start=1)]
    return SecretBytes((head + "".join(lines)).encode("utf-8"))
