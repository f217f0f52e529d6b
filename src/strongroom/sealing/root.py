"""The root key: wraps every version and authenticates every record. It leaves this file only as a root line.

The format is docs/format.md, sections "Root" and "Version". A root is 256 random bits; everything else here is derived
from it with HKDF-SHA256 (RFC 5869), under the store id and the root's number, so that no two jobs share a key.
"""

from __future__ import annotations

import hmac
import os
import re
from dataclasses import dataclass
from typing import Final, Self

from strongroom._encoding import b64decode, b64encode, encode_fields
from strongroom.errors import ForeignStoreError, FormatError, IntegrityError, NewerFormatError
from strongroom.model.names import KeyId, KeysetName, RootId, StoreId
from strongroom.model.types import KeyType, Purpose
from strongroom.primitives.kdf import hkdf_sha256
from strongroom.primitives.mac import HmacSha256Key
from strongroom.primitives.opaque import Opaque
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.wrapping import pad64, unpad64, unwrap, wrap

ROOT_LENGTH: Final = 32
ID_LENGTH: Final = 16
MAC_LENGTH: Final = 32
MAX_ROOT_NUMBER: Final = 999_999_999
MAX_LINE: Final = 128

# Store id, number, root key. The last character of each base64url part holds 4 or 2 bits that mean something, so
# that a line has one spelling.
_LINE = re.compile(
    rb"strongroom/1 root ([A-Za-z0-9_-]{21}[AQgw]) ([1-9][0-9]{0,8}) ([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])\n"
)
_ANY_LINE = re.compile(rb"strongroom/([1-9][0-9]{0,8}) root ")

_USES: Final = {
    kind.value: {purpose.value: encode_fields(kind.value.encode(), purpose.value.encode()) for purpose in Purpose}
    for kind in KeyType
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RootRef:
    """Which root of which store: what a header says about a root, and what a slot's content is held against."""

    store: StoreId
    number: int
    id: RootId

    def __post_init__(self) -> None:
        if len(self.store) != ID_LENGTH or len(self.id) != ID_LENGTH:
            raise FormatError(f"store and root ids have {ID_LENGTH} bytes, not {len(self.store)} and {len(self.id)}")
        if not 1 <= self.number <= MAX_ROOT_NUMBER:
            raise FormatError(f"{self.number} is not a root number between 1 and {MAX_ROOT_NUMBER}")

    def binding(self, kind: str) -> bytes:
        """OAEP label or HPKE info of a slot of this kind: what it holds opens for this root of this store only."""
        return encode_fields(
            b"strongroom/1 slot", kind.encode("ascii"), self.store, self.number.to_bytes(4, "big"), self.id
        )


class Root(Opaque):
    """One root key of one store: `store` (16 bytes), `number` (from 1) and `id` (16 bytes, derived from the key).

    It shows neither itself nor its subkeys, and refuses pickle and copy (Opaque). Threads and forked children share it
    freely: nothing in it changes.
    """

    __slots__ = ("_context", "_header", "_line", "_link", "_record", "_wrap", "id", "number", "store")

    store: Final[StoreId]
    number: Final[int]
    id: Final[RootId]

    def __init__(self, key: SecretBytes, *, store: StoreId, number: int) -> None:
        if len(key) != ROOT_LENGTH or len(store) != ID_LENGTH:
            raise FormatError(
                f"a root has {ROOT_LENGTH} bytes and a store id {ID_LENGTH}, not {len(key)} and {len(store)}"
            )
        if not 1 <= number <= MAX_ROOT_NUMBER:
            raise FormatError(f"{number} is not a root number between 1 and {MAX_ROOT_NUMBER}")
        self.store = store
        self.number = number
        self.id = RootId(_subkey(key, store, number, b"id", length=ID_LENGTH).reveal())
        self._line = _line_of(key, store, number)
        self._wrap = _subkey(key, store, number, b"wrap")
        self._record = HmacSha256Key(_subkey(key, store, number, b"record"), b"")
        self._header = HmacSha256Key(_subkey(key, store, number, b"header"), b"")
        self._link = HmacSha256Key(_subkey(key, store, number, b"link"), b"")
        self._context = encode_fields(b"strongroom/1 version", store, self.id)

    @classmethod
    def generate(cls, store: StoreId, *, number: int = 1) -> Self:
        """A fresh root from the operating system's generator."""
        return cls(SecretBytes(os.urandom(ROOT_LENGTH)), store=store, number=number)

    @classmethod
    def from_line(cls, line: SecretBytes) -> Self:
        """The root of a root line. FormatError (NewerFormatError) when it is not one; the line is not quoted."""
        parsed = _parsed(line) if len(line) <= MAX_LINE else None
        if parsed is not None:
            store, number, key = parsed
            return cls(key, store=store, number=number)
        newer = _newer_format(line)
        if newer is not None:
            raise NewerFormatError(
                f"the root line has format {newer}; this Strongroom reads format 1",
                hint="pip install --upgrade strongroom",
            )
        raise FormatError(f"{len(line)} bytes are not a root line")

    @property
    def ref(self) -> RootRef:
        """Store, number and id: what may be written down anywhere."""
        return RootRef(store=self.store, number=self.number, id=self.id)

    def line(self) -> SecretBytes:
        r"""`strongroom/1 root STORE NUMBER KEY\n`: what every slot seals, and what `gpg -d root.N.gpg` prints."""
        return self._line

    # -- versions ---------------------------------------------------------------------------------------------------

    def seal(
        self,
        material: SecretBytes,
        *,
        name: KeysetName,
        key_id: KeyId,
        type: KeyType,  # noqa: A002  the word of DESIGN section 1
        purpose: Purpose,
    ) -> bytes:
        """The material of one version, bound to its place: it opens under the same five names only.

        A `secret` is padded to steps of 64 bytes, so that its length shows only roughly.
        """
        padded = _padded(material) if type is KeyType.SECRET else material
        return wrap(self._wrap, padded, context=self._version_context(name, key_id, type, purpose))

    def open(
        self,
        sealed: bytes,
        *,
        name: KeysetName,
        key_id: KeyId,
        type: KeyType,  # noqa: A002  the word of DESIGN section 1
        purpose: Purpose,
    ) -> SecretBytes:
        """What `seal` sealed at this place. IntegrityError, without saying why, for anything else."""
        opened = unwrap(self._wrap, sealed, context=self._version_context(name, key_id, type, purpose))
        return _unpadded(opened) if type is KeyType.SECRET else opened

    def _version_context(self, name: KeysetName, key_id: KeyId, kind: KeyType, purpose: Purpose) -> bytes:
        # fields(…, name, key id, type, purpose), with what does not change prepared: a store of 10,000 records asks so
        # often. `_value_` is what `value` gives, without the detour of a property.
        named, use = name.encode("ascii"), _USES[kind._value_][purpose._value_]
        return b"%b%b%b\0\0\0\4%b%b" % (
            self._context, len(named).to_bytes(4, "big"), named, key_id.to_bytes(4, "big"), use,
        )  # fmt: skip

    # -- records and the header -------------------------------------------------------------------------------------

    def record_mac(self, body: bytes) -> bytes:
        """HMAC-SHA-256 over a record's bytes up to its last line."""
        return self._record.compute(body)

    def check_record(self, body: bytes, mac: bytes) -> None:
        """IntegrityError unless `mac` is the record MAC of `body` under this root."""
        if not hmac.compare_digest(self._record.compute(body), mac):
            raise IntegrityError(
                f"a record is not authentic under root {self.number}",
                hint="see 'git log' for who changed it, and restore it with 'git checkout'",
            )

    def header_mac(self, body: bytes) -> bytes:
        """HMAC-SHA-256 over the header's bytes up to its last line."""
        return self._header.compute(body)

    def check_header(self, body: bytes, mac: bytes) -> None:
        """IntegrityError unless `mac` is the header MAC of `body` under this root."""
        if not hmac.compare_digest(self._header.compute(body), mac):
            raise IntegrityError(
                f"the header is not authentic under root {self.number}",
                hint="see 'git log' for who changed store.json, and restore it with 'git checkout'",
            )

    # -- the next root, and the one before --------------------------------------------------------------------------

    def link(self, next_id: RootId) -> bytes:
        """What only a holder of this root can say about the next one: HMAC-SHA-256 of its id under the link key."""
        return self._link.compute(next_id)

    def check_link(self, next_id: RootId, link: bytes) -> None:
        """IntegrityError unless this root vouches for the next one."""
        if not hmac.compare_digest(self.link(next_id), link):
            raise IntegrityError(f"root {self.number} does not vouch for the root that follows it")

    def seal_older(self, older: Root) -> bytes:
        """The root line of an older root under this one, so that old branches can still be merged."""
        return wrap(self._wrap, older.line(), context=self._older_context(older.ref))

    def open_older(self, sealed: bytes, older: RootRef) -> Root:
        """The older root that `seal_older` sealed. IntegrityError for anything else."""
        return matching(unwrap(self._wrap, sealed, context=self._older_context(older)), older)

    def seal_backup(self, key: SecretBytes) -> bytes:
        """The key of a backup file, which opens under this root only."""
        return wrap(self._wrap, key, context=self._backup_context())

    def open_backup(self, sealed: bytes) -> SecretBytes:
        """What `seal_backup` sealed. IntegrityError, without saying why, for anything else."""
        return unwrap(self._wrap, sealed, context=self._backup_context())

    def _backup_context(self) -> bytes:
        return encode_fields(b"strongroom/1 backup", self.store, self.id)

    def _older_context(self, older: RootRef) -> bytes:
        return encode_fields(b"strongroom/1 older root", self.store, self.id, older.number.to_bytes(4, "big"), older.id)

    def __repr__(self) -> str:
        return f"<root {self.number} of store {b64encode(self.store)}, id {b64encode(self.id)}>"


def matching(line: SecretBytes, wanted: RootRef) -> Root:
    """The root of a line that came out of a slot, if it is the one that the header names.

    Anyone can seal a root of his own to a public key, because OpenPGP, RSA and HPKE give secrecy and no origin: what
    opens is not yet ours. ForeignStoreError when the line is of another store, IntegrityError when it is another root
    of this one, FormatError when it is no root line.
    """
    found = Root.from_line(line)
    hint = "see 'git log' for who changed the store, and 'strongroom doctor'"
    if found.store != wanted.store:
        raise ForeignStoreError(
            f"the slot holds a root of store {b64encode(found.store)}, "
            f"but the header is of store {b64encode(wanted.store)}",
            hint=hint,
        )
    if found.ref != wanted:
        raise IntegrityError(
            f"the slot holds root {found.number} with id {b64encode(found.id)}, "
            f"but the header names root {wanted.number} with id {b64encode(wanted.id)}",
            hint=hint,
        )
    return found


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _subkey(key: SecretBytes, store: StoreId, number: int, purpose: bytes, *, length: int = 32) -> SecretBytes:
    return hkdf_sha256(key, salt=store, info=b"strongroom/1 %b %d" % (purpose, number), length=length)


def _padded(material: SecretBytes) -> SecretBytes:
    return SecretBytes(pad64(material.reveal()))


def _unpadded(material: SecretBytes) -> SecretBytes:
    return SecretBytes(unpad64(material.reveal()))


def _line_of(key: SecretBytes, store: StoreId, number: int) -> SecretBytes:
    return SecretBytes(f"strongroom/1 root {b64encode(store)} {number} {b64encode(key.reveal())}\n".encode("ascii"))


def _parsed(line: SecretBytes) -> tuple[StoreId, int, SecretBytes] | None:
    found = _LINE.fullmatch(line.reveal())
    if found is None:
        return None
    store, number, key = found.groups()
    return StoreId(b64decode(store.decode("ascii"))), int(number), SecretBytes(b64decode(key.decode("ascii")))


def _newer_format(line: SecretBytes) -> int | None:
    found = _ANY_LINE.match(line.reveal())
    return int(found[1]) if found is not None and int(found[1]) > 1 else None
