"""Time lines: values by window, with intervals, limits, alarms and versions; a click leads to a window."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from markupsafe import Markup

from components.reports import axes
from components.reports.axes import Range, Scale
from components.reports.charts import Frame, figure, legend
from components.reports.figures import number
from components.reports.markup import Content, tag
from components.reports.monitoring.wording import times

FRAME = Frame(480, 200, left=52, right=12, top=22, bottom=28)
_STRETCHES = 160
"""The most stretches of a line; a longer one is thinned."""
_DOTTED = 40
"""A line with at most so many windows shows each with its values."""
_CLICKED = 60
"""The most places to click on."""

Values = Sequence[float]
Href = Callable[[datetime, datetime], str]
"""The address of a stretch of time; empty if it has none."""


@dataclass(frozen=True)
class Line:
    """A value by window: seconds since 1970, values, and the ends of their intervals; NaN is a gap.

    Attributes:
        name: Its name in the legend.
        times: The windows' starts, ascending.
        values: The values.
        low: The lower ends of intervals; empty for none.
        high: The upper ends.
        color: Which of the palette's colours.
        is_dashed: Whether it is an estimate or a reference.
    """

    name: str
    times: Values
    values: Values
    low: Values = ()
    high: Values = ()
    color: int = 0
    is_dashed: bool = False


@dataclass(frozen=True)
class Span:
    """A stretch of time that is marked: an alarm. `kind` is bad, warn or plain."""

    start: float
    end: float
    words: str
    kind: str = "bad"
    href: str = ""


@dataclass(frozen=True)
class Marks:
    """What is marked on every time line.

    Attributes:
        across: The first start and the last end.
        seconds: The length of a window.
        spans: The alarms.
        versions: When versions first answered, with their names.
        href: Where a click on a stretch of time leads.
    """

    across: Range
    seconds: float
    spans: Sequence[Span] = ()
    versions: Sequence[tuple[float, str]] = ()
    href: Href | None = None

    def of(self, spans: Sequence[Span]) -> Marks:
        """The same with other alarms."""
        return replace(self, spans=spans)


def timeline(
    lines: Sequence[Line],
    marks: Marks,
    *,
    title: str,
    y_range: Range | None = None,
    include_zero: bool = True,
    shown: Callable[[float], str] = number,
    note: Content = None,
    frame: Frame = FRAME,
) -> Markup:
    """A figure with lines over time.

    Args:
        lines: The lines.
        marks: What is marked beside them.
        title: What is shown: the caption, and what screen readers say.
        y_range: The limits of the values; default: round values around them.
        include_zero: Whether the axis begins at zero.
        shown: A value as text.
        note: A remark below the title.
        frame: The size.
    """
    up = y_range or axes.rounded(axes.extent(_all(lines), include_zero=include_zero), 4)
    x = Scale(*marks.across, frame.left, frame.width - frame.right)
    y = Scale(*up, frame.height - frame.bottom, frame.top)
    content: list[Content] = [_spans(marks, x, frame), _grid(frame, x, y, shown), _versions(marks, x, frame)]
    content += [_line(line, marks.seconds, x, y, shown) for line in lines]
    content += [_clicked(marks, x, frame), _flags(marks, x, frame)]
    named = {line.name: line for line in lines}
    entries = legend([(name, line.is_dashed) for name, line in named.items()], [line.color for line in named.values()])
    return figure(title, _svg(title, frame, content), entries, note)


def _all(lines: Sequence[Line]) -> list[float]:
    return [value for line in lines for part in (line.values, line.low, line.high) for value in part]


def _svg(title: str, frame: Frame, content: Sequence[Content]) -> Markup:
    """A group, and not a picture: there may be links inside."""
    box = f"0 0 {frame.width} {frame.height}"
    size = {"viewBox": box, "width": frame.width, "height": frame.height}
    return tag("svg", *content, **size, role="group", aria_label=title, class_="chart timeline")


def _grid(frame: Frame, x: Scale, y: Scale, shown: Callable[[float], str]) -> Markup:
    right, bottom = frame.width - frame.right, frame.height - frame.bottom
    parts: list[Markup] = []
    for value in axes.ticks((y.low, y.high), 4):
        parts.append(tag("line", x1=frame.left, x2=right, y1=y.at(value), y2=y.at(value), class_="grid"))
        parts.append(tag("text", shown(value), x=frame.left - 6, y=y.at(value) + 4, class_="tick end"))
    for when, label in times.ticks((x.low, x.high)):
        parts.append(tag("line", x1=x.at(when), x2=x.at(when), y1=bottom, y2=bottom + 4, class_="axis"))
        parts.append(tag("text", label, x=x.at(when), y=bottom + 18, class_="tick middle"))
    parts.append(tag("line", x1=frame.left, x2=right, y1=bottom, y2=bottom, class_="axis"))
    return tag("g", *parts, aria_hidden="true")


def _line(line: Line, seconds: float, x: Scale, y: Scale, shown: Callable[[float], str]) -> Markup:
    # A value stands in the middle of its window.
    middle = Scale(x.low - seconds / 2, x.high - seconds / 2, x.start, x.end)
    size = math.ceil(len(line.times) / _STRETCHES) if len(line.times) > 2 * _STRETCHES else 1
    pieces = [_thinned(piece, size) for piece in _pieces(line, seconds)]
    path = "".join(_path(piece.times, piece.values, middle, y) for piece in pieces)
    dotted = (
        pieces
        if len(line.times) <= _DOTTED and not line.is_dashed
        else [each for each in pieces if len(each.times) == 1]
    )
    dots = [
        _dot(line.name, point, middle, y, shown)
        for each in dotted
        for point in zip(each.times, each.values, strict=True)
    ]
    stroke = tag("path", d=path, class_="stroke dashed" if line.is_dashed else "stroke")
    return tag("g", _band(line, size, seconds, middle, y), stroke, *dots, class_=f"s{line.color % 8}")


def _dot(name: str, point: tuple[float, float], x: Scale, y: Scale, shown: Callable[[float], str]) -> Markup:
    words = f"{name}: {shown(point[1])}, {times.short(times.moment(point[0]))}"
    return tag("circle", tag("title", words), cx=x.at(point[0]), cy=y.at(point[1]), r=2.25, class_="fill")


def _pieces(line: Line, seconds: float) -> list[Line]:
    """The line without gaps: a missing window or value ends a piece."""
    usual = min((b - a for a, b in itertools.pairwise(line.times) if b > a), default=seconds)
    found: list[list[int]] = []
    before = -math.inf
    for index, (when, value) in enumerate(zip(line.times, line.values, strict=True)):
        if not math.isfinite(value):
            before = -math.inf
            continue
        if when - before > 1.6 * max(usual, seconds):
            found.append([])
        found[-1].append(index)
        before = when
    return [_part(line, piece) for piece in found]


def _part(line: Line, kept: Sequence[int]) -> Line:
    low, high = ([each[index] for index in kept] if len(each) else () for each in (line.low, line.high))
    times_, values = ([each[index] for index in kept] for each in (line.times, line.values))
    return replace(line, times=times_, values=values, low=low, high=high)


def _thinned(piece: Line, size: int) -> Line:
    """Of many windows, the least and the greatest of each stretch of so many, so that no peak is lost."""
    if size == 1:
        return piece
    kept: list[int] = []
    for start in range(0, len(piece.times), size):
        part = range(start, min(start + size, len(piece.times)))
        kept += sorted({min(part, key=piece.values.__getitem__), max(part, key=piece.values.__getitem__)})
    return _part(piece, kept)


def _path(when: Values, values: Values, x: Scale, y: Scale) -> str:
    return "M" + "L".join(f"{x.at(each):.1f} {y.at(value):.1f}" for each, value in zip(when, values, strict=True))


def _band(line: Line, size: int, seconds: float, x: Scale, y: Scale) -> Markup | None:
    """The area between the ends of the intervals."""
    if not len(line.low):
        return None
    # A window without either end is a gap.
    known = [low if math.isfinite(high) else math.nan for low, high in zip(line.low, line.high, strict=True)]
    pieces = [_thinned(piece, size) for piece in _pieces(replace(line, values=known), seconds)]
    paths = [_path([*each.times, *each.times[::-1]], [*each.low, *each.high[::-1]], x, y) for each in pieces]
    return tag("path", d="".join(f"{path}Z" for path in paths), class_="band")


def _spans(marks: Marks, x: Scale, frame: Frame) -> Markup:
    """Where alarms were on, behind everything."""
    top, height = frame.top, frame.height - frame.bottom - frame.top
    rects = []
    for span in marks.spans:
        left, right = _cut(x, span.start), _cut(x, span.end)
        rects.append(tag("rect", x=left, y=top, width=max(right - left, 2), height=height, class_=f"span {span.kind}"))
    return tag("g", *rects, aria_hidden="true")


def _cut(x: Scale, when: float) -> float:
    return min(max(x.at(when), x.start), x.end)


def _versions(marks: Marks, x: Scale, frame: Frame) -> Markup:
    parts = []
    for when, label in marks.versions:
        if marks.across[0] < when < marks.across[1]:
            at, bottom = x.at(when), frame.height - frame.bottom
            parts.append(tag("line", x1=at, x2=at, y1=frame.top - 6, y2=bottom, class_="version"))
            parts.append(tag("text", label, x=at, y=frame.top - 9, class_="tick middle"))
    return tag("g", *parts)


def _flags(marks: Marks, x: Scale, frame: Frame) -> Markup:
    """A flag where each alarm began, which leads to it; of those at the same place, the most urgent."""
    seen: set[int] = set()
    parts = []
    for span in reversed(marks.spans):
        at = round(_cut(x, span.start))
        if at // 9 in seen:
            continue
        seen.add(at // 9)
        shape = tag("path", tag("title", span.words), d=f"M{at} {frame.top - 4}l-5 -9h10z", class_=f"flag {span.kind}")
        parts.append(tag("a", shape, href=span.href, aria_label=span.words) if span.href else shape)
    return tag("g", *parts)


def _clicked(marks: Marks, x: Scale, frame: Frame) -> Markup | None:
    """Stretches of time to click on; by keyboard, the same is in the table of windows."""
    if marks.href is None or marks.seconds <= 0:
        return None
    count = math.ceil((marks.across[1] - marks.across[0]) / marks.seconds)
    step = marks.seconds * math.ceil(count / _CLICKED)
    places = []
    for index in range(math.ceil((marks.across[1] - marks.across[0]) / step)):
        start = marks.across[0] + index * step
        end = min(start + step, marks.across[1])
        if place := marks.href(times.moment(start), times.moment(end)):
            places.append(tag("a", _hit(start, end, x, frame), href=place, tabindex="-1", aria_hidden="true"))
    return tag("g", *places)


def _hit(start: float, end: float, x: Scale, frame: Frame) -> Markup:
    words = tag("title", f"{times.short(times.moment(start))} to {times.short(times.moment(end))}")
    height = frame.height - frame.bottom - frame.top
    return tag("rect", words, x=x.at(start), y=frame.top, width=x.at(end) - x.at(start), height=height, class_="hit")
