"""Keysets and records for the model's tests: small ones by hand, arbitrary lawful ones by hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from strongroom._encoding import Timestamp
from strongroom.model.keyset import MAX_REVISION, Keyset
from strongroom.model.names import KeyId, KeysetName, Revision, RootId, parse_name
from strongroom.model.policy import EVERYTHING, MAX_COUNT, MAX_PERIOD, NO_LABELS, Labels, Policy
from strongroom.model.record import Record
from strongroom.model.states import KeyState, Operation
from strongroom.model.types import TRAITS, KeyType, Prefix, Purpose, resolve_prefix
from strongroom.model.version import MAX_TIME, Version

NOW = Timestamp(1_795_000_000_123)
"""2026-11-18T11:06:40.123Z"""

NAME = parse_name("student-records")
ROOT = RootId(bytes(range(16)))
MAC = bytes(range(32))


def version(number: int, *, now: int = NOW, key_id: int = 0, type: KeyType = KeyType.FERNET) -> Version:  # noqa: A002  # the word
    """A new version, as `add` wants it; its key id follows from its number unless given."""
    return Version.added(
        number,
        KeyId(key_id or 0x1000_0000 + number),
        sealed=b"sealed %d" % number,
        public=b"public %d" % number if TRAITS[type].has_public else None,
        prefix=Prefix.NONE,
        now=Timestamp(now),
    )


def keyset(
    *,
    now: int = NOW,
    name: str = NAME,
    type: KeyType = KeyType.FERNET,  # noqa: A002  # the word
    purpose: Purpose = Purpose.ENCRYPT,
    policy: Policy | None = None,
    labels: Labels = NO_LABELS,
) -> Keyset:
    """A keyset with one version, primary since `now`."""
    return Keyset.created(
        KeysetName(name),
        version(1, now=now, type=type),
        type=type,
        purpose=purpose,
        policy=policy or Policy(),
        labels=labels,
        now=Timestamp(now),
    )


def record(of: Keyset) -> Record:
    """A record of the keyset, with a root and a MAC that nobody made."""
    return Record(keyset=of, root=ROOT, mac=MAC)


printable = st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Zl", "Zp"])
times = st.integers(0, MAX_TIME).map(Timestamp)
names = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,10}[a-z0-9])?(/[a-z]{4,6}){0,2}", fullmatch=True).filter(
    lambda text: not any(segment[:3] in ("con", "prn", "aux", "nul", "com", "lpt") for segment in text.split("/"))
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    propagation = draw(st.none() | st.integers(0, 40 * 86_400))
    shortest = 1 if propagation is None else propagation + 1
    rotate_every = draw(st.none() | st.integers(shortest, MAX_PERIOD))
    originator = draw(st.none() | st.integers(rotate_every or 1, MAX_PERIOD))
    grace = 0 if originator is None else draw(st.integers(0, MAX_PERIOD - originator))
    most = draw(st.none() | st.integers(1, MAX_COUNT))
    return Policy(
        rotate_every=rotate_every,
        propagation=propagation,
        exportable=draw(st.booleans()),
        originator=originator,
        recipient=draw(st.none() | st.integers((originator or 1) + grace, MAX_PERIOD)),
        grace=grace,
        allow=draw(st.sampled_from([EVERYTHING, *(frozenset({each}) for each in Operation)])),
        max_messages=most,
        worker_messages=None if most is None else draw(st.none() | st.integers(1, most)),
    )


@st.composite
def keysets(draw: st.DrawFn) -> Keyset:
    """Any keyset that the laws allow, whether moves lead to it or not."""
    kind = draw(st.sampled_from(KeyType))
    purpose = draw(st.sampled_from(sorted(TRAITS[kind].purposes, key=lambda each: each.value)))
    prefixes = [Prefix.NONE, resolve_prefix(kind, purpose)]
    versions = []
    for number, key_id in enumerate(
        draw(st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=5, unique=True)), start=1
    ):
        state = draw(st.sampled_from(KeyState))
        versions.append(
            Version(
                number=number,
                key_id=KeyId(key_id),
                state=state,
                created=draw(times),
                promote_at=draw(st.none() | times),
                changed=draw(times),
                reason=draw(st.none() | st.text(printable, min_size=1, max_size=40)),
                prefix=draw(st.sampled_from(prefixes)),
                public=draw(st.binary(min_size=1, max_size=90)) if TRAITS[kind].has_public else None,
                sealed=None if state is KeyState.DESTROYED else draw(st.binary(min_size=1, max_size=200)),
            )
        )
        if state not in (KeyState.ACTIVE, KeyState.DESTROYED) and draw(st.booleans()):
            promote_at = None if state is KeyState.PRE_ACTIVATION else versions[-1].promote_at
            versions[-1] = replace(versions[-1], promote_at=promote_at, destroy_at=draw(times))
    return Keyset(
        name=parse_name(draw(names)),
        type=kind,
        purpose=purpose,
        policy=draw(policies()),
        labels=draw(
            st.dictionaries(
                st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True), st.text(printable, max_size=40), max_size=4
            )
        ),
        revision=Revision(draw(st.integers(1, MAX_REVISION))),
        versions=tuple(versions),
    )
