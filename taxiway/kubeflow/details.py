"""Reads the states of a pipeline's tasks from a run's details.

Until Kubeflow has its own task API, the details are a flat list of the nodes of Argo's graph. Each has a display name,
a state and the ids of its children, but neither its own id nor its position. An id is a hash of the node's full name,
and the full name is the parent's full name followed by the node's own name. This module therefore finds the full names
from the top down: a candidate name below a known node exists if its hash is among the ids.

    workflow.root.transform.executor                            without Argo's retries
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
_ITERATION = re.compile(r"iteration-iterations\((\d+):")
_INSIDE_LOOPS = ("iteration-iterations", "iteration-item")
_IMPL, _DRIVER, _IMPORTER = "system-container-impl", "system-container-driver", "system-importer"
_GROUP_DRIVER = "system-dag-driver"
_FNV_START, _FNV_PRIME = 0x811C9DC5, 0x01000193

FAILED = "FAILED"
SKIPPED = "SKIPPED"
PENDING = "PENDING"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The state of a task in Kubeflow at one moment.

    Attributes:
        name: The task's name in the run: `transform`, `sub/transform`, in loops `transform[2]`.
        node: The task in the compiled pipeline.
        state: Kubeflow's state: PENDING, RUNNING, SUCCEEDED, SKIPPED, FAILED, CANCELED, ...
        seconds: Its duration; 0 while it is running.
        is_cached: Whether its outputs came from Kubeflow's cache.
        attempts: Number of attempts started.
        pods: The pods that may have run it, latest first; if it has none, or its driver failed, the driver's pods.
        error: Kubeflow's own error message.
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
    """A node's position: its path without attempts and iterations, and the iterations of the enclosing loops."""

    path: str
    iterations: tuple[int, ...] = ()

    def below(self, name: str) -> _Place:
        return _Place(f"{self.path}{name}", self.iterations)


@dataclass
class _Graph:
    """Argo's nodes, as far as the details contain them.

    Attributes:
        workflow: The workflow's name.
        names: The full names at each place; attempts come after the node that they are attempts of.
        entries: The detail of each full name.
    """

    workflow: str
    names: dict[_Place, list[str]] = field(default_factory=lambda: defaultdict(list))
    entries: dict[str, Any] = field(default_factory=dict)

    def entry(self, place: _Place) -> Any:
        """The detail of a place as a whole, or None."""
        return next((self.entries[name] for name in self.names.get(place, ()) if name in self.entries), None)


def seen(known: Iterable[Node], details: list[Any]) -> list[Seen]:
    """Every task that occurs in the details, in the pipeline's order; in loops, every iteration.

    Args:
        known: The pipeline's tasks.
        details: `run_details.task_details` of a run.
    """
    graph = _graph(details)
    caches = {(str(d.start_time), str(d.end_time)) for d in details if d.display_name == "executor" and _is(d, SKIPPED)}
    return [found for node in known for found in _seen(node, graph, caches)]


def drivers(known: Iterable[Node], details: list[Any]) -> dict[str, tuple[str, ...]]:
    """The pods of the unfinished drivers that belong to no task: by `root`, `root.condition-1`, `root.sub`."""
    graph, tasks = _graph(details), {name for node in known for name in (node.path, f"{node.path}-driver")}
    places = [place for place in graph.names if place.path.endswith("-driver") and place.path not in tasks]
    unfinished = [place for place in places if (entry := graph.entry(place)) and not _has_ended(entry)]
    return {place.path.removesuffix("-driver"): _pods(graph, place, _GROUP_DRIVER) for place in unfinished}


def workflow_of(details: Iterable[Any]) -> str:
    """The workflow's name, the prefix of every node's id; empty if nothing has started."""
    return next((child.rpartition("-")[0] for detail in details for child in _children(detail)), "")


def _seen(node: Node, graph: _Graph, caches: set[tuple[str, str]]) -> Iterator[Seen]:
    driven = f"{node.path}-driver"
    places = {_Place(node.path, place.iterations) for place in graph.names if place.path in (node.path, driven)}
    begun = {place for place in places if len(place.iterations) == node.loops}
    for place in sorted(begun, key=lambda place: place.iterations):
        yield _task(node, place, graph, caches)
    # A skipped group contains no nodes.
    for place in sorted(graph.names, key=lambda place: place.iterations):
        entry = graph.entry(place) if node.path.startswith(f"{place.path}.") else None
        if entry and _is(entry, SKIPPED) and not any(_is_within(other, place) for other in begun):
            yield Seen(name=node.in_iterations(place.iterations), node=node, state=SKIPPED)


def _task(node: Node, place: _Place, graph: _Graph, caches: set[tuple[str, str]]) -> Seen:
    name, entry, driver = node.in_iterations(place.iterations), graph.entry(place), graph.entry(place.below("-driver"))
    if driver and _is(driver, FAILED) and (not entry or _is(entry, FAILED)):
        pods = _pods(graph, place.below("-driver"), _DRIVER)
        return Seen(name=name, node=node, state=FAILED, seconds=_seconds(driver), pods=pods, error=_error(driver))
    if not entry:
        return Seen(name=name, node=node, state=PENDING, pods=_pods(graph, place.below("-driver"), _DRIVER))
    template = _IMPORTER if node.executor.kind == "importer" else _IMPL
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


def _is_within(place: _Place, group: _Place) -> bool:
    return place.iterations[: len(group.iterations)] == group.iterations


def _pods(graph: _Graph, place: _Place, template: str) -> tuple[str, ...]:
    """The pods of a place, latest first; a node with attempts has no pod of its own."""
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
    """The full names of all nodes except the outermost, by id."""
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
    """Finds the full name of each detail from its children, which are below or beside it."""
    known, found, left = set(names.values()), dict[str, Any](), defaultdict[str, list[Any]](list)
    for detail in details:
        label = str(detail.display_name)
        children = [names[child] for child in _children(detail) if child in names]
        own = {around for child in children if _label(around := _attempted_or_parent(child, known)) == label}
        own |= {beside for child in children if (beside := f"{_dag(child)}.{label}") in known}
        if len(own) == 1:
            found[own.pop()] = detail
        else:
            left[label].append(detail)
    for label, several in left.items():
        found |= _unambiguous([name for name in known if _label(name) == label and name not in found], several)
    return found


def _unambiguous(names: list[str], details: list[Any]) -> dict[str, Any]:
    """Assigns details without children, such as a failed driver, if all nodes of that name have the same state."""
    if len(names) != len(details) or len({str(detail.state) for detail in details}) != 1:
        return {}
    return dict(zip(sorted(names), sorted(details, key=lambda detail: detail.start_time), strict=True))


def _attempted_or_parent(name: str, known: set[str]) -> str:
    """The node that a node is an attempt of, or else its parent."""
    whole = _ATTEMPT.sub("", name)
    return whole if whole != name and whole in known else _dag(name)


def _dag(name: str) -> str:
    return name.rpartition(".")[0]


def _label(name: str) -> str:
    return name.rpartition(".")[2]


def _place(name: str, workflow: str) -> _Place:
    path, iterations = list[str](), list[int]()
    for part in name.removeprefix(workflow).split(".")[1:]:
        if match := _ITERATION.match(part):
            iterations.append(int(match[1]))
        elif (label := _ATTEMPT.sub("", part)) not in _INSIDE_LOOPS:
            path.append(label)
    return _Place(".".join(path), tuple(iterations))


def _hashed(text: str, state: int = _FNV_START) -> int:
    for byte in text.encode():
        state = (state ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return state


def _children(detail: Any) -> list[str]:
    return [child.pod_name for child in detail.child_tasks or [] if child.pod_name]


def _is(detail: Any, state: str) -> bool:
    return str(detail.state) == state


def _has_ended(detail: Any) -> bool:
    return str(detail.state) not in (PENDING, "RUNNING")


def _seconds(detail: Any) -> float:
    """The duration; 0 if it has not ended, for which Kubeflow reports the year 1."""
    if not isinstance(detail.end_time, datetime) or not isinstance(detail.start_time, datetime):
        return 0.0
    return max((detail.end_time - detail.start_time).total_seconds(), 0.0)


def _error(detail: Any) -> str:
    return (detail.error and detail.error.message) or ""
