"""Compact JWE: joserfc reads it and writes it; every other header, part and bit is refused."""

from __future__ import annotations

import json
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe as theirs
from joserfc.jwk import RSAKey

from strongroom._encoding import b64decode, b64encode
from strongroom.errors import DecryptionError, FormatError, IntegrityError, PolicyError
from strongroom.primitives import rsa
from strongroom.primitives.jwe import MAX_HEADER, MAX_PLAINTEXT, JwePrivate, JwePublic, key_id_of
from tests.primitives.frames import assert_tells_nothing, error_of
from tests.primitives.material_cases import crossed, made, public

KIND = "rsa-2048"
HEADER = {"alg": "RSA-OAEP-256", "enc": "A256GCM"}
ALLOWED = ["RSA-OAEP-256", "A256GCM"]


def jwk() -> RSAKey:
    return RSAKey.import_key(made(KIND).reveal()[1:])


def decrypting() -> JwePrivate:
    return JwePrivate(made(KIND))


def sealed_with(header: bytes, *, plaintext: bytes = b"data", content_key: bytes | None = None) -> bytes:
    """A sound JWE under our key whose header is exactly these bytes."""
    encoded = b64encode(header).encode()
    key = os.urandom(32) if content_key is None else content_key
    wrapped = rsa.load_public(public(KIND)).encrypt(key, OAEP(MGF1(SHA256()), SHA256(), None))
    iv = os.urandom(12)
    sealed = AESGCM(key).encrypt(iv, plaintext, encoded)
    parts = (wrapped, iv, sealed[:-16], sealed[-16:])
    return b".".join((encoded, *(b64encode(part).encode() for part in parts)))


class TestAgainstJoserfc:
    @settings(max_examples=25)
    @given(data=st.binary(max_size=300), kid=st.text(min_size=1, max_size=20))
    def test_it_reads_ours(self, data: bytes, kid: str) -> None:
        token = JwePublic(public(KIND), kid).encrypt(data)
        opened = theirs.decrypt_compact(token, jwk(), algorithms=ALLOWED)
        assert opened.plaintext == data
        assert opened.headers() == {**HEADER, "kid": kid}
        assert key_id_of(token) == kid

    @settings(max_examples=25)
    @given(data=st.binary(max_size=300), kid=st.one_of(st.none(), st.text(min_size=1, max_size=20)))
    def test_it_is_read(self, data: bytes, kid: str | None) -> None:
        header = HEADER if kid is None else {**HEADER, "kid": kid}
        token = theirs.encrypt_compact(header, data, jwk(), algorithms=ALLOWED).encode()
        assert decrypting().decrypt(token) == data
        assert key_id_of(token) == kid

    def test_what_it_compresses_is_refused(self) -> None:
        token = theirs.encrypt_compact({**HEADER, "zip": "DEF"}, b"data", jwk(), algorithms=[*ALLOWED, "DEF"]).encode()
        with pytest.raises(DecryptionError):
            decrypting().decrypt(token)


class TestStrictness:
    def test_the_frame_of_these_tests_is_sound(self) -> None:
        for header in (json.dumps(HEADER), json.dumps({**HEADER, "kid": "07"}, indent=1)):
            assert decrypting().decrypt(sealed_with(header.encode())) == b"data"

    @pytest.mark.parametrize(
        "header",
        [
            {**HEADER, "alg": "RSA-OAEP"},
            {**HEADER, "alg": "RSA1_5"},
            {**HEADER, "alg": "dir"},
            {**HEADER, "enc": "A128GCM"},
            {**HEADER, "enc": "A256CBC-HS512"},
            {**HEADER, "zip": "DEF"},
            {**HEADER, "crit": ["exp"]},
            {**HEADER, "typ": "JWT"},
            {**HEADER, "jwk": {}},
            {**HEADER, "kid": 7},
            {**HEADER, "kid": None},
            {"alg": "RSA-OAEP-256"},
            {"enc": "A256GCM"},
            {},
            [],
            "alg",
            None,
            [["alg", "RSA-OAEP-256"], ["enc", "A256GCM"]],
        ],
        ids=json.dumps,
    )
    def test_another_header_is_refused(self, header: object) -> None:
        token = sealed_with(json.dumps(header).encode())
        with pytest.raises(DecryptionError):
            decrypting().decrypt(token)
        with pytest.raises(DecryptionError):
            key_id_of(token)

    @pytest.mark.parametrize(
        "header",
        [
            b'{"alg":"RSA-OAEP-256","enc":"A256GCM","enc":"A256GCM"}',  # a member twice (RFC 7516 section 4)
            b'{"alg":"RSA-OAEP-256","enc":"A256GCM"} x',
            b'\xef\xbb\xbf{"alg":"RSA-OAEP-256","enc":"A256GCM"}',
            '{"alg":"RSA-OAEP-256","enc":"A256GCM"}'.encode("utf-16"),
            '{"alg":"RSA-OAEP-256","enc":"A256GCM"}'.encode("utf-32"),
            b'{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"\xff"}',
            b"[" * 700,
            b"{",
            b"\xff",
            b'{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"%s"}' % (b"k" * MAX_HEADER),
        ],
        ids=["twice", "trailing", "bom", "utf-16", "utf-32", "latin", "deep", "open", "binary", "long"],
    )
    def test_a_header_that_is_no_strict_json_is_refused(self, header: bytes) -> None:
        token = sealed_with(header)
        with pytest.raises(DecryptionError):
            decrypting().decrypt(token)
        with pytest.raises(DecryptionError):
            key_id_of(token)

    def test_each_part_is_bound_in_each_of_its_bytes(self) -> None:
        private = decrypting()
        token = JwePublic(public(KIND), "07").encrypt(b"some data")
        parts = token.split(b".")
        for number, part in enumerate(parts):
            raw = b64decode(part.decode())
            for place in range(0, len(raw), 1 + len(raw) // 40):  # RSA is slow: some forty bytes a part
                changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
                mixed = [*parts[:number], b64encode(changed).encode(), *parts[number + 1 :]]
                with pytest.raises(DecryptionError):
                    private.decrypt(b".".join(mixed))

    def test_parts_of_two_tokens_do_not_make_a_third(self) -> None:
        one, two = (JwePublic(public(KIND), "07").encrypt(b"data").split(b".") for _ in range(2))
        for number in range(1, 5):
            with pytest.raises(DecryptionError):
                decrypting().decrypt(b".".join([*one[:number], two[number], *one[number + 1 :]]))

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda token: token + b"\n",
            lambda token: b" " + token,
            lambda token: token + b"=",
            lambda token: token + b".",
            lambda token: token.replace(b".", b"..", 1),
            lambda token: token.rsplit(b".", 1)[0],
            lambda token: token[:-1] + (b"h" if token[-1:] != b"h" else b"i"),  # stray bits behind the last byte
            lambda token: b"",
        ],
        ids=["newline", "space", "padding", "six", "empty part", "four", "stray bits", "nothing"],
    )
    def test_a_token_has_one_spelling(self, spoil: object) -> None:
        assert callable(spoil)
        token = JwePublic(public(KIND), "07").encrypt(b"data")
        with pytest.raises(DecryptionError):
            decrypting().decrypt(spoil(token))

    @given(junk=st.one_of(st.binary(max_size=100), st.from_regex(rb"[\w-]+\.[\w-]+\.[\w-]{16}\.[\w-]*\.[\w-]{22}")))
    def test_junk_is_refused_by_an_error_of_ours(self, junk: bytes) -> None:
        with pytest.raises(DecryptionError):
            PRIVATE.decrypt(junk)
        with pytest.raises(DecryptionError):
            key_id_of(junk)

    def test_a_content_key_of_another_length_is_refused_like_any_other(self) -> None:
        short = sealed_with(json.dumps(HEADER).encode(), content_key=bytes(16))
        error = error_of(lambda: decrypting().decrypt(short), DecryptionError)
        foreign = error_of(lambda: decrypting().decrypt(short[:-30] + b"A" * 30), DecryptionError)
        assert str(error) == str(foreign)


PRIVATE = decrypting()


class TestTheRest:
    @pytest.mark.parametrize("context", [b"row 7", b"\0", None])
    def test_associated_data_has_no_place(self, context: bytes | None) -> None:
        token = JwePublic(public(KIND), "07").encrypt(b"data", b"")
        assert decrypting().decrypt(token, b"") == b"data"
        with pytest.raises(PolicyError):
            JwePublic(public(KIND), "07").encrypt(b"data", context)
        with pytest.raises(PolicyError):
            decrypting().decrypt(token, context)

    def test_another_key_is_refused_and_nothing_told(self) -> None:
        token = JwePublic(public("rsa-3072"), "07").encrypt(b"data")
        error = error_of(lambda: decrypting().decrypt(token), DecryptionError)
        assert_tells_nothing(error, made(KIND).reveal()[1:])

    def test_halves_that_do_not_belong_together_are_found_at_the_first_use(self) -> None:
        private = JwePrivate(crossed(KIND))
        with pytest.raises(IntegrityError):
            private.decrypt(JwePublic(public(KIND), "07").encrypt(b"data"))

    def test_what_is_too_long_is_refused(self) -> None:
        with pytest.raises(PolicyError):
            JwePublic(public(KIND), "07").encrypt(bytes(MAX_PLAINTEXT + 1))
        with pytest.raises(FormatError):
            JwePublic(public(KIND), "k" * MAX_HEADER)

    def test_a_weak_or_foreign_public_key_is_refused(self) -> None:
        with pytest.raises(FormatError):
            JwePublic(public("ed25519"), "07")
