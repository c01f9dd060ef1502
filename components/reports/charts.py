"""Charts as SVG: theme-aware by CSS classes, without any script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from components.reports import axes
from components.reports.axes import Range, Scale
from components.reports.figures import number, percent
from components.reports.markup import Content, join, tag

COLOURS = 8
"""The palette's size; further series begin again."""
_POINTS = 500
"""The most points of a line; a longer one is thinned."""
_LETTER = 7.0
"""The width of a letter of a label, about."""
_DOTTED = 24
"""A line with at most so many points shows each, with its values."""


@dataclass(frozen=True)
class Series:
    """A line: its points in order of x. A dashed one is a reference, such as a diagonal or a baseline.

    Attributes:
        name: Its name in the legend.
        points: Its points.
        is_dashed: Whether it is a reference.
        color: Which of the palette's colours; default: by its place among the lines.
    """

    name: str
    points: Sequence[tuple[float, float]]
    is_dashed: bool = False
    color: int | None = None


@dataclass(frozen=True)
class Distribution:
    """A histogram: `(low, high, count)` for each bucket, in order."""

    name: str
    buckets: Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class Frame:
    """The area of a chart, in pixels: its size, and the room for labels."""

    width: int = 480
    height: int = 260
    left: int = 56
    right: int = 14
    top: int = 12
    bottom: int = 44


def lines(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    title: str,
    x_range: Range | None = None,
    y_range: Range | None = None,
    frame: Frame = Frame(),
    note: Content = None,
) -> Markup:
    """Lines over common axes, with a legend if there are several.

    Args:
        series: The lines.
        x_label: What x is.
        y_label: What y is.
        title: What the chart shows: read by screen readers, and the figure's caption.
        x_range: The limits of x; default: those of the points.
        y_range: The limits of y; default: those of the points, extended to round values.
        frame: Its size.
        note: A remark below the title.
    """
    points = [point for each in series for point in each.points]
    across = axes.extent((x for x, _ in points), x_range)
    up = axes.extent((y for _, y in points), y_range)
    up = up if y_range else axes.rounded(up)
    x, y = _scales(frame, across, up)
    drawn = [_line(each, index, x, y) for index, each in enumerate(series)]
    picture = _svg(title, frame, _grid(frame, x, y), _axis_names(frame, x_label, y_label), *drawn)
    colours = [index if each.color is None else each.color for index, each in enumerate(series)]
    return figure(title, picture, legend([(each.name, each.is_dashed) for each in series], colours), note)


def histogram(
    distributions: Sequence[Distribution],
    *,
    title: str,
    frame: Frame = Frame(184, 72, left=8, right=8, top=6, bottom=18),
    has_caption: bool = False,
    ticks: Sequence[tuple[float, str]] = (),
    note: Content = None,
) -> Markup:
    """Distributions over one axis, each as shares of its own total: the first one filled, the others as outlines.

    Args:
        distributions: The distributions.
        title: What is shown.
        frame: The size.
        has_caption: Whether there is a caption and a legend.
        ticks: Places on the axis with their labels; default: its ends.
        note: A remark below the caption.
    """
    shares = [Distribution(each.name, _shares(each.buckets)) for each in distributions]
    across = axes.extent(edge for each in shares for low, high, _ in each.buckets for edge in (low, high))
    heights = [_density(bucket, across) for each in shares for bucket in each.buckets]
    x, y = _scales(frame, across, (0.0, max(heights, default=1.0) or 1.0))
    drawn = [_steps(each, index, x, y, across) for index, each in enumerate(shares)]
    floor = tag("line", class_="axis", x1=frame.left, x2=frame.width - frame.right, y1=y.start, y2=y.start)
    ends = _tick_labels(frame, x, ticks) if ticks else _end_labels(frame, across)
    picture = _svg(title, frame, *drawn, floor, *ends)
    return figure(title, picture, legend([(each.name, False) for each in shares]), note) if has_caption else picture


def bars(
    rows: Sequence[tuple[str, float]],
    *,
    title: str,
    total: float | None = None,
    color: int = 0,
) -> Markup:
    """Horizontal bars with a label and a number each, longest as wide as there is room.

    Args:
        rows: Labels with values of at least 0.
        title: What the bars show.
        total: If given, each number is followed by its share of this.
        color: Which of the palette's colours, from 0.
    """
    most = max((value for _, value in rows if math.isfinite(value)), default=0) or 1
    items = (_bar(label, value, value / most, total) for label, value in rows)
    return tag("ul", *items, class_=f"bars s{color % COLOURS}", aria_label=title)


def _bar(label: str, value: float, length: float, total: float | None) -> Markup:
    shown = number(value) + (f" · {percent(value / total)}" if total else "")
    picture = tag(
        "svg",
        tag("rect", width=round(100 * length, 2), height=6, class_="fill"),
        viewBox="0 0 100 6",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    return tag("li", _label(label), tag("span", shown, class_="value"), picture)


def shares(
    rows: Sequence[tuple[str, Sequence[float | None]]], names: Sequence[str], *, title: str, note: Content = None
) -> Markup:
    """Shares of a whole by label, one thin bar for each series.

    Args:
        rows: Labels with the share in each series, from 0 to 1; None where it is unknown.
        names: The names of the series.
        title: What the shares are of.
        note: A last line, such as what is not shown.
    """
    items = [_share(label, values, names) for label, values in rows]
    last = [tag("li", tag("span", note, class_="label"))] if note else []
    return tag("ul", *items, *last, class_="bars", aria_label=title)


def _share(label: str, values: Sequence[float | None], names: Sequence[str]) -> Markup:
    rects = [
        tag("rect", y=5 * index, width=round(100 * value, 2), height=4, class_=f"fill {_color(index)}")
        for index, value in enumerate(values)
        if value
    ]
    height = 5 * len(values)
    picture = tag(
        "svg", *rects, viewBox=f"0 0 100 {height}", height=height, preserveAspectRatio="none", aria_hidden="true"
    )
    words = "; ".join(f"{name} {percent(value)}" for name, value in zip(names, values, strict=True))
    return tag("li", _label(label), tag("span", " / ".join(map(percent, values)), class_="value", title=words), picture)


def _label(label: str) -> Markup:
    return tag("span", label if label.strip() else f"“{label}”", class_="label", title=label)


def sparkline(values: Sequence[float], *, title: str, width: int = 96, height: int = 24) -> Markup:
    """A small line without axes; its last point is marked."""
    finite = [(index, value) for index, value in enumerate(values) if math.isfinite(value)]
    if not finite:
        return Markup()
    frame = Frame(width, height, left=3, right=4, top=4, bottom=4)
    up = axes.extent(value for _, value in finite)
    x, y = _scales(frame, (0, max(len(values) - 1, 1)), up)
    last = tag("circle", cx=x.at(finite[-1][0]), cy=y.at(finite[-1][1]), r=3, class_="fill")
    path = tag("path", d=_path(finite, x, y), class_="stroke")
    return _svg(title, frame, tag("g", path, last, class_="s0"), class_="spark")


def legend(names: Sequence[tuple[str, bool]], colours: Sequence[int] = ()) -> Markup:
    """The names of series with their colours, by default in their order; nothing for a single one."""
    if len(names) < 2:
        return Markup()
    items = (
        tag("li", tag("span", class_="swatch dashed" if dashed else "swatch"), name, class_=_color(index))
        for index, (name, dashed) in zip(colours or range(len(names)), names, strict=True)
    )
    return tag("ul", *items, class_="legend")


def figure(title: str, picture: Markup, legend_: Content = None, note: Content = None) -> Markup:
    """A picture with its caption, legend and remark."""
    below = tag("span", note, class_="quiet") if note else None
    return tag("figure", tag("figcaption", tag("strong", title), below), legend_, picture)


def _scales(frame: Frame, across: Range, up: Range) -> tuple[Scale, Scale]:
    x = Scale(*across, frame.left, frame.width - frame.right)
    return x, Scale(*up, frame.height - frame.bottom, frame.top)


def _svg(title: str, frame: Frame, *content: Content, class_: str = "chart") -> Markup:
    return tag(
        "svg",
        tag("title", title),
        *content,
        viewBox=f"0 0 {frame.width} {frame.height}",
        width=frame.width,
        height=frame.height,
        role="img",
        class_=class_,
    )


def _color(index: int) -> str:
    return f"s{index % COLOURS}"


def _line(series: Series, index: int, x: Scale, y: Scale) -> Markup:
    points = _thinned(series.points)
    path = tag("path", d=_path(points, x, y), class_="stroke dashed" if series.is_dashed else "stroke")
    dots = [_dot(series.name, point, x, y) for point in points if len(points) <= _DOTTED and _is_finite(point)]
    color = index if series.color is None else series.color
    return tag("g", path, *([] if series.is_dashed else dots), class_=_color(color))


def _dot(name: str, point: tuple[float, float], x: Scale, y: Scale) -> Markup:
    words = f"{name}: {number(point[1])} at {number(point[0])}"
    return tag("circle", tag("title", words), cx=x.at(point[0]), cy=y.at(point[1]), r=2.5, class_="fill")


def _is_finite(point: tuple[float, float]) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])


def _path(points: Iterable[tuple[float, float]], x: Scale, y: Scale) -> str:
    """A path with a gap where a value is not finite."""
    parts, command = [], "M"
    for point in points:
        if _is_finite(point):
            parts.append(f"{command}{x.at(point[0]):.1f} {y.at(point[1]):.1f}")
        command = "L" if _is_finite(point) else "M"
    return "".join(parts)


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Of many points, the lowest and the highest of each stretch, so that no peak is lost."""
    if len(points) <= _POINTS:
        return points
    size = math.ceil(len(points) / (_POINTS // 2))
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        stretch = sorted(points[start : start + size], key=lambda point: point[1])
        kept += sorted({stretch[0], stretch[-1]})
    return [points[0], *kept, points[-1]]


def _grid(frame: Frame, x: Scale, y: Scale) -> Markup:
    across, up = axes.ticks((x.low, x.high)), axes.ticks((y.low, y.high))
    right, bottom = frame.width - frame.right, frame.height - frame.bottom
    below = [
        tag("text", label, x=x.at(value), y=bottom + 16, class_="tick middle")
        for value, label in zip(across, axes.labels(across), strict=True)
    ]
    beside = [
        join(
            [
                tag("line", x1=frame.left, x2=right, y1=y.at(value), y2=y.at(value), class_="grid"),
                tag("text", label, x=frame.left - 6, y=y.at(value) + 4, class_="tick end"),
            ]
        )
        for value, label in zip(up, axes.labels(up), strict=True)
    ]
    axis = tag("line", x1=frame.left, x2=right, y1=bottom, y2=bottom, class_="axis")
    return tag("g", *beside, axis, *below, aria_hidden="true")


def _axis_names(frame: Frame, x_label: str, y_label: str) -> Markup:
    middle = (frame.left + frame.width - frame.right) / 2
    height = (frame.top + frame.height - frame.bottom) / 2
    return join(
        [
            tag("text", x_label, x=middle, y=frame.height - 8, class_="label middle"),
            tag("text", y_label, x=0, y=0, class_="label middle", transform=f"translate(13 {height:.0f}) rotate(-90)"),
        ]
    )


def _tick_labels(frame: Frame, x: Scale, ticks: Sequence[tuple[float, str]]) -> list[Markup]:
    """Labels below the axis; those that would touch the one before are left out."""
    bottom, found, free = frame.height - frame.bottom, list[Markup](), 0.0
    for value, label in ticks:
        half = _LETTER * len(label) / 2
        at = min(max(x.at(value), half), frame.width - half)
        if at - half >= free:
            found.append(tag("line", x1=x.at(value), x2=x.at(value), y1=bottom, y2=bottom + 4, class_="axis"))
            found.append(tag("text", label, x=at, y=frame.height - 4, class_="tick middle"))
            free = at + half + _LETTER
    return found


def _end_labels(frame: Frame, across: Range) -> list[Markup]:
    y = frame.height - 4
    low, high = axes.labels(across) if max(map(abs, across)) >= 10_000 else [number(end, 3) for end in across]
    return [
        tag("text", low, x=frame.left, y=y, class_="tick"),
        tag("text", high, x=frame.width - frame.right, y=y, class_="tick end"),
    ]


def _shares(buckets: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    finite = [each for each in buckets if all(map(math.isfinite, each))]
    total = sum(count for _, _, count in finite) or 1
    return [(low, high, count / total) for low, high, count in finite]


def _density(bucket: tuple[float, float, float], across: Range) -> float:
    """The height of a bucket: its share, divided by its part of the axis if buckets are not equally wide."""
    low, high, share = bucket
    width = max((high - low) / (across[1] - across[0]), 1 / 200)
    return share / width


def _steps(each: Distribution, index: int, x: Scale, y: Scale, across: Range) -> Markup:
    if not each.buckets:
        return Markup()
    parts = [f"M{x.at(each.buckets[0][0]):.1f} {y.start:.1f}"]
    for bucket in each.buckets:
        right = max(x.at(bucket[1]), x.at(bucket[0]) + 1)
        parts.append(f"V{y.at(_density(bucket, across)):.1f}H{right:.1f}")
    closed = "".join(parts) + f"V{y.start:.1f}"
    return tag(
        "path", tag("title", each.name), d=closed, class_=f"{_color(index)} {'area' if index == 0 else 'stroke'}"
    )
