"""The header of a store: its roots, their slots, and who is approved. A change is a new header of the next revision."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

from strongroom._encoding import Timestamp
from strongroom.errors import ExistsError, FormatError, NotFoundError, PolicyError, SettingsError
from strongroom.model.names import KeysetName, Revision, RootId, StoreId
from strongroom.model.policy import MAX_PERIOD
from strongroom.model.text import check_text
from strongroom.sealing.hpke import HpkeSlot
from strongroom.sealing.passphrase import PassphraseSlot
from strongroom.sealing.root import MAC_LENGTH, Root, RootRef
from strongroom.sealing.rsa import RsaSlot
from strongroom.sealing.slots import DevelopmentSlot, OpenPgpSlot

AnySlot = OpenPgpSlot | PassphraseSlot | RsaSlot | HpkeSlot | DevelopmentSlot

MAX_SLOTS: Final = 64
MAX_RECIPIENTS: Final = 256
MAX_SUBKEYS: Final = 32
MAX_ROOTS: Final = 256

_FINGERPRINT = re.compile(r"[0-9A-F]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """An approved OpenPGP recipient of the root file.

    `fingerprint` and `subkeys` (those that encrypt) are 40 upper-case hexadecimal digits: never a short id, a name or
    an address, which anyone can give to a key of his own. `role` marks an account of a machine. `name` is for people.
    """

    fingerprint: str
    subkeys: tuple[str, ...]
    name: str
    role: bool
    added: Timestamp

    def __post_init__(self) -> None:
        for each in (self.fingerprint, *self.subkeys):
            if _FINGERPRINT.fullmatch(each) is None:
                raise FormatError(f"{each[:80]!r} is not a fingerprint of 40 upper-case hexadecimal digits")
        if not 1 <= len(self.subkeys) <= MAX_SUBKEYS or len(set(self.subkeys)) != len(self.subkeys):
            raise FormatError(
                f"recipient {self.fingerprint} has {len(self.subkeys)} encryption subkeys, not 1 to {MAX_SUBKEYS} "
                "different ones"
            )
        check_text(self.name, "recipient's name")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRoot:
    """What the header says about one root. `link` is the earlier root's word for this one, `sealed` is the root line
    under the next one; the newest root alone has slots."""

    number: int
    id: RootId
    link: bytes | None
    sealed: bytes | None
    slots: tuple[AnySlot, ...]

    def __post_init__(self) -> None:
        if (self.link is None) != (self.number == 1):
            raise FormatError(f"root {self.number}: the first root alone has no link to the one before")
        if self.link is not None and len(self.link) != MAC_LENGTH:
            raise FormatError(f"root {self.number}: a link has {MAC_LENGTH} bytes, not {len(self.link)}")
        labels = [slot.label for slot in self.slots if slot.label]
        kinds = [slot.kind for slot in self.slots]
        if len(set(labels)) != len(labels) or len(self.slots) > MAX_SLOTS:
            raise FormatError(f"root {self.number}: slot labels repeat, or there are more than {MAX_SLOTS} slots")
        if kinds.count("openpgp") > 1:
            raise FormatError(f"root {self.number} has {kinds.count('openpgp')} OpenPGP slots, not one")
        if "development" in kinds and len(kinds) > 1:
            # its root is public: a slot beside it would promise what it cannot keep
            raise FormatError(f"root {self.number} has a development slot and others beside it")
        for slot in self.slots:
            if isinstance(slot, OpenPgpSlot) and slot != OpenPgpSlot.of(self.number):
                raise FormatError(f"root {self.number} has the root file {slot.file!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A record that is still under the root before the newest one, and counts with exactly this MAC."""

    name: KeysetName
    mac: bytes

    def __post_init__(self) -> None:
        if len(self.mac) != MAC_LENGTH:
            raise FormatError(f"a MAC has {MAC_LENGTH} bytes, not {len(self.mac)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Everything that `store.json` says but its MAC.

    `root` is the number of the newest root, `propagation` the store's default in seconds, `registered` whether the
    root file is on BlackBox's list. Every method that changes something returns the header of the next revision.
    """

    store: StoreId
    created: Timestamp
    revision: Revision
    root: int
    propagation: int
    registered: bool
    roots: tuple[SealedRoot, ...]
    recipients: tuple[Recipient, ...] = ()
    pending: tuple[Pending, ...] = ()

    def __post_init__(self) -> None:
        if self.revision < 1 or not 0 <= self.propagation <= MAX_PERIOD:
            raise FormatError(f"revision {self.revision} or propagation {self.propagation} s is out of range")
        self._check_roots()
        self._check_recipients()
        names = [each.name for each in self.pending]
        if names != sorted(set(names)) or (names and len(self.roots) < 2):
            raise FormatError("the pending records repeat, are not sorted, or have no older root to be under")

    def _check_roots(self) -> None:
        numbers = [root.number for root in self.roots]
        if not 0 < len(numbers) <= MAX_ROOTS or numbers != list(range(self.root - len(numbers) + 1, self.root + 1)):
            raise FormatError(f"the roots {numbers[:8]} do not lead up to root {self.root} one by one")
        for root in self.roots:
            RootRef(store=self.store, number=root.number, id=root.id)
            newest = root.number == self.root
            if bool(root.slots) != newest or (root.sealed is None) != newest:
                raise FormatError(f"root {root.number}: the newest root has slots, the older ones are sealed under it")

    def _check_recipients(self) -> None:
        keys = [key for each in self.recipients for key in {each.fingerprint, *each.subkeys}]
        if len(set(keys)) != len(keys) or len(self.recipients) > MAX_RECIPIENTS:
            raise FormatError(f"recipients share a key, or there are more than {MAX_RECIPIENTS} of them")
        if bool(self.recipients) != (self.openpgp is not None):
            raise FormatError("an OpenPGP slot and approved recipients go together")

    @classmethod
    def create(
        cls,
        root: Root,
        *,
        slots: Iterable[AnySlot],
        recipients: Iterable[Recipient] = (),
        now: Timestamp,
        propagation: int,
        registered: bool = False,
    ) -> Self:
        """The first header of a store. With recipients, it gets the OpenPGP slot of itself. At least one way in."""
        approved = tuple(recipients)
        ways = tuple(slots)
        if approved and not any(isinstance(slot, OpenPgpSlot) for slot in ways):
            ways = (OpenPgpSlot.of(root.number), *ways)
        if not ways:
            raise PolicyError("a store without a slot could never be opened", hint="strongroom init --passphrase")
        entry = SealedRoot(number=root.number, id=root.id, link=None, sealed=None, slots=ways)
        return cls(
            store=root.store,
            created=now,
            revision=Revision(1),
            root=root.number,
            propagation=propagation,
            registered=registered,
            roots=(entry,),
            recipients=approved,
        )

    # -- questions --------------------------------------------------------------------------------------------------

    @property
    def newest(self) -> SealedRoot:
        """The newest root: the one with the slots, which authenticates this header."""
        return self.roots[-1]

    @property
    def slots(self) -> tuple[AnySlot, ...]:
        """The ways to open the newest root."""
        return self.newest.slots

    @property
    def openpgp(self) -> OpenPgpSlot | None:
        """The OpenPGP slot, where there is one."""
        return next((slot for slot in self.slots if isinstance(slot, OpenPgpSlot)), None)

    @property
    def development(self) -> bool:
        """Whether everyone can read the root."""
        return any(isinstance(slot, DevelopmentSlot) for slot in self.slots)

    @property
    def ref(self) -> RootRef:
        """The newest root, by store, number and id."""
        return RootRef(store=self.store, number=self.root, id=self.newest.id)

    def sealed_root(self, number: int) -> SealedRoot:
        """What the header says about root `number`. NotFoundError where it says nothing (any more)."""
        for root in self.roots:
            if root.number == number:
                return root
        raise NotFoundError(
            f"the store has no root {number}; its newest is root {self.root}", hint="strongroom root list"
        )

    def recipient(self, fingerprint: str) -> Recipient:
        """The approved recipient with this primary fingerprint. NotFoundError otherwise."""
        for recipient in self.recipients:
            if recipient.fingerprint == fingerprint:
                return recipient
        raise NotFoundError(f"{fingerprint!r} is not an approved recipient", hint="strongroom admin list")

    # -- changes ----------------------------------------------------------------------------------------------------

    def with_recipient(self, recipient: Recipient) -> Self:
        """One more approved recipient, and the OpenPGP slot with the first. ExistsError when he is one already.

        Write this header first and the root file after it: a recipient of the file whom the header does not know
        is an exposed root, one who is missing in the file only cannot open it yet.
        """
        if any(recipient.fingerprint == each.fingerprint for each in self.recipients):
            raise ExistsError(f"{recipient.fingerprint} is an approved recipient already")
        slots = self.slots if self.openpgp else (OpenPgpSlot.of(self.root), *self.slots)
        return self._with_slots(slots, recipients=(*self.recipients, recipient))

    def with_subkeys(self, fingerprint: str, subkeys: Collection[str]) -> Self:
        """The recipient with other encryption subkeys (he has made a new one). NotFoundError when he is none."""
        known = self.recipient(fingerprint)
        renewed = replace(known, subkeys=tuple(subkeys))
        return self._next(recipients=tuple(renewed if each is known else each for each in self.recipients))

    def without_recipient(self, fingerprint: str) -> Self:
        """One approved recipient less, and the OpenPGP slot with the last. He knows this root: rotate it."""
        leaving = self.recipient(fingerprint)
        left = tuple(each for each in self.recipients if each is not leaving)
        slots = self.slots if left else tuple(slot for slot in self.slots if not isinstance(slot, OpenPgpSlot))
        return self._with_slots(slots, recipients=left)

    def with_slot(self, slot: PassphraseSlot | RsaSlot | HpkeSlot) -> Self:
        """One more way to open the newest root. ExistsError when its label is taken, or its key has a slot."""
        for each in self.slots:
            if slot.label == each.label:
                raise ExistsError(f"there is a slot {slot.label!r} already", hint="strongroom slot list")
            if slot.public == getattr(each, "public", None):
                raise ExistsError(f"slot {each.label!r} has this key already", hint="strongroom slot list")
        if self.development:
            raise PolicyError("a development store hides nothing: a slot beside its public root would promise that")
        return self._with_slots((*self.slots, slot), recipients=self.recipients)

    def without_slot(self, label: str) -> Self:
        """One way less, and others for its key. Who knew it knows this root: rotate it. NotFoundError for no slot."""
        going = {getattr(slot, "public", b"") for slot in self.slots if slot.label == label}
        left = tuple(slot for slot in self.slots if not label or getattr(slot, "public", None) not in going)
        if len(left) == len(self.slots):
            raise NotFoundError(f"there is no slot {label!r}", hint="strongroom slot list")
        return self._with_slots(left, recipients=self.recipients)

    def with_registered(self, registered: bool) -> Self:
        """Whether the root file is on BlackBox's list of registered files."""
        return self._next(registered=registered)

    def with_propagation(self, seconds: int) -> Self:
        """Another default propagation, in seconds. SettingsError when out of range."""
        if not 0 <= seconds <= MAX_PERIOD:
            raise SettingsError(f"a propagation of {seconds} s is not between 0 and {MAX_PERIOD}")
        return self._next(propagation=seconds)

    def rotated(self, old: Root, new: Root, *, pending: Iterable[Pending]) -> Self:
        """The header that makes `new` the newest root, in one step (DESIGN section 8).

        Every slot is sealed again to its public key; the old root goes under the new one and vouches for it; `pending`
        names each record that is still under the old root, with its MAC. The file of the OpenPGP slot must be written
        before this header is.
        """
        if old.ref != self.ref or new.store != self.store or new.number != self.root + 1:
            raise PolicyError(f"root {new.number} cannot follow root {self.root} of this store")
        if self.pending:
            raise PolicyError(
                f"{len(self.pending)} records are still under the root before root {self.root}",
                hint="strongroom root rotate goes on with what was broken off",
            )
        past = replace(self.newest, sealed=new.seal_older(old), slots=())
        entry = SealedRoot(
            number=new.number,
            id=new.id,
            link=old.link(new.id),
            sealed=None,
            slots=tuple(slot.reseal(new) for slot in self.slots),
        )
        # what lies under the old root stays there: each older root is opened through the one after it
        return self._next(
            root=new.number,
            roots=(*self.roots[:-1], past, entry),
            pending=tuple(sorted(pending, key=lambda each: each.name)),
        )

    def without_pending(self) -> Self:
        """The last header of a rotation: every record is under the newest root."""
        return self._next(pending=())

    def without_roots(self, through: int) -> Self:
        """Forget the older roots up to this number: nothing here opens what is under them. NotFoundError; PolicyError.

        A pin that names one of them leads nowhere any more.
        """
        self.sealed_root(through)
        if through == self.root:
            raise PolicyError(f"root {through} is the newest one", hint="strongroom root rotate makes another first")
        if self.pending:
            raise PolicyError(
                f"{len(self.pending)} records are still under the root before root {self.root}",
                hint="strongroom root rotate goes on with what was broken off",
            )
        return self._next(roots=tuple(root for root in self.roots if root.number > through))

    def _with_slots(self, slots: tuple[AnySlot, ...], *, recipients: tuple[Recipient, ...]) -> Self:
        if not slots:
            raise PolicyError(
                "the last slot cannot go: the store could never be opened again",
                hint="strongroom slot add LABEL --passphrase, or strongroom admin add FPR, makes another one first",
            )
        newest = replace(self.newest, slots=slots)
        return self._next(roots=(*self.roots[:-1], newest), recipients=recipients)

    def _next(self, **changes: object) -> Self:
        return replace(self, revision=Revision(self.revision + 1), **changes)  # type: ignore[arg-type]  # the names are this file's own
