"""HMAC-SHA-256: RFC 4231's values; a tag belongs to one message, key and prefix."""

from __future__ import annotations

import hmac
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import FormatError, SignatureError
from strongroom.primitives.mac import HmacSha256Key
from strongroom.primitives.secret import SecretBytes

KEY = SecretBytes(bytes(range(32)))
PREFIX = b"\x01\x00\x00\x00\x07"


@pytest.mark.parametrize(
    ("key", "data", "tag"),
    [
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ],
    ids=["case 1", "case 3", "case 6"],
)
def test_it_gives_the_values_of_rfc_4231(key: bytes, data: bytes, tag: str) -> None:
    assert HmacSha256Key(SecretBytes(key), b"").compute(data).hex() == tag


@given(key=st.binary(min_size=16, max_size=130), data=st.binary(max_size=300), prefix=st.sampled_from([b"", PREFIX]))
def test_it_is_the_standard_librarys_behind_the_prefix(key: bytes, data: bytes, prefix: bytes) -> None:
    mac = HmacSha256Key(SecretBytes(key), prefix)
    for _ in range(2):  # a computation leaves the key as it was
        assert mac.compute(data) == prefix + hmac.digest(key, data, "sha256")
    mac.verify(prefix + hmac.digest(key, data, "sha256"), data)


def test_every_flipped_bit_of_the_tag_is_refused() -> None:
    mac = HmacSha256Key(KEY, PREFIX)
    tag = mac.compute(b"data")
    for place in range(len(tag)):
        for bit in range(8):
            changed = bytearray(tag)
            changed[place] ^= 1 << bit
            with pytest.raises(SignatureError):
                mac.verify(bytes(changed), b"data")


@given(data=st.lists(st.binary(max_size=60), min_size=2, max_size=2, unique=True))
def test_a_tag_is_refused_for_other_data(data: list[bytes]) -> None:
    mac = HmacSha256Key(KEY, b"")
    with pytest.raises(SignatureError):
        mac.verify(mac.compute(data[0]), data[1])


@given(tag=st.binary(max_size=80))
def test_junk_and_cut_tags_are_refused(tag: bytes) -> None:
    mac = HmacSha256Key(KEY, PREFIX)
    whole = mac.compute(b"data")
    for junk in (tag, PREFIX + tag, whole[: len(tag) % 37], whole + tag + b"!"):
        with pytest.raises(SignatureError):
            mac.verify(junk, b"data")


def test_another_key_or_prefix_is_refused() -> None:
    tag = HmacSha256Key(KEY, PREFIX).compute(b"data")
    for mac in (
        HmacSha256Key(SecretBytes(bytes(32)), PREFIX),
        HmacSha256Key(KEY, b"\x01abcd"),
        HmacSha256Key(KEY, b""),
    ):
        with pytest.raises(SignatureError):
            mac.verify(tag, b"data")


@pytest.mark.parametrize("length", [0, 1, 15])
def test_a_key_below_16_bytes_is_refused(length: int) -> None:
    with pytest.raises(FormatError):
        HmacSha256Key(SecretBytes(bytes(length)), b"")


def test_threads_share_one_key() -> None:
    mac = HmacSha256Key(KEY, b"")

    def work(number: int) -> bool:
        data = b"%d" % number * 4000
        return all(mac.compute(data) == hmac.digest(KEY.reveal(), data, "sha256") for _ in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))
