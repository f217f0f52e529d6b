"""Shamir's secret sharing over GF(2^8): any `threshold` shares give the secret, fewer say nothing about it.

A. Shamir, "How to share a secret", CACM 22 (1979). The field is AES's, GF(2)[x] modulo x^8 + x^4 + x^3 + x + 1 (FIPS
197 section 4). Products are computed by shifting and masking, with no table to look up and no branch on a secret: which
memory is touched, and in which order, is the same for every secret.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final

from strongroom.errors import SettingsError
from strongroom.primitives.secret import SecretBytes

MAX_SHARES: Final = 32
"""Shares of one secret. The field has 255 places; more people than this do not meet."""

_MODULUS: Final = 0x11B  # x^8 + x^4 + x^3 + x + 1


def split(
    secret: SecretBytes, *, threshold: int, shares: int, random: Callable[[int], bytes] = os.urandom
) -> dict[int, SecretBytes]:
    """The shares by their index, 1, 2, 3 …; each is as long as the secret. SettingsError for senseless numbers.

    `random` gives the coefficients; it is another one only for the format's vectors.
    """
    if not 2 <= threshold <= shares <= MAX_SHARES:
        raise SettingsError(
            f"{threshold} of {shares} is no sharing: it takes 2 or more, of as many or more, of {MAX_SHARES} at most",
            hint="strongroom recovery create --threshold 3 --shares 5",
        )
    # the coefficients are uniform, the highest one too: were zero excluded, threshold - 1 shares would exclude values
    rows = [secret, *(SecretBytes(random(len(secret))) for _ in range(threshold - 1))]
    return {index: _evaluated(rows, index) for index in range(1, shares + 1)}


def combine(shares: Mapping[int, SecretBytes]) -> SecretBytes:
    """The secret of exactly as many shares as are needed, by index. With fewer, or foreign ones, other bytes.

    It is Lagrange's interpolation at 0. Whether the bytes are the secret, the caller knows by other means.
    """
    return interpolate(shares, at=0)


def interpolate(shares: Mapping[int, SecretBytes], *, at: int) -> SecretBytes:
    """What the share of index `at` must be, by the others; 0 is the secret. SettingsError for indices that are none."""
    indices = sorted(shares)
    if not indices or indices[0] < 1 or indices[-1] > MAX_SHARES or len({len(each) for each in shares.values()}) != 1:
        raise SettingsError(f"indices {indices} are not those of shares of one secret")
    weights = []
    for index in indices:
        weight = 1
        for other in indices:
            if other != index:  # indices are public
                weight = _times(weight, _times(other ^ at, _inverse(other ^ index)))
        weights.append(weight)
    return _weighted([shares[index] for index in indices], weights)


def _times(a: int, b: int) -> int:
    """The product of two elements: eight masked additions, then seven masked reductions, whatever the values are."""
    product = 0
    for bit in range(8):
        product ^= -(b >> bit & 1) & (a << bit)
    for bit in range(14, 7, -1):
        product ^= -(product >> bit & 1) & (_MODULUS << (bit - 8))
    return product


def _inverse(a: int) -> int:
    """a^254, which is 1/a, because a^255 = 1 (and 0 for 0)."""
    result = 1
    for _ in range(7):  # 254 = 0b11111110: seven times square and multiply, then one square
        result = _times(_times(result, result), a)
    return _times(result, result)


# Plain bytes of a secret live below this line only, in functions that do not raise (STYLE section 6).


def _evaluated(rows: list[SecretBytes], index: int) -> SecretBytes:
    """The polynomials whose coefficients are the rows, from the constant on, at `index` (Horner's rule)."""
    values = bytearray(len(rows[0]))
    for row in reversed(rows):
        for place, coefficient in enumerate(row.reveal()):
            values[place] = _times(values[place], index) ^ coefficient
    return SecretBytes(bytes(values))


def _weighted(shares: list[SecretBytes], weights: list[int]) -> SecretBytes:
    values = bytearray(len(shares[0]))
    for share, weight in zip(shares, weights, strict=True):
        for place, value in enumerate(share.reveal()):
            values[place] ^= _times(value, weight)
    return SecretBytes(bytes(values))
