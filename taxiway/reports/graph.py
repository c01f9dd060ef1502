"""The tasks of a run as a picture: which one follows which, how each ended, and how long it took."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from markupsafe import Markup

from components.reports import layered
from components.reports.figures import cut, duration
from components.reports.layered import Point
from components.reports.markup import Content, tag
from taxiway.language import spec
from taxiway.language.components import DagComponent
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import FromParent, FromTask
from taxiway.reports.links import NOWHERE, Links
from taxiway.reports.run import RecordedRun
from taxiway.reports.states import kind_of, sign_of, word_of
from taxiway.runs.record import Task
from taxiway.runs.stages import Stage

_WIDTH, _HEIGHT, _LINE = 180, 44, 17
_ACROSS, _DOWN = 20.0, 30.0
_INDEX = re.compile(r"\[\d+\]")

Edges = dict[str, set[str]]


@dataclass(frozen=True)
class Node:
    """A task of the pipeline.

    Attributes:
        name: Its name.
        ran: Everything that ran of it: several in a loop, none if it was skipped.
        began: When those that are running were launched.
        otherwise: Its state if nothing ran.
        place: Where its log is; empty for nowhere.
    """

    name: str
    ran: Sequence[Task] = ()
    began: Sequence[datetime] = ()
    otherwise: str = "SKIPPED"
    place: str = ""

    @property
    def state(self) -> str:
        """The state that matters most."""
        states = [str(task.state) for task in self.ran] or [self.otherwise]
        states += ["RUNNING" if self.otherwise == "WAITING" else "KILLED"] * len(self.began)
        order = ("FAILED", "KILLED", "RUNNING", "CANCELED", "SUCCEEDED", "CACHED")
        return min(states, key=lambda state: order.index(state) if state in order else len(order))

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


def picture(recorded: RecordedRun, links: Links = NOWHERE) -> Markup:
    """The graph of a run, from top to bottom; nothing if the compiled pipeline is gone."""
    if recorded.pipeline is None:
        return Markup()
    before = edges(recorded.pipeline)
    nodes = {name: _node(name, recorded, links) for name in before}
    given = [(other, name) for name, others in before.items() for other in sorted(others)]
    layout = layered.placed(list(before), given, width=_WIDTH, height=1.0, gap=_ACROSS)
    heights = [max(nodes[name].height for name in row) for row in layout.rows]
    tops = [2.0 + sum(heights[:index]) + _DOWN * index for index in range(len(heights))]
    width, height = layout.width + 4, tops[-1] + heights[-1] + 2
    arrows = [_arrow(route, nodes[edge[0]].height, tops, heights) for edge, route in layout.routes.items()]
    drawn = [_box(nodes[name], x - _WIDTH / 2 + 2, tops[int(y)]) for name, (x, y) in layout.centers.items()]
    title = tag("title", f"The tasks of {recorded.run.pipeline}: {_words(before)}")
    return tag(
        "svg",
        title,
        *arrows,
        *drawn,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="group" if any(node.place for node in nodes.values()) else "img",
        class_="graph",
    )


def _node(name: str, recorded: RecordedRun, links: Links) -> Node:
    ran = {each: task for each, task in recorded.run.tasks.items() if _INDEX.sub("", each) == name}
    running = {each: began for each, began in recorded.running.items() if _INDEX.sub("", each) == name}
    place = next((links.log(each) for each in [*running, *ran]), "")
    return Node(name, list(ran.values()), list(running.values()), otherwise=_otherwise(recorded), place=place)


def _otherwise(recorded: RecordedRun) -> str:
    """The state of tasks of which nothing ran."""
    if not recorded.is_over:
        return "WAITING"
    return "SKIPPED" if recorded.state == "SUCCEEDED" else "NOT_STARTED"


def _arrow(route: Sequence[Point], height: float, tops: Sequence[float], heights: Sequence[float]) -> Markup:
    """An edge; where it passes a row, it goes by the highest box."""
    boxes = [(x + 2, tops[int(y)], tops[int(y)] + heights[int(y)]) for x, y in route]
    x, top, _ = boxes[0]
    return layered.arrow([(x, top, top + height), *boxes[1:]])


def _box(node: Node, x: float, y: float) -> Markup:
    shape = tag("rect", x=x, y=y, width=_WIDTH, height=node.height, rx=8, class_="node")
    name = tag("text", cut(node.name, 21), tag("title", node.name), x=x + 12, y=y + 18, class_="ink strong")
    lines = [_line(f"{sign_of(node.state)} {_said(node)}", x + 12, y + 35, began=_since(node))]
    lines += [
        _line(f"{cut(stage.name, 17)} {_ended(stage)}", x + 20, y + 35 + _LINE * (index + 1))
        for index, stage in enumerate(node.stages)
    ]
    box = tag("g", shape, name, *lines, class_=f"task {kind_of(node.state)}")
    return tag("a", box, href=node.place, aria_label=f"{node.name}, {_said(node)}") if node.place else box


def _line(words: Content, x: float, y: float, began: str | None = None) -> Markup:
    return tag("text", words, tag("tspan", data_since=began) if began else None, x=x, y=y, class_="state")


def _since(node: Node) -> str | None:
    """When a task that is running was launched."""
    return min(node.began).isoformat() if node.began and node.state == "RUNNING" else None


def _said(node: Node) -> str:
    seconds = sum(task.seconds for task in node.ran)
    times = f" · {len(node.ran)} times" if len(node.ran) > 1 else ""
    word = word_of(node.state)
    if node.state == "RUNNING":
        return word + times
    return f"{word}{times}" if not seconds else f"{duration(seconds)}{'' if word == 'done' else f' · {word}'}{times}"


def _ended(stage: Stage) -> str:
    return word_of(str(stage.state)) if str(stage.state) in ("CACHED", "SKIPPED") else duration(stage.seconds)


def _words(before: Edges) -> str:
    """The graph in words, for who does not see it."""
    return "; ".join(f"{name} after {', '.join(sorted(others))}" if others else name for name, others in before.items())
