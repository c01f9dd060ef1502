"""Parallel coordinates: an upright axis for each parameter and metric, and a line through all of them for each run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from components.reports import axes
from components.reports.axes import Scale
from components.reports.charts import COLOURS, figure
from components.reports.figures import counted, cut, number
from components.reports.markup import Content, tag

_LEFT, _ACROSS, _TOP, _BOTTOM, _HEIGHT = 76, 128, 44, 26, 300
_ENDS = (_TOP + _HEIGHT, _TOP)
_LETTERS = 17
_WIDE = 100
"""Positive numbers that span more than this are placed by their logarithm."""
_BEST = 0.1
"""Of many lines, those in the best tenth of the last axis stand out."""

Value = float | str | bool | None


@dataclass(frozen=True)
class Line:
    """A line: its name, and its value on each axis by the axis' name."""

    name: str
    values: Mapping[str, Value]


@dataclass(frozen=True)
class _Axis:
    """An axis: the position of each value, and the labels at positions."""

    name: str
    scale: Scale
    places: Mapping[str, float]
    labels: Sequence[tuple[float, str]]
    is_log: bool = False

    def at(self, value: Value) -> float | None:
        """The height of a value; None if it has no place on the axis."""
        if self.places:
            place = self.places.get(_text(value))
            return None if place is None else self.scale.at(place)
        if not isinstance(value, int | float) or not math.isfinite(value):
            return None
        return self.scale.at(math.log10(value) if self.is_log else value)


def parallel(lines: Sequence[Line], names: Sequence[str], *, title: str, less_is_better: bool = False) -> Markup:
    """A picture of runs; nothing if there are fewer than two axes or lines.

    Args:
        lines: The runs. Up to eight have a colour each; of more, the best tenth by the last axis stands out.
        names: The axes from left to right; the last one is what the others should explain.
        title: What the picture shows.
        less_is_better: Whether a small value on the last axis is good.
    """
    drawn = [each for each in (_axis(name, lines) for name in names) if each]
    if len(drawn) < 2 or len(lines) < 2:
        return Markup()
    best = set() if len(lines) <= COLOURS else _best(lines, drawn[-1].name, less_is_better)
    order = sorted(range(len(lines)), key=lambda index: index in best)
    paths = [_path(lines[index], drawn, _kind(index, len(lines), best)) for index in order]
    width, height = _LEFT + _ACROSS * (len(drawn) - 1) + _LEFT, _TOP + _HEIGHT + _BOTTOM
    words = f"{title}: {counted(len(lines), 'run')} over {', '.join(each.name for each in drawn)}"
    picture = tag(
        "svg",
        tag("title", words),
        tag("g", *paths, class_="strings"),
        *(_drawn(axis, _LEFT + _ACROSS * index) for index, axis in enumerate(drawn)),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        class_="chart parallel",
    )
    frame = tag("div", picture, class_="scroll bare", tabindex="0", role="region", aria_label=title)
    note = (
        f"{number(len(best))} of {number(len(lines))} runs stand out: the best by {drawn[-1].name}." if best else None
    )
    return figure(title, frame, note=note)


def _axis(name: str, lines: Sequence[Line]) -> _Axis | None:
    """An axis of numbers, or of texts in their order; None if no line has a value."""
    values = [each.values[name] for each in lines if each.values.get(name) is not None]
    numbers = [float(each) for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
    finite = [each for each in numbers if math.isfinite(each)]
    if finite and len(numbers) == len(values):
        return _of_numbers(name, finite)
    texts = sorted({_text(each) for each in values})
    if not texts:
        return None
    scale = Scale(-0.5, len(texts) - 0.5, *_ENDS)
    step = math.ceil(len(texts) / 12)
    labels = [(scale.at(place), text) for place, text in enumerate(texts) if place % step == 0]
    return _Axis(name, scale, {text: float(place) for place, text in enumerate(texts)}, labels)


def _of_numbers(name: str, values: Sequence[float]) -> _Axis:
    """An axis of numbers; those that span many powers of ten, such as learning rates, are placed by their logarithm."""
    if min(values) > 0 and max(values) / min(values) >= _WIDE:
        low, high = math.log10(min(values)), math.log10(max(values))
        scale = Scale(low, high, *_ENDS)
        powers = range(math.ceil(low), math.floor(high) + 1)
        return _Axis(name, scale, {}, [(scale.at(power), f"{10.0**power:g}") for power in powers], is_log=True)
    scale = Scale(*axes.extent(values), *_ENDS)
    marks = axes.ticks((scale.low, scale.high))
    labels = zip(marks, axes.labels(marks), strict=True)
    return _Axis(name, scale, {}, [(scale.at(mark), text) for mark, text in labels])


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else str(value)


def _best(lines: Sequence[Line], name: str, less_is_better: bool) -> set[int]:
    known = [(each.values.get(name), index) for index, each in enumerate(lines)]
    numbers = [(value, index) for value, index in known if isinstance(value, int | float) and math.isfinite(value)]
    ordered = sorted(numbers, reverse=not less_is_better)
    return {index for _, index in ordered[: math.ceil(len(numbers) * _BEST)]}


def _kind(index: int, count: int, best: set[int]) -> str:
    if count <= COLOURS:
        return f"s{index} stroke"
    return "s1 stroke thin best" if index in best else "s0 stroke thin"


def _path(line: Line, drawn: Sequence[_Axis], kind: str) -> Markup:
    return tag("path", tag("title", line.name), d="".join(_steps(line, drawn)), class_=kind)


def _steps(line: Line, drawn: Sequence[_Axis]) -> Iterator[str]:
    """The way through the axes, with a gap where there is no value."""
    command = "M"
    for index, axis in enumerate(drawn):
        y = axis.at(line.values.get(axis.name))
        if y is not None:
            yield f"{command}{_LEFT + _ACROSS * index} {y:.1f}"
        command = "M" if y is None else "L"


def _drawn(axis: _Axis, x: float) -> Markup:
    name = tag("text", cut(axis.name, _LETTERS), tag("title", axis.name), x=x, y=_TOP - 18, class_="ink strong middle")
    upright = tag("line", x1=x, x2=x, y1=_TOP, y2=_TOP + _HEIGHT, class_="axis")
    labels: list[Content] = [
        tag("text", cut(text, 9), tag("title", text), x=x - 6, y=y + 4, class_="tick end") for y, text in axis.labels
    ]
    return tag("g", name, upright, *labels)
