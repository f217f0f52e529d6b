"""Material of each type: its form, its public half, what a seed gives; and objects that keep it to themselves."""

from __future__ import annotations

import copy
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import FormatError, IntegrityError, PolicyError
from strongroom.model.types import TRAITS, KeyType
from strongroom.primitives import hpke, material, rsa
from strongroom.primitives.aead import AesGcmKey, XAesGcmKey
from strongroom.primitives.hpke import HpkePrivate, HpkePublic
from strongroom.primitives.jwe import JwePrivate, JwePublic
from strongroom.primitives.mac import HmacSha256Key
from strongroom.primitives.opaque import Opaque
from strongroom.primitives.rsa import OaepPrivate
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.signing import (
    EcdsaP256Private,
    EcdsaP256Public,
    Ed25519Private,
    Ed25519Public,
    RsaPssPrivate,
    RsaPssPublic,
)
from strongroom.primitives.streaming import StreamKey
from tests.primitives.material_cases import GENERATED, RSA, SHORT_PRIVATE, SYMMETRIC, made, public

PRIVATE_CLASSES = {
    "ed25519": Ed25519PrivateKey,
    "ecdsa-p256": EllipticCurvePrivateKey,
    "x25519": X25519PrivateKey,
    "mlkem768-x25519": MLKEM768X25519PrivateKey,
} | dict.fromkeys(RSA, RSAPrivateKey)
seedable = [*SYMMETRIC, *SHORT_PRIVATE]


def test_every_key_type_of_the_model_has_material() -> None:
    assert {kind.value for kind in KeyType} == {*GENERATED, "secret"}
    for kind in KeyType:
        if kind is not KeyType.SECRET:
            half = material.public_of(kind.value, made(kind.value))
            assert (half is not None) == TRAITS[kind].asymmetric


class TestGenerating:
    @pytest.mark.parametrize("kind", seedable)
    def test_material_has_32_bytes_and_is_new_each_time(self, kind: str) -> None:
        drawn = {material.generate(kind).reveal() for _ in range(20)}
        assert len(drawn) == 20
        assert {len(each) for each in drawn} == {32}

    @pytest.mark.parametrize("kind", ["secret", "", "rsa-1024", "aes128-gcm", "certificate"])
    def test_what_is_not_generated_is_refused(self, kind: str) -> None:
        for call in (material.generate, lambda kind: material.from_seed(kind, SecretBytes(b"seed"))):
            with pytest.raises(PolicyError):
                call(kind)


class TestSeeds:
    @given(seed=st.binary(max_size=80))
    @pytest.mark.parametrize("kind", seedable)
    def test_equal_seeds_give_equal_sound_material(self, kind: str, seed: bytes) -> None:
        drawn = material.from_seed(kind, SecretBytes(seed))
        assert drawn == material.from_seed(kind, SecretBytes(seed))
        assert material.check_raw(kind, drawn) == drawn

    @pytest.mark.parametrize("kind", seedable)
    def test_other_seeds_give_other_material(self, kind: str) -> None:
        assert len({material.from_seed(kind, SecretBytes(b"%d" % each)).reveal() for each in range(100)}) == 100

    def test_types_draw_apart(self) -> None:
        assert len({material.from_seed(kind, SecretBytes(b"seed")).reveal() for kind in seedable}) == len(seedable)

    @pytest.mark.parametrize("kind", RSA)
    def test_rsa_is_refused_with_a_way_on(self, kind: str) -> None:
        with pytest.raises(PolicyError) as caught:
            material.from_seed(kind, SecretBytes(b"seed"))
        assert "strongroom import" in caught.value.hint

    @pytest.mark.parametrize(
        ("kind", "drawn"),
        [  # computed by RFC 5869 with the standard library's hmac: test processes of different versions must agree
            ("fernet", "d43a1ac49e0eb054a5394d009fb6cf8638850dc6a3429063fb2d451359dea910"),
            ("ecdsa-p256", "776fd2bb42d01f6ccad7ef40cde1151b8ad722219fff07991cdd75021daf1629"),
        ],
    )
    def test_what_a_seed_gives_never_changes(self, kind: str, drawn: str) -> None:
        assert material.from_seed(kind, SecretBytes(b"seed")).reveal().hex() == drawn


class TestKeys:
    @pytest.mark.parametrize("kind", [*SHORT_PRIVATE, *RSA])
    def test_the_private_key_is_the_librarys_own(self, kind: str) -> None:
        assert isinstance(material.private_key(kind, made(kind)), PRIVATE_CLASSES[kind])

    @pytest.mark.parametrize("kind", [*SHORT_PRIVATE, *RSA])
    def test_the_public_half_loads(self, kind: str) -> None:
        assert material.public_key(kind, public(kind)) is not None
        with pytest.raises(FormatError):
            material.public_key(kind, b"junk")

    @pytest.mark.parametrize("kind", [*SYMMETRIC, "secret", "nonsense"])
    def test_other_types_have_no_private_key(self, kind: str) -> None:
        with pytest.raises(PolicyError):
            material.private_key(kind, SecretBytes(bytes(range(32))))

    def test_public_halves_have_the_lengths_of_the_format(self) -> None:
        assert len(public("x25519")) == 32
        assert len(public("mlkem768-x25519")) == 1216 == hpke.PUBLIC_LENGTHS["mlkem768-x25519"]
        assert len(public("ed25519")) == 44
        assert len(public("ecdsa-p256")) == 91

    def test_rsa_of_another_size_than_its_type_is_refused(self) -> None:
        with pytest.raises(FormatError):
            material.public_of("rsa-3072", made("rsa-2048"))

    def test_material_of_another_type_is_refused(self) -> None:
        for kind in RSA:
            with pytest.raises(IntegrityError):
                material.private_key(kind, made("ed25519"))
        for kind in SHORT_PRIVATE:
            with pytest.raises(FormatError):
                material.public_of(kind, made("rsa-2048"))
        with pytest.raises(PolicyError):
            material.public_of("nonsense", made("ed25519"))


class TestRaw:
    @pytest.mark.parametrize("kind", seedable)
    def test_the_bytes_of_a_key_are_taken(self, kind: str) -> None:
        assert material.check_raw(kind, made(kind)) == made(kind)

    @pytest.mark.parametrize("kind", [*seedable, "hmac-sha256"])
    @pytest.mark.parametrize("length", [0, 1, 15, 129, 4096])
    def test_other_lengths_are_refused(self, kind: str, length: int) -> None:
        with pytest.raises(FormatError):
            material.check_raw(kind, SecretBytes(bytes(each % 251 for each in range(length))))

    @pytest.mark.parametrize("length", [16, 20, 64, 128])
    def test_mac_keys_of_other_lengths_are_taken(self, length: int) -> None:
        raw = SecretBytes(bytes(range(length)))
        assert material.check_raw("hmac-sha256", raw) == raw

    @pytest.mark.parametrize("kind", seedable)
    @pytest.mark.parametrize("byte", [b"\0", b"A", b"\xff"])
    def test_a_placeholder_is_refused(self, kind: str, byte: bytes) -> None:
        with pytest.raises(PolicyError):
            material.check_raw(kind, SecretBytes(byte * 32))

    @pytest.mark.parametrize("length", [0, 65_537])
    def test_a_secret_is_neither_empty_nor_endless(self, length: int) -> None:
        with pytest.raises(FormatError):
            material.check_raw("secret", SecretBytes(bytes(length)))

    @pytest.mark.parametrize("length", [1, 32, 65_536])
    def test_a_secret_may_be_any_bytes(self, length: int) -> None:
        raw = SecretBytes(bytes(length))
        assert material.check_raw("secret", raw) == raw


def holders() -> list[Opaque]:
    """One of every object that holds a key."""
    key, prefix = made("aes256-gcm"), b"\x01abcd"
    streams = StreamKey.of(key, prefix)
    return [
        AesGcmKey(key, prefix),
        XAesGcmKey(key, prefix),
        HmacSha256Key(key, prefix),
        Ed25519Private(made("ed25519"), prefix),
        Ed25519Public(public("ed25519"), prefix),
        EcdsaP256Private(made("ecdsa-p256"), prefix),
        EcdsaP256Public(public("ecdsa-p256"), prefix),
        RsaPssPrivate(made("rsa-2048"), prefix),
        RsaPssPublic(public("rsa-2048"), prefix),
        HpkePrivate("x25519", made("x25519")),
        HpkePublic("x25519", public("x25519")),
        OaepPrivate(SecretBytes(made("rsa-2048").reveal()[1:])),
        JwePrivate(made("rsa-2048")),
        JwePublic(public("rsa-2048"), "07"),
        streams,
        (sealer := streams.seal(b"")),
        streams.open(sealer.header, b""),
    ]


@pytest.mark.parametrize("holder", holders(), ids=lambda holder: type(holder).__name__)
class TestHolders:
    def test_it_is_not_pickled_or_copied(self, holder: Opaque) -> None:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError):
                pickle.dumps(holder, protocol)
        for call in (copy.copy, copy.deepcopy, lambda it: it.__getstate__(), lambda it: it.__reduce__()):
            with pytest.raises(TypeError):
                call(holder)

    def test_it_shows_its_class_only(self, holder: Opaque) -> None:
        assert repr(holder) == str(holder) == f"<{type(holder).__name__}>"

    def test_it_has_slots_only(self, holder: Opaque) -> None:
        assert not hasattr(holder, "__dict__")


def test_every_class_that_holds_a_key_is_among_them() -> None:
    ours = {each for each in Opaque.__subclasses__() if each.__module__.startswith("strongroom.primitives")}
    assert {each for each in ours if "fernet" not in each.__module__} == {type(each) for each in holders()}


def test_the_rsa_sizes_are_said_once() -> None:
    assert tuple(material.RSA_BITS.values()) == rsa.SIZES
