"""Places the nodes of a graph in rows, so that edges lead downward and seldom cross.

Sugiyama's method: each node's row is its longest way from a node without sources; a long edge goes through a place in
each row that it passes; rows are put in order by the mean position of their neighbours, from above and from below.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from components.reports.markup import join, tag

Edge = tuple[str, str]
Point = tuple[float, float]
Box = tuple[float, float, float]
"""A middle, a top and a bottom."""

_SWEEPS = 6
_TIP = 6.0
_PASSED = 26.0
"""The width that an edge takes in a row that it passes."""


@dataclass(frozen=True)
class Layout:
    """Where everything is.

    Attributes:
        centers: The middle of each node.
        routes: For each edge, the points that it goes through, with its ends at the middles of its nodes.
        width: The width of all.
        rows: The nodes of each row, from left to right.
    """

    centers: dict[str, Point]
    routes: dict[Edge, list[Point]]
    width: float
    rows: list[list[str]]


def placed(nodes: Sequence[str], edges: Sequence[Edge], *, width: float, height: float, gap: float = 24.0) -> Layout:
    """A layout of a graph without circles; an edge that would close one is left out.

    Args:
        nodes: The nodes, those that should rather be left first.
        edges: Pairs of a source and what was made from it.
        width: The width of a node.
        height: The distance from one row to the next.
        gap: The room between neighbours.
    """
    ranks = _ranks(nodes, edges)
    down = [edge for edge in edges if ranks[edge[0]] < ranks[edge[1]]]
    ways = {edge: _way(edge, ranks) for edge in down}
    rows = _ordered(_rows(nodes, ranks, ways), ways)
    widths = {name: width if name in ranks else _PASSED for row in rows for name in row}
    total = max((_width(row, widths, gap) for row in rows), default=width)
    across = _positions(rows, widths, gap, total)
    points = {name: (across[name], (level + 0.5) * height) for level, row in enumerate(rows) for name in row}
    routes = {edge: [points[name] for name in (edge[0], *way, edge[1])] for edge, way in ways.items()}
    return Layout(
        {name: points[name] for name in nodes}, routes, total, [[n for n in row if n in ranks] for row in rows]
    )


def _ranks(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The row of each node: one below its lowest source."""
    sources: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in edges:
        sources[target].append(source)
    ranks: dict[str, int] = {}

    def rank(name: str, below: frozenset[str]) -> int:
        if name not in ranks:
            above = [rank(each, below | {name}) for each in sources[name] if each not in below | {name}]
            ranks[name] = max(above, default=-1) + 1
        return ranks[name]

    for name in nodes:
        rank(name, frozenset())
    return ranks


def _way(edge: Edge, ranks: Mapping[str, int]) -> list[str]:
    """Names of the places in the rows that an edge passes."""
    return [f"{edge[0]}\0{edge[1]}\0{row}" for row in range(ranks[edge[0]] + 1, ranks[edge[1]])]


def _rows(nodes: Sequence[str], ranks: Mapping[str, int], ways: Mapping[Edge, list[str]]) -> list[list[str]]:
    rows: list[list[str]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for name in nodes:
        rows[ranks[name]].append(name)
    for (source, _), way in ways.items():
        for offset, place in enumerate(way):
            rows[ranks[source] + 1 + offset].append(place)
    return rows


def _ordered(rows: list[list[str]], ways: Mapping[Edge, list[str]]) -> list[list[str]]:
    """The order with the fewest crossings that some sweeps find."""
    links = [link for (source, target), way in ways.items() for link in _links([source, *way, target])]
    above, below = _neighbours(links), _neighbours([(target, source) for source, target in links])
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(_SWEEPS):
        rows = _swept(rows, above if sweep % 2 == 0 else below, is_down=sweep % 2 == 0)
        if (count := _crossings(rows, below)) < fewest:
            best, fewest = [list(row) for row in rows], count
    return best


def _links(way: Sequence[str]) -> list[Edge]:
    return list(itertools.pairwise(way))


def _neighbours(links: Sequence[Edge]) -> dict[str, list[str]]:
    """The sources of each target."""
    found: dict[str, list[str]] = {}
    for source, target in links:
        found.setdefault(target, []).append(source)
    return found


def _swept(rows: list[list[str]], neighbours: Mapping[str, list[str]], *, is_down: bool) -> list[list[str]]:
    result = [list(row) for row in rows]
    order = range(1, len(rows)) if is_down else range(len(rows) - 2, -1, -1)
    for index in order:
        fixed = result[index - 1 if is_down else index + 1]
        place = {name: (number + 0.5) / len(fixed) for number, name in enumerate(fixed)}
        own = {name: (number + 0.5) / len(result[index]) for number, name in enumerate(result[index])}
        result[index].sort(key=lambda name, place=place, own=own: _mean(neighbours.get(name), place, own[name]))  # type: ignore[misc]
    return result


def _mean(names: Sequence[str] | None, place: Mapping[str, float], otherwise: float) -> float:
    found = [place[name] for name in names or () if name in place]
    return sum(found) / len(found) if found else otherwise


def _crossings(rows: Sequence[Sequence[str]], below: Mapping[str, list[str]]) -> int:
    count = 0
    for upper, lower in itertools.pairwise(rows):
        place = {name: number for number, name in enumerate(lower)}
        ends = [[place[name] for name in below.get(each, ()) if name in place] for each in upper]
        pairs = [
            (left, right)
            for number, lefts in enumerate(ends)
            for left in lefts
            for rights in ends[number + 1 :]
            for right in rights
        ]
        count += sum(left > right for left, right in pairs)
    return count


def _width(row: Sequence[str], widths: Mapping[str, float], gap: float) -> float:
    return sum(widths[name] for name in row) + gap * (len(row) - 1)


def _positions(
    rows: Sequence[Sequence[str]], widths: Mapping[str, float], gap: float, total: float
) -> dict[str, float]:
    """The middle of everything, each row around the middle of the widest."""
    across: dict[str, float] = {}
    for row in rows:
        left = (total - _width(row, widths, gap)) / 2
        for name in row:
            across[name] = left + widths[name] / 2
            left += widths[name] + gap
    return across


def arrow(boxes: Sequence[Box]) -> Markup:
    """An edge through boxes, from the bottom of the first to the top of the last; upright beside those between."""
    (x, _, y), *passed, (end_x, end_y, _) = boxes
    path = [f"M{x:.1f} {y:.1f}"]
    for next_x, top, bottom in passed:
        path.append(f"{_bent(x, y, next_x, top)}V{bottom:.1f}")
        x, y = next_x, bottom
    path.append(_bent(x, y, end_x, end_y - _TIP))
    tip = tag("path", d=f"M{end_x - 4:.1f} {end_y - _TIP:.1f}h8l-4 6z", class_="tip")
    return join([tag("path", d="".join(path), class_="edge"), tip])


def _bent(x: float, y: float, end_x: float, end_y: float) -> str:
    middle = (y + end_y) / 2
    return f"C{x:.1f} {middle:.1f} {end_x:.1f} {middle:.1f} {end_x:.1f} {end_y:.1f}"
