"""A publication: one signed value for one worker group. Nothing in it is decrypted before all of it has been checked.

docs/reference/publication.md is the format. Whoever can write to a cache, and everyone who has a group's public key,
can make bytes that look like this: only the issuer's signature says whose they are.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, NoReturn

import msgspec
from msgspec import UNSET, UnsetType

from strongroom._encoding import Timestamp, b64decode, b64encode, encode_fields, format_time, parse_time
from strongroom.caching.issuer_links import MAX_LINKS, Issuer, Signer, read_signer
from strongroom.errors import (
    DecryptionError,
    FormatError,
    NewerFormatError,
    PolicyError,
    PublicationError,
    SignatureError,
    StrongroomError,
)
from strongroom.model.names import ID_SIZE, StoreId
from strongroom.primitives.rsa import OaepPrivate
from strongroom.primitives.secret import SecretBytes
from strongroom.stores.workers_codec import check_group

MAX_PUBLICATION: Final = 16 * 1024 * 1024
"""Bytes of the largest publication."""
MAX_HEADER: Final = 6 * 1024 * 1024
"""Bytes of the longest header: what anyone who can write to a cache can have parsed before a signature is looked at."""
MAX_KEYSETS: Final = 10_000
"""The most keysets that one publication carries."""
SKEW: Final = 60_000
"""Milliseconds by which two hosts' clocks may differ."""
MAX_SERIAL: Final = (1 << 53) - 1
HEAD: Final = 72
"""So many bytes from the start hold format and serial: two equal heads are one publication, or a refused one."""

_SIGNATURE = 86  # characters of base64url for 64 bytes
_HASH = 32
_KEY = 32
_ANY_FORMAT = re.compile(rb'\{"format":"strongroom/([1-9][0-9]{0,8}) publication"')
_HEAD_SERIAL = re.compile(rb'\{"format":"strongroom/[1-3] publication","serial":([1-9][0-9]{0,15}),')

_FIRST: Literal["strongroom/1 publication"] = "strongroom/1 publication"
_SECOND: Literal["strongroom/2 publication"] = "strongroom/2 publication"
_THIRD: Literal["strongroom/3 publication"] = "strongroom/3 publication"

_Length = Annotated[int, msgspec.Meta(ge=0, le=MAX_PUBLICATION)]


# The order of the fields is the order in the line.
class _Header(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    format: Literal["strongroom/1 publication", "strongroom/2 publication", "strongroom/3 publication"]
    serial: Annotated[int, msgspec.Meta(ge=1, le=MAX_SERIAL)]
    store: str
    group: str
    key: str
    issued: str
    expires: str
    wrapped: str
    ledger: str
    issuer: str | UnsetType = UNSET  # both are there in the third format, and in no other
    links: Annotated[list[tuple[str, str]], msgspec.Meta(max_length=MAX_LINKS)] | UnsetType = UNSET
    tokens: list[tuple[_Length, _Length, str]]


_DECODER = msgspec.json.Decoder(_Header)
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Publication:
    """A publication as it was parsed; nothing about it is proven until `check` has let it through."""

    format: int
    """3 where it carries links between issuers, else 2 where a keyset says what the first format has no place for."""
    serial: int
    store: StoreId
    group: str
    key: bytes
    """SHA-256 of the group's public key."""
    issued: Timestamp
    expires: Timestamp
    wrapped: bytes
    ledger: bytes
    signer: Signer | None
    """Who says that he signed it, where issuers before him vouch for him; None: the one whom its reader knows."""
    header: bytes
    signature: bytes
    tokens: tuple[bytes, ...]
    hashes: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"<publication {self.serial} for {self.group!r}, {len(self.tokens)} keysets>"

    def issuer_for(self, believed: Issuer, *, store: StoreId) -> Issuer:
        """Who must have signed it, for a reader who believes this issuer: the same, or whom its link names."""
        found = believed if self.signer is None else believed.successor(self.signer, store=store)
        if found is None:
            raise _refusal(self.group, "link", "no link leads from the issuer that is believed to the one it names")
        return found

    def check_signature(self, issuer: Issuer) -> None:
        """PublicationError unless the issuer signed this header."""
        try:
            issuer.verify(self.signature, signed(self.header))
        except SignatureError:
            raise _refusal(self.group, "signature", "the issuer did not sign it") from None

    def check_hashes(self) -> None:
        """PublicationError unless each token is the one that the header names."""
        for number, (token, digest) in enumerate(zip(self.tokens, self.hashes, strict=True), start=1):
            if not hmac.compare_digest(hashlib.sha256(token).digest(), digest):
                _refuse(self.group, "hash", f"token {number} is not the one that was signed")

    def key_for(self, private: OaepPrivate) -> SecretBytes:
        """The Fernet key of its tokens. PublicationError where it was not wrapped to this key, for this place."""
        try:
            key = private.unwrap(self.wrapped, label=label(self.store, self.group, self.serial))
        except DecryptionError:
            raise _refusal(self.group, "key", "its key does not open with this identity") from None
        if len(key) != _KEY:
            _refuse(self.group, "key", f"its key has {len(key)} bytes, not {_KEY}")
        return key


def check(
    publication: Publication,
    *,
    issuer: Issuer,
    store: StoreId,
    group: str,
    key: bytes,
    now: Timestamp,
    floor: int = 0,
) -> Issuer:
    """Let through what the issuer signed for this store, group and key, not older than `floor`, and still in force.

    Gives who signed it: the issuer, or the one to whom its link leads, who is to be believed in its place from now on.
    PublicationError, with a reason of its own for each: link, signature, store, group, key-hash, serial, expired,
    future, hash. No private key is touched here.
    """
    signer = publication.issuer_for(issuer, store=store)
    publication.check_signature(signer)
    if publication.store != store:
        _refuse(group, "store", f"it is of store {b64encode(publication.store)}, not {b64encode(store)}")
    if publication.group != group:
        _refuse(group, "group", f"it is for the group {publication.group!r}")
    if not hmac.compare_digest(publication.key, key):
        _refuse(group, "key-hash", "it was made for another key of the group", "strongroom publish")
    if publication.serial < floor:
        _refuse(group, "serial", f"its serial {publication.serial} is below {floor}, which was seen or asked for")
    if now >= publication.expires + SKEW:
        _refuse(group, "expired", f"it expired at {format_time(publication.expires)}", "strongroom publish")
    if publication.issued > now + SKEW:
        _refuse(
            group, "future", f"it was issued at {format_time(publication.issued)}, which is to come", "set the clock"
        )
    publication.check_hashes()
    return signer


def parse(raw: bytes) -> Publication:
    """The publication that these bytes are, not yet authentic. FormatError for any other spelling; NewerFormatError."""
    if len(raw) > MAX_PUBLICATION:
        raise FormatError(f"a publication of {len(raw)} bytes is not taken; the limit is {MAX_PUBLICATION}")
    header, _, rest = raw.partition(b"\n")
    if len(header) > MAX_HEADER:
        raise FormatError(f"a publication with a header of {len(header)} bytes is not taken; the limit is {MAX_HEADER}")
    try:
        wire = _DECODER.decode(header)
        canonical = _ENCODER.encode(wire) == header
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _unreadable(header) from None
    signature, line, body = rest[:_SIGNATURE], rest[_SIGNATURE : _SIGNATURE + 1], rest[_SIGNATURE + 1 :]
    if not canonical or line != b"\n":
        raise FormatError("a publication is spelled in another way than its format says")
    if len(wire.tokens) > MAX_KEYSETS:
        raise FormatError(f"a publication of {len(wire.tokens)} keysets is not taken; the limit is {MAX_KEYSETS}")
    try:
        signer = read_signer(wire.issuer, wire.links)
        if (signer is None) is (wire.format == _THIRD):
            raise FormatError("links between issuers are of the third format, which has at least one")
        return Publication(
            format=1 if wire.format == _FIRST else 2 if wire.format == _SECOND else 3,
            serial=wire.serial,
            store=StoreId(_sized(wire.store, ID_SIZE)),
            group=check_group(wire.group),
            key=_sized(wire.key, _HASH),
            issued=parse_time(wire.issued),
            expires=parse_time(wire.expires),
            wrapped=b64decode(wire.wrapped),
            ledger=b64decode(wire.ledger),
            signer=signer,
            header=header,
            signature=b64decode(signature.decode("ascii", "replace")),
            tokens=_cut(wire, body),
            hashes=tuple([_sized(digest, _HASH) for _, _, digest in wire.tokens]),
        )
    except StrongroomError as trouble:
        raise FormatError(f"a publication is not lawful: {trouble}") from None


def compose(
    *,
    serial: int,
    store: StoreId,
    group: str,
    key: bytes,
    issued: Timestamp,
    expires: Timestamp,
    wrapped: bytes,
    ledger: bytes,
    tokens: Sequence[bytes],
    extended: bool = False,
    signer: Signer | None = None,
) -> bytes:
    """The header's line, without its end; `extended` where a token needs the second format, `signer` where issuers
    before him are to vouch for him. PolicyError beyond the limits."""
    if len(tokens) > MAX_KEYSETS:
        raise PolicyError(f"{len(tokens)} keysets are granted to {group!r}; a publication carries {MAX_KEYSETS}")
    places: list[tuple[int, int, str]] = []
    offset = 0
    for token in tokens:
        places.append((offset, len(token), b64encode(hashlib.sha256(token).digest())))
        offset += len(token)
    return _ENCODER.encode(
        _Header(
            format=_THIRD if signer is not None else _SECOND if extended else _FIRST,
            serial=serial,
            store=b64encode(store),
            group=group,
            key=b64encode(key),
            issued=format_time(issued),
            expires=format_time(expires),
            wrapped=b64encode(wrapped),
            ledger=b64encode(ledger),
            issuer=UNSET if signer is None else signer.spelled[0],
            links=UNSET if signer is None else signer.spelled[1],
            tokens=places,
        )
    )


def joined(header: bytes, signature: bytes, tokens: Sequence[bytes]) -> bytes:
    """The publication's bytes. PolicyError beyond the limits."""
    if len(header) > MAX_HEADER:
        raise PolicyError(f"the header would have {len(header)} bytes; the limit is {MAX_HEADER}")
    raw = b"".join((header, b"\n", b64encode(signature).encode("ascii"), b"\n", *tokens))
    if len(raw) > MAX_PUBLICATION:
        raise PolicyError(
            f"the publication would have {len(raw)} bytes; the limit is {MAX_PUBLICATION}",
            hint="strongroom worker revoke GROUP KEYSET, or a second group",
        )
    return raw


def signed(header: bytes) -> bytes:
    """What the issuer signs of a header's line."""
    return encode_fields(b"strongroom/1 publication", header)


def label(store: StoreId, group: str, serial: int) -> bytes:
    """The OAEP label of a publication's key: it opens for this store, group and serial only."""
    return encode_fields(b"strongroom/1 publication key", store, group.encode("ascii"), serial.to_bytes(8, "big"))


def key_hash(public: bytes) -> bytes:
    """By what a publication names the group's public key (SubjectPublicKeyInfo DER)."""
    return hashlib.sha256(public).digest()


def serial_in(head: bytes) -> int:
    """The serial that the first bytes of a publication claim; 0 where they are no such bytes. Nothing is proven."""
    found = _HEAD_SERIAL.match(head)
    return 0 if found is None else int(found[1])


def _cut(wire: _Header, body: bytes) -> tuple[bytes, ...]:
    """The tokens. They lie end to end, so that no byte belongs to none of them."""
    tokens = []
    at = 0
    for offset, length, _ in wire.tokens:
        if offset != at:
            raise FormatError(f"a token begins at {offset}, not at {at}")
        tokens.append(body[at : at + length])
        at += length
    if at != len(body):
        raise FormatError(f"its tokens have {at} bytes, and {len(body)} are there")
    return tuple(tokens)


def _sized(text: str, size: int) -> bytes:
    raw = b64decode(text)
    if len(raw) != size:
        raise FormatError(f"{len(raw)} bytes stand where {size} should")
    return raw


def _unreadable(header: bytes) -> FormatError:
    found = _ANY_FORMAT.match(header)
    if found is not None and int(found[1]) > 3:
        return NewerFormatError(
            f"a publication has format {int(found[1])}; this Strongroom reads formats 1 to 3",
            hint="pip install --upgrade strongroom",
        )
    return FormatError("the bytes are no publication", hint="strongroom publish")


def _refusal(group: str, reason: str, what: str, hint: str = "") -> PublicationError:
    return PublicationError(f"a publication for {group!r} is refused: {what}", reason=reason, hint=hint)


def _refuse(group: str, reason: str, what: str, hint: str = "") -> NoReturn:
    raise _refusal(group, reason, what, hint)
