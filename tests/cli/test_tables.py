"""Tables on terminals of any width: nothing is cut off, and no line is longer than the terminal."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.cli.tables import draw

KEYSETS = ("NAME", "TYPE", "PRIMARY", "STATE", "SINCE", "NEXT")
TIME = "2026-11-27 18:07Z"
ROWS = (
    ("records", "fernet", "2 of 3", "active", TIME, TIME),
    ("a/very/long/name/of-a-keyset", "secret", "1 of 1", "active", TIME, "-"),
    ("strongroom.issuer", "ed25519 (own)", "1 of 1", "active", TIME, "-"),
)


def drawn(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setenv("COLUMNS", str(width))
        patch.setenv("NO_COLOR", "1")
        draw(columns, rows)
    return out.getvalue()


def letters(*texts: str) -> Counter[str]:
    return Counter("".join("".join(texts).split()))


@given(
    st.lists(st.lists(st.text("ab-é日 ", max_size=40), min_size=6, max_size=6), min_size=1, max_size=4),
    st.integers(10, 130),
)
def test_every_letter_of_every_cell_is_shown_once(rows: list[list[str]], width: int) -> None:
    shown = drawn(KEYSETS, rows, width)
    heads = [column for row in rows for column, cell in zip(KEYSETS, row, strict=True) if cell]
    assert letters(shown) in (
        letters(*KEYSETS, *(cell for row in rows for cell in row)),
        letters(*heads, *(cell for row in rows for cell in row)),
    )


def test_a_wide_terminal_has_a_line_for_each_row() -> None:
    lines = drawn(KEYSETS, ROWS, 110).splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", *(row[0] for row in ROWS)]


def test_a_narrower_one_folds_and_keeps_within_its_width() -> None:
    for width in (90, 80, 70):
        lines = drawn(KEYSETS, ROWS, width).splitlines()
        assert lines[0].split() == list(KEYSETS)
        assert max(map(len, lines)) <= width
    assert "strongroom.issuer" in drawn(KEYSETS, ROWS, 80), "what a folded column leaves over goes to the names"


def test_where_not_even_words_fit_each_row_is_a_block() -> None:
    first, *_ = drawn(KEYSETS, ROWS, 50).split("\n\n")
    assert first.splitlines() == [
        "NAME     records",
        "TYPE     fernet",
        "PRIMARY  2 of 3",
        "STATE    active",
        f"SINCE    {TIME}",
        f"NEXT     {TIME}",
    ]
