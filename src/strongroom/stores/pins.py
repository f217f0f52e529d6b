"""Which store is ours: what a pin or a witness says about a root that opens. Anyone can seal one of his own to us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from strongroom._encoding import b64decode, b64encode
from strongroom.errors import ForeignStoreError, FormatError, SettingsError, StoreError
from strongroom.model.names import ID_SIZE, RootId, StoreId
from strongroom.sealing.header import Header
from strongroom.sealing.lineage import lineage
from strongroom.sealing.root import Root
from strongroom.stores.seen import Witness

_HINT = "if it is the right store: 'strongroom pin' prints its pin where it is known; set it as STRONGROOM_PIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Store id and root id, written down outside the repository as `STORE:ROOT`, both base64url."""

    store: StoreId
    root: RootId

    def __str__(self) -> str:
        return f"{b64encode(self.store)}:{b64encode(self.root)}"

    @classmethod
    def of(cls, root: Root) -> Self:
        """The pin of a store at this root."""
        return cls(store=root.store, root=root.id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of str(); white space around it is let go. SettingsError for anything else."""
        store, _, root = text.strip().partition(":")
        try:
            ids = b64decode(store), b64decode(root)
        except FormatError:
            ids = b"", b""
        if {len(each) for each in ids} != {ID_SIZE}:
            raise SettingsError(
                f"{text[:80]!r} is not a pin", hint="'strongroom pin' prints it: 22 characters, a colon, 22 characters"
            )
        return cls(store=StoreId(ids[0]), root=RootId(ids[1]))

    def check(self, header: Header, root: Root) -> bool:
        """Whether the pin names this very root; False where it names an older one that vouches for it.

        ForeignStoreError for another store, or for a root that no link leads to.
        """
        if self.store != header.store:
            raise ForeignStoreError(
                f"the pin names store {b64encode(self.store)}, and store {b64encode(header.store)} is here", hint=_HINT
            )
        if self.root == root.id:
            return True
        if not any(older.id == self.root for older in lineage(header, root)):
            raise ForeignStoreError(
                f"the pin names root {b64encode(self.root)}, and root {root.number} here, {b64encode(root.id)},"
                " does not follow from it",
                hint=_HINT,
            )
        return False


def check_origin(
    header: Header, root: Root, *, pin: str | None, witness: Witness, strict: bool = False, learn: bool = True
) -> tuple[str, ...]:
    """Make sure that an opened store is ours, and have the witness `learn` its root.

    A pin of this very root decides alone. One of an older root, whose holders could have made the link that leads
    here, decides together with the witness; without a pin the witness does. With neither, the first opening is
    trusted, which the notices that are returned say loudly, and which `strict` refuses. Raises ForeignStoreError;
    SettingsError for a pin that is none.
    """
    notices: list[str] = []
    try:
        known: Mapping[RootId, int] = witness.roots()
    except FormatError as damage:
        # opening goes on, so that 'witness accept' can be reached; nothing is protected until then (SealedStore)
        notices.append(f"{damage}; until that is done nothing can be protected or written")
        return (*notices, *_trusted(header, root, pin=pin, strict=strict, why="its witness is damaged"))
    if pin is not None:
        told = _pinned(header, root, pin)
        if told:
            check_known(header, root, known, merging=not learn)
        elif root.number < max(known.values(), default=0):
            notices.append(f"{_replaced(root, known)}; it is read because the pin names it")
        notices += told
    elif witness.absence:
        notices += _trusted(header, root, pin=None, strict=strict, why=f"there is no witness ({witness.absence})")
    elif known:
        check_known(header, root, known, merging=not learn)
    else:
        _check_others(header, witness)
        notices += _trusted(header, root, pin=None, strict=strict, why="it was never opened in this place")
    if learn and (root.id not in known or _rivals(root, known)):
        try:
            witness.learn_root(root)
        except StoreError as trouble:
            notices.append(f"this root was not remembered: {trouble}")
    return tuple(notices)


def _pinned(header: Header, root: Root, pin: str) -> tuple[str, ...]:
    if Pin.parse(pin).check(header, root):
        return ()
    return (f"the store is at root {root.number}, and the pin names an older one; the new pin is {Pin.of(root)}",)


def _trusted(header: Header, root: Root, *, pin: str | None, strict: bool, why: str) -> tuple[str, ...]:
    if pin is not None:
        return _pinned(header, root, pin)
    here = f"store {b64encode(header.store)} with root {root.number}"
    if strict:
        raise ForeignStoreError(
            f"nothing tells whether {here} is ours: {why}, there is no pin, and STRICT is set", hint=_HINT
        )
    compare = f"compare {Pin.of(root)} with what 'strongroom pin' prints elsewhere"
    return (f"{here} is trusted as it is: {why}, and there is no pin; {compare}",)


def check_known(header: Header, root: Root, known: Mapping[RootId, int], *, merging: bool = False) -> None:
    """Make sure that an opened root is the newest that the witness knows, or goes on from it.

    Whoever was removed holds an older root. He can link one of his own from it, so that it leads to some root which was
    seen says nothing once a later one was; and he can write every record anew under the old one, so that is not opened
    again, but to merge a branch from before: nobody reads what a merge leaves under it. ForeignStoreError.
    """
    newest = max(known.values(), default=0)
    if root.number < newest and root.id in known:
        if merging:
            return
        raise ForeignStoreError(
            _replaced(root, known),
            hint="'git log' tells who turned it back, and 'git pull' may bring the newer one; to read what is here all"
            f" the same: STRONGROOM_PIN={Pin.of(root)}",
        )
    reached = {root.id, *(older.id for older in lineage(header, root))}
    # more than one of a number are left by releases that took both; only a pin can tell them apart
    if all(each in reached for each, number in known.items() if number == newest):
        return
    here = f"root {root.number} of store {b64encode(header.store)}"
    if root.id in known:
        told = f"{here} is one of several roots {newest} that were seen here, and only a pin tells which is ours"
    elif root.number == newest:
        told = f"{here} is not the root {newest} that was seen here, and does not follow from it"
    else:
        told = f"{here} is not one that was seen here, and does not follow from root {newest}, which was"
    raise ForeignStoreError(told, hint=_HINT)


def _replaced(root: Root, known: Mapping[RootId, int]) -> str:
    return (
        f"root {root.number} was replaced: root {max(known.values())} was seen here, and whoever was removed with the"
        " old one could have written every record that is under it"
    )


def _rivals(root: Root, known: Mapping[RootId, int]) -> bool:
    return any(number == root.number and each != root.id for each, number in known.items())


def _check_others(header: Header, witness: Witness) -> None:
    others = witness.other_stores()
    if others:
        raise ForeignStoreError(
            f"store {b64encode(header.store)} stands where store {b64encode(others[0])} was seen", hint=_HINT
        )
