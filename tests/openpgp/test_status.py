"""Status lines and the predicate: accepted only when everything is there, once, in order, and nothing failed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import OpenPGPError
from strongroom.openpgp.status import MAX_STATUS, Status

GOOD = [
    "ENC_TO BF434297D52FA9F2 18 0",
    "DECRYPTION_KEY C9D9 130F u",
    "BEGIN_DECRYPTION",
    "DECRYPTION_INFO 2 9 0",
    "PLAINTEXT 62 1795469517 ",
    "PLAINTEXT_LENGTH 5",
    "DECRYPTION_OKAY",
    "GOODMDC",
    "END_DECRYPTION",
]


def accepts(lines: list[str], *, returncode: int = 0, length: int = 5) -> bool:
    raw = "".join(f"[GNUPG:] {line}\n" for line in lines).encode()
    return Status.parse(raw).accepts_decryption(returncode=returncode, length=length)


def without(word: str) -> list[str]:
    return [line for line in GOOD if line.split()[0] != word]


def test_the_good_one() -> None:
    assert accepts(GOOD)


def test_each_of_its_parts_is_needed() -> None:
    for word in ("BEGIN_DECRYPTION", "PLAINTEXT", "DECRYPTION_OKAY", "END_DECRYPTION", "GOODMDC"):
        assert not accepts(without(word))
    assert not accepts([])


def test_each_of_its_parts_is_there_once() -> None:
    for word in ("BEGIN_DECRYPTION", "PLAINTEXT 62 0 ", "DECRYPTION_OKAY", "END_DECRYPTION"):
        for place in range(len(GOOD) + 1):
            assert not accepts([*GOOD[:place], word, *GOOD[place:]])


def test_no_failure_is_among_them() -> None:
    for word in (
        "DECRYPTION_FAILED",
        "BADMDC",
        "ERROR x 1",
        "FAILURE decrypt 1",
        "NODATA 3",
        "UNEXPECTED 0",
        "BADARMOR",
    ):
        for place in range(len(GOOD) + 1):
            assert not accepts([*GOOD[:place], word, *GOOD[place:]])


def test_a_key_that_could_not_be_used_counts_only_once_the_decryption_began() -> None:
    line = "ERROR pkdecrypt_failed 67108949"
    begins = GOOD.index("BEGIN_DECRYPTION")
    for place in range(len(GOOD) + 1):
        assert accepts([*GOOD[:place], line, *GOOD[place:]]) is (place <= begins)


def test_the_order_counts() -> None:
    for word in ("BEGIN_DECRYPTION", "DECRYPTION_OKAY"):
        assert not accepts([*without(word), word])
    assert not accepts(["END_DECRYPTION", *without("END_DECRYPTION")])


def test_exit_code_and_output_count() -> None:
    assert not accepts(GOOD, returncode=2)
    assert not accepts(GOOD, returncode=-9)
    assert not accepts(GOOD, length=0)
    assert not accepts(without("PLAINTEXT_LENGTH"), length=0)


def test_binary_plaintext_has_the_length_that_was_announced() -> None:
    assert not accepts(GOOD, length=4)
    assert accepts(without("PLAINTEXT_LENGTH"), length=4)
    text = [line.replace("PLAINTEXT 62", "PLAINTEXT 74") for line in GOOD]
    assert accepts(text, length=4)


def test_aead_stands_for_the_mdc() -> None:
    for info, good in (("0 9 2", True), ("0 9 3", True), ("0 9 0", False), ("0 9", False)):
        assert accepts([line.replace("2 9 0", info) for line in without("GOODMDC")]) is good
    twice = [*without("GOODMDC"), "DECRYPTION_INFO 0 9 2"]
    assert not accepts(twice)


@pytest.mark.parametrize("raw", [b"gpg: hello\n", b"[GNUPG:] \n", b"[GNUPG:]\n", b"x[GNUPG:] GOODMDC\n", b" \n"])
def test_a_line_that_is_none_is_an_error(raw: bytes) -> None:
    with pytest.raises(OpenPGPError, match="status line"):
        Status.parse(raw)


def test_lines_end_at_line_feeds_alone() -> None:
    for end in ("\r", "\v", "\f", "\x1c", "\x85", "\u2028"):
        status = Status.parse(f"[GNUPG:] PLAINTEXT 62 0 a{end}[GNUPG:] GOODMDC\n".encode())
        assert [line.keyword for line in status.lines] == ["PLAINTEXT"]


def test_too_many_lines_are_an_error() -> None:
    with pytest.raises(OpenPGPError, match="more than"):
        Status.parse(b"[GNUPG:] X\n" * (MAX_STATUS // 10))


@given(st.lists(st.one_of(st.binary(max_size=30), st.sampled_from(GOOD).map(str.encode))))
def test_no_bytes_raise_anything_but_our_error(lines: list[bytes]) -> None:
    with contextlib.suppress(OpenPGPError):
        Status.parse(b"\n".join(b"[GNUPG:] " + line for line in lines)).accepts_decryption(returncode=0, length=1)
