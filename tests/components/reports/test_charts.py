"""Charts are valid SVG with the right values, for any input."""

import math
import xml.etree.ElementTree as ET

import pytest
from markupsafe import Markup

from components.reports import axes, charts
from components.reports.charts import Distribution, Series
from components.reports.page import Section, render
from tests.components.reports.parsed import HOSTILE, require_safe


def _svg(picture: Markup) -> ET.Element:
    found = str(picture)
    return ET.fromstring(found[found.index("<svg") : found.index("</svg>") + 6])


def test_lines_have_axes_points_and_a_legend() -> None:
    series = [Series("train", [(0, 1.0), (100, 0.25)]), Series("eval", [(0, 1.1), (100, 0.5)], is_dashed=True)]
    chart = charts.lines(series, "step", "loss", title="Loss by step")
    svg = _svg(chart)
    assert svg.get("role") == "img"
    assert svg.findtext("title") == "Loss by step"
    labels = [element.text for element in svg.iter("text")]
    assert {"0", "100", "step", "loss", "0.2", "1.2"} <= set(labels)
    assert [each.text for each in svg.iter("title")][1:] == ["train: 1 at 0", "train: 0.25 at 100"]
    page = require_safe(render("c", [Section("c", "C", chart)]))
    assert "Loss by step train eval" in page.text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_in_charts_are_escaped(name: str) -> None:
    buckets = [(0.0, 1.0, 3.0), (1.0, 2.0, 4.0)]
    drawn = [
        charts.lines([Series(name, [(0, 1)]), Series(name, [(0, 2)])], name, name, title=name, note=name),
        charts.histogram([Distribution(name, buckets), Distribution(name, buckets)], title=name, has_caption=True),
        charts.bars([(name, 2.0), ("other", 1.0)], title=name),
        charts.shares([(name, [0.5, None])], [name, name], title=name, note=name),
        charts.sparkline([1, 2, 3], title=name),
    ]
    page = require_safe(render("c", [Section("c", "C", Markup().join(drawn))]))
    assert len(page.all("script")) == 1


def test_values_that_are_not_finite_leave_gaps() -> None:
    line = charts.lines([Series("x", [(0, 1), (1, math.nan), (2, 3), (3, math.inf)])], "x", "y", title="t")
    assert "nan" not in str(line)
    assert "inf" not in str(line)
    path = next(each.get("d") for each in _svg(line).iter("path"))
    assert str(path).count("M") == 2
    assert charts.sparkline([math.nan], title="t") == ""
    assert "nan" not in str(charts.histogram([Distribution("a", [(math.nan, 1, 2)])], title="t"))
    for empty in (charts.lines([], "x", "y", title="t"), charts.histogram([], title="t"), charts.bars([], title="t")):
        require_safe(render("c", [Section("c", "C", empty)]))


def test_a_long_line_is_thinned_without_losing_its_peaks() -> None:
    points = [(float(index), 100.0 if index == 7777 else math.sin(index)) for index in range(20_000)]
    chart = str(charts.lines([Series("x", points)], "x", "y", title="t", y_range=(-1, 100)))
    assert len(chart) < 20_000
    frame = charts.Frame()
    assert f" {frame.top:.1f}" in chart


def test_a_histogram_shows_shares_so_that_splits_of_different_sizes_compare() -> None:
    large = Distribution("train", [(0, 1, 100), (1, 2, 300)])
    small = Distribution("eval", [(0, 1, 1), (1, 2, 3)])
    first, second = [each.get("d") for each in _svg(charts.histogram([large, small], title="t")).iter("path")]
    assert first == second


def test_bars_are_labelled_with_values_and_shares() -> None:
    page = require_safe(render("c", [Section("c", "C", charts.bars([("a", 3), (" ", 1)], title="t", total=4))]))
    assert "a 3 · 75 % “ ” 1 · 25 %" in page.text
    assert [each["width"] for each in page.all("rect")] == ["100", "33.33"]


@pytest.mark.parametrize(
    ("limits", "labels"),
    [
        ((0, 1), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ((0, 200), ["0", "50", "100", "150", "200"]),
        ((0, 123456), ["0", "25k", "50k", "75k", "100k"]),
        ((0.912, 0.934), ["0.915", "0.92", "0.925", "0.93"]),
        ((-1, 1), ["−1", "−0.5", "0", "0.5", "1"]),
    ],
)
def test_ticks_are_round_numbers(limits: axes.Range, labels: list[str]) -> None:
    assert axes.labels(axes.ticks(limits)) == labels


def test_an_axis_range_is_never_empty() -> None:
    assert axes.extent([]) == (0, 1)
    assert axes.extent([5.0, 5.0]) == (4.5, 5.5)
    assert axes.extent([0.0]) == (-1, 1)
    assert axes.rounded((0.912, 0.934)) == (0.91, 0.935)
