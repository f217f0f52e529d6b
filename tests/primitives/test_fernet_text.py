"""A token has one spelling, and every flipped bit of it is refused, by either base64 back end."""

from __future__ import annotations

import subprocess
import sys

import cryptography.fernet as library
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.fernet import Fernet, InvalidToken, MultiFernet
from strongroom.primitives.fernet_token import SHORT

KEY = library.Fernet.generate_key()
BOX = Fernet(KEY)
MULTI = MultiFernet([BOX, Fernet(Fernet.generate_key())])
# one block, two, three (each another padding); and the same above where the other back end and the large path begin
SIZES = (0, 16, 32, 400, 416, 432)
LARGE_SIZES = (4100, 4116, 4132)
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _refused(token: bytes) -> None:
    with pytest.raises(InvalidToken):
        BOX.decrypt(token)
    with pytest.raises(InvalidToken):
        MULTI.decrypt(token)
    with pytest.raises(InvalidToken):
        MULTI.rotate_many([token])


@pytest.mark.parametrize("size", SIZES)
def test_every_flipped_bit_of_the_text_is_refused(size: int) -> None:
    token = BOX.encrypt(bytes(size))
    assert (len(token) >= SHORT) == (size >= 400)
    for place in range(len(token)):
        for bit in range(8):
            flipped = bytearray(token)
            flipped[place] ^= 1 << bit
            with pytest.raises(InvalidToken):
                BOX.decrypt(bytes(flipped))


@pytest.mark.parametrize("size", [*SIZES, *LARGE_SIZES])
def test_every_flipped_byte_of_the_token_is_refused(size: int) -> None:
    raw = library.base64.urlsafe_b64decode(BOX.encrypt(bytes(size)))
    for place in range(len(raw)):
        for mask in (1, 0x80, 0xFF):
            flipped = bytearray(raw)
            flipped[place] ^= mask
            token = library.base64.urlsafe_b64encode(flipped)
            with pytest.raises(InvalidToken):
                BOX.decrypt(token)
            if mask == 1 and place % 7 == 0:
                _refused(token)
    assert BOX.decrypt(library.base64.urlsafe_b64encode(raw)) == bytes(size)


@pytest.mark.parametrize("size", [*SIZES, *LARGE_SIZES])
def test_every_shortened_token_is_refused(size: int) -> None:
    token = BOX.encrypt(bytes(size))
    for cut in (*range(1, 70), len(token) - 4, len(token) - 1, len(token)):
        _refused(token[:-cut])
        _refused(token[cut:])


@pytest.mark.parametrize("size", [*SIZES, *LARGE_SIZES])
@pytest.mark.parametrize(
    "junk", [b"\n", b" ", b"\r\n", b"\t", b"=", b"==", b"====", b"A", b"AAAA", b"!", b"\0", b"\xff"]
)
def test_junk_anywhere_is_refused(size: int, junk: bytes) -> None:
    token = BOX.encrypt(bytes(size))
    for place in (0, 1, 4, 50, len(token) - 4, len(token) - 2, len(token) - 1, len(token)):
        if junk != token[place:] or place == len(token):
            _refused(token[:place] + junk + token[place:])


@pytest.mark.parametrize("size", [*SIZES, *LARGE_SIZES])
def test_the_standard_alphabet_is_refused_though_cryptography_takes_it(size: int) -> None:
    token = next(it for it in iter(lambda: BOX.encrypt(bytes(size)), None) if b"-" in it and b"_" in it)
    for standard in (token.replace(b"-", b"+"), token.replace(b"_", b"/")):
        assert library.Fernet(KEY).decrypt(standard) == bytes(size)
        _refused(standard)


@pytest.mark.parametrize("size", [*SIZES, *LARGE_SIZES])
def test_stray_bits_are_refused_though_cryptography_takes_them(size: int) -> None:
    token = BOX.encrypt(bytes(size))
    body, padding = token.rstrip(b"="), token.count(b"=")
    if not padding:
        assert len(token) % 4 == 0
        return
    last = ALPHABET.index(body[-1])
    for other in range(last + 1, last + (4 if padding == 1 else 16)):
        stray = body[:-1] + ALPHABET[other : other + 1] + b"=" * padding
        assert library.Fernet(KEY).decrypt(stray) == bytes(size)
        _refused(stray)


@given(token=st.one_of(st.binary(max_size=700), st.text(max_size=300)))
def test_no_text_at_all_gets_anything_but_invalid_token(token: bytes | str) -> None:
    for call in (BOX.decrypt, BOX.extract_timestamp, MULTI.decrypt, MULTI.rotate, MULTI.extract_timestamp):
        with pytest.raises(InvalidToken):
            call(token)
    with pytest.raises(InvalidToken):
        MULTI.rotate_many([token])


@given(parts=st.lists(st.sampled_from([b"gAAA", b"AAAA", b"A", b"=", b"==", b"-_", b"+/", b"\n", b" "]), max_size=250))
def test_no_text_that_resembles_one_does_either(parts: list[bytes]) -> None:
    _refused(b"gAAA" + b"".join(parts))


_VERDICTS = """
import hashlib, sys
if sys.argv[1] == "without":
    sys.modules["pybase64"] = None  # as where it is not installed
from strongroom.fernet import Fernet, InvalidToken, MultiFernet
from strongroom.primitives import fernet_token
assert (fernet_token.pybase64 is None) == (sys.argv[1] == "without")
box = Fernet(sys.argv[2]); multi = MultiFernet([box])
for line in sys.stdin.buffer.read().split(b";"):
    token = bytes.fromhex(line.decode())
    for call in (box.decrypt, multi.decrypt, lambda it: box.decrypt(multi.rotate_many([it])[0])):
        try:
            print(hashlib.sha256(call(token)).hexdigest(), end=" ")
        except InvalidToken:
            print("invalid", end=" ")
    print()
large = bytes(range(256)) * 100
assert box.decrypt(box.encrypt(large)) == large
"""


def _variants() -> list[bytes]:
    variants = []
    for size in (*SIZES, *LARGE_SIZES):
        token = BOX.encrypt(bytes(size))
        body = token.rstrip(b"=")
        variants += [
            *(token, body, token + b"\n", token + b"=", token + b"====", b" " + token, token[:-1], token + token),
            *(
                token[:40] + junk + token[40:]
                for junk in (b"\n", b"=", b"==", b"+", b"/", b"+///", b"\xff", b"\0", b"AAAA")
            ),
            *(token.replace(b"-", b"+"), token.replace(b"_", b"/"), token.replace(b"A", b"\xc3", 1)),
            *(body[:-1] + bytes([other]) + token[len(body) :] for other in ALPHABET),
            *(token[:place] + b"=" + token[place + 1 :] for place in range(0, len(token), 13)),
        ]
    return variants


def test_both_base64_back_ends_give_the_same_verdict() -> None:
    pytest.importorskip("pybase64", reason="the extra 'speed' is not installed: there is one back end only")
    variants = _variants()
    verdicts = [
        subprocess.run(
            [sys.executable, "-c", _VERDICTS, which, KEY.decode()],
            input=b";".join(it.hex().encode() for it in variants),
            capture_output=True,
            check=True,
        ).stdout.splitlines()
        for which in ("with", "without")
    ]
    assert verdicts[0] == verdicts[1]
    assert len(verdicts[0]) == len(variants)
    assert len({verdict.count(b"invalid") for verdict in verdicts[0]}) == 2, "three verdicts on one token must agree"
    assert sum(b"invalid" not in verdict for verdict in verdicts[0]) >= len(SIZES) + len(LARGE_SIZES)
