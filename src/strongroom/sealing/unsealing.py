"""From a header that nobody vouches for to the root that does. Each credential is tried on the slots that it fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from strongroom._encoding import b64encode
from strongroom.errors import (
    ForeignStoreError,
    FormatError,
    IntegrityError,
    NotFoundError,
    SealError,
    StrongroomError,
)
from strongroom.sealing.credentials import Credential, ReadAttachment
from strongroom.sealing.header import AnySlot, Header
from strongroom.sealing.header_codec import UnverifiedHeader
from strongroom.sealing.recipients import Audience, audience_of_file
from strongroom.sealing.root import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """A root, the header that it vouches for, in its bytes too, by which slot it came, and who else can open the root
    file."""

    root: Root
    header: Header
    raw: bytes
    slot: AnySlot
    audience: Audience

    @property
    def how(self) -> str:
        """The slot in words, like `openpgp` or `passphrase 'office'`."""
        return describe(self.slot)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of one slot: for doctor. `opens` is the whole answer; `problem` and `hint` say why not."""

    slot: AnySlot
    credential: str
    opens: bool
    problem: str
    hint: str

    @property
    def wants(self) -> str:
        """What opens this slot, in words."""
        return self.slot.wants


def unseal(header: UnverifiedHeader, read: ReadAttachment, credentials: Sequence[Credential]) -> Unsealed:
    """The root of the first credential that opens a slot, and the header, verified under it.

    Credentials are tried in the order given. SealError when none fits a slot, with what each slot wants; when one was
    tried, its own error (PassphraseError, IdentityError, NoSecretKeyError, AgentError, …); when several were, a
    SealError that lists what came of each. A slot that opens to something else than the named root is an
    IntegrityError or ForeignStoreError whatever else was tried, unless another slot opens.
    """
    failures: list[tuple[Credential, AnySlot, StrongroomError]] = []
    for credential in credentials:
        for slot, root in _openings(header.claims, read, credential):
            if isinstance(root, Root):
                verified, audience = header.verify(root), audience_in(header.claims, read)
                return Unsealed(root=root, header=verified, raw=header.raw, slot=slot, audience=audience)
            failures.append((credential, slot, root))
    raise _refusal(header.claims, failures) from None


def explain(header: UnverifiedHeader, read: ReadAttachment, credentials: Sequence[Credential]) -> tuple[Attempt, ...]:
    """For each slot, whether it opens here, and if not, why. It tries them all, at the price of each."""
    outcomes: dict[int, Attempt] = {}
    positions = {id(slot): position for position, slot in enumerate(header.claims.slots)}
    for credential in credentials:
        for slot, root in _openings(header.claims, read, credential):
            at = positions[id(slot)]
            if at not in outcomes or not outcomes[at].opens:
                outcomes[at] = _attempt(header, slot, credential.name, root)
    untried = (
        Attempt(slot=slot, credential="", opens=False, problem=f"wants {slot.wants}", hint=_HELP[slot.kind])
        for slot in header.claims.slots
    )
    return tuple(outcomes.get(at, attempt) for at, attempt in enumerate(untried))


def describe(slot: AnySlot) -> str:
    """A slot in words, like `openpgp` or `passphrase 'office'`."""
    return f"{slot.kind} {slot.label!r}" if slot.label else slot.kind


_HELP = {
    "openpgp": "strongroom admin list",
    "passphrase": "set STRONGROOM_PASSPHRASE_FILE",
    "rsa": "set STRONGROOM_IDENTITY_FILE",
    "hpke": "set STRONGROOM_IDENTITY_FILE",
    "development": "set STRONGROOM_DEVELOPMENT=1",
}


def _attempt(header: UnverifiedHeader, slot: AnySlot, credential: str, root: Root | StrongroomError) -> Attempt:
    if isinstance(root, Root):
        try:
            header.verify(root)
        except StrongroomError as problem:
            return _attempt(header, slot, credential, problem)
        return Attempt(slot=slot, credential=credential, opens=True, problem="", hint="")
    return Attempt(slot=slot, credential=credential, opens=False, problem=str(root), hint=root.hint)


def _openings(
    claims: Header, read: ReadAttachment, credential: Credential
) -> Iterator[tuple[AnySlot, Root | StrongroomError]]:
    """Each slot that the credential fits, with the root or the error that came of it."""
    for slot in claims.slots:
        try:
            root = credential.open(slot, claims.ref, read)
        except StrongroomError as problem:
            yield slot, problem
        else:
            if root is not None:
                yield slot, root


def audience_in(claims: Header, read: ReadAttachment) -> Audience:
    """To whom the header's root file is encrypted; a file that cannot be read is one that cannot be judged."""
    slot = claims.openpgp
    if slot is None:
        return Audience()
    try:
        ciphertext = read(slot.file)
    except NotFoundError:
        return audience_of_file(claims, None)
    except StrongroomError as problem:
        return Audience(problem=str(problem))
    return audience_of_file(claims, ciphertext)


def _refusal(claims: Header, failures: Sequence[tuple[Credential, AnySlot, StrongroomError]]) -> StrongroomError:
    store = b64encode(claims.store)
    for _, _, problem in failures:
        # a slot that holds something else than it should is worse news than a wrong passphrase
        if isinstance(problem, IntegrityError | ForeignStoreError | FormatError):
            return problem
    if failures and len({id(credential) for credential, _, _ in failures}) == 1:
        return failures[-1][2]
    if failures:
        told = "; ".join(f"{describe(slot)}: {problem}" for _, slot, problem in failures)
        return SealError(f"no slot of store {store} opens in this process: {told}", hint="strongroom doctor")
    wants = "; ".join(f"{describe(slot)} wants {slot.wants}" for slot in claims.slots)
    return SealError(
        f"none of the {len(claims.slots)} slots of store {store} opens in this process: {wants}",
        hint="strongroom doctor",
    )
