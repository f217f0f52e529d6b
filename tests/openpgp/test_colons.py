"""Key listings: what gpg says of a key, and texts that strangers chose."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom._encoding import Timestamp
from strongroom.errors import OpenPGPError
from strongroom.openpgp import colons
from strongroom.openpgp.engine import Certificate

FPR, SUB = "A" * 40, "B" * 40


def listing(
    *, validity: str = "u", caps: str = "scESC", expires: str = "", subs: tuple[str, ...] = (), uid: str = "Alice"
) -> bytes:
    subkeys = subs or (sub(),)
    return (
        f"tru::1:1795468780:0:3:1:5\n"
        f"pub:{validity}:255:22:{FPR[-16:]}:1000:{expires}::u:::{caps}:::+::ed25519:::0:\n"
        f"fpr:::::::::{FPR}:\n"
        f"uid:{validity}::::1000::76BD::{uid}::::::::::0:\n" + "".join(subkeys)
    ).encode()


def sub(*, validity: str = "u", caps: str = "e", expires: str = "", held: str = "+", created: str = "1000") -> str:
    return f"sub:{validity}:255:18:{SUB[-16:]}:{created}:{expires}:::::{caps}:::{held}::cv25519::\nfpr:::::::::{SUB}:\n"


def one(raw: bytes) -> Certificate:
    (certificate,) = colons.parse(raw, transferable={FPR: b"key"})
    return certificate


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds * 1000)


def test_what_a_listing_says() -> None:
    certificate = one(listing())
    assert (certificate.fingerprint, certificate.uids, certificate.transferable) == (FPR, ("Alice",), b"key")
    (subkey,) = certificate.encryption_subkeys
    assert (subkey.fingerprint, subkey.key_id, subkey.algorithm, subkey.bits) == (SUB, SUB[-16:], "cv25519", 255)
    assert certificate.problem(at(1000)) is None


def test_the_moment_of_expiry_is_expired() -> None:
    for certificate in (one(listing(expires="2000")), one(listing(subs=(sub(expires="2000"),)))):
        assert certificate.problem(Timestamp(1_999_999)) is None
        assert "expired on 1970-01-01, today" in (certificate.problem(at(2000)) or "")
        assert "1 day ago" in (certificate.problem(at(2000 + 86_400)) or "")
        assert "3 days ago" in (certificate.problem(at(2000 + 3 * 86_400)) or "")


def test_a_key_from_the_future_waits() -> None:
    certificate = one(listing(subs=(sub(created="5000"),)))
    assert "future" in (certificate.problem(at(4999)) or "")
    assert certificate.problem(at(5000)) is None


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (listing(validity="r"), "revoked"),
        (listing(caps="scESCD"), "disabled"),
        (listing(subs=(sub(caps="s"),)), "no encryption subkey"),
        (listing(subs=(sub(validity="i"),)), "no encryption subkey"),
        (listing(subs=(sub(validity="r"),)), "subkey is revoked"),
    ],
)
def test_each_hindrance_has_its_words(raw: bytes, words: str) -> None:
    certificate = one(raw)
    assert words in (certificate.problem(at(1500)) or "")
    assert certificate.usable_for_encryption(at(1500)) == ()


def test_one_good_subkey_is_enough() -> None:
    certificate = one(listing(subs=(sub(validity="r"), sub(expires="1100"), sub())))
    assert certificate.problem(at(1500)) is None
    assert len(certificate.usable_for_encryption(at(1500))) == 1


def test_a_primary_key_may_encrypt_itself() -> None:
    certificate = one(listing(caps="escESC", subs=(sub(caps="s"),)))
    assert [subkey.fingerprint for subkey in certificate.encryption_subkeys] == [FPR]


@pytest.mark.parametrize(("held", "has"), [("+", True), ("D2760001240102", True), ("#", False), ("", False)])
def test_a_secret_key_is_here_or_on_a_card_or_not(held: str, has: bool) -> None:
    assert one(listing(subs=(sub(held=held),))).has_secret is has


def test_names_are_unescaped_and_shown_escaped() -> None:
    certificate = one(listing(uid=r"a\x3ab\x5cn \x1b[2J\n\xc3\xb6"))
    assert certificate.uids == ("a:b\\n \x1b[2J\nö",)
    assert certificate.label.isprintable()


def test_a_revoked_name_of_a_good_key_does_not_count() -> None:
    raw = listing() + b"uid:r::::1000::76BD::Old <old@example.org>::::::::::0:\n"
    assert one(raw).uids == ("Alice",)


def test_dates_beyond_the_integers() -> None:
    assert one(listing(expires="21600101T000000")).expires == 5_995_814_400
    with pytest.raises(OpenPGPError, match="date"):
        one(listing(expires="soon"))


@pytest.mark.parametrize(
    "raw",
    [b"pub:u:255\n", b"pub:u:255:22:AA:1:::u:::scESC:::+::ed25519:::0:\n", listing().replace(b"B" * 40, b"B" * 39)],
)
def test_a_listing_that_is_none_is_an_error(raw: bytes) -> None:
    with pytest.raises(OpenPGPError, match="gpg listed"):
        colons.parse(raw, transferable={})


@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(listing().split(b"\n"))).map(b"\n".join)))
def test_no_bytes_raise_anything_but_our_error(raw: bytes) -> None:
    with contextlib.suppress(OpenPGPError):
        colons.parse(raw, transferable={})
