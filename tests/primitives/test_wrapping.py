"""The envelope opens under its own key, salt and context, committed to, and under nothing else."""

from __future__ import annotations

import hmac
import os

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import FormatError, IntegrityError
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.wrapping import OVERHEAD, pad64, unpad64, unwrap, wrap
from tests.primitives.frames import assert_tells_nothing, error_of

KEY = SecretBytes(bytes(range(32)))
OTHER = SecretBytes(bytes(range(1, 33)))
keys = st.binary(min_size=32, max_size=32).map(SecretBytes)


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 for 64 bytes, by the standard library alone."""
    pseudorandom = hmac.digest(salt, key, "sha256")
    first = hmac.digest(pseudorandom, info + b"\x01", "sha256")
    return first + hmac.digest(pseudorandom, first + info + b"\x02", "sha256")


class TestTheEnvelope:
    @given(key=keys, material=st.binary(max_size=300), context=st.binary(max_size=100))
    def test_it_gives_back_what_it_holds(self, key: SecretBytes, material: bytes, context: bytes) -> None:
        sealed = wrap(key, SecretBytes(material), context=context)
        assert len(sealed) == len(material) + OVERHEAD
        assert unwrap(key, sealed, context=context).reveal() == material

    @given(key=keys, material=st.binary(max_size=100), context=st.binary(max_size=100))
    def test_it_is_what_the_format_says(self, key: SecretBytes, material: bytes, context: bytes) -> None:
        sealed = wrap(key, SecretBytes(material), context=context)
        derived = hkdf(key.reveal(), sealed[:32], context)
        assert sealed[32:64] == derived[32:]
        assert AESGCM(derived[:32]).decrypt(bytes(12), sealed[64:], context) == material

    def test_equal_material_does_not_show(self) -> None:
        sealed = [wrap(KEY, SecretBytes(b"same"), context=b"c") for _ in range(50)]
        for part in (slice(0, 32), slice(32, 64), slice(64, None)):
            assert len({each[part] for each in sealed}) == 50

    def test_every_flipped_bit_is_refused(self) -> None:
        sealed = wrap(KEY, SecretBytes(b"material"), context=b"c")
        for place in range(len(sealed)):
            for bit in range(8):
                changed = bytearray(sealed)
                changed[place] ^= 1 << bit
                with pytest.raises(IntegrityError):
                    unwrap(KEY, bytes(changed), context=b"c")

    @given(cut=st.integers(0, OVERHEAD + 7))
    def test_what_is_cut_or_longer_is_refused(self, cut: int) -> None:
        sealed = wrap(KEY, SecretBytes(b"material"), context=b"c")
        for changed in (sealed[:cut], sealed[len(sealed) - cut :], sealed + bytes(cut + 1)):
            with pytest.raises(IntegrityError):
                unwrap(KEY, changed, context=b"c")

    @given(contexts=st.lists(st.binary(max_size=40), min_size=2, max_size=2, unique=True))
    def test_a_moved_envelope_does_not_open(self, contexts: list[bytes]) -> None:
        here, there = contexts
        with pytest.raises(IntegrityError):
            unwrap(KEY, wrap(KEY, SecretBytes(b"material"), context=here), context=there)

    def test_parts_of_two_envelopes_do_not_make_a_third(self) -> None:
        one, two = (wrap(KEY, SecretBytes(b"material"), context=b"c") for _ in range(2))
        for mixed in (one[:32] + two[32:], one[:64] + two[64:], one[:32] + two[32:64] + one[64:]):
            with pytest.raises(IntegrityError):
                unwrap(KEY, mixed, context=b"c")

    def test_each_refusal_reads_the_same_and_tells_nothing(self) -> None:
        material = os.urandom(32)
        sealed = wrap(KEY, SecretBytes(material), context=b"c")
        tampered = sealed[:-1] + bytes([sealed[-1] ^ 1])
        calls = (
            lambda: unwrap(OTHER, sealed, context=b"c"),
            lambda: unwrap(KEY, sealed, context=b"d"),
            lambda: unwrap(KEY, tampered, context=b"c"),
            lambda: unwrap(KEY, b"", context=b"c"),
        )
        errors = [error_of(call, IntegrityError) for call in calls]
        assert len({str(error) for error in errors}) == 1
        for error in errors:
            assert_tells_nothing(error, material)
            assert_tells_nothing(error, KEY.reveal())


# GF(2^128) as GCM has it (SP 800-38D section 6.3): the first bit is the lowest power.


def times(a: int, b: int) -> int:
    product = 0
    for place in range(127, -1, -1):
        if a >> place & 1:
            product ^= b
        b = (b >> 1) ^ ((0xE1 << 120) if b & 1 else 0)
    return product


def power(base: int, exponent: int) -> int:
    result = 1 << 127
    while exponent:
        if exponent & 1:
            result = times(result, base)
        base, exponent = times(base, base), exponent >> 1
    return result


def block_cipher(key: bytes, block: bytes) -> int:
    one_block = Cipher(AES256(key), ECB()).encryptor()  # noqa: S305  GCM's own building block
    return int.from_bytes(one_block.update(block), "big")


def opens_under_both(one: bytes, two: bytes, context: bytes) -> bytes:
    """A ciphertext with its tag that AES-GCM opens under both keys: one free block makes the two tags equal."""
    fixed = bytes(16)
    padded = context + bytes(-len(context) % 16)
    lengths = (8 * len(context)).to_bytes(8, "big") + (8 * 32).to_bytes(8, "big")
    hashed = padded + fixed + bytes(16) + lengths
    blocks = [int.from_bytes(hashed[at : at + 16], "big") for at in range(0, len(hashed), 16)]

    def tag(key: bytes, free: int) -> int:
        subkey, total = block_cipher(key, bytes(16)), 0
        for place, block in enumerate(blocks):
            total = times(total ^ (free if place == len(blocks) - 2 else block), subkey)
        return total ^ block_cipher(key, bytes(15) + b"\x01")

    # the free block stands second to last, so it counts H^2 times; the rest of the tag is linear in it
    slope = power(block_cipher(one, bytes(16)), 2) ^ power(block_cipher(two, bytes(16)), 2)
    free = times(tag(one, 0) ^ tag(two, 0), power(slope, 2**128 - 2))
    assert tag(one, free) == tag(two, free)
    return fixed + free.to_bytes(16, "big") + tag(one, free).to_bytes(16, "big")


def test_a_ciphertext_that_aes_gcm_opens_under_two_keys_opens_under_one() -> None:
    salt, context = bytes(range(32)), b"the version's context"
    first, second = (hkdf(key.reveal(), salt, context) for key in (KEY, OTHER))
    double = opens_under_both(first[:32], second[:32], context)
    # the attack is real: AES-GCM alone opens it twice, with two plaintexts
    opened = [AESGCM(derived[:32]).decrypt(bytes(12), double, context) for derived in (first, second)]
    assert opened[0] != opened[1]

    assert unwrap(KEY, salt + first[32:] + double, context=context).reveal() == opened[0]
    assert unwrap(OTHER, salt + second[32:] + double, context=context).reveal() == opened[1]
    for key, commitment in ((KEY, second[32:]), (OTHER, first[32:]), (KEY, bytes(32)), (OTHER, bytes(32))):
        with pytest.raises(IntegrityError):
            unwrap(key, salt + commitment + double, context=context)


class TestPadding:
    @given(raw=st.binary(max_size=300))
    def test_it_comes_off_again(self, raw: bytes) -> None:
        padded = pad64(raw)
        assert len(padded) % 64 == 0
        assert len(raw) < len(padded) <= len(raw) + 64
        assert unpad64(padded) == raw

    @given(raw=st.binary(max_size=200), zeros=st.integers(0, 200))
    def test_zeros_at_the_end_of_a_secret_are_kept(self, raw: bytes, zeros: int) -> None:
        assert unpad64(pad64(raw + bytes(zeros))) == raw + bytes(zeros)

    @given(size=st.integers(0, 200))
    def test_all_lengths_within_a_step_look_alike(self, size: int) -> None:
        assert len(pad64(bytes(size))) == 64 * (size // 64 + 1)

    @given(padded=st.binary(max_size=200))
    def test_only_one_padding_of_each_is_taken(self, padded: bytes) -> None:
        try:
            raw = unpad64(padded)
        except FormatError:
            return
        assert pad64(raw) == padded

    @pytest.mark.parametrize(
        "bad",
        [
            b"",
            bytes(64),
            b"\x80",
            b"\x80" + bytes(127),
            bytes(63) + b"\x80" + bytes(64),  # a step more than need be
            b"x" * 64,
            b"\x81" + bytes(63),
        ],
    )
    def test_what_is_not_padded_is_refused(self, bad: bytes) -> None:
        with pytest.raises(FormatError):
            unpad64(bad)

    def test_a_refusal_tells_nothing(self) -> None:
        secret = b"correct horse battery staple" + b"x" * 36
        assert_tells_nothing(error_of(lambda: unpad64(secret), FormatError), secret)
