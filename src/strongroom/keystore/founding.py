"""Making a store: once, where there was none, sealed before the first byte of it is on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom._encoding import Timestamp
from strongroom.blackbox.discovery import git_top
from strongroom.blackbox.repository import Repository
from strongroom.errors import (
    EngineMissingError,
    ExistsError,
    NoSecretKeyError,
    NotFoundError,
    SettingsError,
    StoreError,
    StrongroomError,
)
from strongroom.keystore import acts
from strongroom.keystore.credentials import Engines, Given, credentials
from strongroom.keystore.environment import Environment
from strongroom.keystore.finding import DEFAULT_DIRECTORY, HEADER, current_directory
from strongroom.keystore.people import label_of
from strongroom.keystore.settings import StoreSettings
from strongroom.keystore.undoing import undone_on_failure
from strongroom.model.names import ID_SIZE, StoreId
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import encode_header
from strongroom.sealing.openpgp import seal_root_file
from strongroom.sealing.passphrase import PassphraseSlot
from strongroom.sealing.passphrases import passphrase_from_bytes
from strongroom.sealing.recipients import recipient_of
from strongroom.sealing.root import Root
from strongroom.sealing.slots import DevelopmentSlot
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.pins import Pin
from strongroom.stores.preparing import LOCK, foreign
from strongroom.stores.witness import open_witness

PROPAGATION = 86_400
"""Seconds that a new version travels before it protects, in a store that goes by git (DESIGN section 1)."""

_HELP = "strongroom init --passphrase needs no GPG; strongroom role create NAME then makes a key for a machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """What `found` made. `to_add` are the paths to give to git; `left_out` the admins who cannot open the root yet."""

    directory: Path
    pin: str
    approved: tuple[str, ...]
    left_out: tuple[str, ...]
    blackbox: Path | None
    made_blackbox: bool
    in_git: bool
    development: bool
    to_add: tuple[str, ...]
    notes: tuple[str, ...]

    def told(self) -> tuple[str, ...]:
        """What a person should read: what was made, what is left out, and the next three commands."""
        lines = [f"made a store in {str(self.directory)!r}"]
        lines += [f"sealed to {name}" for name in self.approved]
        if self.development:
            lines.append(
                "its root is public: it protects nothing, and opens only where STRONGROOM_DEVELOPMENT=1 is set"
            )
        if self.made_blackbox:
            lines.append(f"made a BlackBox repository in {str(self.blackbox)!r}, with you as its first admin")
        lines += [
            f"left out: {name}, whom BlackBox's files list; strongroom admin approve FPR takes him in"
            for name in self.left_out
        ]
        if not self.in_git:
            lines.append(
                "this is no git repository: the store works, but nothing keeps its history or carries it to others"
            )
        lines += self.notes
        lines.append("next:")
        lines.append("  strongroom create student-records --type fernet")
        lines.append("  strongroom pin                                    # write it down outside the repository")
        add = " ".join(self.to_add)
        lines.append(f"  git add {add} && git commit -m 'A store for keys'" if self.in_git else "  strongroom doctor")
        return tuple(lines)


def found(
    directory: str | os.PathLike[str] | None = None,
    *,
    recipient: str | None = None,
    passphrase: SecretBytes | str | None = None,
    register: bool = False,
    development: bool = False,
    given: Given | None = None,
    clock: Clock = SYSTEM_CLOCK,
    environ: Mapping[str, str] | None = None,
) -> Founded:
    """A new store in `directory`, by default `.strongroom` at the top of the git work tree, or here.

    It is sealed to the secret key of yours that `recipient` (a full fingerprint) names, or to the only one; or to a
    passphrase; or, for `development`, to nobody. Nothing is committed, no OpenPGP key is made, and a failure leaves no
    half of a store. Raises ExistsError, NoSecretKeyError or EngineMissingError (exit 3), SettingsError (several
    keys), PassphraseError (too weak), StoreError.
    """
    environ = Environment.of(environ)
    if isinstance(passphrase, str):  # this frame may be shown when something is refused
        passphrase = SecretBytes(passphrase.encode("utf-8", "surrogatepass"))
    if development and (passphrase is not None or recipient is not None or register):
        raise SettingsError("a development store is sealed to nobody", hint="leave out the other options")
    if passphrase is not None and (recipient is not None or register):
        raise SettingsError("a store has one first slot: a recipient, or a passphrase", hint="add the other one later")
    place = _place(directory)
    top = git_top(place.parent)
    engines = Engines()
    _, find = credentials(given or Given(), engines, environ)
    try:
        if development or passphrase is not None:
            secret = None if passphrase is None else passphrase_from_bytes(passphrase)
            made = _Plan(place, top, clock, environ).without_openpgp(secret)
        else:
            made = _Plan(place, top, clock, environ).with_openpgp(_engine(find), recipient, register=register)
    finally:
        engines.close()
    acts.record("founded", store=made.directory, pin=made.pin)
    return made


class _Plan:
    def __init__(self, place: Path, top: Path | None, clock: Clock, environ: Mapping[str, str]) -> None:
        self.place = place
        self.top = top
        self.clock = clock
        self.environ = environ
        self.now = clock.now()
        self.root = Root.generate(StoreId(os.urandom(ID_SIZE)))

    def without_openpgp(self, passphrase: SecretBytes | None) -> Founded:
        """A passphrase slot, or, for None, the development slot."""
        slot = (
            DevelopmentSlot.create(self.root)
            if passphrase is None
            else PassphraseSlot.create(self.root, passphrase, label="passphrase")
        )
        header = Header.create(self.root, slots=[slot], now=self.now, propagation=PROPAGATION)
        with undone_on_failure(self.place):
            self._write(header, None)
        return self._founded(header, None, made_blackbox=False, left_out=(), changed=())

    def with_openpgp(self, engine: Engine, wanted: str | None, *, register: bool) -> Founded:
        """The OpenPGP slot, to one secret key of the user's; a BlackBox repository where there is none."""
        repository = self._repository(engine)
        listed = () if repository is None else repository.admin_certificates()
        me = _choose(engine.secret_keys(), wanted, listed, self.now)
        base = (self.place.parent if self.top is None else self.top).resolve()
        entry = self._entry(base if repository is None else repository.root) if register else None
        recipient = recipient_of(me, role=False, now=self.now)
        header = Header.create(
            self.root,
            slots=(),
            recipients=[recipient],
            now=self.now,
            propagation=PROPAGATION,
            registered=register,
        )
        sealed = seal_root_file(self.root, header, [me.narrowed(recipient.subkeys)], engine=engine, now=self.now)
        changed: tuple[str, ...] = ()
        made = repository is None
        with undone_on_failure(self.place, *((base / ".blackbox", base / ".gitignore") if made else ())):
            self._write(header, sealed)
            if repository is None:
                repository = Repository.create(
                    base,
                    admin=me,
                    label=label_of(me),
                    commit=False,
                    engine=engine,
                    environ=self.environ,
                    clock=self.clock,
                )
                changed = (f"{repository.data.name}", ".gitignore")
            if entry is not None:
                changed = (*changed, *repository.enlist(entry, commit=False).changed)
        left_out = tuple(each.label for each in listed if each.fingerprint != me.fingerprint)
        return self._founded(header, repository, made_blackbox=made, left_out=left_out, changed=changed)

    def _entry(self, base: Path) -> str:
        """The root file's name on BlackBox's list."""
        plain = self.place.resolve() / "root.1"
        if not plain.is_relative_to(base):
            raise SettingsError(f"{str(self.place)!r} is not in {str(base)!r}, so BlackBox cannot list its root file")
        return str(plain.relative_to(base))

    def _repository(self, engine: Engine) -> Repository | None:
        try:
            return Repository.discover(self.place.parent, engine=engine, environ=self.environ, clock=self.clock)
        except NotFoundError:
            return None

    def _write(self, header: Header, root_file: bytes | None) -> None:
        store = DirectoryStore.create(self.place)
        if root_file is not None and header.openpgp is not None:
            store.write_attachment(header.openpgp.file, root_file)
        # the header last: without it there is no store, and with it there is a whole one
        store.write_header(encode_header(header, self.root), replaces=None)

    def _remembered(self, header: Header) -> tuple[str, ...]:
        """Have the witness learn the root; what is to be told where it could not."""
        try:
            place = StoreSettings.from_environment(self.environ).witness
            open_witness(header.store, self.place, setting=place, environ=self.environ).learn_root(self.root)
        except StrongroomError as trouble:
            return (f"this root was not remembered: {trouble}",)
        return ()

    def _founded(
        self,
        header: Header,
        repository: Repository | None,
        *,
        made_blackbox: bool,
        left_out: tuple[str, ...],
        changed: tuple[str, ...],
    ) -> Founded:
        own = self.place if self.top is None else self.place.relative_to(self.top)
        return Founded(
            directory=self.place,
            pin=str(Pin.of(self.root)),
            approved=tuple(f"{each.name} ({each.fingerprint})" for each in header.recipients),
            left_out=left_out,
            blackbox=None if repository is None else repository.data,
            made_blackbox=made_blackbox,
            in_git=self.top is not None,
            development=header.development,
            to_add=tuple(dict.fromkeys((str(own), *changed))),
            notes=self._remembered(header),
        )


def _place(directory: str | os.PathLike[str] | None) -> Path:
    here = current_directory()
    place = (git_top(here) or here) / DEFAULT_DIRECTORY if directory is None else here / directory
    try:
        parent = place.parent.is_dir()
        present = [each.name for each in place.iterdir()]
    except FileNotFoundError:
        present = []
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(f"no store can be made in {str(place)!r}: {reason}") from None
    if HEADER in present:
        raise ExistsError(f"there is a store in {str(place)!r} already", hint="strongroom doctor looks at it")
    if present and (foreign(present) or LOCK not in present):  # a founding that was killed had the lock first
        raise ExistsError(f"{str(place)!r} is not empty", hint="name another directory: strongroom init DIRECTORY")
    if not parent:
        raise StoreError(f"there is no directory {str(place.parent)!r} to make a store in")
    return place


def _engine(find: Callable[[], Engine]) -> Engine:
    try:
        return find()
    except EngineMissingError as error:
        raise EngineMissingError(str(error), hint=_HELP) from None


def _choose(
    secret: tuple[Certificate, ...], wanted: str | None, listed: tuple[Certificate, ...], now: Timestamp
) -> Certificate:
    usable = [each for each in secret if each.usable_for_encryption(now)]
    if wanted is not None:
        plain = wanted.replace(" ", "").upper()
        for each in secret:
            if each.fingerprint == plain:
                return each
        raise NoSecretKeyError(
            f"no secret key of yours has the fingerprint {wanted!r}", hint="gpg --list-secret-keys shows them in full"
        )
    if not usable:
        problems = "; ".join(f"{each.label}: {each.problem(now)}" for each in secret)
        raise NoSecretKeyError(
            f"gpg has no secret key to open a store with{': ' + problems if problems else ''}", hint=_HELP
        )
    admins = {each.fingerprint for each in listed}
    mine = [each for each in usable if each.fingerprint in admins] or usable
    if len(mine) > 1:
        raise SettingsError(
            f"you have {len(mine)} secret keys: {'; '.join(each.label for each in mine)}",
            hint="strongroom init --recipient FINGERPRINT says which one",
        )
    return mine[0]
