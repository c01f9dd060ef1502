"""What a run's details say of the tasks of its pipeline.

Until Kubeflow has tasks of its own, details are the nodes of Argo's graph, flat: each with its display name, its state
and the ids of its children, but neither its own id nor its place. An id is a hash of a node's full name, which is the
name of the node around it with its own behind. So the full names are found from the top: of all names that could stand
below a known node, those are there whose hash is among the ids.

    workflow.root.transform.executor                            without retries
    workflow(0).root(0).transform(0).executor(0)                with Argo's retries, as in 2.17's manifests
    workflow.root.for-loop-1.iteration-iterations(2:2).iteration-item.transform.executor

Source: kubeflow/pipelines, backend/src/v2/compiler/argocompiler and backend/src/common/util/workflow.go;
argo-workflows, workflow/util/pod_name.go; answers of Kubeflow 2.17.0.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from taxiway.kubeflow.nodes import Node

_ATTEMPT = re.compile(r"\((\d+)\)$")
_TURN = re.compile(r"iteration-iterations\((\d+):")
_INSIDE_LOOPS = ("iteration-iterations", "iteration-item")
_IMPL, _DRIVER, _IMPORTER = "system-container-impl", "system-container-driver", "system-importer"
_FNV_START, _FNV_PRIME = 0x811C9DC5, 0x01000193

FAILED = "FAILED"
SKIPPED = "SKIPPED"
PENDING = "PENDING"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What Kubeflow says of a task at one moment.

    Attributes:
        name: The task's name in the run: `transform`, `sub/transform`, in loops `transform[2]`.
        node: The task in the compiled pipeline.
        state: Kubeflow's word: PENDING, RUNNING, SUCCEEDED, SKIPPED, FAILED, CANCELED, ...
        seconds: From its start to its end; 0 while it runs.
        is_cached: Whether its outputs came from Kubeflow's cache.
        attempts: How many attempts have begun.
        pods: The pods that may have run it, the latest first; where its driver failed, that one's.
        error: What Kubeflow itself says of a failure.
    """

    name: str
    node: Node
    state: str
    seconds: float = 0.0
    is_cached: bool = False
    attempts: int = 1
    pods: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class _Place:
    """Where a node stands: its path without attempts and turns, and the turns of the loops around it."""

    path: str
    turns: tuple[int, ...] = ()

    def below(self, name: str) -> _Place:
        return _Place(f"{self.path}{name}", self.turns)


@dataclass
class _Graph:
    """Argo's nodes as far as the details tell.

    Attributes:
        workflow: The workflow's name.
        names: The full names at each place, those of attempts behind what they are attempts of.
        entries: What the details say of a full name.
    """

    workflow: str
    names: dict[_Place, list[str]] = field(default_factory=lambda: defaultdict(list))
    entries: dict[str, Any] = field(default_factory=dict)

    def entry(self, place: _Place) -> Any:
        """What is said of a place as a whole, or None."""
        return next((self.entries[name] for name in self.names.get(place, ()) if name in self.entries), None)


def seen(known: Iterable[Node], details: list[Any]) -> list[Seen]:
    """Every task that the details say something of, in the pipeline's order; of a loop every turn.

    Args:
        known: The pipeline's tasks.
        details: `run_details.task_details` of a run.
    """
    graph = _graph(details)
    caches = {(str(d.start_time), str(d.end_time)) for d in details if d.display_name == "executor" and _is(d, SKIPPED)}
    return [found for node in known for found in _seen(node, graph, caches)]


def node_id(workflow: str, path: str) -> str:
    """Argo's id of a node: the workflow's name, and the FNV-1a hash of the node's full name."""
    return f"{workflow}-{_hashed(f'{workflow}.{path}')}"


def workflow_of(details: Iterable[Any]) -> str:
    """The workflow's name, which every node's id begins with; empty where nothing has begun."""
    return next((child.rpartition("-")[0] for detail in details for child in _children(detail)), "")


def _seen(node: Node, graph: _Graph, caches: set[tuple[str, str]]) -> Iterator[Seen]:
    driven = f"{node.path}-driver"
    places = {_Place(node.path, place.turns) for place in graph.names if place.path in (node.path, driven)}
    begun = {place for place in places if len(place.turns) == node.loops}
    for place in sorted(begun, key=lambda place: place.turns):
        yield _task(node, place, graph, caches)
    # A group that was skipped has nothing inside.
    for place in sorted(graph.names, key=lambda place: place.turns):
        entry = graph.entry(place) if node.path.startswith(f"{place.path}.") else None
        if entry and _is(entry, SKIPPED) and not any(_is_within(other, place) for other in begun):
            yield Seen(name=_named(node, place), node=node, state=SKIPPED)


def _task(node: Node, place: _Place, graph: _Graph, caches: set[tuple[str, str]]) -> Seen:
    name, entry, driver = _named(node, place), graph.entry(place), graph.entry(place.below("-driver"))
    if driver and _is(driver, FAILED) and (not entry or _is(entry, FAILED)):
        pods = _pods(graph, place.below("-driver"), _DRIVER)
        return Seen(name=name, node=node, state=FAILED, seconds=_seconds(driver), pods=pods, error=_error(driver))
    if not entry:
        return Seen(name=name, node=node, state=PENDING)
    template = _IMPORTER if "importer" in node.executor else _IMPL
    inner = place if template == _IMPORTER else place.below(".executor")
    pods = _pods(graph, inner, template if node.attempts == 1 else f"retry-{template}")
    attempts = max([1, *(int(match[1]) + 1 for n in graph.names.get(inner, ()) if (match := _ATTEMPT.search(n)))])
    is_cached = (str(entry.start_time), str(entry.end_time)) in caches
    return Seen(
        name=name,
        node=node,
        state=str(entry.state),
        seconds=_seconds(entry),
        is_cached=is_cached,
        attempts=attempts,
        pods=pods,
        error=_error(entry),
    )


def _named(node: Node, place: _Place) -> str:
    return node.name + "".join(f"[{turn}]" for turn in place.turns)


def _is_within(place: _Place, group: _Place) -> bool:
    return place.turns[: len(group.turns)] == group.turns


def _pods(graph: _Graph, place: _Place, template: str) -> tuple[str, ...]:
    """The pods of a place, the latest first; a node with attempts has none of its own."""
    names = graph.names.get(place, [])
    attempts = [name for name in names if _ATTEMPT.sub("", name) in names and _ATTEMPT.search(name)]
    latest = sorted(attempts, key=lambda name: int(_ATTEMPT.search(name)[1]), reverse=True)  # type: ignore[index]
    return tuple(f"{graph.workflow}-{template}-{_hashed(name)}" for name in latest or names)


def _graph(details: list[Any]) -> _Graph:
    graph = _Graph(workflow_of(details))
    names = _full_names(graph.workflow, details)
    for name in sorted(names.values(), key=lambda name: (len(name), name)):
        graph.names[_place(name, graph.workflow)].append(name)
    graph.entries = _entries(names, details)
    return graph


def _full_names(workflow: str, details: list[Any]) -> dict[str, str]:
    """The full names of all nodes but the outermost, by id."""
    ids = {child for detail in details for child in _children(detail)}
    labels = {str(detail.display_name) for detail in details if detail.display_name}
    roots = [workflow, *(label for label in labels if _ATTEMPT.sub("", label) == workflow and label != workflow)]
    found = {f"{workflow}-{_hashed(root)}": root for root in roots}
    waiting = [(root, _hashed(root)) for root in roots]
    while waiting:
        name, state = waiting.pop()
        for label in labels:
            value = _hashed(f".{label}", state)
            if (id_ := f"{workflow}-{value}") in ids and id_ not in found:
                found[id_] = f"{name}.{label}"
                waiting.append((found[id_], value))
    return found


def _entries(names: Mapping[str, str], details: list[Any]) -> dict[str, Any]:
    """Which full name each detail is of: its children stand below it or beside it."""
    known, found, left = set(names.values()), dict[str, Any](), defaultdict[str, list[Any]](list)
    for detail in details:
        label = str(detail.display_name)
        children = [names[child] for child in _children(detail) if child in names]
        own = {around for child in children if _label(around := _around(child, known)) == label}
        own |= {beside for child in children if (beside := f"{_dag(child)}.{label}") in known}
        if len(own) == 1:
            found[own.pop()] = detail
        else:
            left[label].append(detail)
    for label, several in left.items():
        found |= _unmistakable([name for name in known if _label(name) == label and name not in found], several)
    return found


def _unmistakable(names: list[str], details: list[Any]) -> dict[str, Any]:
    """Details without children, such as a driver that failed: where all nodes of the name are in the same state."""
    if len(names) != len(details) or len({str(detail.state) for detail in details}) != 1:
        return {}
    return dict(zip(sorted(names), sorted(details, key=lambda detail: detail.start_time), strict=True))


def _around(name: str, known: set[str]) -> str:
    """The node that a node is an attempt of, or else stands in."""
    whole = _ATTEMPT.sub("", name)
    return whole if whole != name and whole in known else _dag(name)


def _dag(name: str) -> str:
    return name.rpartition(".")[0]


def _label(name: str) -> str:
    return name.rpartition(".")[2]


def _place(name: str, workflow: str) -> _Place:
    path, turns = list[str](), list[int]()
    for part in name.removeprefix(workflow).split(".")[1:]:
        if match := _TURN.match(part):
            turns.append(int(match[1]))
        elif (label := _ATTEMPT.sub("", part)) not in _INSIDE_LOOPS:
            path.append(label)
    return _Place(".".join(path), tuple(turns))


def _hashed(text: str, state: int = _FNV_START) -> int:
    for byte in text.encode():
        state = (state ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return state


def _children(detail: Any) -> list[str]:
    return [child.pod_name for child in detail.child_tasks or [] if child.pod_name]


def _is(detail: Any, state: str) -> bool:
    return str(detail.state) == state


def _seconds(detail: Any) -> float:
    """0 where it has not ended: Kubeflow then gives the year 1."""
    if not isinstance(detail.end_time, datetime) or not isinstance(detail.start_time, datetime):
        return 0.0
    return max((detail.end_time - detail.start_time).total_seconds(), 0.0)


def _error(detail: Any) -> str:
    return (detail.error and detail.error.message) or ""
