"""One value of a cache, sealed: its key and its expiry are inside, so a moved or prolonged one does not open.

The plaintext is: 01 ‖ expiry (8 bytes, milliseconds; all ones for never) ‖ length of the payload (4 bytes) ‖ payload ‖
zeros, if padded; all integers big-endian. What is bound beside it, the context, is
`encode_fields("strongroom/1 cache value", serializer, made key)`: as associated data under an AEAD keyset; under a
Fernet keyset, which has none, as its SHA-256 before the plaintext.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Final, Protocol

from strongroom._encoding import Timestamp, encode_fields
from strongroom.errors import DecryptionError, FormatError, PurposeError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.handles.aead import Aead
from strongroom.keystore.handles.fernet import Fernet
from strongroom.keystore.handles.mac import Mac
from strongroom.model.types import KeyType

_HEAD: Final = struct.Struct(">BQI")
_FORMAT: Final = 1
_NEVER: Final = (1 << 64) - 1
_DIGEST: Final = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """What was sealed: the payload, and when it ends (None for never)."""

    payload: bytes
    expires: Timestamp | None

    def __repr__(self) -> str:  # the payload is what the cache hides; frames are shown on error pages
        return f"<entry of {len(self.payload)} bytes>"


class Sealer(Protocol):
    """Encrypts with a context that is bound, not stored."""

    def seal(self, body: bytes, context: bytes) -> bytes:
        """A token."""
        ...

    def open(self, token: bytes, context: bytes) -> bytes:
        """The body. DecryptionError."""
        ...


class FernetSealer:
    """Plain Fernet tokens."""

    def __init__(self, box: Fernet) -> None:
        self._box = box

    def seal(self, body: bytes, context: bytes) -> bytes:
        """A token over the context's digest and the body."""
        return self._box.encrypt(hashlib.sha256(context).digest() + body)

    def open(self, token: bytes, context: bytes) -> bytes:
        """The body, if the digest in front of it is the context's."""
        plain = self._box.decrypt(token)
        if not hmac.compare_digest(plain[:_DIGEST], hashlib.sha256(context).digest()):
            raise DecryptionError("the token is not of this context")
        return plain[_DIGEST:]


class AeadSealer:
    """AES-256-GCM or XAES-256-GCM, with the context as associated data."""

    def __init__(self, box: Aead) -> None:
        self._box = box

    def seal(self, body: bytes, context: bytes) -> bytes:
        """A ciphertext behind its key id."""
        return self._box.encrypt(body, context)

    def open(self, token: bytes, context: bytes) -> bytes:
        """The body."""
        return self._box.decrypt(token, context)


class Entries:
    """Seals and opens the entries of one cache; names them."""

    def __init__(self, keystore: KeyStore, *, keyset: str, names: str, serializer: str, pad: int) -> None:
        self.keystore = keystore
        self._sealer = sealer_of(keystore, keyset)
        self._names: Mac = keystore.mac(names)
        self._serializer = serializer.encode()
        self._pad = pad

    def name(self, made: str) -> str:
        """The name under which the inner cache has it: 64 hexadecimal digits of HMAC-SHA-256 (RFC 2104)."""
        tag = self._names.compute(encode_fields(b"strongroom/1 cache name", _bytes(made)))
        return tag[-_DIGEST:].hex()

    def seal(self, made: str, entry: Entry) -> bytes:
        """The entry as a token. Raises StateError and its kin where nothing protects now."""
        expires = _NEVER if entry.expires is None else min(max(entry.expires, 0), _NEVER - 1)
        body = _HEAD.pack(_FORMAT, expires, len(entry.payload)) + entry.payload
        if self._pad:
            body += bytes(-len(body) % self._pad)
        return self._sealer.seal(body, self._context(made))

    def open(self, made: str, raw: object) -> Entry:
        """The entry. DecryptionError for anything that was not sealed under this key."""
        if type(raw) is not bytes:
            # never bytes(raw): what is planted as 9999999999 would ask for 10 GB
            raise DecryptionError("what lies there is no token")
        body = self._sealer.open(raw, self._context(made))
        try:
            form, expires, length = _HEAD.unpack_from(body)
        except struct.error:
            form = 0
        if form != _FORMAT or len(body) < _HEAD.size + length:
            # sealed under this keyset, but not by an EncryptedCache of this version
            raise FormatError("what lies there is no entry of this version")
        payload = body[_HEAD.size : _HEAD.size + length]
        return Entry(payload, None if expires == _NEVER else Timestamp(expires))

    def _context(self, made: str) -> bytes:
        return encode_fields(b"strongroom/1 cache value", self._serializer, _bytes(made))


def sealer_of(keystore: KeyStore, name: str) -> Sealer:
    """The sealer for a keyset's type. NotFoundError; PurposeError for a type that encrypts nothing by itself."""
    kind = keystore.current(name, KeyType.FERNET).keyset.type
    if kind is KeyType.FERNET:
        return FernetSealer(keystore.fernet(name))
    if kind in {KeyType.AES256_GCM, KeyType.XAES256_GCM}:
        return AeadSealer(keystore.aead(name))
    raise PurposeError(
        f"{name!r} is {kind.value}, and a cache is encrypted with fernet, aes256-gcm or xaes256-gcm",
        hint="strongroom create cache --type fernet",
    )


def _bytes(made: str) -> bytes:
    return str(made).encode("utf-8", "surrogatepass")
