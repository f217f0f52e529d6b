"""What an encrypted key may ask of its passphrase: openssl's own forms pass, costs beyond the caps are never paid."""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import FormatError, PassphraseError, PolicyError, StrongroomError
from strongroom.primitives.importing import Recognised, check_import, looks_like_private_key, recognise
from strongroom.primitives.pkcs8 import MAX_ITERATIONS, check_cost
from strongroom.primitives.secret import SecretBytes
from tests.support.called import DERIVING, called

WORD = SecretBytes(b"correct")
SEED = SecretBytes(bytes.fromhex("ba32ce4b58569d5e506c82f91ae7d228646040d1ac95d7ef6c2d47ddf5150a26"))
# one Ed25519 test key, written by openssl 3.0: pkcs8 -topk8 -scrypt, -v1 PBE-SHA1-3DES, -v2prf hmacWithSHA512
WRITTEN = {
    "scrypt": (
        "MIGTME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAg13mSYRP1REQICBAACAQgCAQEwHQYJYIZIAWUDBAEqBBDG1KJ9oCflEBznonO3"
        "h3yaBEBklmR8/IpsMHr+ruYDPQQhJuSiWDZZX8QES69J6c/qLuoucNLw0VZIFJy9EbcQUdTNlz/eDImLPrf6KcSZiD/1"
    ),
    "PKCS#12 PBE": (
        "MFgwHAYKKoZIhvcNAQwBAzAOBAhJ+AhtYSkIxQICCAAEOMCMR2eDNnkeRjSiy4ZUds0b9j5SGbEAWffSdZH6HCjKdhd7wk0NMe9v2ye1NenH"
        "6VYQwQUCEpAK"
    ),
    "PBKDF2": (
        "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjFwFJUxJWKRAICC7gwDAYIKoZIhvcNAgsFADAdBglghkgBZQMEASoEEFeNYon1"
        "kpIm0jxnDMjxz2wEQEpTgI6mtYxeYKHag/hWeGSPWbuCTX6ped6G8t9CMAkk3iNOOnj5hXdyXY6Tle6bUfaOqoujedvN+5sAONnqj18="
    ),
}
every_form = pytest.mark.parametrize("form", list(WRITTEN))

PBES2, PBKDF2, SCRYPT = "2a864886f70d01050d", "2a864886f70d01050c", "2b06010401da47040b"
PBE_SHA1_3DES, PBE_MD5_DES, AES = "2a864886f70d010c0103", "2a864886f70d010503", "60864801650304012a"


def element(tag: int, *content: bytes) -> bytes:
    joined = b"".join(content)
    length = len(joined)
    spelled = length.to_bytes((length.bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (spelled if length < 128 else bytes([0x80 | len(spelled)]) + spelled) + joined


def sequence(*content: bytes) -> bytes:
    return element(0x30, *content)


def number(value: int) -> bytes:
    return element(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def algorithm(oid: str, *parameters: bytes) -> bytes:
    return sequence(element(6, bytes.fromhex(oid)), sequence(*parameters))


def encrypted(scheme: bytes) -> bytes:
    return sequence(scheme, element(4, bytes(64)))


def pbes2(derivation: bytes) -> bytes:
    cipher = sequence(element(6, bytes.fromhex(AES)), element(4, bytes(16)))
    return encrypted(algorithm(PBES2, derivation, cipher))


def pbkdf2(iterations: int) -> bytes:
    return pbes2(algorithm(PBKDF2, element(4, bytes(8)), number(iterations)))


SCHEME = algorithm(PBE_SHA1_3DES, element(4, bytes(8)), number(1))


def scrypt(n: int, r: int, p: int) -> bytes:
    return pbes2(algorithm(SCRYPT, element(4, bytes(8)), number(n), number(r), number(p)))


def pbes1(oid: str, iterations: int) -> bytes:
    return encrypted(algorithm(oid, element(4, bytes(8)), number(iterations)))


@every_form
class TestOpensslsForms:
    def test_each_is_read(self, form: str) -> None:
        der = b64decode(WRITTEN[form])
        check_cost(der)
        with called() as names:
            assert recognise(SecretBytes(der), passphrase=WORD) == Recognised("ed25519", SEED)
        assert not DERIVING.isdisjoint(names)

    def test_a_wrong_passphrase_is_one_thing_in_all(self, form: str) -> None:
        for word in (SecretBytes(b"wrong"), SecretBytes(b""), SecretBytes(b"\xff"), None):
            with pytest.raises(PassphraseError):
                recognise(SecretBytes(b64decode(WRITTEN[form])), passphrase=word)

    def test_damage_is_an_error_of_ours(self, form: str) -> None:
        der = b64decode(WRITTEN[form])
        for at in range(len(der)):
            for changed in (der[:at], der[:at] + bytes([der[at] ^ 1 << at % 8]) + der[at + 1 :]):
                try:
                    taken = recognise(SecretBytes(changed), passphrase=WORD)
                except StrongroomError:
                    continue
                # CBC is not authenticated: a flipped bit may pass for another seed, never for another kind of thing
                assert (taken.kind, len(taken.material)) == ("ed25519", 32)


class TestCosts:
    @pytest.mark.parametrize(
        "der",
        [
            pbkdf2(MAX_ITERATIONS + 1),
            pbkdf2(2**31),
            pbkdf2(2**62),
            pbkdf2(2**200),
            pbes1(PBE_SHA1_3DES, MAX_ITERATIONS + 1),
            pbes1(PBE_MD5_DES, 2**31),
            scrypt(2**20, 16, 1),
            scrypt(2**14, 8, 65),
            scrypt(2, 1, 2**30),
            scrypt(2**62, 2**62, 2**62),
            pbes2(algorithm(SCRYPT, element(4, bytes(8)), element(2, b"\xff"), number(8), number(1))),
        ],
        ids=range(11),
    )
    def test_too_much_is_refused_and_not_paid(self, der: bytes) -> None:
        with called() as names, pytest.raises(PolicyError):
            recognise(SecretBytes(der), passphrase=WORD)
        assert DERIVING.isdisjoint(names)

    @pytest.mark.parametrize(
        "der", [pbkdf2(1), pbkdf2(MAX_ITERATIONS), scrypt(2**20, 8, 1), pbes1(PBE_SHA1_3DES, 2048)]
    )
    def test_the_bounds_themselves_pass(self, der: bytes) -> None:
        check_cost(der)

    @pytest.mark.parametrize(
        "der",
        [
            encrypted(algorithm("2a0304", element(4, bytes(8)), number(1))),
            encrypted(algorithm(PBKDF2, element(4, bytes(8)), number(1))),
            pbes2(algorithm("2a0304", element(4, bytes(8)), number(1))),
            pbes2(algorithm(PBE_SHA1_3DES, element(4, bytes(8)), number(1))),
            pbes2(algorithm(PBES2, element(4, bytes(8)), number(1))),
        ],
        ids=["foreign", "derivation", "foreign derivation", "scheme inside", "itself inside"],
    )
    def test_other_schemes_are_refused(self, der: bytes) -> None:
        with pytest.raises(PolicyError):
            check_cost(der)

    @pytest.mark.parametrize(
        "der",
        [
            b"",
            b"\x30",
            sequence(),
            pbkdf2(1) + b"\0",
            sequence(SCHEME, element(4, bytes(64)), b"\0"),
            sequence(algorithm(PBES2), element(4, bytes(64))),
            b"\x30\x80" + pbkdf2(1)[2:] + b"\0\0",
            b"\x30\x81\x05" + bytes(5),
            b"\x30\x85\0\0\0\0\x05" + bytes(5),
            pbes2(algorithm(PBKDF2, number(7), number(1))),
            pbes2(algorithm(PBKDF2, element(4, bytes(8)))),
        ],
        ids=range(11),
    )
    def test_another_shape_is_refused(self, der: bytes) -> None:
        with pytest.raises(FormatError):
            check_cost(der)

    @pytest.mark.parametrize("size", [8, 64, 128 - len(SCHEME) - 2, 300])
    def test_a_length_has_one_spelling(self, size: int) -> None:
        body = SCHEME + element(4, bytes(size))
        check_cost(sequence(body))
        length = len(body)
        spellings = [
            bytes([0x80 | count]) + length.to_bytes(count, "big") for count in (1, 2, 3, 4, 5) if length < 256**count
        ]
        shortest = sequence(body)[1 : -len(body)]
        others = [spelled for spelled in spellings if spelled != shortest]
        assert len(others) >= 3
        for spelled in (*others, b"\x80"):  # the last: X.690's indefinite length, or 128 in one byte
            with pytest.raises(FormatError):
                check_cost(b"\x30" + spelled + body)

    @given(junk=st.binary(max_size=200))
    def test_junk_is_refused_by_an_error_of_ours(self, junk: bytes) -> None:
        for der in (junk, encrypted(junk), pbes2(junk), sequence(junk)):
            with pytest.raises((FormatError, PolicyError)):
                check_cost(der)


class TestOutlines:
    """A raw key is not taken for a file because its first bytes happen to look like one."""

    @pytest.mark.parametrize(
        "start",
        [
            "303e020105",
            "303e0202",
            "303e0301",
            "313e020100",
            "303d020100",
            "303f020100",
            "303e31040602000004",
            "303e3006040200000400",
        ],
    )
    def test_an_hmac_key_that_begins_much_like_der_is_a_key(self, start: str) -> None:
        opening = bytes.fromhex(start)
        raw = SecretBytes(opening + bytes(range(64 - len(opening))))
        assert not looks_like_private_key(raw)
        assert check_import("hmac-sha256", raw) == raw

    def test_an_algorithm_with_no_octets_behind_it_is_no_encrypted_key(self) -> None:
        for behind, seen in ((element(4, bytes(50)), True), (element(5, bytes(50)), False), (b"", False)):
            assert looks_like_private_key(SecretBytes(sequence(SCHEME, behind))) == seen

    def test_what_has_the_whole_outline_is_a_file_and_is_refused_as_one(self) -> None:
        for opening in (b"\x30\x3e\x02\x01\x00", b"\x30\x3e\x02\x01\x03"):
            raw = SecretBytes(opening + bytes(range(59)))
            assert looks_like_private_key(raw)
            with pytest.raises(FormatError):
                check_import("hmac-sha256", raw)
