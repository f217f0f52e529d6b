"""What `import` takes: keys as openssl writes them, raw keys, their text, and nothing that is not meant."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
import traceback
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.called import DERIVING, called

from strongroom.errors import (
    FormatError,
    NotFoundError,
    PassphraseError,
    PolicyError,
    SettingsError,
    StoreError,
    StrongroomError,
)
from strongroom.keystore.importing import MAX_SOURCE, Checked, checked, read_source
from strongroom.model.types import KeyType
from strongroom.primitives.secret import SecretBytes

pytestmark = pytest.mark.machine  # openssl and ssh-keygen make the keys

PASSPHRASE = SecretBytes(b"of the file")
RAW = bytes(range(7, 39))
SYMMETRIC = (KeyType.FERNET, KeyType.AES256_GCM, KeyType.XAES256_GCM, KeyType.HMAC_SHA256)
RAW_KINDS = (*SYMMETRIC, KeyType.ED25519, KeyType.ECDSA_P256, KeyType.X25519, KeyType.MLKEM768_X25519)
RSA_KINDS = {2048: KeyType.RSA_2048, 3072: KeyType.RSA_3072, 4096: KeyType.RSA_4096}


def openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=True, timeout=120)
    return done.stdout


def taken(raw: bytes, kind: KeyType | None = None, passphrase: SecretBytes | None = None) -> Checked:
    return checked(SecretBytes(raw), kind, passphrase=passphrase)


@pytest.fixture(scope="module")
def rsa_pem() -> bytes:
    return openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")


@pytest.fixture(scope="module")
def p256_pem() -> bytes:
    return openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


@pytest.fixture(scope="module")
def ed25519_pem() -> bytes:
    return openssl("genpkey", "-algorithm", "ed25519")


def pkcs8_of(pem: bytes) -> bytes:
    key = load_pem_private_key(pem, None)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


class TestKeysThatSayTheirType:
    @pytest.mark.parametrize("bits", [2048, 3072, pytest.param(4096, marks=pytest.mark.slow)])
    def test_rsa_by_its_size(self, bits: int) -> None:
        pem = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}")
        found = taken(pem)
        assert found.kind is RSA_KINDS[bits]
        assert found.material.reveal() == b"\x01" + pkcs8_of(pem)
        assert taken(pem, found.kind) == found

    def test_rsa_in_every_form(self, rsa_pem: bytes) -> None:
        wanted = b"\x01" + pkcs8_of(rsa_pem)
        traditional = openssl("rsa", "-traditional", stdin=rsa_pem)
        assert traditional.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
        forms = [
            rsa_pem,
            rsa_pem.replace(b"\n", b"\r\n"),
            b"Bag Attributes\n    friendlyName: x\n" + rsa_pem + b"\nafterwards\n",
            traditional,
            pkcs8_of(rsa_pem),
            openssl("rsa", "-traditional", "-outform", "DER", stdin=rsa_pem),
        ]
        assert {taken(form).material.reveal() for form in forms} == {wanted}
        assert {taken(form).kind for form in forms} == {KeyType.RSA_2048}

    def test_p256_in_every_form(self, p256_pem: bytes) -> None:
        key = load_pem_private_key(p256_pem, None)
        assert isinstance(key, EllipticCurvePrivateKey)
        scalar = key.private_numbers().private_value.to_bytes(32, "big")
        sec1 = openssl("ec", stdin=p256_pem)
        with_parameters = openssl("ecparam", "-name", "prime256v1") + sec1
        assert b"BEGIN EC PARAMETERS" in with_parameters
        assert b"BEGIN EC PRIVATE KEY" in sec1
        for form in (p256_pem, sec1, with_parameters, pkcs8_of(p256_pem), openssl("ec", "-outform", "DER", stdin=sec1)):
            found = taken(form)
            assert (found.kind, found.material.reveal()) == (KeyType.ECDSA_P256, scalar)

    def test_the_curves_of_bernstein(self, ed25519_pem: bytes) -> None:
        signing = load_pem_private_key(ed25519_pem, None)
        assert isinstance(signing, Ed25519PrivateKey)
        assert taken(ed25519_pem) == Checked(kind=KeyType.ED25519, material=SecretBytes(signing.private_bytes_raw()))
        pem = openssl("genpkey", "-algorithm", "x25519")
        agreeing = load_pem_private_key(pem, None)
        assert isinstance(agreeing, X25519PrivateKey)
        assert taken(pkcs8_of(pem)) == Checked(kind=KeyType.X25519, material=SecretBytes(agreeing.private_bytes_raw()))

    def test_another_type_than_was_said_is_refused(self, rsa_pem: bytes, ed25519_pem: bytes) -> None:
        for pem, wrong in (
            (rsa_pem, KeyType.RSA_3072),
            (rsa_pem, KeyType.ED25519),
            (rsa_pem, KeyType.FERNET),
            (ed25519_pem, KeyType.X25519),
            (ed25519_pem, KeyType.HMAC_SHA256),
        ):
            with pytest.raises(PolicyError) as caught:
                taken(pem, wrong)
            assert wrong.value in str(caught.value) or "bits" in str(caught.value)
            assert "--type" in caught.value.hint


class TestEncryptedKeys:
    @pytest.mark.parametrize(
        "how",
        [
            ("-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512", "-iter", "3000"),
            ("-v2", "aes-128-cbc"),
            ("-scrypt",),
            ("-v1", "PBE-SHA1-3DES"),
        ],
        ids=["pbkdf2-sha512", "pbkdf2", "scrypt", "pkcs12"],
    )
    @pytest.mark.parametrize("form", ["PEM", "DER"])
    def test_pkcs8_opens_with_its_passphrase_only(self, rsa_pem: bytes, how: tuple[str, ...], form: str) -> None:
        sealed = openssl("pkcs8", "-topk8", *how, "-outform", form, "-passout", "pass:of the file", stdin=rsa_pem)
        assert taken(sealed, passphrase=PASSPHRASE).material.reveal() == b"\x01" + pkcs8_of(rsa_pem)
        with pytest.raises(PassphraseError) as missing:
            taken(sealed)
        assert "--key-passphrase" in missing.value.hint
        for wrong in (b"of the filE", b""):
            with pytest.raises(PassphraseError):
                taken(sealed, passphrase=SecretBytes(wrong))

    def test_the_traditional_encryption(self, rsa_pem: bytes) -> None:
        sealed = openssl("rsa", "-traditional", "-aes256", "-passout", "pass:of the file", stdin=rsa_pem)
        assert b"DEK-Info: AES-256-CBC" in sealed
        assert taken(sealed, passphrase=PASSPHRASE).material.reveal() == b"\x01" + pkcs8_of(rsa_pem)
        with pytest.raises(PassphraseError):
            taken(sealed)
        with pytest.raises(PassphraseError):
            taken(sealed, passphrase=SecretBytes(b"another"))

    def test_a_passphrase_that_nothing_wants_is_refused(self, rsa_pem: bytes) -> None:
        for raw, kind in ((rsa_pem, None), (pkcs8_of(rsa_pem), None), (RAW, KeyType.FERNET), (b"x", KeyType.SECRET)):
            with pytest.raises(PassphraseError):
                taken(raw, kind, PASSPHRASE)

    @pytest.mark.slow  # openssl pays for them, and so do we
    def test_ten_million_iterations_are_tried_and_one_more_is_not(self, ed25519_pem: bytes) -> None:
        sealed = openssl(
            "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-iter", "10000001", "-outform", "DER",
            "-passout", "pass:of the file", stdin=ed25519_pem,
        )  # fmt: skip
        count = (10_000_001).to_bytes(3, "big")
        assert sealed.count(b"\x02\x04\x00" + count) == 1
        allowed = sealed.replace(b"\x02\x04\x00" + count, b"\x02\x04\x00" + (10_000_000).to_bytes(3, "big"))
        with called() as names, pytest.raises(PolicyError, match="10000001"):
            taken(sealed, passphrase=PASSPHRASE)
        assert DERIVING.isdisjoint(names)
        with pytest.raises(PassphraseError):  # derived, with one iteration less than it was made with
            taken(allowed, passphrase=PASSPHRASE)

    @pytest.mark.parametrize("cost", [(1 << 21, 8, 1), (1 << 14, 1 << 20, 1), (1 << 20, 8, 2), (1 << 40, 8, 1)])
    def test_scrypt_is_bounded_by_memory_and_time(self, ed25519_pem: bytes, cost: tuple[int, int, int]) -> None:
        sealed = openssl(
            "pkcs8", "-topk8", "-scrypt", "-outform", "DER", "-passout", "pass:of the file", stdin=ed25519_pem
        )
        usual = integer(1 << 14) + integer(8) + integer(1)
        assert sealed.count(usual) == 1
        with called() as names, pytest.raises(PolicyError):
            taken(regrown(sealed, usual, b"".join(map(integer, cost))), passphrase=PASSPHRASE)
        assert DERIVING.isdisjoint(names)

    @pytest.mark.parametrize("count", [10_000_001, 1 << 62])
    def test_iterations_are_bounded(self, ed25519_pem: bytes, count: int) -> None:
        for how in (("-v2", "aes-256-cbc"), ("-v1", "PBE-SHA1-3DES")):
            sealed = openssl(
                "pkcs8", "-topk8", *how, "-iter", "4096", "-outform", "DER", "-passout", "pass:of the file",
                stdin=ed25519_pem,
            )  # fmt: skip
            assert sealed.count(integer(4096)) == 1
            assert taken(sealed, passphrase=PASSPHRASE).kind is KeyType.ED25519
            with called() as names, pytest.raises(PolicyError):
                taken(regrown(sealed, integer(4096), integer(count)), passphrase=PASSPHRASE)
            assert DERIVING.isdisjoint(names)

    def test_parameters_that_are_no_positive_numbers(self, ed25519_pem: bytes) -> None:
        sealed = openssl(
            "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-iter", "4096", "-outform", "DER",
            "-passout", "pass:of the file", stdin=ed25519_pem,
        )  # fmt: skip
        usual = integer(4096)
        assert sealed.count(usual) == 1
        for other in (b"\x02\x02\xff\xff", b"\x02\x00", b"\x04\x02\x10\x00", b"\x02\x09" + b"\x7f" * 9):
            with pytest.raises((PolicyError, FormatError, PassphraseError)):
                taken(regrown(sealed, usual, other), passphrase=PASSPHRASE)


def integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return bytes([0x02, len(content)]) + content


def regrown(der: bytes, old: bytes, new: bytes) -> bytes:
    """The same DER with `old` replaced: the lengths of the sequences around it are written anew."""

    def visit(raw: bytes) -> bytes:
        if raw == old:
            return new
        out, at = b"", 0
        while at < len(raw):
            if raw.startswith(old, at):
                out += new
                at += len(old)
                continue
            tag, length, start = raw[at], raw[at + 1], at + 2
            if length > 0x7F:
                width = length & 0x7F
                length = int.from_bytes(raw[start : start + width], "big")
                start += width
            content = raw[start : start + length]
            at = start + length
            content = visit(content) if tag == 0x30 else content
            head = bytes([len(content)])
            if len(content) > 0x7F:
                size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
                head = bytes([0x80 | len(size)]) + size
            out += bytes([tag]) + head + content
        return out

    return visit(der)


class TestWhatIsNotTaken:
    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"), "secp384r1"),
            (("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"), "secp256k1"),
            (("genpkey", "-algorithm", "ed448"), "Ed448"),
            (("genpkey", "-algorithm", "x448"), "X448"),
            (("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"), "1024"),
            (("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2056"), "2056"),
            (
                ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3"),
                "exponent 3",
            ),
        ],
    )
    def test_other_curves_sizes_and_exponents(self, arguments: tuple[str, ...], word: str) -> None:
        with pytest.raises(PolicyError) as caught:
            taken(openssl(*arguments))
        assert word in str(caught.value)

    def test_dsa(self, tmp_path: Path) -> None:
        parameters = tmp_path / "dsa.pem"
        parameters.write_bytes(openssl("dsaparam", "2048"))
        pem = openssl("genpkey", "-paramfile", str(parameters))
        traditional = openssl("dsa", stdin=pem)
        assert b"BEGIN PRIVATE KEY" in pem
        for raw in (pem, traditional):
            with pytest.raises((PolicyError, FormatError)):
                taken(raw)

    def test_public_keys(self, rsa_pem: bytes) -> None:
        public = openssl("pkey", "-pubout", stdin=rsa_pem)
        for raw in (public, openssl("rsa", "-pubin", "-RSAPublicKey_out", stdin=public)):
            with pytest.raises(FormatError, match="holds a public key"):
                taken(raw)
        with pytest.raises(StrongroomError):
            taken(openssl("pkey", "-pubin", "-outform", "DER", stdin=public), KeyType.RSA_2048)

    def test_certificates(self, rsa_pem: bytes, tmp_path: Path) -> None:
        key = tmp_path / "key.pem"
        key.write_bytes(rsa_pem)
        certificate = openssl("req", "-x509", "-key", str(key), "-subj", "/CN=example.org", "-days", "1")
        assert x509.load_pem_x509_certificate(certificate)
        for raw in (certificate, certificate + rsa_pem, rsa_pem + certificate):
            with pytest.raises(FormatError, match="certificate"):
                taken(raw)

    def test_openssh_keys_name_the_command_that_helps(self, tmp_path: Path) -> None:
        path = tmp_path / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", path], check=True, timeout=60)
        with pytest.raises(FormatError) as caught:
            taken(path.read_bytes())
        assert "ssh-keygen -p -m PKCS8" in caught.value.hint
        subprocess.run(
            ["ssh-keygen", "-p", "-m", "PKCS8", "-q", "-N", "", "-P", "", "-f", path], check=True, timeout=60,
            capture_output=True,
        )  # fmt: skip
        assert taken(path.read_bytes()).kind is KeyType.RSA_2048

    def test_two_keys_in_one_file(self, rsa_pem: bytes, ed25519_pem: bytes) -> None:
        for raw in (rsa_pem + ed25519_pem, ed25519_pem + ed25519_pem):
            with pytest.raises(FormatError):
                taken(raw)

    def test_pem_that_is_cut_or_garbled(self, rsa_pem: bytes) -> None:
        lines = rsa_pem.splitlines(keepends=True)
        for raw in (
            b"".join(lines[:-1]),
            b"".join(lines[:5] + lines[6:]),
            rsa_pem.replace(b"\n", b"\n!", 3),
            lines[0] + lines[-1],
            rsa_pem.replace(b"END PRIVATE", b"END RSA PRIVATE"),
            b"-----BEGIN NOTHING-----\nAAAA\n-----END NOTHING-----\n",
        ):
            with pytest.raises(FormatError):
                taken(raw)

    @pytest.mark.parametrize("number", ["n", "d", "p", "dmp1", "iqmp"])
    def test_rsa_numbers_that_do_not_belong_together(self, number: str) -> None:
        one, other = (load_pem_private_key(openssl("genrsa", "2048"), None) for _ in range(2))
        assert isinstance(one, RSAPrivateKey)
        assert isinstance(other, RSAPrivateKey)
        mixed = {"n": one.public_key().public_numbers().n, "e": 65537}
        swapped = {"n": other.public_key().public_numbers().n}
        for name in ("d", "p", "q", "dmp1", "dmq1", "iqmp"):
            mixed[name] = getattr(one.private_numbers(), name)
            swapped[name] = getattr(other.private_numbers(), name)
        mixed[number] = swapped[number]
        body = b"".join(
            long_integer(value)
            for value in (0, *(mixed[name] for name in ("n", "e", "d", "p", "q", "dmp1", "dmq1", "iqmp")))
        )
        der = b"\x30\x82" + len(body).to_bytes(2, "big") + body
        load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)  # well formed, that is
        for raw in (der, b"-----BEGIN RSA PRIVATE KEY-----\n" + b64encode(der) + b"\n-----END RSA PRIVATE KEY-----\n"):
            with pytest.raises(FormatError):
                taken(raw)

    def test_a_huge_rsa_key_is_refused_by_its_size_at_once(self) -> None:
        body = b"".join(
            long_integer(value) for value in (0, (1 << 16383) + 1, 65537, *((1 << 8191) + 1 for _ in range(6)))
        )
        der = b"\x30\x82" + len(body).to_bytes(2, "big") + body
        with pytest.raises((PolicyError, FormatError)):  # its validation takes minutes
            taken(der)

    def test_a_p256_key_whose_public_half_is_another_s(self, p256_pem: bytes) -> None:
        other = load_pem_private_key(openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout"), None)
        key = load_pem_private_key(p256_pem, None)
        assert isinstance(other, EllipticCurvePrivateKey)
        assert isinstance(key, EllipticCurvePrivateKey)
        halves = [
            each.public_key().public_numbers().x.to_bytes(32, "big")
            + each.public_key().public_numbers().y.to_bytes(32, "big")
            for each in (key, other)
        ]
        der = pkcs8_of(p256_pem)
        assert der.count(halves[0]) == 1
        with pytest.raises(FormatError):
            taken(der.replace(*halves))


def long_integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "big")
    if len(content) < 0x80:
        return bytes([0x02, len(content)]) + content
    if len(content) < 0x100:
        return bytes([0x02, 0x81, len(content)]) + content
    return b"\x02\x82" + len(content).to_bytes(2, "big") + content


class TestRawKeys:
    @pytest.mark.parametrize("kind", RAW_KINDS, ids=lambda kind: kind.value)
    def test_raw_and_base64_give_the_same_key(self, kind: KeyType) -> None:
        raw = b"\x3e\xff\xfb" + RAW[3:]  # both alphabets differ here
        text, url = b64encode(raw), urlsafe_b64encode(raw)
        assert text != url
        for form in (raw, text, url, text.rstrip(b"="), url.rstrip(b"="), text + b"\n", url + b"\r\n"):
            assert taken(form, kind) == Checked(kind=kind, material=SecretBytes(raw))

    def test_a_fernet_key_as_the_library_writes_it(self) -> None:
        text = Fernet.generate_key()
        found = taken(text + b"\n", KeyType.FERNET)
        token = Fernet(text).encrypt(b"a row")
        assert Fernet(urlsafe_b64encode(found.material.reveal())).decrypt(token) == b"a row"

    @pytest.mark.parametrize("kind", RAW_KINDS, ids=lambda kind: kind.value)
    def test_other_texts_are_refused(self, kind: KeyType) -> None:
        text = urlsafe_b64encode(b"\xfb\xff\xfe" + RAW[3:])
        assert b"-" in text
        assert b"_" in text
        last = bytes([text[-2] + 1]) + b"="
        for wrong in (
            text.replace(b"-", b"+"),  # two alphabets in one text
            text[:-2] + last,  # a stray bit behind the last byte: a second spelling
            text[:-1] + b"==",
            b"=" + text,
            text[:20] + b" " + text[20:],
        ):
            if kind is KeyType.HMAC_SHA256:
                assert taken(wrong, kind).material.reveal() == wrong  # other lengths are taken as they are
            else:
                with pytest.raises(FormatError):
                    taken(wrong, kind)

    @pytest.mark.parametrize(
        "kind", [kind for kind in RAW_KINDS if kind is not KeyType.HMAC_SHA256], ids=lambda kind: kind.value
    )
    @pytest.mark.parametrize("length", [1, 16, 31, 33, 64])
    def test_other_lengths_are_refused(self, kind: KeyType, length: int) -> None:
        with pytest.raises(FormatError):
            taken(bytes(range(length)), kind)

    def test_hmac_keys_have_sixteen_to_a_hundred_and_twenty_eight_bytes(self) -> None:
        for length in (16, 20, 64, 128):
            assert taken(bytes(range(length)), KeyType.HMAC_SHA256).material.reveal() == bytes(range(length))
        for length in (1, 15, 129):
            with pytest.raises(FormatError):
                taken(bytes(range(length)), KeyType.HMAC_SHA256)

    def test_the_newline_of_an_editor_does_not_get_into_an_hmac_key(self) -> None:
        for raw in (b"correct horse battery\n", b"correct horse battery\r\n", b"thirty-one characters and a NL.\n"):
            with pytest.raises(FormatError):
                taken(raw, KeyType.HMAC_SHA256)

    @pytest.mark.parametrize("kind", RAW_KINDS, ids=lambda kind: kind.value)
    def test_a_placeholder_is_no_key(self, kind: KeyType) -> None:
        for byte in (b"\0", b"x", b"\xff"):
            with pytest.raises((PolicyError, FormatError)):
                taken(byte * 32, kind)

    def test_a_scalar_beyond_the_order_is_no_p256_key(self) -> None:
        with pytest.raises(FormatError):
            taken(b"\xff" * 31 + b"\xfe", KeyType.ECDSA_P256)

    @pytest.mark.parametrize("kind", RSA_KINDS.values(), ids=lambda kind: kind.value)
    def test_rsa_has_no_raw_form(self, kind: KeyType) -> None:
        for raw in (RAW, b64encode(RAW), b"\x01" + bytes(2000)):
            with pytest.raises((FormatError, PolicyError)):
                taken(raw, kind)

    def test_raw_bytes_do_not_say_their_type(self) -> None:
        for raw in (RAW, Fernet.generate_key(), b"password", bytes(64)):
            with pytest.raises(SettingsError) as caught:
                taken(raw)
            assert "--type" in caught.value.hint


class TestSecrets:
    @pytest.mark.parametrize(
        "raw", [b"x", b"with a newline\n", b"\0\xff", bytes(MAX_SOURCE), b"-----BEGIN PRIVATE KEY-----"]
    )
    def test_any_bytes_are_taken_as_they_are(self, raw: bytes) -> None:
        assert taken(raw, KeyType.SECRET) == Checked(kind=KeyType.SECRET, material=SecretBytes(raw))

    def test_a_private_key_may_be_a_secret(self, rsa_pem: bytes) -> None:
        assert taken(rsa_pem, KeyType.SECRET).material.reveal() == rsa_pem

    @pytest.mark.parametrize("length", [0, MAX_SOURCE + 1])
    @pytest.mark.parametrize("kind", [KeyType.SECRET, KeyType.FERNET, KeyType.RSA_2048, None])
    def test_nothing_and_too_much_are_refused(self, kind: KeyType | None, length: int) -> None:
        with pytest.raises(FormatError):
            taken(bytes(length), kind)


class TestHostileBytes:
    @settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_only_errors_of_ours_and_none_of_the_bytes(
        self, data: st.DataObject, ed25519_pem: bytes, p256_pem: bytes
    ) -> None:
        seeds = [ed25519_pem, p256_pem, pkcs8_of(ed25519_pem), pkcs8_of(p256_pem), b64encode(RAW)]
        kind = data.draw(st.sampled_from([None, *(each for each in KeyType if each not in RSA_KINDS.values())]))
        raw = bytearray(data.draw(st.one_of(st.sampled_from(seeds), st.binary(max_size=200))))
        for _ in range(data.draw(st.integers(0, 3))):
            if raw:
                raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
        passphrase = data.draw(st.sampled_from([None, PASSPHRASE]))
        try:
            found = taken(bytes(raw), kind, passphrase)
        except StrongroomError as error:
            shown = "".join(traceback.format_exception(error)) + error.hint
            for at in range(len(raw) - 12):
                piece = bytes(raw[at : at + 12])
                if not b"-----BEGIN PRIVATE KEY----- a certificate".count(piece):
                    assert repr(piece)[2:-1] not in shown
        else:
            assert kind in {None, found.kind}

    def test_no_frame_of_an_error_holds_the_bytes(self, rsa_pem: bytes) -> None:
        marker = b"MARKER-OF-THE-MATERIAL-0123456789"
        sealed = openssl("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:y", stdin=rsa_pem)
        cases = [
            (marker, KeyType.FERNET, None),
            (marker + b"\n", KeyType.HMAC_SHA256, None),
            (marker, None, None),
            (b"-----BEGIN PRIVATE KEY-----\n" + marker, None, None),
            (b"-----BEGIN PRIVATE KEY-----\n" + b64encode(marker) + b"\n-----END PRIVATE KEY-----\n", None, None),
            (b"\x30" + bytes([len(marker) + 3]) + b"\x02\x01\x00" + marker, None, None),
            (sealed, None, SecretBytes(marker)),
        ]
        for raw, kind, passphrase in cases:
            given = SecretBytes(raw)
            with pytest.raises(StrongroomError) as caught:
                checked(given, kind, passphrase=passphrase)
            frame = caught.value.__traceback__
            while frame is not None:
                if frame.tb_frame.f_code.co_filename != __file__:
                    shown = repr(frame.tb_frame.f_locals)
                    assert "MARKER" not in shown
                    assert b64encode(marker).decode()[:20] not in shown
                frame = frame.tb_next

    def test_what_was_checked_does_not_show_itself(self) -> None:
        assert repr(taken(RAW, KeyType.FERNET)) == (
            "Checked(kind=<KeyType.FERNET: 'fernet'>, material=<32 secret bytes>)"
        )


class TestReading:
    def test_a_file_a_link_and_the_stream(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.write_bytes(b"content\n")
        link = tmp_path / "link"
        link.symlink_to(path)
        nothing = io.BytesIO(b"the stream")
        assert read_source(path, nothing).reveal() == read_source(link, nothing).reveal() == b"content\n"
        assert nothing.tell() == 0
        assert read_source(None, nothing).reveal() == b"the stream"

    def test_a_pipe_is_read_to_its_end(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)

        def write() -> None:
            with path.open("wb", buffering=0) as pipe:
                for part in (b"one", b"two", b"three"):
                    pipe.write(part)
                    time.sleep(0.02)

        writer = threading.Thread(target=write)
        writer.start()
        assert read_source(path, io.BytesIO()).reveal() == b"onetwothree"
        writer.join()

    def test_an_unbuffered_stream_is_read_to_its_end(self) -> None:
        read, write = os.pipe()
        with os.fdopen(write, "wb", buffering=0) as pipe:
            pipe.write(b"one")
            with os.fdopen(read, "rb", buffering=0) as stream:
                timer = threading.Timer(0.05, lambda: (pipe.write(b"two"), pipe.close()))
                timer.start()
                assert read_source(None, stream).reveal() == b"onetwo"  # type: ignore[arg-type]  # a raw stream, as -u
                timer.join()

    def test_the_limit(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.write_bytes(bytes(MAX_SOURCE))
        assert len(read_source(path, io.BytesIO())) == MAX_SOURCE
        path.write_bytes(bytes(MAX_SOURCE + 1))
        with pytest.raises(FormatError, match="65536"):
            read_source(path, io.BytesIO())
        with pytest.raises(FormatError, match="65536"):
            read_source(None, io.BytesIO(bytes(MAX_SOURCE + 1)))

    def test_nothing_is_not_a_key(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.touch()
        with pytest.raises(FormatError, match="nothing"):
            read_source(path, io.BytesIO())
        with pytest.raises(FormatError, match="nothing"):
            read_source(None, io.BytesIO())

    def test_what_is_missing_or_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match=r"key\.pem"):
            read_source(tmp_path / "key.pem", io.BytesIO())
        for path in (tmp_path, Path("/dev/zero"), tmp_path / "a\0b"):
            with pytest.raises(StoreError):
                read_source(path, io.BytesIO())
        closed = io.BytesIO(b"x")
        closed.close()
        with pytest.raises(StoreError):
            read_source(None, closed)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_a_file_without_permission(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.write_bytes(b"x")
        path.chmod(0)
        with pytest.raises(StoreError):
            read_source(path, io.BytesIO())

    def test_standard_input_of_a_process(self, rsa_pem: bytes) -> None:
        script = (
            "import sys; from strongroom.keystore.importing import checked, read_source;"
            "print(checked(read_source(None, sys.stdin.buffer), None).kind.value)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], input=rsa_pem, capture_output=True, check=True, timeout=60
        )
        assert done.stdout == b"rsa-2048\n"
