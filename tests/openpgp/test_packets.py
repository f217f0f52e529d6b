"""The outer packets: read strictly, bounded, and with no error but ours."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.gpg import GpgHome

from strongroom.errors import FormatError
from strongroom.openpgp.packets import HIDDEN, MAX_MESSAGE, MAX_RECIPIENTS, MAX_RING, certificates_in, recipients_of

KEY_ID = bytes.fromhex("0123456789ABCDEF")


def new(tag: int, body: bytes, *, length: bytes | None = None) -> bytes:
    """A packet in the new format, its length in as few octets as it takes (RFC 9580 section 4.2.1)."""
    size = len(body)
    if length is None and size < 192:
        length = bytes([size])
    elif length is None and size < 8384:
        length = bytes([192 + (size - 192 >> 8), size - 192 & 0xFF])
    elif length is None:
        length = b"\xff" + size.to_bytes(4, "big")
    return bytes([0xC0 | tag]) + length + body


def old(tag: int, body: bytes, octets: int) -> bytes:
    """A packet in the old format, its length in one, two or four octets (section 4.2.2)."""
    return bytes([0x80 | tag << 2 | {1: 0, 2: 1, 4: 2}[octets]]) + len(body).to_bytes(octets, "big") + body


def parts(tag: int, body: bytes, sizes: list[int]) -> bytes:
    """A packet in partial lengths, each a power of two (section 4.2.1.4)."""
    made, at = bytes([0xC0 | tag]), 0
    for size in sizes:
        made += bytes([0xE0 | size.bit_length() - 1]) + body[at : at + size]
        at += size
    return made + b"\xff" + (len(body) - at).to_bytes(4, "big") + body[at:]


def pkesk3(key_id: bytes = KEY_ID) -> bytes:
    return b"\x03" + key_id + b"\x12" + bytes(40)


def pkesk6(key_version: int, fingerprint: bytes) -> bytes:
    return bytes([6, 1 + len(fingerprint), key_version]) + fingerprint + b"\x19" + bytes(40)


DATA = b"\x01" + bytes(100)


@pytest.mark.parametrize("octets", [1, 2, 4])
def test_a_recipient_in_the_old_format(octets: int) -> None:
    assert recipients_of(old(1, pkesk3(), octets) + new(18, DATA)) == ("0123456789ABCDEF",)


def test_recipients_in_the_new_format_keep_their_order() -> None:
    message = new(1, pkesk3(b"\xff" * 8)) + new(1, pkesk3()) + new(1, pkesk3(bytes(8))) + new(18, DATA)
    assert recipients_of(message) == ("F" * 16, "0123456789ABCDEF", HIDDEN)


def test_version_6_names_the_key_by_its_fingerprint() -> None:
    four, six = bytes(range(20)), bytes(range(32))
    message = new(1, pkesk6(4, four)) + new(1, pkesk6(6, six)) + new(1, b"\x06\x00\x19" + bytes(40)) + new(18, b"\x02")
    assert recipients_of(message) == (four[-8:].hex().upper(), six[:8].hex().upper(), HIDDEN)


@pytest.mark.parametrize("size", [0, 1, 191, 192, 8383, 8384, 70_000])
def test_every_form_of_length(size: int) -> None:
    assert recipients_of(new(1, pkesk3()) + new(18, b"\x01" + bytes(size))) == ("0123456789ABCDEF",)
    assert recipients_of(
        new(1, pkesk3()) + new(20, b"\x01" + bytes(size), length=b"\xff" + (size + 1).to_bytes(4, "big"))
    )


@pytest.mark.parametrize("sizes", [[512], [8192, 8192], [65_536, 512, 1024]])
def test_data_may_come_in_parts(sizes: list[int]) -> None:
    body = b"\x01" + bytes(sum(sizes) + 7)
    assert recipients_of(new(1, pkesk3()) + parts(18, body, sizes)) == ("0123456789ABCDEF",)
    with pytest.raises(FormatError, match="truncated"):
        recipients_of(new(1, pkesk3()) + parts(18, body, sizes)[:-1])
    with pytest.raises(FormatError, match="not OpenPGP"):
        recipients_of(new(1, pkesk3()) + parts(18, body, sizes) + b"x")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "ends before"),
        (b"-----BEGIN PGP MESSAGE-----", "armored"),
        (b"\x80", "truncated"),
        (new(1, pkesk3()), "ends before"),
        (new(18, DATA), "no recipient"),
        (new(1, pkesk3()) + new(18, DATA) + new(18, DATA), "behind the encrypted"),
        (new(1, pkesk3()) + new(18, DATA) + new(1, pkesk3()), "behind the encrypted"),
        (new(1, pkesk3()) + new(18, DATA) + b"\n", "not OpenPGP"),
        (new(3, bytes(20)) + new(18, DATA), "a passphrase's"),
        (new(1, pkesk3()) + new(9, DATA), "no integrity protection"),
        (new(1, pkesk3()) + new(11, DATA), "not encrypted"),
        (new(10, b"PGP") + new(1, pkesk3()) + new(18, DATA), "type 10"),
        (new(1, pkesk3()) + new(18, b"\x03abc"), "version 3"),
        (new(1, pkesk3()) + new(18, b""), "version None"),
        (new(1, pkesk3()) + new(20, b"\x02abc"), "version 2"),
        (new(1, b"\x02" + pkesk3()[1:]) + new(18, DATA), "version 2"),
        (new(1, b"\x03") + new(18, DATA), "has 1 bytes"),
        (new(1, b"") + new(18, DATA), "has 0 bytes"),
        (new(1, bytes([3]) + bytes(70_000)) + new(18, DATA), "has 70001 bytes"),
        (new(1, pkesk6(4, bytes(19))) + new(18, DATA), "key version 4 has 19"),
        (new(1, pkesk6(7, bytes(32))) + new(18, DATA), "key version 7"),
        (new(1, b"\x06\xff\x04" + bytes(30)) + new(18, DATA), "key version 4"),
        (parts(1, pkesk3() + bytes(1000), [512]) + new(18, DATA), "in parts, which only data"),
        (new(1, pkesk3()) + parts(18, DATA * 9, [256, 256]), "parts of 256 bytes"),
        (new(1, pkesk3()) + b"\x87" + DATA, "no stated length"),
        (new(1, pkesk3(), length=b"\xff\xff\xff\xff\xff"), "truncated"),
        (new(1, pkesk3()) * (MAX_RECIPIENTS + 1) + new(18, DATA), "more than 1000 recipients"),
    ],
)
def test_what_is_not_such_a_message_is_told(message: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        recipients_of(message)


def test_sizes_are_bounded() -> None:
    with pytest.raises(FormatError, match="the limit is"):
        recipients_of(bytes(MAX_MESSAGE + 1))
    with pytest.raises(FormatError, match="the limit is"):
        certificates_in(bytes(MAX_RING + 1))


def test_the_largest_message_in_the_smallest_parts_is_read() -> None:
    count = MAX_MESSAGE // 513 - 10
    message = new(1, pkesk3()) + b"\xd2" + (b"\xe9\x01" + bytes(511)) * count + b"\x00"
    assert recipients_of(message) == ("0123456789ABCDEF",)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_format_error(raw: bytes) -> None:
    for read in (recipients_of, certificates_in):
        with contextlib.suppress(FormatError):
            read(raw)


PACKETS = st.lists(
    st.builds(
        lambda tag, body, cut: new(tag, body)[: None if cut is None else -cut],
        st.sampled_from([1, 1, 1, 3, 6, 9, 13, 18, 18, 20]),
        st.one_of(st.binary(max_size=40), st.just(pkesk3()), st.just(DATA), st.just(pkesk6(4, bytes(20)))),
        st.sampled_from([None, None, None, 1, 5]),
    ),
    max_size=6,
).map(b"".join)


@given(PACKETS)
def test_what_is_accepted_has_recipients_and_ends_with_its_data(message: bytes) -> None:
    try:
        recipients = recipients_of(message)
    except FormatError:
        return
    assert recipients
    assert all(len(key_id) == 16 and int(key_id, 16) >= 0 for key_id in recipients)
    for shorter in (message[:-1], message[:-5]):
        with pytest.raises(FormatError):
            recipients_of(shorter)
    with pytest.raises(FormatError):
        recipients_of(message + b"\x00")


def test_a_ring_is_split_as_gpg_wrote_it(alice: GpgHome, bob: GpgHome, carol: GpgHome) -> None:
    rings = [home.export() for home in (carol, alice, bob)]
    found = certificates_in(b"".join(rings))
    assert list(found) == [home.fingerprint for home in (carol, alice, bob)]
    assert list(found.values()) == rings


def test_what_is_local_to_a_ring_and_keys_before_openpgp_are_left_out(alice: GpgHome) -> None:
    ring = alice.export()
    old_key = new(6, b"\x03" + bytes(60)) + new(13, b"Old <old@example.org>")
    noise = new(12, b"\x01\x00") + new(61, b"comment") + old(12, b"\x02", 1)
    assert certificates_in(old_key + ring + noise) == {alice.fingerprint: ring}


@pytest.mark.parametrize("tag", [1, 3, 5, 7, 8, 9, 10, 11, 18, 20, 21])
def test_what_does_not_belong_into_a_ring_is_told(alice: GpgHome, tag: int) -> None:
    with pytest.raises(FormatError, match=f"type {tag} does not belong"):
        certificates_in(alice.export() + new(tag, bytes(600)))


def test_a_ring_begins_with_a_key() -> None:
    with pytest.raises(FormatError, match="does not begin"):
        certificates_in(new(13, b"Alice"))
    with pytest.raises(FormatError, match="version 9"):
        certificates_in(new(6, b"\x09" + bytes(40)))


def test_newer_keys_have_longer_fingerprints() -> None:
    five, six = new(6, b"\x05" + bytes(40)), new(6, b"\x06" + bytes(40))
    assert [len(fingerprint) for fingerprint in certificates_in(five + six)] == [64, 64]
