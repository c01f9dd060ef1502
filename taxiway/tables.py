"""Text tables: never wider than the terminal; not wrapped or cut if the output is piped."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

_GAP = 2
_NOTHING = "-"


@dataclass(frozen=True)
class Table:
    """A table: column names, the most important first, and rows with one string per column."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Text]]


def show(table: Table, console: Console) -> None:
    """Prints a table, one row per line.

    In a terminal, columns that do not fit are printed below each row, with their names. Piped output is never wrapped
    or cut.
    """
    rows = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in table.rows]
    heads = [Text(name, style="bold") for name in table.columns]
    widths = [max(cell.cell_len for cell in column) for column in zip(heads, *rows, strict=True)]
    fitting = _fitting(widths, console.width) if console.is_terminal else len(widths)
    console.print(_line(heads[:fitting], widths), soft_wrap=True)
    for row in rows:
        console.print(_line(row[:fitting], widths), soft_wrap=True)
        for line in _below(table.columns[fitting:], row[fitting:]):
            console.print(line)


def _fitting(widths: Sequence[int], room: int) -> int:
    """The number of leading columns that fit on a line; at least one."""
    ends = itertools.accumulate(widths, lambda end, width: end + _GAP + width)
    return max(1, sum(end <= room for end in ends))


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for cell, width in zip(cells, widths, strict=False):
        line.append_text(cell).append(" " * (width - cell.cell_len + _GAP))
    line.rstrip()
    return line


def _below(names: Sequence[str], cells: Sequence[Text]) -> Iterable[Padding]:
    for name, cell in zip(names, cells, strict=True):
        if cell.plain != _NOTHING:
            yield Padding(Text.assemble((f"{name}  ", "dim"), cell, overflow="fold"), (0, 0, 0, 4))
