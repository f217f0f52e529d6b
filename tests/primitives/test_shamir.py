"""Any threshold of shares gives the secret, one less says nothing, and the field is AES's."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import SettingsError
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.shamir import _inverse, _times, combine, interpolate, split


def test_products_are_those_of_fips_197() -> None:
    # FIPS 197 section 4.2: {57} x {83} = {c1}, {57} x {13} = {fe}; section 4.4: {53} and {ca} are inverses
    assert (_times(0x57, 0x83), _times(0x57, 0x13), _times(0x53, 0xCA)) == (0xC1, 0xFE, 1)
    assert all(_times(a, _inverse(a)) == 1 for a in range(1, 256))
    assert _inverse(0) == 0


def test_products_are_those_of_schoolbook_polynomials() -> None:
    def slow(a: int, b: int) -> int:
        product = 0
        while b:
            if b & 1:
                product ^= a
            a = (a << 1) ^ (0x11B if a & 0x80 else 0)
            b >>= 1
        return product

    assert all(_times(a, b) == slow(a, b) for a in range(256) for b in range(256))


@given(st.binary(min_size=1, max_size=40), st.data())
@settings(max_examples=60)
def test_any_threshold_of_the_shares_gives_the_secret(raw: bytes, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(2, 6))
    shares = split(SecretBytes(raw), threshold=threshold, shares=data.draw(st.integers(threshold, 9)))
    some = data.draw(st.permutations(sorted(shares)))[:threshold]
    assert combine({index: shares[index] for index in some}).reveal() == raw
    for index in shares:
        assert interpolate({each: shares[each] for each in some}, at=index) == shares[index]


def test_one_share_less_fits_every_secret() -> None:
    # two of three shares: for each byte that the secret could be there is exactly one third share that gives it
    shares = split(SecretBytes(b"\x2a"), threshold=3, shares=3)
    fits = {combine({1: shares[1], 2: shares[2], 3: SecretBytes(bytes((third,)))}).reveal() for third in range(256)}
    assert len(fits) == 256


def test_the_highest_coefficient_may_be_zero() -> None:
    shares = split(SecretBytes(b"same"), threshold=2, shares=3, random=bytes)
    assert {share.reveal() for share in shares.values()} == {b"same"}


def test_every_choice_of_three_of_five_agrees() -> None:
    secret = SecretBytes(os.urandom(32))
    shares = split(secret, threshold=3, shares=5)
    for some in itertools.combinations(shares, 3):
        assert combine({index: shares[index] for index in some}) == secret


@pytest.mark.parametrize(("threshold", "shares"), [(1, 3), (4, 3), (0, 0), (2, 33), (-2, 5)])
def test_numbers_that_make_no_sense_are_refused(threshold: int, shares: int) -> None:
    with pytest.raises(SettingsError, match="is no sharing"):
        split(SecretBytes(b"x"), threshold=threshold, shares=shares)


@pytest.mark.parametrize("indices", [{}, {0: b"x"}, {1: b"x", 33: b"x"}, {1: b"x", 2: b"xy"}])
def test_what_are_no_shares_is_refused(indices: dict[int, bytes]) -> None:
    with pytest.raises(SettingsError, match="not those of shares"):
        combine({index: SecretBytes(raw) for index, raw in indices.items()})
