"""AES-256-GCM and XAES-256-GCM: the specification's values, and nothing opens that was not sealed just so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import DecryptionError, FormatError, PolicyError
from strongroom.primitives.aead import MAX_MESSAGES, AesGcmKey, XAesGcmKey
from strongroom.primitives.allowance import Allowance
from strongroom.primitives.secret import SecretBytes

KEY = SecretBytes(bytes(range(32)))
PREFIX = b"\x01\x12\x34\x56\x78"
Aead = AesGcmKey | XAesGcmKey
KINDS: list[Callable[[SecretBytes, bytes], Aead]] = [AesGcmKey, XAesGcmKey]
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
class TestBoth:
    @given(
        data=st.binary(max_size=200),
        associated=st.binary(max_size=60),
        prefix=st.sampled_from([b"", PREFIX]),
        key=st.binary(min_size=32, max_size=32),
    )
    def test_what_is_encrypted_is_decrypted(
        self, kind: Callable[[SecretBytes, bytes], Aead], data: bytes, associated: bytes, prefix: bytes, key: bytes
    ) -> None:
        ciphertext = kind(SecretBytes(key), prefix).encrypt(data, associated)
        assert ciphertext.startswith(prefix)
        assert kind(SecretBytes(key), prefix).decrypt(ciphertext, associated) == data

    @pytest.mark.parametrize("prefix", [b"", PREFIX], ids=["bare", "tink"])
    def test_every_flipped_bit_is_refused(self, kind: Callable[[SecretBytes, bytes], Aead], prefix: bytes) -> None:
        aead = kind(KEY, prefix)
        ciphertext = aead.encrypt(b"seventeen letters", b"ad")
        for place in range(len(ciphertext)):
            for bit in range(8):
                changed = bytearray(ciphertext)
                changed[place] ^= 1 << bit
                with pytest.raises(DecryptionError):
                    aead.decrypt(bytes(changed), b"ad")

    @given(pair=st.lists(st.binary(max_size=40), min_size=2, max_size=2, unique=True))
    def test_other_associated_data_is_refused(
        self, kind: Callable[[SecretBytes, bytes], Aead], pair: list[bytes]
    ) -> None:
        aead = kind(KEY, PREFIX)
        with pytest.raises(DecryptionError):
            aead.decrypt(aead.encrypt(b"data", pair[0]), pair[1])

    @given(junk=st.binary(max_size=80))
    def test_junk_is_refused_by_an_error_of_ours(self, kind: Callable[[SecretBytes, bytes], Aead], junk: bytes) -> None:
        for aead, what in ((kind(KEY, b""), junk), (kind(KEY, PREFIX), junk), (kind(KEY, PREFIX), PREFIX + junk)):
            with pytest.raises(DecryptionError):
                aead.decrypt(what, b"")

    def test_what_is_cut_anywhere_is_refused(self, kind: Callable[[SecretBytes, bytes], Aead]) -> None:
        aead = kind(KEY, PREFIX)
        ciphertext = aead.encrypt(b"data", b"")
        for end in range(len(ciphertext)):
            with pytest.raises(DecryptionError):
                aead.decrypt(ciphertext[:end], b"")

    def test_another_key_or_prefix_is_refused_with_the_same_words(
        self, kind: Callable[[SecretBytes, bytes], Aead]
    ) -> None:
        ciphertext = kind(KEY, PREFIX).encrypt(b"data", b"ad")
        said = set()
        for aead, associated in (
            (kind(SecretBytes(bytes(32)), PREFIX), b"ad"),
            (kind(KEY, b"\x01\x00\x00\x00\x01"), b"ad"),
            (kind(KEY, b""), b"ad"),
            (kind(KEY, PREFIX), b"da"),
        ):
            with pytest.raises(DecryptionError) as caught:
                aead.decrypt(ciphertext, associated)
            said.add(str(caught.value))
        assert len(said) == 1

    def test_none_is_not_taken_for_no_associated_data(self, kind: Callable[[SecretBytes, bytes], Aead]) -> None:
        aead = kind(KEY, b"")
        for call in (aead.encrypt, aead.decrypt):
            with pytest.raises(TypeError, match="never None"):
                call(aead.encrypt(b"data", b""), None)

    @pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
    def test_only_keys_of_32_bytes_are_taken(self, kind: Callable[[SecretBytes, bytes], Aead], length: int) -> None:
        with pytest.raises(FormatError):
            kind(SecretBytes(bytes(length)), b"")

    def test_threads_share_one_key(self, kind: Callable[[SecretBytes, bytes], Aead]) -> None:
        aead = kind(KEY, PREFIX)

        def work(number: int) -> bool:
            data = b"%d" % number * 50
            return all(aead.decrypt(aead.encrypt(data, b"ad"), b"ad") == data for _ in range(200))

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(8)))

    def test_ivs_do_not_repeat(self, kind: Callable[[SecretBytes, bytes], Aead]) -> None:
        aead = kind(KEY, b"")
        assert len({aead.encrypt(b"", b"")[:12] for _ in range(2000)}) == 2000


class TestAesGcm:
    @given(data=st.binary(max_size=100), associated=st.binary(max_size=50))
    def test_it_is_cryptographys_behind_prefix_and_iv(self, data: bytes, associated: bytes) -> None:
        ciphertext = AesGcmKey(KEY, PREFIX).encrypt(data, associated)
        assert AESGCM(KEY.reveal()).decrypt(ciphertext[5:17], ciphertext[17:], associated) == data

    def test_messages_are_counted_and_the_last_one_is_the_last(self) -> None:
        aead = AesGcmKey(KEY, PREFIX, allowance=Allowance(3))
        last = [aead.encrypt(b"data", b"") for _ in range(3)][-1]
        for _ in range(2):
            with pytest.raises(PolicyError) as caught:
                aead.encrypt(b"data", b"")
            assert caught.value.hint == "strongroom rotate NAME"
        assert aead.decrypt(last, b"") == b"data"

    def test_the_limit_stands_well_below_what_the_standard_allows(self) -> None:
        assert MAX_MESSAGES <= 2**32 // 2  # SP 800-38D section 8.3


# c2sp.org/XAES-256-GCM, section "Test vectors"
VECTORS = [
    (b"\x01" * 32, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
    (b"\x03" * 32, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
]


class TestXAesGcm:
    @pytest.mark.parametrize(("key", "associated", "sealed"), VECTORS, ids=["msb0", "msb1"])
    def test_it_gives_the_specifications_values(self, key: bytes, associated: bytes, sealed: str) -> None:
        aead = XAesGcmKey(SecretBytes(key), b"")
        wanted = b"ABCDEFGHIJKLMNOPQRSTUVWX" + bytes.fromhex(sealed)
        assert aead.decrypt(wanted, associated) == b"XAES-256-GCM"
        assert aead._encrypt(wanted[:24], b"XAES-256-GCM", associated) == wanted

    def test_it_gives_the_accumulated_value_of_ten_thousand_random_ones(self) -> None:
        # the same page: keys, nonces, plaintexts and associated data from SHAKE-128, ciphertexts into another
        stream, at, digest = hashlib.shake_128().digest(4_000_000), 0, hashlib.shake_128()

        def read(length: int) -> bytes:
            nonlocal at
            at += length
            assert at <= len(stream)
            return stream[at - length : at]

        for _ in range(10_000):
            key, nonce = read(32), read(24)
            plaintext = read(read(1)[0])
            associated = read(read(1)[0])
            aead = XAesGcmKey(SecretBytes(key), b"")
            sealed = aead._encrypt(nonce, plaintext, associated)
            assert aead.decrypt(sealed, associated) == plaintext
            digest.update(sealed[24:])
        assert digest.hexdigest(32) == "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"


@pytest.mark.slow
@pytest.mark.parametrize("key", [AesGcmKey(KEY, b""), XAesGcmKey(KEY, b"")], ids=["gcm", "xaes"])
def test_messages_of_two_gibibytes_are_refused_by_errors_of_ours(key: Aead) -> None:
    huge = bytes(2**31)  # calloc: the pages are never touched, except by the slice of the decryption
    for plaintext, associated in ((huge, b""), (b"", huge)):
        with pytest.raises(PolicyError):
            key.encrypt(plaintext, associated)
    with pytest.raises(DecryptionError):
        key.decrypt(bytes(64), huge)
