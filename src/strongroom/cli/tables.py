"""A table on a person's terminal, whatever its width: words move to the next line, and nothing of them is cut off."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_BETWEEN: Final = 2
_LONG: Final = frozenset({"NAME", "REASON", "NOTE", "DIFFERENCES", "WANTS", "GRANTS"})
"""What people name or write: it is folded first, and where it has no blanks in the middle of a word."""
_LEAST: Final = 12
"""So much of a long word stands on one line."""


def draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write it on stdout; where it does not fit, each row is a block of lines, `COLUMN  cell`."""
    console = Console(file=sys.stdout, highlight=False)
    plain = bool(os.environ.get("NO_COLOR"))  # no-color.org; bold is no colour, and is an escape sequence all the same
    widths = _widths(columns, rows, console.width)
    if widths is None:
        sys.stdout.write("\n".join(_block(columns, row) for row in rows))
        return
    table = Table(box=None, pad_edge=False, header_style="" if plain else "bold", show_edge=False)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, overflow="fold", width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Of each column; None where they do not fit side by side."""
    cells = [[column, *(row[place] for row in rows)] for place, column in enumerate(columns)]
    whole = [max(map(cell_len, each)) for each in cells]
    least = [max(cell_len(word) for cell in each for word in cell.split() or [""]) for each in cells]
    long = [place for place, column in enumerate(columns) if column in _LONG]
    for place in long:
        least[place] = min(least[place], max(_LEAST, len(columns[place])))
    widths, room = list(whole), room - _BETWEEN * (len(columns) - 1)
    while sum(widths) > room and (able := _able(widths, least, long)):
        widths[max(able, key=widths.__getitem__)] -= 1
    while sum(widths) > room and (able := _able(widths, least, range(len(widths)))):
        widest = max(able, key=widths.__getitem__)
        widths[widest] = least[widest]
    for place in long:  # what a folded column left over
        widths[place] = max(widths[place], min(whole[place], widths[place] + room - sum(widths)))
    return None if sum(widths) > room else widths


def _able(widths: Sequence[int], least: Sequence[int], places: Iterable[int]) -> list[int]:
    """The columns that can be made narrower."""
    return [place for place in places if widths[place] > least[place]]


def _block(columns: Sequence[str], row: Sequence[str]) -> str:
    width = max(map(len, columns))
    return "".join(f"{column:<{width}}  {cell}\n" for column, cell in zip(columns, row, strict=True) if cell)
