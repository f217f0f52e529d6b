"""Keys from outside: each form that is taken, each that is not, and not a byte of either in an error."""

from __future__ import annotations

import os
from base64 import b64encode, standard_b64encode, urlsafe_b64encode

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import FormatError, PassphraseError, PolicyError, StrongroomError
from strongroom.primitives import material
from strongroom.primitives.importing import MAX_INPUT, Recognised, check_import, looks_like_private_key, recognise
from strongroom.primitives.secret import SecretBytes
from tests.primitives.frames import assert_tells_nothing, error_of
from tests.primitives.material_cases import made, public

WORD = SecretBytes(b"correct horse")
SYMMETRIC = ["fernet", "aes256-gcm", "xaes256-gcm", "hmac-sha256"]
RAW = [*SYMMETRIC, "ed25519", "ecdsa-p256", "x25519", "mlkem768-x25519"]
FILED = ["ed25519", "ecdsa-p256", "x25519", "rsa-2048", "rsa-3072", "rsa-4096"]
TRADITIONAL = PrivateFormat.TraditionalOpenSSL
PKCS8 = PrivateFormat.PKCS8


def file_of(
    kind: str,
    encoding: Encoding = Encoding.PEM,
    form: PrivateFormat = PKCS8,
    locked: KeySerializationEncryption | None = None,
) -> SecretBytes:
    key = material.private_key(kind, made(kind))
    assert not isinstance(key, MLKEM768X25519PrivateKey)  # it has no file form
    return SecretBytes(key.private_bytes(encoding, form, locked or NoEncryption()))


def pem_of(key: object) -> SecretBytes:
    return SecretBytes(key.private_bytes(Encoding.PEM, PKCS8, NoEncryption()))


class TestRawAndText:
    @pytest.mark.parametrize("kind", RAW)
    @pytest.mark.parametrize(
        "spell",
        [
            lambda raw: raw,
            standard_b64encode,
            urlsafe_b64encode,
            lambda raw: standard_b64encode(raw).rstrip(b"="),
            lambda raw: urlsafe_b64encode(raw).rstrip(b"="),
            lambda raw: standard_b64encode(raw) + b"\n",
            lambda raw: urlsafe_b64encode(raw) + b"\r\n",
        ],
        ids=["raw", "base64", "base64url", "unpadded", "unpadded url", "line", "crlf"],
    )
    def test_each_spelling_of_a_key_is_taken(self, kind: str, spell: object) -> None:
        assert callable(spell)
        assert check_import(kind, SecretBytes(spell(made(kind).reveal()))) == made(kind)

    @given(raw=st.binary(min_size=32, max_size=32).filter(lambda raw: len(set(raw)) > 1))
    def test_any_fernet_key_text_is_taken(self, raw: bytes) -> None:
        assert check_import("fernet", SecretBytes(urlsafe_b64encode(raw))).reveal() == raw

    def test_cryptographys_fernet_keys_are_taken(self) -> None:
        text = Fernet.generate_key()
        assert urlsafe_b64encode(check_import("fernet", SecretBytes(text)).reveal()) == text

    @pytest.mark.parametrize("kind", RAW)
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda text: text + b"\n\n",
            lambda text: b" " + text,
            lambda text: text + b"=",
            lambda text: text[:-2],
            lambda text: b"-" + text[1:21] + b"+" + text[22:],  # two alphabets
            lambda text: text[:42] + b"B=",  # stray bits (RFC 4648 section 3.5)
            lambda text: text.hex().encode()[:64],
            lambda text: b"",
        ],
        ids=["blank line", "space", "padding", "cut", "alphabets", "stray bits", "hex", "nothing"],
    )
    def test_other_text_is_refused(self, kind: str, spoil: object) -> None:
        assert callable(spoil)
        spoiled = SecretBytes(spoil(standard_b64encode(made(kind).reveal())))
        if kind == "hmac-sha256" and len(spoiled) and not spoiled.reveal().endswith(b"\n"):
            assert check_import(kind, spoiled) == spoiled  # 16 to 128 bytes are a key there, whatever they are
            return
        with pytest.raises(FormatError):
            check_import(kind, spoiled)

    def test_an_hmac_key_that_is_a_line_of_text_is_refused_with_a_way_on(self) -> None:
        with pytest.raises(FormatError) as caught:
            check_import("hmac-sha256", SecretBytes(b"a passphrase as key\n"))
        assert caught.value.hint.startswith("tr -d")
        assert check_import("hmac-sha256", SecretBytes(b"a passphrase as key")).reveal() == b"a passphrase as key"
        binary = SecretBytes(os.urandom(31) + b"\xff\n")
        assert check_import("hmac-sha256", binary) == binary

    def test_a_zero_or_too_large_scalar_is_refused(self) -> None:
        for raw in (bytes(31) + b"\x00", b"\xff" * 31 + b"\xfe"):
            with pytest.raises((FormatError, PolicyError)):
                check_import("ecdsa-p256", SecretBytes(raw))

    @pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072", "rsa-4096"])
    def test_rsa_does_not_come_raw(self, kind: str) -> None:
        with pytest.raises(PolicyError):
            check_import(kind, SecretBytes(bytes(range(32))))

    def test_our_own_sealed_form_does_not_skip_the_validation(self) -> None:
        with pytest.raises(PolicyError):
            check_import("rsa-2048", made("rsa-2048"))  # 01 and PKCS#8: a claim that only the seal may make

    def test_secrets_are_taken_as_they_are(self) -> None:
        for raw in (b"x", b"word\n", bytes(100), os.urandom(MAX_INPUT), file_of("ed25519").reveal()):
            assert check_import("secret", SecretBytes(raw)).reveal() == raw

    @pytest.mark.parametrize("kind", [*RAW, "rsa-2048", "secret"])
    def test_nothing_and_too_much_are_refused(self, kind: str) -> None:
        for length in (0, MAX_INPUT + 1):
            with pytest.raises(FormatError):
                check_import(kind, SecretBytes(bytes(length)))
            with pytest.raises(FormatError):
                recognise(SecretBytes(b"-----BEGIN PRIVATE KEY-----\n" * (length // 20)))


class TestFiles:
    @pytest.mark.parametrize("kind", FILED)
    @pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
    @pytest.mark.parametrize("locked", [False, True], ids=["plain", "encrypted"])
    def test_pkcs8_is_taken(self, kind: str, encoding: Encoding, locked: bool) -> None:
        raw = file_of(kind, encoding, locked=BestAvailableEncryption(WORD.reveal()) if locked else None)
        word = WORD if locked else None
        assert looks_like_private_key(raw)
        assert recognise(raw, passphrase=word) == Recognised(kind, made(kind))
        assert check_import(kind, raw, passphrase=word) == made(kind)

    @pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-2048"])
    @pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
    def test_the_older_forms_are_taken(self, kind: str, encoding: Encoding) -> None:
        assert check_import(kind, file_of(kind, encoding, TRADITIONAL)) == made(kind)

    @pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-2048"])
    def test_pems_own_encryption_is_taken(self, kind: str) -> None:
        raw = file_of(kind, form=TRADITIONAL, locked=BestAvailableEncryption(WORD.reveal()))
        assert b"Proc-Type: 4,ENCRYPTED" in raw.reveal()
        assert check_import(kind, raw, passphrase=WORD) == made(kind)
        for word in (None, SecretBytes(b"wrong"), SecretBytes(b"")):
            with pytest.raises(PassphraseError):
                check_import(kind, raw, passphrase=word)

    def test_line_ends_and_words_around_the_block_do_not_matter(self) -> None:
        pem = file_of("ecdsa-p256", form=TRADITIONAL).reveal()
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        for spelled in (pem.replace(b"\n", b"\r\n"), b"Bag Attributes\n  friendlyName: x\n" + pem, parameters + pem):
            assert check_import("ecdsa-p256", SecretBytes(spelled)) == made("ecdsa-p256")

    @pytest.mark.parametrize("wanted", [*SYMMETRIC, "mlkem768-x25519", "x25519", "rsa-3072"])
    def test_a_key_of_another_type_is_refused_with_its_own(self, wanted: str) -> None:
        with pytest.raises(PolicyError) as caught:
            check_import(wanted, file_of("rsa-2048"))
        assert caught.value.hint == "strongroom import NAME --type rsa-2048"

    @pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
    def test_a_missing_needless_or_wrong_passphrase_is_told_apart_from_damage(self, encoding: Encoding) -> None:
        locked = file_of("ed25519", encoding, locked=BestAvailableEncryption(WORD.reveal()))
        for word in (None, SecretBytes(b"wrong"), SecretBytes(b"")):
            with pytest.raises(PassphraseError):
                check_import("ed25519", locked, passphrase=word)
        for raw in (file_of("ed25519", encoding), made("ed25519")):
            with pytest.raises(PassphraseError):
                check_import("ed25519", raw, passphrase=WORD)

    def test_weak_and_foreign_keys_are_refused(self) -> None:
        keys = [
            rsa.generate_private_key(65537, 1024),  # noqa: S505  weak on purpose
            rsa.generate_private_key(3, 2048),
            ec.generate_private_key(ec.SECP384R1()),
            ec.generate_private_key(ec.SECP256K1()),
            ed448.Ed448PrivateKey.generate(),
            dsa.generate_private_key(2048),
            MLKEM768PrivateKey.generate(),
        ]
        for key in keys:
            with pytest.raises(PolicyError):
                recognise(pem_of(key))

    def test_what_is_no_private_key_is_named(self) -> None:
        pem = ed25519.Ed25519PrivateKey.generate()
        others = {
            "an OpenSSH private key": pem.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
            "a public key": pem.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "a certificate": file_of("ed25519").reveal()
            + b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----",
        }
        for what, raw in others.items():
            with pytest.raises(FormatError, match=what) as caught:
                check_import("ed25519", SecretBytes(raw))
            assert caught.value.hint

    def test_der_that_is_public_or_junk_is_no_private_key(self) -> None:
        for raw in (public("ed25519"), public("rsa-2048"), b"\x30\x00", b"\x30\x80\x02\x01\x00", b"junk"):
            assert not looks_like_private_key(SecretBytes(raw))
            with pytest.raises(FormatError):
                recognise(SecretBytes(raw))

    def test_two_keys_in_one_file_are_refused(self) -> None:
        for second in ("ed25519", "x25519"):
            with pytest.raises(FormatError):
                recognise(SecretBytes(file_of("ed25519").reveal() + file_of(second).reveal()))

    def test_rsa_is_validated_whatever_the_file_claims(self) -> None:
        numbers = material.private_key("rsa-2048", made("rsa-2048")).private_numbers()
        for changed in ({"d": numbers.d ^ 2}, {"p": numbers.q, "q": numbers.p}, {"iqmp": numbers.iqmp ^ 2}):
            fields = {each: getattr(numbers, each) for each in ("p", "q", "d", "dmp1", "dmq1", "iqmp")} | changed
            bad = rsa.RSAPrivateNumbers(**fields, public_numbers=numbers.public_numbers)
            key = bad.private_key(unsafe_skip_rsa_key_validation=True)
            for encoding in (Encoding.PEM, Encoding.DER):
                with pytest.raises(FormatError):
                    recognise(SecretBytes(key.private_bytes(encoding, PKCS8, NoEncryption())))

    def test_an_ec_key_with_another_public_half_is_refused(self) -> None:
        def point(key: ec.EllipticCurvePrivateKey) -> bytes:
            return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

        one, two = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        der = one.private_bytes(Encoding.DER, TRADITIONAL, NoEncryption())
        with pytest.raises(FormatError):
            recognise(SecretBytes(der.replace(point(one), point(two))))


def flips(raw: bytes) -> list[bytes]:
    return [raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :] for at in range(len(raw))]


class TestDamage:
    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256", "rsa-2048"])
    @pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
    def test_a_file_cut_anywhere_is_refused(self, kind: str, encoding: Encoding) -> None:
        raw = file_of(kind, encoding).reveal()
        for end in range(0, len(raw) - 1, 7):
            with pytest.raises(StrongroomError):
                check_import(kind, SecretBytes(raw[:end]))

    @pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-2048"])
    def test_trailing_bytes_are_refused(self, kind: str) -> None:
        with pytest.raises(StrongroomError):
            check_import(kind, SecretBytes(file_of(kind, Encoding.DER).reveal() + b"\0"))

    @pytest.mark.parametrize("locked", [False, True], ids=["plain", "encrypted"])
    def test_a_flipped_bit_gives_an_error_of_ours_or_another_key(self, locked: bool) -> None:
        raw = file_of("ecdsa-p256", Encoding.DER, locked=BestAvailableEncryption(WORD.reveal()) if locked else None)
        for changed in flips(raw.reveal()):
            try:
                taken = check_import("ecdsa-p256", SecretBytes(changed), passphrase=WORD if locked else None)
            except StrongroomError:
                continue
            assert not locked or taken == made("ecdsa-p256")  # e.g. another prf name of the same meaning
            assert material.check_raw("ecdsa-p256", taken) == taken

    @given(junk=st.binary(max_size=300), kind=st.sampled_from([*RAW, "rsa-2048"]), word=st.sampled_from([None, WORD]))
    def test_junk_gives_an_error_of_ours(self, junk: bytes, kind: str, word: SecretBytes | None) -> None:
        framed = b"-----BEGIN PRIVATE KEY-----\n" + b64encode(junk) + b"\n-----END PRIVATE KEY-----\n"
        sequence = b"\x30" + bytes([len(junk) % 128]) + junk[: len(junk) % 128]
        for raw in (junk, framed, framed.replace(b"PRIVATE", b"ENCRYPTED PRIVATE"), sequence):
            try:
                check_import(kind, SecretBytes(raw), passphrase=word)
            except StrongroomError:
                continue
            assert 16 <= len(raw) <= 128  # only raw bytes or text of a key got this far

    def test_no_error_tells_a_byte(self) -> None:
        seed, scalar = made("ed25519").reveal(), made("ecdsa-p256").reveal()
        locked = file_of("ed25519", locked=BestAvailableEncryption(WORD.reveal()))
        text = urlsafe_b64encode(seed)
        attempts = [
            (FormatError, "fernet", SecretBytes(text[:-3]), None, text[:-3]),
            (FormatError, "fernet", SecretBytes(seed + b"!"), None, seed),
            (PolicyError, "rsa-2048", SecretBytes(seed), None, seed),
            (PolicyError, "rsa-2048", file_of("ed25519"), None, seed),
            (PolicyError, "fernet", file_of("ecdsa-p256", Encoding.DER), None, scalar),
            (FormatError, "ed25519", SecretBytes(file_of("ed25519").reveal() * 2), None, seed),
            (PassphraseError, "ed25519", file_of("ed25519"), WORD, WORD.reveal()),
            (PassphraseError, "ed25519", locked, SecretBytes(b"wrong horse"), b"wrong horse"),
            (FormatError, "hmac-sha256", SecretBytes(b"the key is a line\n"), None, b"the key is a line"),
        ]
        for kind_of_error, kind, raw, word, secret in attempts:
            error = error_of(
                lambda kind=kind, raw=raw, word=word: check_import(kind, raw, passphrase=word), kind_of_error
            )
            assert_tells_nothing(error, secret)
            assert_tells_nothing(error, raw.reveal())
