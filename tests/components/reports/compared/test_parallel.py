"""Parallel coordinates: where lines go, which stand out, and what has no place."""

from __future__ import annotations

import math
import re

from components.reports.compared.parallel import Line, parallel
from tests.components.reports.parsed import HOSTILE

AXES = ["rate", "kind", "auc"]


def _lines(count: int) -> list[Line]:
    return [Line(f"run {i}", {"rate": i / 10, "kind": "ab"[i % 2], "auc": i / count}) for i in range(count)]


def _paths(picture: str) -> list[tuple[str, list[tuple[float, float]]]]:
    found = re.findall(r'<path d="([^"]*)" class="([^"]+)">', picture)
    return [(kind, [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", d)]) for d, kind in found]


def test_each_run_goes_through_all_axes_in_its_colour() -> None:
    drawn = _paths(str(parallel(_lines(3), AXES, title="Runs")))
    assert [kind for kind, _ in drawn] == ["s0 stroke", "s1 stroke", "s2 stroke"]
    assert all([x for x, _ in points] == [76, 204, 332] for _, points in drawn)
    rates = [points[0][1] for _, points in drawn]
    kinds = [points[1][1] for _, points in drawn]
    assert rates == sorted(rates, reverse=True)
    assert kinds[0] == kinds[2] != kinds[1]


def test_of_many_runs_the_best_stand_out_and_are_on_top() -> None:
    kinds = [kind for kind, _ in _paths(str(parallel(_lines(50), AXES, title="Runs")))]
    assert kinds == ["s0 stroke thin"] * 45 + ["s1 stroke thin best"] * 5
    picture = str(parallel(_lines(50), AXES, title="Runs", less_is_better=True))
    assert "<title>run 0</title>" in picture[picture.index('thin best">') :]
    assert "5 of 50 runs stand out: the best by auc." in picture


def test_a_missing_value_leaves_a_gap() -> None:
    values = [{"rate": 1.0, "kind": None, "auc": 1.0}, {"rate": 2.0, "auc": math.nan}, {"rate": 3.0, "kind": True}]
    picture = str(parallel([Line(str(i), each) for i, each in enumerate(values)], AXES, title="Runs"))
    assert [re.sub(r"[\d. ]", "", d) for d in re.findall(r'<path d="([^"]*)"', picture)] == ["MM", "M", "ML"]


def test_there_is_no_picture_of_one_axis_or_one_run() -> None:
    assert parallel(_lines(5), ["rate", "nothing"], title="Runs") == ""
    assert parallel(_lines(1), AXES, title="Runs") == ""


def test_names_of_strangers_stay_text() -> None:
    for name in HOSTILE:
        shown = name.encode(errors="replace").decode()
        lines = [Line(shown, {shown: text, "auc": 0.5 + index}) for index, text in enumerate((shown, "other"))]
        picture = str(parallel(lines, [shown, "auc"], title=shown))
        assert "<script" not in picture
        assert 'mouseover="' not in picture
        assert "\x1b" not in picture
        assert "\u202e" not in picture


def test_a_thousand_runs_make_a_small_picture() -> None:
    assert len(parallel(_lines(1000), AXES, title="Runs")) < 150_000
