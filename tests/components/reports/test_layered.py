"""Layered layouts of graphs."""

from __future__ import annotations

import itertools

from components.reports import layered

DIAMOND = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")]


def test_nodes_are_below_their_predecessors() -> None:
    layout = layered.placed(["d", "c", "b", "a"], DIAMOND, width=100, height=50)

    assert [set(row) for row in layout.rows] == [{"a"}, {"b", "c"}, {"d"}]
    assert all(layout.centers[source][1] < layout.centers[target][1] for source, target in DIAMOND)


def test_a_long_edge_does_not_cross_nodes() -> None:
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


def test_rows_are_ordered_so_that_edges_do_not_cross() -> None:
    layout = layered.placed(["a", "b", "y", "x"], [("a", "x"), ("b", "y")], width=10, height=10)

    assert layout.rows == [["a", "b"], ["x", "y"]]


def test_cyclic_and_empty_graphs_have_a_layout() -> None:
    assert layered.placed([], [], width=10, height=10).rows == []
    assert layered.placed(["a", "b"], [("a", "b"), ("b", "a"), ("a", "a")], width=10, height=10).rows in (
        [["a"], ["b"]],
        [["b"], ["a"]],
    )
