"""Layouts of graphs."""

from __future__ import annotations

import itertools

from components.reports import layered

DIAMOND = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")]


def test_what_is_made_from_others_lies_below_them() -> None:
    layout = layered.placed(["d", "c", "b", "a"], DIAMOND, width=100, height=50)

    assert [set(row) for row in layout.rows] == [{"a"}, {"b", "c"}, {"d"}]
    assert all(layout.centers[source][1] < layout.centers[target][1] for source, target in DIAMOND)


def test_a_long_edge_has_its_own_way_between_the_nodes_that_it_passes() -> None:
    layout = layered.placed(["a", "b", "c", "d"], DIAMOND, width=100, height=50)

    start, passed, end = layout.routes["a", "d"]
    assert (start, end) == (layout.centers["a"], layout.centers["d"])
    assert all(abs(passed[0] - layout.centers[name][0]) > 50 for name in "bc")


def test_nodes_do_not_overlap() -> None:
    names = [f"n{number}" for number in range(30)]
    edges = [(names[number // 3], names[number]) for number in range(1, 30)]

    layout = layered.placed(names, edges, width=100, height=50)

    assert sum(map(len, layout.rows)) == 30
    for row in layout.rows:
        places = sorted(layout.centers[name][0] for name in row)
        assert all(right - left >= 100 for left, right in itertools.pairwise(places))
        assert places[0] >= 50
        assert places[-1] <= layout.width - 50


def test_rows_are_put_in_an_order_without_crossings() -> None:
    layout = layered.placed(["a", "b", "y", "x"], [("a", "x"), ("b", "y")], width=10, height=10)

    assert layout.rows == [["a", "b"], ["x", "y"]]


def test_circles_and_nothing_at_all_have_a_layout() -> None:
    assert layered.placed([], [], width=10, height=10).rows == []
    assert layered.placed(["a", "b"], [("a", "b"), ("b", "a"), ("a", "a")], width=10, height=10).rows in (
        [["a"], ["b"]],
        [["b"], ["a"]],
    )
