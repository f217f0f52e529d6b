"""Fernet under many keys. The token's own time only orders the trial; the tag alone decides whose it is.

Nothing in a Fernet token names its key, so a reader with N keys may have to try N tags. The time in the token, which
anyone can choose, says which key protected at that moment, and so which to try first. A forger can at most make us try
all of them, as cryptography's MultiFernet always does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from hmac import compare_digest
from itertools import islice
from os import urandom
from time import time
from typing import Final, NoReturn

from cryptography.fernet import InvalidToken

from strongroom.errors import SettingsError
from strongroom.primitives.fernet_key import LARGE, PADDING, PooledFernetKey
from strongroom.primitives.fernet_native import FernetKey
from strongroom.primitives.fernet_token import HEAD, check_age, decode, decode_many, encode_many, time_of
from strongroom.primitives.secret import SecretBytes

__all__ = ["FernetKey", "FernetRing", "InvalidToken"]

_BATCH: Final = 512  # tokens in one AES call each way: the gain ends about there
_WEIGHT: Final = 1 << 20  # characters; a heavier batch goes token by token, for the sake of memory


class FernetRing:
    """Several Fernet keys, the first of them the primary: it alone encrypts, each of them decrypts.

    keys: each with the time (seconds) at which it began to protect; 0 where that is not known. Where none is known, the
    key that opened the last token is tried first. The order never changes what opens, only how soon.

    (An argument named msg is data to encrypt or a token to open: cryptography's MultiFernet names them so.)
    """

    __slots__ = ("_keys", "_last", "_macs", "_primary", "_rest", "_timed", "_times")

    def __init__(self, keys: Sequence[tuple[SecretBytes, int]]) -> None:
        self.adopt([FernetKey(key) for key, _ in keys], [since for _, since in keys])

    def adopt(self, keys: Sequence[PooledFernetKey], since: Sequence[int]) -> None:
        """What __init__ does, for key objects that are there already. Call it once, before anything else."""
        if not keys:
            raise SettingsError("a ring of fernet keys holds at least one")
        self._keys = tuple(keys)
        self._macs = tuple(key.mac for key in keys)
        self._primary = keys[0]
        self._last = 0
        # newest last, and of equals the one named first last, for bisect takes the last
        rising = sorted(range(len(keys)), key=lambda index: (since[index], -index)) if any(since) else []
        self._times = [max(0, since[index]).to_bytes(8, "big") for index in rising]  # as they stand in a token
        self._timed = rising
        self._rest = (0, *(index for index in (reversed(rising) if rising else range(len(keys))) if index))

    def encrypt(self, msg: bytes) -> bytes:
        """A token of the primary, made now."""
        return self._primary.encrypt(msg)

    def encrypt_at_time(self, msg: bytes, current_time: int) -> bytes:
        """A token of the primary that says it was made at current_time."""
        return self._primary.encrypt_at_time(msg, current_time)

    def decrypt(self, msg: bytes | str, ttl: int | None = None) -> bytes:
        """The data, whichever key made the token. ttl as in FernetKey.decrypt. Raises InvalidToken."""
        raw = decode(msg)
        if ttl is not None:
            check_age(raw, ttl, int(time()))
        return self._keys[self._signer(raw)].unseal(raw)

    def decrypt_and_tell(self, token: bytes | str, ttl: int | None = None) -> tuple[bytes, int]:
        """The data, and the index of the key that made the token. Raises InvalidToken."""
        raw = decode(token)
        if ttl is not None:
            check_age(raw, ttl, int(time()))
        index = self._signer(raw)
        return self._keys[index].unseal(raw), index

    def decrypt_at_time(self, msg: bytes | str, ttl: int, current_time: int) -> bytes:
        """The data, where the token was at most ttl seconds old at current_time. Raises InvalidToken."""
        if ttl is None:
            raise ValueError("decrypt_at_time() can only be used with a non-None ttl")
        raw = decode(msg)
        check_age(raw, ttl, current_time)
        return self._keys[self._signer(raw)].unseal(raw)

    def extract_timestamp(self, msg: bytes | str) -> int:
        """When the token was made, once some key's tag has been verified. Raises InvalidToken."""
        raw = decode(msg)
        self._signer(raw)
        return time_of(raw)

    def opener(self, token: bytes | str) -> int:
        """The index of the key that made the token: its tag is verified, nothing is decrypted. Raises InvalidToken."""
        return self._signer(decode(token))

    def rotate(self, msg: bytes | str) -> bytes:
        """The same data and the same time under the primary. Raises InvalidToken."""
        raw = decode(msg)
        return self._primary.seal(self._keys[self._signer(raw)].unseal(raw), raw[:HEAD])

    def rotate_many(self, tokens: Iterable[bytes | str]) -> list[bytes]:
        """`rotate` for many tokens, in order. Raises InvalidToken, with the index of the first that does not open.

        One AES call each way serves up to 512 short tokens, and one draw of random bytes, 16 for each; none of them
        outlives the call.
        """
        rotated: list[bytes] = []
        for batch in _batches(tokens):
            try:
                rotated += self._rotate_batch(batch)
            except InvalidToken as bad:
                raise InvalidToken(len(rotated) + bad.args[0]) from None
        return rotated

    def _signer(self, raw: bytes) -> int:
        hint = self._timed[bisect_right(self._times, raw[1:9]) - 1] if self._times else self._last
        body = raw[:-32] if len(raw) < LARGE else memoryview(raw)[:-32]
        tag = raw[-32:]
        mac = self._macs[hint]()
        mac.update(body)
        if compare_digest(mac.finalize(), tag):
            return hint
        for index in self._rest:
            if index != hint:
                mac = self._macs[index]()
                mac.update(body)
                if compare_digest(mac.finalize(), tag):
                    self._last = index
                    return index
        raise InvalidToken

    def _rotate_batch(self, tokens: Sequence[bytes | str]) -> list[bytes]:
        raws = decode_many(tokens)
        # whose tokens stand where; one long loop, for a call saved is a twentieth of a token's time
        places: dict[int, list[int]] = {index: [] for index in range(len(self._keys))}
        timed, times, macs = self._timed, self._times, self._macs
        for place, raw in enumerate(raws):
            index = timed[bisect_right(times, raw[1:9]) - 1] if times else self._last
            mac = macs[index]()
            mac.update(raw[:-32])
            if not compare_digest(mac.finalize(), raw[-32:]):
                try:
                    index = self._signer(raw)
                except InvalidToken:
                    raise InvalidToken(place) from None
            places[index].append(place)
        rotated = [b""] * len(raws)
        for index, mine in places.items():
            for place, token in zip(mine, self._rotated(index, mine, raws), strict=True):
                rotated[place] = token
        return rotated

    def _rotated(self, index: int, places: Sequence[int], raws: Sequence[bytes]) -> list[bytes]:
        # those raws that stand at places; the key at index has verified them
        mine = [raws[place] for place in places]
        blocks = bytearray(self._keys[index].decrypt_blocks(b"".join([raw[9:-32] for raw in mine])))
        random = urandom(16 * len(mine))
        start = drawn = 0
        for place, raw in zip(places, mine, strict=True):
            stop = start + len(raw) - 41
            fill = PADDING[blocks[stop - 1]]
            if fill is None or not blocks.endswith(fill, start + 16, stop):
                raise InvalidToken(place)
            # where the junk stood goes what becomes the new IV; the padding is kept as it is
            blocks[start : start + 16] = random[drawn : drawn + 16]
            start = stop
            drawn += 16
        done = self._primary.encrypt_blocks(blocks)
        keyed = self._macs[0]
        fresh = []
        start = 0
        for raw in mine:
            stop = start + len(raw) - 41
            body = raw[:9] + done[start:stop]
            start = stop
            mac = keyed()
            mac.update(body)
            fresh.append(body + mac.finalize())
        return encode_many(fresh)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._keys)} keys>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} holds keys: it is not pickled or copied")


def _batches(tokens: Iterable[bytes | str]) -> Iterator[list[bytes | str]]:
    rest = iter(tokens)
    while batch := list(islice(rest, _BATCH)):
        if sum(map(len, batch)) <= _WEIGHT:
            yield batch
        else:
            yield from ([token] for token in batch)
