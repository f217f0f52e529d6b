"""The tables of moves and rights, over their full products, against tables written here by hand."""

from __future__ import annotations

from itertools import product

import pytest

from strongroom.errors import StateError
from strongroom.model.states import MOVES, RULES, KeyState, Operation, check_move, permits, sterner

# Rows: from. Columns: to, in the same order. SP 800-57 part 1 rev. 5, section 7.
LAWFUL = """
                 pre-activation  active  suspended  deactivated  compromised  destroyed
pre-activation         -           x         -           -            x           x
active                 -           -         x           x            x           x
suspended              -           x         -           x            x           x
deactivated            -           -         -           -            x           x
compromised            -           -         -           -            -           x
destroyed              -           -         -           -            -           -
"""

# Columns: protects as the primary, protects otherwise; processes, processes when compromised ones are asked for.
RIGHTS = """
                 primary  other  process  asked
pre-activation      -       -       x       x
active              x       -       x       x
suspended           -       -       -       -
deactivated         -       -       x       x
compromised         -       -       -       x
destroyed           -       -       -       -
"""


def _table(text: str) -> dict[tuple[str, str], bool]:
    head, *rows = (line.split() for line in text.strip().splitlines())
    return {(row[0], column): cell == "x" for row in rows for column, cell in zip(head, row[1:], strict=True)}


MOVE_TABLE, RIGHT_TABLE = _table(LAWFUL), _table(RIGHTS)


def test_the_words_are_those_of_the_standard() -> None:
    assert [state.value for state in KeyState] == [
        "pre-activation", "active", "suspended", "deactivated", "compromised", "destroyed",
    ]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), list(product(KeyState, KeyState)), ids=lambda state: state.value)
def test_a_move_is_lawful_where_the_table_says_so(a: KeyState, b: KeyState) -> None:
    lawful = MOVE_TABLE[a.value, b.value]
    assert (b in MOVES[a]) is lawful
    if lawful:
        check_move(a, b)
    else:
        with pytest.raises(StateError, match=f"{a.value} and cannot become {b.value}"):
            check_move(a, b)


@pytest.mark.parametrize("state", KeyState, ids=lambda state: state.value)
def test_a_state_permits_what_the_table_says(state: KeyState) -> None:
    for primary, compromised_too in product((False, True), repeat=2):
        protects = permits(state, Operation.PROTECT, primary=primary, compromised_too=compromised_too)
        processes = permits(state, Operation.PROCESS, primary=primary, compromised_too=compromised_too)
        assert protects is RIGHT_TABLE[state.value, "primary" if primary else "other"]
        assert processes is RIGHT_TABLE[state.value, "asked" if compromised_too else "process"]


def test_the_tables_are_whole_and_cannot_be_changed() -> None:
    assert set(MOVES) == set(KeyState)
    assert set(RULES) == set(product(KeyState, Operation))
    for table in (MOVES, RULES):
        with pytest.raises(TypeError):
            del table[next(iter(table))]  # type: ignore[union-attr]  # that it has no __delitem__ is the point


def test_no_move_resurrects() -> None:
    reached = {KeyState.COMPROMISED}
    while more := {b for a in reached for b in MOVES[a]} - reached:
        reached |= more
    assert reached == {KeyState.COMPROMISED, KeyState.DESTROYED}


@pytest.mark.parametrize(("a", "b"), list(product(KeyState, KeyState)), ids=lambda state: state.value)
def test_of_two_states_the_sterner_wins_whoever_is_asked_first(a: KeyState, b: KeyState) -> None:
    order = ["pre-activation", "active", "deactivated", "suspended", "compromised", "destroyed"]
    expected = order[max(order.index(a.value), order.index(b.value))]
    assert sterner(a, b).value == sterner(b, a).value == expected


@pytest.mark.parametrize(("a", "b"), list(product(KeyState, KeyState)), ids=lambda state: state.value)
def test_the_sterner_state_never_reads_more(a: KeyState, b: KeyState) -> None:
    for asked in (False, True):
        rights = [permits(s, Operation.PROCESS, primary=False, compromised_too=asked) for s in (a, b, sterner(a, b))]
        if KeyState.SUSPENDED in (a, b) and KeyState.COMPROMISED in (a, b):
            continue  # compromised is further on, and read only by explicit wish
        assert rights[2] is (rights[0] and rights[1])
