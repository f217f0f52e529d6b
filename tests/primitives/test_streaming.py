"""Streams: what was sealed opens, at its place and in its order only, and an end is an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import DecryptionError, FormatError, PolicyError
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.streaming import (
    FIRST,
    HEADER_LENGTH,
    OTHER,
    SEGMENT,
    Layout,
    StreamKey,
    sealed_length,
)

PREFIX = b"\x01\x12\x34\x56\x78"
KEY = StreamKey(SecretBytes(bytes(range(32))), PREFIX)
START = len(PREFIX) + HEADER_LENGTH
sizes = st.one_of(
    st.integers(0, 3 * SEGMENT),
    st.sampled_from([0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + OTHER, FIRST + OTHER + 1, FIRST + 2 * OTHER]),
)


def sealed(data: bytes, associated: bytes = b"ad", *, piece: int = 10_000, key: StreamKey = KEY) -> bytes:
    sealer = key.seal(associated)
    made = [sealer.update(data[start : start + piece]) for start in range(0, len(data), piece)]
    return sealer.header + b"".join(made) + sealer.finish()


def opened(stream: bytes, associated: bytes = b"ad", *, key: StreamKey = KEY) -> bytes:
    layout = Layout(len(stream), prefix=len(PREFIX))
    opener = key.open(stream[:START], associated)
    parts = []
    for number in range(layout.last + 1):
        start, stop = layout.span(number)
        parts.append(opener.segment(stream[start:stop], number=number, last=number == layout.last))
    return b"".join(parts)


@given(size=sizes, piece=st.sampled_from([1_000, SEGMENT, 1 << 20]))
def test_what_is_sealed_in_any_pieces_opens_and_its_length_is_known_before(size: int, piece: int) -> None:
    data = bytes(size)
    stream = sealed(data, piece=piece)
    assert opened(stream) == data
    assert len(stream) == sealed_length(size, prefix=len(PREFIX))
    assert Layout(len(stream), prefix=len(PREFIX)).length == size


@given(offset=st.integers(0, 1 << 40))
def test_a_byte_is_found_in_the_segment_that_holds_it(offset: int) -> None:
    number, begin = Layout.find(offset)
    assert begin <= offset < begin + (FIRST if number == 0 else OTHER)
    assert begin == (0 if number == 0 else FIRST + (number - 1) * OTHER)


@given(place=st.integers(0, sealed_length(FIRST + 100, prefix=5) - 1), bit=st.integers(0, 7))
def test_every_flipped_bit_is_refused(place: int, bit: int) -> None:
    stream = bytearray(STREAM)
    stream[place] ^= 1 << bit
    with pytest.raises(DecryptionError):
        opened(bytes(stream))


STREAM = sealed(bytes(FIRST + 100))


@given(end=st.integers(0, len(STREAM) - 1))
def test_a_cut_stream_is_refused_wherever_it_was_cut(end: int) -> None:
    with pytest.raises(DecryptionError):
        opened(STREAM[:end])


@pytest.mark.parametrize("size", [FIRST, FIRST + OTHER, FIRST + 2 * OTHER])
def test_one_that_ends_with_a_segment_is_not_shortened_or_lengthened_by_whole_segments(size: int) -> None:
    stream = sealed(bytes(size))
    other = sealed(bytes(size))
    for changed in (stream[:-SEGMENT], stream + stream[-SEGMENT:], stream + other[-SEGMENT:], stream + bytes(16)):
        with pytest.raises(DecryptionError):
            opened(changed)


def test_segments_are_neither_exchanged_nor_taken_from_another_stream() -> None:
    data = b"".join(bytes([number]) * OTHER for number in range(4))
    one, two = sealed(data), sealed(data)
    parts = [one[start : start + SEGMENT] for start in range(len(PREFIX), len(one), SEGMENT)]
    swapped = one[: len(PREFIX)] + b"".join([parts[0], parts[2], parts[1], *parts[3:]])
    cut = len(PREFIX) + SEGMENT
    spliced = one[:cut] + two[cut : cut + SEGMENT] + one[cut + SEGMENT :]
    dropped = one[:cut] + one[cut + SEGMENT :]
    for changed in (swapped, spliced, dropped):
        with pytest.raises(DecryptionError):
            opened(changed)


def test_other_associated_data_another_key_and_another_version_are_refused() -> None:
    stream = sealed(b"data")
    other = StreamKey(SecretBytes(bytes(32)), PREFIX)
    elsewhere = StreamKey(SecretBytes(bytes(range(32))), b"\x01\x12\x34\x56\x79")
    for key, associated in ((KEY, b"Ad"), (other, b"ad"), (elsewhere, b"ad")):
        with pytest.raises(DecryptionError):
            opened(stream, associated, key=key)


def test_no_two_streams_share_a_key_or_a_start() -> None:
    starts = {sealed(b"the same")[:START] for _ in range(100)}
    assert len(starts) == 100


def test_a_finished_stream_takes_no_more() -> None:
    sealer = KEY.seal(b"")
    sealer.finish()
    with pytest.raises(PolicyError):
        sealer.finish()


def test_associated_data_is_said() -> None:
    for use in (KEY.seal, lambda said: KEY.open(STREAM[:START], said)):
        with pytest.raises(TypeError):
            use(None)  # type: ignore[arg-type]  # that is the point


def test_a_key_of_another_length_is_refused_and_none_is_shown() -> None:
    with pytest.raises(FormatError):
        StreamKey(SecretBytes(bytes(16)), b"")
    assert repr(KEY.seal(b"")) == "<StreamSealer>"
    assert bytes(range(32)).hex() not in repr(KEY)
