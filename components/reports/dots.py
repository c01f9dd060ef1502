"""Values beside a common one, each with its interval: dots in rows that are as wide as there is room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from components.reports import axes
from components.reports.axes import Scale
from components.reports.charts import figure
from components.reports.figures import number
from components.reports.markup import Content, tag

_HEIGHT = 8
_DOT = 1.2
"""The width of a dot, as all widths here in percent of the row's."""


@dataclass(frozen=True)
class Dot:
    """A row: its label, its value, the ends of its interval, and a remark after the value."""

    label: str
    value: float
    interval: tuple[float, float] | None = None
    note: str = ""


def dots(rows: Sequence[Dot], *, title: str, reference: float | None = None, note: Content = None) -> Markup:
    """Dots over one axis, with a line through all rows at the reference."""
    values = [end for row in rows for end in (row.value, *(row.interval or ()))]
    scale = Scale(*axes.extent([*values, *([] if reference is None else [reference])]), _DOT, 100 - _DOT)
    items = (_row(row, scale, reference) for row in rows)
    return figure(title, tag("ul", *items, class_="bars s0", aria_label=title), note=note)


def _row(row: Dot, scale: Scale, reference: float | None) -> Markup:
    name = tag("span", row.label, class_="label", title=row.label)
    shown = tag("span", f"{number(row.value)}{_ends(row)}{f' · {row.note}' if row.note else ''}", class_="value")
    marks = [] if reference is None else [_mark(scale.at(reference), 0.4, _HEIGHT, "reference")]
    if row.interval and all(map(math.isfinite, row.interval)):
        low, high = (scale.at(end) for end in row.interval)
        marks.append(_mark((low + high) / 2, high - low, _HEIGHT / 2, "whisker"))
    if math.isfinite(row.value):
        marks.append(_mark(scale.at(row.value), _DOT, _HEIGHT, "fill"))
    picture = tag(
        "svg", *marks, viewBox=f"0 0 100 {_HEIGHT}", preserveAspectRatio="none", aria_hidden="true", class_="dots"
    )
    return tag("li", name, shown, picture)


def _ends(row: Dot) -> str:
    return f" ({number(row.interval[0])} to {number(row.interval[1])})" if row.interval else ""


def _mark(middle: float, width: float, height: float, kind: str) -> Markup:
    return tag(
        "rect", x=middle - width / 2, y=(_HEIGHT - height) / 2, width=max(width, 0.2), height=height, class_=kind
    )
