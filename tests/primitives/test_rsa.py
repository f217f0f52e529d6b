"""RSA: what comes in is validated in full, what the seal vouched for is loaded fast, OAEP binds its label."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa as library
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import DecryptionError, FormatError, IntegrityError, PolicyError
from strongroom.primitives import rsa
from strongroom.primitives.secret import SecretBytes
from tests.primitives.frames import assert_tells_nothing, error_of
from tests.primitives.material_cases import RSA, crossed, made, public

KIND = "rsa-2048"
MERSENNE = 2**4253 - 1  # a prime


def der_of(numbers: Mapping[str, int]) -> bytes:
    """RSAPrivateKey (RFC 8017 appendix A.1.2) of any numbers whatever."""

    def element(tag: int, content: bytes) -> bytes:
        length = len(content)
        spelled = length.to_bytes((length.bit_length() + 7) // 8 or 1, "big")
        return bytes([tag]) + (spelled if length < 128 else bytes([0x80 | len(spelled)]) + spelled) + content

    order = ("n", "e", "d", "p", "q", "dmp1", "dmq1", "iqmp")
    integers = (0, *(numbers[each] for each in order))
    return element(0x30, b"".join(element(2, value.to_bytes(value.bit_length() // 8 + 1, "big")) for value in integers))


def numbers_of(kind: str) -> dict[str, int]:
    key = rsa.load_sealed(made(kind)).private_numbers()
    halves = {"n": key.public_numbers.n, "e": key.public_numbers.e}
    return halves | {each: getattr(key, each) for each in ("d", "p", "q", "dmp1", "dmq1", "iqmp")}


def unvalidated(numbers: Mapping[str, int]) -> object:
    return load_der_private_key(der_of(numbers), None, unsafe_skip_rsa_key_validation=True)


class TestMaterial:
    @pytest.mark.parametrize("kind", RSA)
    def test_it_is_one_byte_and_pkcs8(self, kind: str) -> None:
        material = made(kind).reveal()
        assert material[:1] == b"\x01"
        key = load_der_private_key(material[1:], None)  # validated here once more
        assert isinstance(key, library.RSAPrivateKey)
        assert key.key_size == int(kind.removeprefix("rsa-"))
        assert key.public_key().public_numbers().e == 65537
        assert key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public(kind)
        assert key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) == material[1:]

    @pytest.mark.parametrize("bits", [0, 1024, 2047, 3071, 8192, 65536])
    def test_other_sizes_are_not_made(self, bits: int) -> None:
        with pytest.raises(PolicyError):
            rsa.generate(bits)

    @pytest.mark.parametrize("first", [b"", b"\x00", b"\x02", b"\x30"])
    def test_only_what_says_it_was_validated_is_loaded_fast(self, first: bytes) -> None:
        for material in (first, first + made(KIND).reveal()[1:]):
            error = error_of(lambda material=material: rsa.load_sealed(SecretBytes(material)), IntegrityError)
            assert_tells_nothing(error, made(KIND).reveal()[1:])

    def test_another_key_is_not_loaded(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        other = Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(IntegrityError):
            rsa.load_sealed(SecretBytes(b"\x01" + other))

    def test_the_load_skips_the_validation(self) -> None:
        with pytest.raises(ValueError, match="Invalid private key"):
            load_der_private_key(crossed("rsa-3072").reveal()[1:], None)
        assert rsa.load_sealed(crossed("rsa-3072")).key_size == 3072


class TestValidation:
    def test_a_sound_key_is_taken_as_it_is(self) -> None:
        assert rsa.validated(unvalidated(numbers_of(KIND))) == made(KIND)
        assert rsa.validated(unvalidated(numbers_of(KIND)), bits=2048) == made(KIND)

    @pytest.mark.parametrize("spoiled", ["n", "d", "p", "q", "dmp1", "dmq1", "iqmp"])
    @pytest.mark.parametrize("by", [2, 2**500])
    def test_a_number_that_does_not_belong_is_found(self, spoiled: str, by: int) -> None:
        numbers = numbers_of(KIND)
        numbers[spoiled] ^= by
        error = error_of(lambda: rsa.validated(unvalidated(numbers)), FormatError)
        for secret in (numbers["d"], numbers["p"]):
            assert str(secret) not in str(error)

    def test_another_keys_halves_are_found(self) -> None:
        mixed = numbers_of(KIND)
        other = library.generate_private_key(65537, 2048).private_numbers()
        mixed |= {"d": other.d, "dmp1": other.dmp1, "dmq1": other.dmq1}
        with pytest.raises(FormatError):
            rsa.validated(unvalidated(mixed))

    def test_a_factor_that_is_not_prime_is_found(self) -> None:
        # all else belongs together: p times q is n, and d inverts e
        q = numbers_of(KIND)["q"]
        multiples_of_three = range(2**1024 - 1, 2**1023, -6)
        p = next(each for each in multiples_of_three if gcd(65537, each - 1) == gcd(each, q) == 1)
        d = pow(65537, -1, (p - 1) * (q - 1))
        crt = {"dmp1": d % (p - 1), "dmq1": d % (q - 1), "iqmp": pow(q, -1, p)}
        with pytest.raises(FormatError):
            rsa.validated(unvalidated({"n": p * q, "e": 65537, "d": d, "p": p, "q": q, **crt}))

    @pytest.mark.parametrize("bits", [1024, 2056])
    def test_other_sizes_are_refused(self, bits: int) -> None:
        with pytest.raises(PolicyError):
            rsa.validated(library.generate_private_key(65537, bits))

    def test_another_exponent_is_refused(self) -> None:
        with pytest.raises(PolicyError):
            rsa.validated(library.generate_private_key(3, 2048))

    def test_another_size_than_asked_for_is_refused_with_the_right_type(self) -> None:
        with pytest.raises(PolicyError) as caught:
            rsa.validated(rsa.load_sealed(made(KIND)), bits=3072)
        assert caught.value.hint == "strongroom import NAME --type rsa-2048"

    def test_what_is_no_rsa_key_is_refused(self) -> None:
        with pytest.raises(PolicyError):
            rsa.validated(object())

    def test_huge_primes_in_a_small_modulus_are_refused(self) -> None:
        # the test of a prime of 4,253 bits takes seconds; p times q is looked at first
        numbers = numbers_of(KIND) | {"p": MERSENNE, "q": MERSENNE}
        error_of(lambda: rsa.validated(unvalidated(numbers)), FormatError)


class TestPublicKeys:
    def test_a_sound_one_is_loaded(self) -> None:
        for kind in RSA:
            assert rsa.load_public(public(kind)).key_size == int(kind.removeprefix("rsa-"))
            assert rsa.public_der(rsa.load_sealed(made(kind))) == public(kind)

    @pytest.mark.parametrize(("exponent", "modulus"), [(65537, 2**1023 + 1), (3, 2**2047 + 1), (65537, 2**8192 + 1)])
    def test_a_weak_or_costly_one_is_refused(self, exponent: int, modulus: int) -> None:
        key = library.RSAPublicNumbers(exponent, modulus).public_key()
        with pytest.raises(PolicyError):
            rsa.load_public(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    @given(junk=st.binary(max_size=200))
    def test_junk_is_refused(self, junk: bytes) -> None:
        with pytest.raises(FormatError):
            rsa.load_public(junk)


PRIVATE = SecretBytes(made(KIND).reveal()[1:])


class TestOaep:
    @given(secret=st.binary(max_size=190), label=st.binary(max_size=100))
    @settings(max_examples=15)
    def test_what_is_wrapped_is_unwrapped(self, secret: bytes, label: bytes) -> None:
        sealed = rsa.oaep_wrap(public(KIND), SecretBytes(secret), label=label)
        assert rsa.oaep_unwrap(PRIVATE, sealed, label=label).reveal() == secret

    def test_it_is_oaep_with_sha_256(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
        from cryptography.hazmat.primitives.hashes import SHA256

        sealed = rsa.oaep_wrap(public(KIND), SecretBytes(b"secret"), label=b"here")
        assert rsa.load_sealed(made(KIND)).decrypt(sealed, OAEP(MGF1(SHA256()), SHA256(), b"here")) == b"secret"

    def test_another_label_key_or_bit_is_refused_with_the_same_words(self) -> None:
        secret = b"sixteen letters!"
        sealed = rsa.oaep_wrap(public(KIND), SecretBytes(secret), label=b"here")
        foreign = SecretBytes(made("rsa-3072").reveal()[1:])
        attempts = [
            (PRIVATE, sealed, b"there"),
            (PRIVATE, sealed, b""),
            (foreign, sealed, b"here"),
            (PRIVATE, b"", b"here"),
            (PRIVATE, sealed + b"\0", b"here"),
            *((PRIVATE, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], b"here") for at in (0, 100, 255)),
        ]
        errors = [
            error_of(lambda key=key, raw=raw, label=label: rsa.oaep_unwrap(key, raw, label=label), DecryptionError)
            for key, raw, label in attempts
        ]
        assert len({str(error) for error in errors}) == 1
        for error in errors:
            assert_tells_nothing(error, secret)
            assert_tells_nothing(error, PRIVATE.reveal())

    def test_keys_from_outside_are_validated(self) -> None:
        sealed = rsa.oaep_wrap(public(KIND), SecretBytes(b"x"), label=b"")
        for key in (SecretBytes(crossed(KIND).reveal()[1:]), SecretBytes(b""), SecretBytes(b"junk")):
            with pytest.raises(DecryptionError):
                rsa.oaep_unwrap(key, sealed, label=b"")

    def test_what_is_too_long_is_refused(self) -> None:
        secret = bytes(range(191))
        assert_tells_nothing(
            error_of(lambda: rsa.oaep_wrap(public(KIND), SecretBytes(secret), label=b""), PolicyError), secret
        )
