"""One Fernet key, fast over cryptography's own AES and HMAC. No decryptor sees a byte that the tag has not vouched for.

Where the speed comes from, and why each step is safe (github.com/fernet/spec; SP 800-38A is NIST's):

* **The MAC is keyed once** and copied for each message. A copy of a keyed HMAC is the same state as a new one.
* **CBC contexts are kept.** Making one costs ten times what a short message costs. A kept context goes on from the
  chaining value `chain`, the last block of ciphertext that it made or ate:
  - *Encrypting*, we put 16 fresh random bytes r before the padded data. The first block out is E(r xor chain), and that
    is the token's IV. r is uniform and independent of the key and of all that went before, so r xor chain is uniform
    whatever chain is; E is a permutation, so the IV is uniform too, and no one can know it before the data are fixed.
    It is distributed as an IV drawn at random is: neither chain nor who made it matters. (In kind this is the first
    method of SP 800-38A, appendix C, E of a nonce, the nonce being random; we claim no FIPS validation.) Block two is
    E(IV xor data): plain CBC, and any Fernet library opens it.
  - *Decrypting*, we feed the IV before the ciphertext. The first block out is junk, thrown away; each later one is
    D(c) xor the block before it, which is in the token. chain touches the junk alone.
* **A context must stay on a block boundary**, or it would garble the next message. So lengths are checked first, only
  exact `bytes` reach it, and it goes back to the pool only after success: one that saw an error is dropped.
* **The tag and the length are checked before the decryptor** gets a byte, so that a kept context never holds what an
  attacker chose, and padding is looked at only in what we once made (no padding oracle).
* **Threads**: `list.pop` and `list.append` are atomic, so one context has one user; the pool grows to as many as were
  used at once. **Fork**: a child drops the pools. r would keep its IVs apart from the parent's even if it did not, for
  no random bytes are kept between calls: that is what makes fork (and a restored snapshot) harmless.
"""

from __future__ import annotations

import os
import weakref
from hmac import compare_digest
from os import urandom
from time import time
from typing import Final, NoReturn

from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from strongroom.errors import FormatError
from strongroom.primitives.fernet_scratch import give_back, take, wipe
from strongroom.primitives.fernet_token import HEAD, IV, LEAST, TAG, check_age, decode, encode, time_of
from strongroom.primitives.secret import SecretBytes

LARGE: Final = 4096  # from here on a kept buffer beats the allocator (page faults)
KEY: Final = 32
# PKCS #7 (RFC 5652, section 6.3): FILL[length & 15] completes a message, PADDING[last byte] is what must stand there
FILL: Final = tuple(bytes([16 - over]) * (16 - over) for over in range(16))
PADDING: Final = (None, *(bytes([count]) * count for count in range(1, 17)), *(None,) * 239)


class PooledFernetKey:
    """Fernet over one 32-byte key: the first half signs, the second encrypts. Tokens are exactly the Fernet spec's.

    Times are whole seconds since the epoch. What does not open raises cryptography's InvalidToken, which never says
    why. The object hides its key, refuses pickle and copy, and may be used by many threads and after a fork.
    """

    __slots__ = ("__weakref__", "_decryptors", "_encryptors", "_key", "mac")

    def __init__(self, key: SecretBytes) -> None:
        if len(key) != KEY:
            raise FormatError(f"a fernet key has {KEY} bytes; this one has {len(key)}")
        self._key = key
        self.mac = _keyed(key).copy  # call it for an HMAC that is keyed and has seen nothing
        self._encryptors: list[CipherContext] = []
        self._decryptors: list[CipherContext] = []
        _LIVE.add(self)

    def encrypt(self, data: bytes) -> bytes:
        """A token for data, made now."""
        return self.seal(data, b"\x80" + int(time()).to_bytes(8, "big"))

    def encrypt_at_time(self, data: bytes, current_time: int) -> bytes:
        """A token for data that says it was made at current_time."""
        return self.seal(data, b"\x80" + current_time.to_bytes(length=8, byteorder="big"))

    def decrypt(self, token: bytes | str, ttl: int | None = None) -> bytes:
        """The data. ttl: the greatest age; with it, a token from more than a minute ahead is refused too."""
        raw = decode(token)
        if ttl is not None:
            check_age(raw, ttl, int(time()))
        size = len(raw)
        if size >= LARGE:
            return self.open(raw)
        # `open` written out for a short token, of whose time its calls would be a twentieth
        mac = self.mac()
        mac.update(raw[:-32])
        if not compare_digest(mac.finalize(), raw[-32:]) or size & 15 != 9 or size < LEAST:
            raise InvalidToken
        try:
            decryptor = self._decryptors.pop()
        except IndexError:
            decryptor = _decryptor(self._key)
        padded = decryptor.update(raw[9:-32])
        self._decryptors.append(decryptor)
        fill = PADDING[padded[-1]]
        if fill is None or not padded.endswith(fill):
            raise InvalidToken
        return padded[16 : -len(fill)]

    def decrypt_at_time(self, token: bytes | str, ttl: int, current_time: int) -> bytes:
        """The data, where the token was at most ttl seconds old at current_time."""
        if ttl is None:
            raise ValueError("decrypt_at_time() can only be used with a non-None ttl")
        raw = decode(token)
        check_age(raw, ttl, current_time)
        return self.open(raw)

    def extract_timestamp(self, token: bytes | str) -> int:
        """When the token was made, once its tag has been verified."""
        raw = decode(token)
        if not self.signed(raw):
            raise InvalidToken
        return time_of(raw)

    def seal(self, data: bytes, head: bytes) -> bytes:
        """A token of data under the nine bytes of head (version and time)."""
        if type(data) is not bytes:
            data = _plain(data)
        size = len(data)
        if size >= LARGE:
            return self._seal_large(data, head)
        try:
            encryptor = self._encryptors.pop()
        except IndexError:
            encryptor = _encryptor(self._key)
        body = head + encryptor.update(urandom(16) + data + FILL[size & 15])
        self._encryptors.append(encryptor)
        mac = self.mac()
        mac.update(body)
        return encode(body + mac.finalize())

    def open(self, raw: bytes) -> bytes:
        """The data of a decoded token, once its tag has been verified."""
        if not self.signed(raw):
            raise InvalidToken
        return self.unseal(raw)

    def signed(self, raw: bytes) -> bool:
        """Whether the tag of a decoded token is ours. Says nothing of its length."""
        mac = self.mac()
        mac.update(raw[:-32] if len(raw) < LARGE else memoryview(raw)[:-32])
        return compare_digest(mac.finalize(), raw[-32:])

    def unseal(self, raw: bytes) -> bytes:
        """The data of a decoded token whose tag the caller has just verified."""
        size = len(raw)
        if size & 15 != 9 or size < LEAST:  # 9 = (1 + 8 + 16 + 32) & 15: head, IV, tag
            raise InvalidToken
        try:
            decryptor = self._decryptors.pop()
        except IndexError:
            decryptor = _decryptor(self._key)
        if size >= LARGE:
            data = _unseal_large(raw, decryptor)
        else:
            padded = decryptor.update(raw[9:-32])
            fill = PADDING[padded[-1]]
            data = padded[16 : -len(fill)] if fill is not None and padded.endswith(fill) else None
        self._decryptors.append(decryptor)
        if data is None:
            raise InvalidToken
        return data

    def encrypt_blocks(self, blocks: bytes | bytearray) -> bytes:
        """Whole blocks, in one call. Each message among them must follow 16 fresh random bytes: its IV-to-be."""
        if len(blocks) & 15:
            raise FormatError(f"{len(blocks)} bytes are not whole blocks")
        try:
            encryptor = self._encryptors.pop()
        except IndexError:
            encryptor = _encryptor(self._key)
        done = encryptor.update(blocks)
        self._encryptors.append(encryptor)
        return done

    def decrypt_blocks(self, blocks: bytes) -> bytes:
        """Whole blocks, all under tags that the caller has verified. In place of each IV stand 16 bytes of junk."""
        if len(blocks) & 15:
            raise FormatError(f"{len(blocks)} bytes are not whole blocks")
        try:
            decryptor = self._decryptors.pop()
        except IndexError:
            decryptor = _decryptor(self._key)
        done = decryptor.update(blocks)
        self._decryptors.append(decryptor)
        return done

    def _seal_large(self, data: bytes, head: bytes) -> bytes:
        size = len(data)
        whole = size & ~15
        end = HEAD + IV + whole + 16
        scratch = take(end + TAG)
        out, source = memoryview(scratch), memoryview(data)
        out[:HEAD] = head
        try:
            encryptor = self._encryptors.pop()
        except IndexError:
            encryptor = _encryptor(self._key)
        encryptor.update_into(urandom(16), out[HEAD:])
        encryptor.update_into(source[:whole], out[HEAD + IV :])
        encryptor.update_into(data[whole:] + FILL[size & 15], out[HEAD + IV + whole :])
        self._encryptors.append(encryptor)
        mac = self.mac()
        mac.update(out[:end])
        out[end : end + TAG] = mac.finalize()
        token = encode(out[: end + TAG])
        give_back(scratch)
        return token

    def _forget_contexts(self) -> None:
        self._encryptors.clear()
        self._decryptors.clear()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} holds a key: it is not pickled or copied")


def _unseal_large(raw: bytes, decryptor: CipherContext) -> bytes | None:
    size = len(raw) - HEAD - TAG  # of IV and ciphertext
    scratch = take(size + 15)  # update_into asks for that much more
    try:
        decryptor.update_into(memoryview(raw)[HEAD:-TAG], scratch)
        fill = PADDING[scratch[size - 1]]
        if fill is None or not scratch.endswith(fill, 0, size):
            return None
        return bytes(memoryview(scratch)[IV : size - len(fill)])
    finally:
        wipe(scratch, size)
        give_back(scratch)


# Leaf functions: the key's plain bytes live in no frame that raises, for tracebacks and debug pages print locals.


def _keyed(key: SecretBytes) -> HMAC:
    return HMAC(key.reveal()[:16], SHA256())


def _encryptor(key: SecretBytes) -> CipherContext:
    return Cipher(AES(key.reveal()[16:]), CBC(urandom(16))).encryptor()


def _decryptor(key: SecretBytes) -> CipherContext:
    return Cipher(AES(key.reveal()[16:]), CBC(bytes(16))).decryptor()


def _plain(data: object) -> bytes:
    # exact bytes: a subclass could answer one length to us and another to the cipher
    if isinstance(data, bytes):
        return memoryview(data).tobytes()
    raise TypeError("data must be bytes")


_LIVE: weakref.WeakSet[PooledFernetKey] = weakref.WeakSet()


def _forget_all_contexts() -> None:
    for key in list(_LIVE):
        key._forget_contexts()


os.register_at_fork(after_in_child=_forget_all_contexts)
