"""HPKE base mode: the RFC's values, each bit and each context bound, keys that are none refused."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import DecryptionError, FormatError, PolicyError
from strongroom.primitives import hpke
from strongroom.primitives.hpke import HpkePrivate, HpkePublic, hpke_decrypt, hpke_encrypt
from strongroom.primitives.secret import SecretBytes
from tests.primitives.frames import assert_tells_nothing, error_of
from tests.primitives.material_cases import made, public

VECTORS = Path(cryptography_vectors.__file__).parent / "HPKE"
BASE, X25519, XWING, HKDF_SHA256, AES_256_GCM, CHACHA = 0, 0x20, 0x647A, 1, 2, 3
PREFIX = b"\x01\x00\x00\x00\x07"
SUITES = ["x25519", "mlkem768-x25519"]
every_suite = pytest.mark.parametrize("suite", SUITES)


@cache
def vectors(file: str, kem: int, aead: int) -> list[dict[str, Any]]:
    wanted = (BASE, kem, HKDF_SHA256, aead)
    every = json.loads((VECTORS / file).read_text())
    return [v for v in every if (v["mode"], v["kem_id"], v["kdf_id"], v["aead_id"]) == wanted]


def first_message(vector: dict[str, Any]) -> dict[str, str]:
    """The message of sequence number 0: a one-shot encryption is just that. Its `aad` is not empty."""
    found: dict[str, str] = vector["encryptions"][0]
    return found


class TestVectors:
    def test_x25519_opens_the_rfcs_message(self) -> None:
        # RFC 9180 appendix A gives DHKEM(X25519), HKDF-SHA256, AES-256-GCM in its machine-readable vectors. The RFC's
        # messages carry additional data, which the one-shot interface leaves empty: so the key schedule is followed
        # down to the AEAD by re-encrypting the vector's message under its own key and nonce.
        (vector,) = vectors("test-vectors.json", X25519, AES_256_GCM)
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key, nonce = bytes.fromhex(vector["key"]), bytes.fromhex(vector["base_nonce"])
        message = first_message(vector)
        plain, associated = bytes.fromhex(message["pt"]), bytes.fromhex(message["aad"])
        assert AESGCM(key).encrypt(nonce, plain, associated).hex() == message["ct"]
        sealed = bytes.fromhex(vector["enc"]) + AESGCM(key).encrypt(nonce, plain, b"")
        private = SecretBytes(bytes.fromhex(vector["skRm"]))
        assert HpkePrivate("x25519", private).decrypt(sealed, bytes.fromhex(vector["info"])) == plain
        assert hpke.public_of("x25519", private).hex() == vector["pkRm"]

    def test_xwing_expands_the_vectors_seed_to_its_key(self) -> None:
        # draft-ietf-hpke-pq's vectors; no X-Wing one has AES-256-GCM, so our key opens under the vector's own suite
        (vector,) = vectors("hpke-pq-test-vectors.json", XWING, CHACHA)
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        seed = SecretBytes(bytes.fromhex(vector["skRm"]))
        assert hpke.public_of("mlkem768-x25519", seed).hex() == vector["pkRm"]
        key, nonce = bytes.fromhex(vector["key"]), bytes.fromhex(vector["base_nonce"])
        plain = bytes.fromhex(first_message(vector)["pt"])
        sealed = bytes.fromhex(vector["enc"]) + ChaCha20Poly1305(key).encrypt(nonce, plain, b"")
        theirs = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
        opened = theirs.decrypt(sealed, hpke.load_private("mlkem768-x25519", seed), bytes.fromhex(vector["info"]))
        assert opened == plain


@every_suite
class TestBothSuites:
    @settings(max_examples=25)
    @given(data=st.binary(max_size=200), context=st.binary(max_size=80), prefix=st.sampled_from([b"", PREFIX]))
    def test_what_is_encrypted_is_decrypted(self, suite: str, data: bytes, context: bytes, prefix: bytes) -> None:
        ciphertext = HpkePublic(suite, public(suite), prefix).encrypt(data, context)
        assert ciphertext.startswith(prefix)
        assert HpkePrivate(suite, made(suite), prefix).decrypt(ciphertext, context) == data

    def test_a_flipped_bit_in_any_byte_is_refused(self, suite: str) -> None:
        private = HpkePrivate(suite, made(suite), PREFIX)
        ciphertext = HpkePublic(suite, public(suite), PREFIX).encrypt(b"data", b"context")
        for place in range(len(ciphertext)):
            changed = bytearray(ciphertext)
            changed[place] ^= 1 << (place % 8)
            with pytest.raises(DecryptionError):
                private.decrypt(bytes(changed), b"context")

    @given(contexts=st.lists(st.binary(max_size=40), min_size=2, max_size=2, unique=True))
    @settings(max_examples=20)
    def test_another_context_is_refused(self, suite: str, contexts: list[bytes]) -> None:
        ciphertext = HpkePublic(suite, public(suite)).encrypt(b"data", contexts[0])
        with pytest.raises(DecryptionError):
            HpkePrivate(suite, made(suite)).decrypt(ciphertext, contexts[1])

    @given(junk=st.one_of(st.binary(max_size=100), st.integers(1100, 1300).map(bytes)))
    def test_junk_is_refused_by_an_error_of_ours(self, suite: str, junk: bytes) -> None:
        for prefix in (b"", PREFIX):
            with pytest.raises(DecryptionError):
                HpkePrivate(suite, made(suite), prefix).decrypt(prefix + junk, b"")

    def test_another_key_or_prefix_is_refused(self, suite: str) -> None:
        ciphertext = HpkePublic(suite, public(suite), PREFIX).encrypt(b"data", b"")
        for private in (
            HpkePrivate(suite, SecretBytes(bytes(range(32))), PREFIX),
            HpkePrivate(suite, made(suite), b"\x01\x00\x00\x00\x08"),
            HpkePrivate(suite, made(suite)),
        ):
            with pytest.raises(DecryptionError):
                private.decrypt(ciphertext, b"")

    def test_none_is_not_taken_for_no_context(self, suite: str) -> None:
        with pytest.raises(TypeError, match="never None"):
            HpkePublic(suite, public(suite)).encrypt(b"data", None)
        with pytest.raises(TypeError, match="never None"):
            HpkePrivate(suite, made(suite)).decrypt(bytes(100), None)

    def test_a_secret_comes_back_as_one(self, suite: str) -> None:
        sealed = hpke_encrypt(suite, public(suite), SecretBytes(b"root line"), info=b"here")
        assert hpke_decrypt(suite, made(suite), sealed, info=b"here") == SecretBytes(b"root line")
        error = error_of(lambda: hpke_decrypt(suite, made(suite), sealed, info=b"there"), DecryptionError)
        assert_tells_nothing(error, made(suite).reveal())
        assert_tells_nothing(error, b"root line")

    @pytest.mark.parametrize("length", [0, 31, 33, 1184, 1215, 1217])
    def test_a_public_key_of_another_length_is_refused(self, suite: str, length: int) -> None:
        with pytest.raises(FormatError):
            HpkePublic(suite, bytes(length))

    @pytest.mark.parametrize("length", [0, 31, 33, 64])
    def test_a_private_key_of_another_length_is_refused(self, suite: str, length: int) -> None:
        with pytest.raises(FormatError):
            HpkePrivate(suite, SecretBytes(bytes(length)))

    def test_a_point_of_small_order_is_refused(self, suite: str) -> None:
        for point in (bytes(32), b"\x01" + bytes(31)):  # RFC 7748 section 6.1
            weak = public(suite)[:-32] + point
            with pytest.raises(FormatError):
                HpkePublic(suite, weak).encrypt(b"data", b"")
            with pytest.raises(FormatError):
                hpke_encrypt(suite, weak, SecretBytes(b"data"), info=b"")


def test_ml_kem_coefficients_out_of_range_are_refused() -> None:
    with pytest.raises(FormatError):  # FIPS 203 section 7.2: the modulus check
        HpkePublic("mlkem768-x25519", b"\xff" * 1184 + public("mlkem768-x25519")[1184:])


@pytest.mark.parametrize("suite", ["", "p256", "X25519", "mlkem768"])
def test_another_suite_is_refused(suite: str) -> None:
    for call in (lambda: HpkePublic(suite, bytes(32)), lambda: HpkePrivate(suite, SecretBytes(bytes(32)))):
        with pytest.raises(PolicyError):
            call()


def test_the_two_suites_keys_are_not_mixed_up() -> None:
    ciphertext = HpkePublic("x25519", public("x25519")).encrypt(b"data", b"")
    with pytest.raises(DecryptionError):
        HpkePrivate("mlkem768-x25519", made("x25519")).decrypt(ciphertext, b"")
