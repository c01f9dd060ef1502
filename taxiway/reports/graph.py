"""The tasks of a run as a picture: which one follows which, how each ended, and how long it took."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from components.reports.figures import cut, duration
from components.reports.markup import Content, join, tag
from taxiway.language import spec
from taxiway.language.components import DagComponent
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import FromParent, FromTask
from taxiway.reports.run import RecordedRun
from taxiway.reports.states import kind_of, sign_of, word_of
from taxiway.runs.record import Task
from taxiway.runs.stages import Stage

_WIDTH, _HEIGHT, _LINE = 180, 44, 17
_ACROSS, _DOWN = 20, 30
_INDEX = re.compile(r"\[\d+\]")

Edges = dict[str, set[str]]


@dataclass(frozen=True)
class Node:
    """A task of the pipeline with everything that ran of it: several in a loop, none if it was skipped."""

    name: str
    ran: Sequence[Task] = ()

    @property
    def state(self) -> str:
        """The state that matters most."""
        states = [str(task.state) for task in self.ran] or ["SKIPPED"]
        order = ("FAILED", "CANCELED", "SUCCEEDED", "CACHED", "SKIPPED")
        return min(states, key=lambda state: order.index(state) if state in order else 0)

    @property
    def stages(self) -> list[Stage]:
        """The stages of a fused task."""
        return [stage for task in self.ran for stage in task.stages]

    @property
    def height(self) -> int:
        """Its height in the picture."""
        return _HEIGHT + _LINE * len(self.stages)


@dataclass
class _Walk:
    """The tasks before each task, gathered from nested DAGs."""

    pipeline: Pipeline
    edges: Edges = field(default_factory=dict)

    def dag(self, component: DagComponent, prefix: str, given: Mapping[str, set[str]], around: set[str]) -> set[str]:
        """Adds the tasks of a DAG, and returns their names. `around` are tasks that must end before all of it."""
        inside: dict[str, set[str]] = {}
        for name, task in component.dag.ordered():
            sources = {**task.parameters, **task.artifacts}
            taken = {key: self._of(source, given, inside) for key, source in sources.items()}
            waits = set().union(*(inside.get(other, set()) for other in task.after))
            inner = self.pipeline.component(task)
            if isinstance(inner, DagComponent):
                below = spec.child_name(prefix, name, task)
                inside[name] = self.dag(inner, below, taken, around | waits)
            else:
                self.edges[prefix + name] = around | waits | set().union(*taken.values())
                inside[name] = {prefix + name}
        return set().union(*inside.values())

    def _of(self, source: object, given: Mapping[str, set[str]], inside: Mapping[str, set[str]]) -> set[str]:
        if isinstance(source, FromParent):
            return given.get(source.name, set())
        return inside.get(source.task, set()) if isinstance(source, FromTask) else set()


def edges(pipeline: Pipeline) -> Edges:
    """The tasks that come directly before each task; those that others already wait for are left out."""
    walk = _Walk(pipeline)
    walk.dag(pipeline.root, "", {}, set())
    above = _all_above(walk.edges)
    return {
        name: {each for each in before if not any(each in above[other] for other in before)}
        for name, before in walk.edges.items()
    }


def _all_above(direct: Edges) -> Edges:
    found: Edges = {}
    for name, before in direct.items():  # in topological order
        found[name] = before.union(*(found.get(each, set()) for each in before))
    return found


def picture(recorded: RecordedRun) -> Markup:
    """The graph of a run, from top to bottom; nothing if the compiled pipeline is gone."""
    if recorded.pipeline is None:
        return Markup()
    before = edges(recorded.pipeline)
    nodes = {name: Node(name, _ran(name, recorded)) for name in before}
    rows = _rows(before)
    places = dict(_places(rows, nodes))
    width = max(len(row) for row in rows) * (_WIDTH + _ACROSS) - _ACROSS + 4
    height = max(y + nodes[name].height for name, (_, y) in places.items()) + 2
    arrows = [
        _arrow(places[other], nodes[other].height, places[name]) for name, others in before.items() for other in others
    ]
    drawn = [_box(nodes[name], *place) for name, place in places.items()]
    title = tag("title", f"The tasks of {recorded.run.pipeline}: {_words(before)}")
    return tag(
        "svg",
        title,
        *arrows,
        *drawn,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        class_="graph",
    )


def _ran(name: str, recorded: RecordedRun) -> list[Task]:
    return [task for each, task in recorded.run.tasks.items() if _INDEX.sub("", each) == name]


def _rows(before: Edges) -> list[list[str]]:
    """The tasks by their distance from the beginning."""
    depth: dict[str, int] = {}
    for name, others in before.items():
        depth[name] = 1 + max((depth.get(other, 0) for other in others), default=-1)
    rows: dict[int, list[str]] = defaultdict(list)
    for name, level in depth.items():
        rows[level].append(name)
    return [rows[level] for level in sorted(rows)]


def _places(rows: Sequence[Sequence[str]], nodes: Mapping[str, Node]) -> Iterator[tuple[str, tuple[float, float]]]:
    widest = max(map(len, rows))
    y = 2.0
    for row in rows:
        left = 2 + (widest - len(row)) * (_WIDTH + _ACROSS) / 2
        for index, name in enumerate(row):
            yield name, (left + index * (_WIDTH + _ACROSS), y)
        y += max(nodes[name].height for name in row) + _DOWN


def _arrow(start: tuple[float, float], height: float, end: tuple[float, float]) -> Markup:
    x1, y1 = start[0] + _WIDTH / 2, start[1] + height
    x2, y2 = end[0] + _WIDTH / 2, end[1] - 5
    bend = (y2 - y1) / 2
    line = tag("path", d=f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}", class_="edge")
    return join([line, tag("path", d=f"M{x2 - 4:g} {y2 - 1:g}h8l-4 6z", class_="tip")])


def _box(node: Node, x: float, y: float) -> Markup:
    shape = tag("rect", x=x, y=y, width=_WIDTH, height=node.height, rx=8, class_="node")
    name = tag("text", cut(node.name, 21), tag("title", node.name), x=x + 12, y=y + 18, class_="ink strong")
    lines = [_line(f"{sign_of(node.state)} {_said(node)}", x + 12, y + 35)]
    lines += [
        _line(f"{cut(stage.name, 17)} {_ended(stage)}", x + 20, y + 35 + _LINE * (index + 1))
        for index, stage in enumerate(node.stages)
    ]
    return tag("g", shape, name, *lines, class_=f"task {kind_of(node.state)}")


def _line(words: Content, x: float, y: float) -> Markup:
    return tag("text", words, x=x, y=y, class_="state")


def _said(node: Node) -> str:
    seconds = sum(task.seconds for task in node.ran)
    times = f" · {len(node.ran)} times" if len(node.ran) > 1 else ""
    word = word_of(node.state)
    return f"{word}{times}" if not seconds else f"{duration(seconds)}{'' if word == 'done' else f' · {word}'}{times}"


def _ended(stage: Stage) -> str:
    return word_of(str(stage.state)) if str(stage.state) in ("CACHED", "SKIPPED") else duration(stage.seconds)


def _words(before: Edges) -> str:
    """The graph in words, for who does not see it."""
    return "; ".join(f"{name} after {', '.join(sorted(others))}" if others else name for name, others in before.items())
