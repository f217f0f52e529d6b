"""Signatures: the RFCs' values, strict forms, and no signature for another message, key or prefix."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import FormatError, IntegrityError, PolicyError, SignatureError
from strongroom.primitives import rsa, signing
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.signing import (
    EcdsaP256Private,
    EcdsaP256Public,
    Ed25519Private,
    Ed25519Public,
    RsaPssPrivate,
    RsaPssPublic,
)
from tests.primitives.frames import assert_tells_nothing, error_of
from tests.primitives.material_cases import crossed, made, public

PREFIX = b"\x01\x00\x00\x00\x07"
Private = Ed25519Private | EcdsaP256Private | RsaPssPrivate
Public = Ed25519Public | EcdsaP256Public | RsaPssPublic
PRIVATE: dict[str, Callable[[SecretBytes, bytes], Private]] = {
    "ed25519": Ed25519Private,
    "ecdsa-p256": EcdsaP256Private,
    "rsa-2048": RsaPssPrivate,
}
PUBLIC: dict[str, Callable[[bytes, bytes], Public]] = {
    "ed25519": Ed25519Public,
    "ecdsa-p256": EcdsaP256Public,
    "rsa-2048": RsaPssPublic,
}
every_kind = pytest.mark.parametrize("kind", list(PRIVATE))
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def pair(kind: str, prefix: bytes = PREFIX) -> tuple[Private, Public]:
    return PRIVATE[kind](made(kind), prefix), PUBLIC[kind](public(kind), prefix)


@every_kind
class TestEach:
    @given(message=st.binary(max_size=200), prefix=st.sampled_from([b"", PREFIX]))
    @settings(max_examples=20)
    def test_a_signature_verifies(self, kind: str, message: bytes, prefix: bytes) -> None:
        private, verifier = pair(kind, prefix)
        signature = private.sign(message)
        assert signature.startswith(prefix)
        verifier.verify(signature, message)

    def test_every_flipped_bit_is_refused(self, kind: str) -> None:
        private, verifier = pair(kind)
        signature = private.sign(b"message")
        for place in range(len(signature)):
            for bit in range(8):
                changed = bytearray(signature)
                changed[place] ^= 1 << bit
                with pytest.raises(SignatureError):
                    verifier.verify(bytes(changed), b"message")

    @given(messages=st.lists(st.binary(max_size=40), min_size=2, max_size=2, unique=True))
    @settings(max_examples=20)
    def test_another_message_is_refused(self, kind: str, messages: list[bytes]) -> None:
        private, verifier = pair(kind)
        with pytest.raises(SignatureError):
            verifier.verify(private.sign(messages[0]), messages[1])

    @given(junk=st.one_of(st.binary(max_size=80), st.sampled_from([64, 70, 256]).map(bytes)))
    def test_junk_is_refused_by_an_error_of_ours(self, kind: str, junk: bytes) -> None:
        _, verifier = pair(kind)
        for signature in (junk, PREFIX + junk):
            with pytest.raises(SignatureError):
                verifier.verify(signature, b"message")

    def test_what_is_cut_or_longer_is_refused(self, kind: str) -> None:
        private, verifier = pair(kind)
        signature = private.sign(b"message")
        for changed in (*(signature[:end] for end in range(len(signature))), signature + b"\0"):
            with pytest.raises(SignatureError):
                verifier.verify(changed, b"message")

    def test_another_prefix_is_refused(self, kind: str) -> None:
        signature = pair(kind)[0].sign(b"message")
        for prefix in (b"", b"\x01\x00\x00\x00\x08"):
            with pytest.raises(SignatureError):
                PUBLIC[kind](public(kind), prefix).verify(signature, b"message")

    def test_another_types_public_key_is_refused(self, kind: str) -> None:
        for other in PUBLIC:
            if other != kind:
                with pytest.raises(FormatError):
                    PUBLIC[kind](public(other), b"")

    @given(junk=st.binary(max_size=100))
    def test_junk_is_no_public_key(self, kind: str, junk: bytes) -> None:
        with pytest.raises(FormatError):
            PUBLIC[kind](junk, b"")

    @given(junk=st.binary(max_size=100))
    def test_junk_is_no_private_key_and_is_not_told(self, kind: str, junk: bytes) -> None:
        if len(junk) == 32:
            return
        error = error_of(
            lambda: PRIVATE[kind](SecretBytes(junk), b""), IntegrityError if "rsa" in kind else FormatError
        )
        if len(junk) > 8:
            assert_tells_nothing(error, junk)


class TestEd25519:
    @pytest.mark.parametrize(
        ("seed", "message", "signature"),
        [  # RFC 8032 section 7.1, tests 1 and 2
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "",
                (
                    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                    "d25bf5f0595bbe24655141438e7a100b"
                ),
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "72",
                (
                    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
                    "387b2eaeb4302aeeb00d291612bb0c00"
                ),
            ),
        ],
        ids=["test 1", "test 2"],
    )
    def test_it_gives_the_values_of_rfc_8032(self, seed: str, message: str, signature: str) -> None:
        private = Ed25519Private(SecretBytes(bytes.fromhex(seed)), b"")
        assert private.sign(bytes.fromhex(message)).hex() == signature

    def test_the_public_half_is_the_librarys(self) -> None:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(made("ed25519").reveal())
        assert key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public("ed25519")


class TestEcdsa:
    def test_another_curve_is_refused(self) -> None:
        foreign = ec.generate_private_key(ec.SECP384R1()).public_key()
        with pytest.raises(FormatError):
            EcdsaP256Public(foreign.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), b"")

    @pytest.mark.parametrize("scalar", [0, P256_ORDER, P256_ORDER + 1, 2**256 - 1])
    def test_a_scalar_out_of_range_is_refused(self, scalar: int) -> None:
        with pytest.raises(FormatError):
            EcdsaP256Private(SecretBytes(scalar.to_bytes(32, "big")), b"")

    @pytest.mark.parametrize("scalar", [1, P256_ORDER - 1])
    def test_the_ends_of_the_range_are_keys(self, scalar: int) -> None:
        private = signing.load_p256(SecretBytes(scalar.to_bytes(32, "big")))
        der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        signature = EcdsaP256Private(SecretBytes(scalar.to_bytes(32, "big")), b"").sign(b"message")
        EcdsaP256Public(der, b"").verify(signature, b"message")

    def test_only_der_is_taken(self) -> None:
        private, verifier = pair("ecdsa-p256", b"")
        r, s = decode_dss_signature(private.sign(b"message"))
        verifier.verify(encode_dss_signature(r, s), b"message")
        for bad in (
            r.to_bytes(32, "big") + s.to_bytes(32, "big"),  # IEEE P1363
            encode_dss_signature(0, 0),
            encode_dss_signature(r + P256_ORDER, s),
            encode_dss_signature(r, s + P256_ORDER),
        ):
            with pytest.raises(SignatureError):
                verifier.verify(bad, b"message")


class TestRsaPss:
    def test_salt_and_hash_are_fixed(self) -> None:
        key = rsa.load_sealed(made("rsa-2048"))
        verifier = RsaPssPublic(public("rsa-2048"), b"")
        for scheme in (
            padding.PSS(padding.MGF1(SHA256()), 20),
            padding.PSS(padding.MGF1(SHA256()), 0),
            padding.PSS(padding.MGF1(SHA256()), padding.PSS.MAX_LENGTH),
            padding.PKCS1v15(),
        ):
            with pytest.raises(SignatureError):
                verifier.verify(key.sign(b"message", scheme, SHA256()), b"message")
        verifier.verify(key.sign(b"message", padding.PSS(padding.MGF1(SHA256()), 32), SHA256()), b"message")

    def test_halves_that_do_not_belong_together_are_found_before_a_signature_leaves(self) -> None:
        private = RsaPssPrivate(crossed("rsa-2048"), b"")
        for _ in range(2):
            with pytest.raises(IntegrityError):
                private.sign(b"message")


@pytest.mark.parametrize("kind", ["", "p256", "x25519", "rsa-2048", "secret"])
def test_a_type_that_does_not_sign_is_refused(kind: str) -> None:
    with pytest.raises(PolicyError):
        signing.load(kind, SecretBytes(bytes(range(32))))
