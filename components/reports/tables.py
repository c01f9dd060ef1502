"""Tables that sort and filter with JavaScript, and read well without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from components.reports.figures import NOTHING, number
from components.reports.markup import Content, tag

_SEARCHED = 12
"""Tables with more rows have a search field."""
_TALL = 40
"""Tables with more rows scroll by themselves, under their titles."""

Mark = Literal["", "good", "bad", "warn", "changed"]


@dataclass(frozen=True)
class Column:
    """A column: its title; numbers are aligned right; a hint explains the title."""

    title: str
    is_number: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and what it sorts by if that differs; `kind` colours it, with a sign."""

    shown: Content
    sort: float | str | None = None
    kind: Mark = ""


def table(
    caption: str,
    columns: Sequence[str | Column],
    rows: Sequence[Sequence[Cell | Content]],
    *,
    is_sortable: bool = True,
    is_searchable: bool | None = None,
    hide_caption: bool = False,
) -> Markup:
    """A table.

    Args:
        caption: What the table shows.
        columns: Its columns; a plain string is a column of text.
        rows: One cell per column. The first one is the row's header. A number, a bool or None is formatted.
        is_sortable: Whether a click on a column's title sorts by it.
        is_searchable: Whether there is a field that filters the rows; by default, if there are more than 12.
        hide_caption: Whether only screen readers get the caption, because a heading says the same.
    """
    found = [column if isinstance(column, Column) else Column(column) for column in columns]
    searchable = len(rows) > _SEARCHED if is_searchable is None else is_searchable
    whole = tag(
        "table",
        tag("caption", caption, class_="hidden" if hide_caption else None),
        tag("thead", tag("tr", *(_head(column) for column in found))),
        tag("tbody", *(_row(row, found) for row in rows)),
        data_sortable=is_sortable and len(rows) > 1,
        data_searchable=searchable,
    )
    return tag(
        "div",
        whole,
        class_="scroll tall" if len(rows) > _TALL else "scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _head(column: Column) -> Markup:
    return tag(
        "th", column.title, scope="col", class_="number" if column.is_number else None, title=column.hint or None
    )


def _row(cells: Sequence[Cell | Content], columns: Sequence[Column]) -> Markup:
    found = [cell if isinstance(cell, Cell) else _cell(cell) for cell in cells]
    first = _td("th", found[0], columns[0], scope="row")
    return tag("tr", first, *(_td("td", cell, column) for cell, column in zip(found[1:], columns[1:], strict=True)))


def _td(name: str, cell: Cell, column: Column, **attributes: str) -> Markup:
    classes = " ".join(filter(None, ["number" if column.is_number else "", cell.kind]))
    return tag(name, cell.shown, class_=classes or None, data_sort=_sort_key(cell.sort), **attributes)


def _sort_key(key: float | str | None) -> str | None:
    """A key in full, unlike the lengths in pictures; empty keys, as of NaN, come last."""
    if isinstance(key, float):
        return repr(key) if math.isfinite(key) else ""
    return None if key is None else str(key)


def _cell(value: Content) -> Cell:
    if value is None:
        return Cell(NOTHING, sort="")
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, int | float):
        return Cell(number(value), sort=repr(value))
    return Cell(value)
