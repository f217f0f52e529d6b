"""Names are safe as paths everywhere, key ids are eight digits and never zero."""

from __future__ import annotations

import re
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import FormatError, InvalidNameError, SettingsError
from strongroom.model.names import MAX_NAME, KeyId, draw_key_id, format_key_id, parse_key_id, parse_name

ACCEPTED = [
    "a",
    "0",
    "student-records",
    "django-secret-key",
    "billing/api-token",
    "db.production.password",
    "a_b-c.d",
    "a--b",
    "x" * 64,
    "/".join(["a"] * 8),
    "/".join(["x" * 49] * 4),  # 199 bytes
    "com10",
    "console",
    "nullable/auxiliary",
    "gpg",
    "a.gpgx",
    "git/lock/json",
    "strongroom",
    "strongrooms.a",
    "team/strongroom.issuer",
    "keysets/1",
]

REFUSED = [
    "",
    "/",
    "//",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/..",
    "/etc/passwd",
    "a/",
    "/a",
    "a//b",
    "./a",
    "a/./b",
    "a..b",
    "~",
    "~root/a",
    "-rf",
    "--help",
    "-",
    "_a",
    "a_",
    "a-",
    ".a",
    "a.",
    ".git/config",
    "a/.hidden",
    "A",
    "Student-Records",
    "student records",
    "a b",
    " a",
    "a ",
    "a\n",
    "a\r\n",
    "\na",
    "a\nb",
    "a\tb",
    "a\x00b",
    "a\x00.json",
    "a\x1b[2J",
    "a\x7f",
    "a\\b",
    "..\\a",
    "c:",
    "c:a",
    "a:stream",
    "a*",
    "a?",
    "a[1]",
    "a;b",
    "a|b",
    "a&b",
    "$(id)",
    "`id`",
    "a'b",
    'a"b',
    "a=b",
    "a@b",
    "a#b",
    "a%2e%2e",
    "%2e%2e/a",
    "a+b",
    "a,b",
    "a!b",
    "a<b>",
    "ä",
    "naïve",
    "naı",
    "ﬁle",
    "a\u200bb",
    "a\u202eb",
    "\u0430",  # Cyrillic a
    "a\u0301",
    "１",
    "a\u2215b",
    "a\uff0fb",
    "\ud800",
    "con",
    "prn",
    "aux",
    "nul",
    "com1",
    "com9",
    "lpt1",
    "lpt9",
    "con.txt",
    "nul.a.b",
    "a/con",
    "aux/b",
    "a/lpt3.x/b",
    "a.gpg",
    "a.git",
    "a.lock",
    "a.json",
    "a.git/b",
    "a/b.gpg",
    "a.gpg/b",
    "a/b.lock/c",
    "a.json.gpg",
    "x" * 65,
    "a/" + "x" * 65,
    "/".join(["a"] * 9),
    "/".join(["x" * 50] * 4),  # 203 bytes
    "/".join(["x" * 40] * 4 + ["x" * 37]),  # 201 bytes
    "strongroom.issuer",
    "strongroom.a/b",
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_an_ordinary_name_is_taken_as_it_is(text: str) -> None:
    assert parse_name(text) == text


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_a_name_that_some_system_reads_otherwise_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError) as refusal:
        parse_name(text)
    assert str(refusal.value).isprintable()
    assert refusal.value.hint


def test_the_longest_name_has_200_bytes() -> None:
    longest = "/".join(["x" * 40] * 4 + ["x" * 36])
    assert len(longest) == 200 == MAX_NAME
    assert parse_name(longest) == longest


def test_a_huge_name_is_not_quoted_whole() -> None:
    with pytest.raises(InvalidNameError) as refusal:
        parse_name("x" * 1_000_000)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("text", ["strongroom.issuer", "strongroom.a/b"])
def test_reserved_names_open_only_to_who_asks(text: str) -> None:
    assert parse_name(text, reserved=True) == text


@pytest.mark.parametrize("text", ["strongroom.gpg", "strongroom.", "strongroom.A", "strongroom.a/../b"])
def test_reserved_names_keep_to_the_law(text: str) -> None:
    with pytest.raises(InvalidNameError):
        parse_name(text, reserved=True)


@pytest.mark.parametrize("name", [b"records", None, 7, ["records"]])
def test_what_is_no_text_is_no_name(name: object) -> None:
    with pytest.raises(InvalidNameError, match="is text, and this is"):
        parse_name(name)  # type: ignore[arg-type]  # what callers without a type checker give


def test_a_bad_name_is_a_bad_argument() -> None:
    with pytest.raises(SettingsError):
        parse_name("A")


@given(st.text(max_size=80) | st.text("abz09._-/", max_size=220))
def test_what_is_taken_cannot_leave_its_directory(text: str) -> None:
    try:
        name = parse_name(text)
    except InvalidNameError:
        return
    assert name == text
    assert re.fullmatch(r"[a-z0-9._/-]{1,200}", name)
    segments = name.split("/")
    assert 1 <= len(segments) <= 8
    assert all(segment[0].isalnum() and segment[-1].isalnum() and ".." not in segment for segment in segments)


def test_key_ids_are_drawn_from_all_32_bits_and_never_taken_ones() -> None:
    drawn = {draw_key_id(()) for _ in range(2_000)}
    assert all(0 < key_id < 2**32 for key_id in drawn)
    assert {key_id.bit_length() for key_id in drawn} >= {32, 31, 30}
    assert not any(draw_key_id(drawn) in drawn for _ in range(100))


def test_a_taken_key_id_is_drawn_again() -> None:
    class AllButOne:
        """Holds every key id that is odd: half of the draws must be repeated."""

        def __contains__(self, key_id: object) -> bool:
            return isinstance(key_id, int) and key_id % 2 == 1

        def __iter__(self) -> NoReturn:
            raise AssertionError("a draw does not list what is taken")

        def __len__(self) -> int:
            return 2**31

    assert all(draw_key_id(AllButOne()) % 2 == 0 for _ in range(50))


@given(st.integers(1, 2**32 - 1))
def test_a_key_id_comes_back_from_its_text(key_id: int) -> None:
    text = format_key_id(KeyId(key_id))
    assert re.fullmatch(r"[0-9a-f]{8}", text)
    assert parse_key_id(text) == key_id


@pytest.mark.parametrize(
    "text",
    ["", "0", "00000000", "5a26ee0", "5a26ee090", "5A26EE09", "+a26ee09", "-a26ee09", "0x26ee09", "5a_6ee09",
     " a26ee09", "5a26ee0\n", "5a26ee0g", "１２３４５６７８", "100000000"],
    ids=ascii,
)  # fmt: skip
def test_a_key_id_has_one_spelling(text: str) -> None:
    with pytest.raises(FormatError):
        parse_key_id(text)
