"""Dot plots with a reference value."""

from __future__ import annotations

import math
import re

from components.reports.dots import Dot, dots


def test_dots_and_intervals_are_drawn_at_their_values() -> None:
    picture = str(dots([Dot("a", 0.0), Dot("b", 10.0, (5.0, 10.0), "3 rows")], title="auc", reference=5.0))

    middles = [
        (kind, float(x) + float(width) / 2)
        for x, width, kind in re.findall(
            r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="[\d.]+" class="(\w+)"', picture
        )
    ]
    assert middles == [
        ("reference", 50.0),
        ("fill", 1.2),
        ("reference", 50.0),
        ("whisker", 74.4),
        ("fill", 98.8),
    ]
    assert "10 (5 to 10) · 3 rows" in picture


def test_values_that_are_not_finite_have_no_dot() -> None:
    picture = str(dots([Dot("a", math.nan), Dot("b", 1.0, (math.nan, 2.0))], title="auc"))

    assert picture.count("<rect") == 1
    assert "NaN" in picture
