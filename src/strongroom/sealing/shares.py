"""Recovery shares: the private key of one HPKE slot in several hands. What they give is proven against its public key.

docs/reference/recovery.md. The private key of the slot is shared, and not the root: a rotation of the root seals it to
the slot's public key as to every other, and the shares go on opening the store.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from strongroom._encoding import b64encode
from strongroom.errors import ForeignStoreError, FormatError, IntegrityError, NewerFormatError, SealError
from strongroom.model.names import StoreId
from strongroom.primitives.hpke import X25519, public_of
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.shamir import MAX_SHARES, combine, interpolate, split
from strongroom.sealing.hpke import HpkeSlot, generate_private
from strongroom.sealing.identities import HpkeIdentity
from strongroom.sealing.root import Root
from strongroom.sealing.share_words import LENGTH, read, spell

LABEL: Final = "recovery"
"""The label of the slot, unless another one is said."""

STORE_LENGTH: Final = 6
SET_LENGTH: Final = 5
CHECK_LENGTH: Final = 4
FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One share. `store`: the first bytes of the store id; `set_id`: drawn for each sharing; `index` from 1 on."""

    store: bytes
    set_id: bytes
    threshold: int
    index: int
    body: SecretBytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.store) != STORE_LENGTH or len(self.set_id) != SET_LENGTH or len(self.body) != 32:
            raise FormatError(f"a share of {len(self.body)} bytes is none")
        if not (2 <= self.threshold <= MAX_SHARES and 1 <= self.index <= MAX_SHARES):
            raise FormatError(f"share {self.index} of a sharing that takes {self.threshold} is none")

    @property
    def set_name(self) -> str:
        """The set, for people."""
        return b64encode(self.set_id)

    def rows(self) -> tuple[SecretBytes, ...]:
        """The share in words, ten rows."""
        return spell(_encoded(self))


def read_shares(text: SecretBytes) -> tuple[Share, ...]:
    """The shares in a text of words. FormatError says which row or word is wrong, and quotes none."""
    return tuple(_decoded(raw) for raw in read(text))


def share_slot(
    root: Root, *, threshold: int, shares: int, label: str = LABEL, random: Callable[[int], bytes] = os.urandom
) -> tuple[HpkeSlot, tuple[Share, ...]]:
    """A new slot, and the shares of its private key, which nothing else holds. SettingsError for senseless numbers.

    What was shared is put together again before anything is given out, from the first shares and from the last.
    """
    private = generate_private(X25519)
    bodies = split(private, threshold=threshold, shares=shares, random=random)
    slot = HpkeSlot.create(root, public_of(X25519, private), suite=X25519, label=label)
    set_id = random(SET_LENGTH)
    made = tuple(
        Share(store=root.store[:STORE_LENGTH], set_id=set_id, threshold=threshold, index=index, body=body)
        for index, body in bodies.items()
    )
    for some in (made[:threshold], made[-threshold:]):
        slot.open(join_shares(some, (slot,), store=root.store).private, root.ref)
    return slot, made


def join_shares(shares: Sequence[Share], slots: Sequence[HpkeSlot], *, store: StoreId) -> HpkeIdentity:
    """The identity that opens the slot which the shares were made for; more shares than needed are checked too.

    ForeignStoreError for another store's; SealError for too few, one given twice, several sets, and a set that no slot
    is of any more; IntegrityError where the shares do not give the slot's private key.
    """
    _check_together(shares, store)
    threshold, ordered = shares[0].threshold, sorted(shares, key=lambda share: share.index)
    bodies = {share.index: share.body for share in ordered[:threshold]}
    for spare in ordered[threshold:]:
        if interpolate(bodies, at=spare.index) != spare.body:
            raise IntegrityError(
                f"share {spare.index} does not go with shares {', '.join(map(str, bodies))}: one of them was changed",
                hint="leave one out at a time: strongroom recovery drill",
            )
    private = combine(bodies)
    public = public_of(X25519, private)
    if not any(slot.suite == X25519 and slot.public == public for slot in slots):
        raise SealError(
            f"{_listed(list(bodies))} of set {shares[0].set_name} give no key of a slot of this store:"
            " the set was replaced, or a share was changed",
            hint="strongroom recovery list names the set that counts, where the store still opens",
        )
    return HpkeIdentity(name=f"recovery-{shares[0].set_name.lower()}", suite=X25519, public=public, private=private)


def _check_together(shares: Sequence[Share], store: StoreId) -> None:
    if not shares:
        raise SealError("no share was given", hint="strongroom recovery drill FILE...")
    for share in shares:
        if share.store != store[:STORE_LENGTH]:
            raise ForeignStoreError(
                f"share {share.index} is of store {b64encode(share.store)}…, and this is store {b64encode(store)}",
                hint="strongroom --store DIR names another store",
            )
    sets = {(share.set_name, share.threshold) for share in shares}
    if len(sets) > 1:
        raise SealError(
            f"the shares are of {len(sets)} sets: {', '.join(name for name, _ in sorted(sets))}",
            hint="take shares of one set: each paper names its own, and strongroom recovery list the one that counts",
        )
    indices = [share.index for share in shares]
    twice = sorted({index for index in indices if indices.count(index) > 1})
    if twice:
        raise SealError(
            f"share {twice[0]} of set {shares[0].set_name} was given twice, and counts once",
            hint="each paper says which share it is; take another one",
        )
    threshold = shares[0].threshold
    if len(shares) < threshold:
        raise SealError(
            f"{len(shares)} share{' of' if len(shares) == 1 else 's of'} set {shares[0].set_name}"
            f" {'is' if len(shares) == 1 else 'are'} too few: it takes {threshold}",
            hint=f"{threshold - len(shares)} more of this set, from others who hold one",
        )


def _listed(indices: Sequence[int]) -> str:
    return f"share{'' if len(indices) == 1 else 's'} {', '.join(map(str, sorted(indices)))}"


def _decoded(raw: SecretBytes) -> Share:
    form, store, set_id, threshold, index, body, right = _fields(raw)
    if form != FORMAT:
        if right and form > FORMAT:
            raise NewerFormatError(
                f"the share has format {form}; this Strongroom reads format {FORMAT}",
                hint="pip install --upgrade strongroom",
            )
        right = False
    if not right:
        raise FormatError(
            "the share's checksum is wrong: rows of different shares are mixed",
            hint="take all ten rows from one paper, one share after the other",
        )
    return Share(store=store, set_id=set_id, threshold=threshold, index=index, body=body)


# Plain bytes of a share live below this line only, in functions that do not raise (STYLE section 6).


def _encoded(share: Share) -> SecretBytes:
    head = bytes((FORMAT,)) + share.store + share.set_id + bytes((share.threshold, share.index))
    content = head + share.body.reveal()
    return SecretBytes(content + _checksum(content))


def _fields(raw: SecretBytes) -> tuple[int, bytes, bytes, int, int, SecretBytes, bool]:
    content, check = raw.reveal()[:-CHECK_LENGTH], raw.reveal()[-CHECK_LENGTH:]
    right = len(raw) == LENGTH and hmac.compare_digest(_checksum(content), check)
    return content[0], content[1:7], content[7:12], content[12], content[13], SecretBytes(content[14:46]), right


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(b"strongroom/1 share " + content).digest()[:CHECK_LENGTH]
