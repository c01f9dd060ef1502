"""Reads a run's tasks, with inputs and outputs, from Kubeflow's own task API, the successor of ML Metadata.

Source: kubeflow/pipelines, proposals/12147-mlmd-removal/protos/runs.proto (ListTasks, PipelineTaskDetail) and
artifacts.proto.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from components.contract.artifacts import TYPES, Artifact
from components.execution.executor import local_path
from taxiway.kubeflow.details import FAILED, PENDING, SKIPPED, Seen
from taxiway.kubeflow.host import Host
from taxiway.kubeflow.nodes import Node
from taxiway.lineage.kubeflow import RemoteTask

Json = dict[str, Any]

_ITERATION = "LOOP_ITERATION"
_STATES = {"SUCCEEDED": "COMPLETE", "FAILED": "FAILED"}
_PAGE = 200


def listed(host: Host, run_id: str) -> list[Json]:
    """All tasks of a run; empty if Kubeflow has no task API, or no task has started."""
    found, token = list[Json](), ""
    while True:
        answer = host.get_json("apis/v2beta1/tasks", run_id=run_id, page_size=str(_PAGE), page_token=token)
        if answer is None:
            return []
        found += answer.get("tasks", [])
        token = answer.get("next_page_token", "")
        if not token:
            return found


def seen(known: Iterable[Node], tasks: list[Json]) -> list[Seen]:
    """Every task that the API lists, in the pipeline's order; in loops, every iteration."""
    by_id = {task["task_id"]: task for task in tasks}
    places = [(*_place(task, by_id), task) for task in tasks]
    return [found for node in known for found in _seen(node, places)]


def results(known: Iterable[Node], tasks: list[Json]) -> list[RemoteTask]:
    """The containers that have started, in that order, with parameters and artifacts, in the form of ML Metadata."""
    by_id = {task["task_id"]: task for task in tasks}
    nodes = {node.path: node for node in known}
    began = sorted((task for task in tasks if task.get("start_time")), key=lambda task: str(task["start_time"]))
    placed = [(*_place(task, by_id), task) for task in began]
    return [_result(nodes[path], iterations, task) for path, iterations, task in placed if path in nodes]


def _result(node: Node, iterations: tuple[int, ...], task: Json) -> RemoteTask:
    seen, inputs = _task(node, iterations, task), task.get("inputs", {})
    state = "CACHED" if seen.is_cached else _STATES.get(seen.state, "CANCELED")
    parameters = {each["name"]: _typed(node, each) for each in inputs.get("parameters", []) if each.get("name")}
    return RemoteTask(seen.name, state, parameters, _artifacts(inputs), _artifacts(task.get("outputs", {})))


def _typed(node: Node, parameter: Json) -> Any:
    """A parameter's value, which the API returns as text: JSON except for strings."""
    name, value = parameter["name"], parameter.get("value", "")
    if node.types.get(name, "STRING") == "STRING":
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _artifacts(side: Json) -> dict[str, Artifact]:
    """Artifacts by port; the first one of a list, as for ML Metadata."""
    found = {}
    for each in side.get("artifacts", []):
        name = each.get("artifact_key") or each.get("parameter_name") or each.get("name") or _producer_key(each)
        values = each.get("artifacts") or [each["value"]]
        found[str(name)] = _artifact(values[0])
    return found


def _producer_key(each: Json) -> str:
    return str(each.get("producer", {}).get("key") or each.get("producer_key", ""))


def _artifact(value: Json) -> Artifact:
    metadata = dict(value.get("metadata") or value.get("custom_properties") or {})
    uri = str(value.get("uri", ""))
    return TYPES.get(str(metadata.get("tfx_type", "")), Artifact)(local_path(uri), metadata, uri)


def _seen(node: Node, places: list[tuple[str, tuple[int, ...], Json]]) -> Iterator[Seen]:
    own = [
        (iterations, task) for path, iterations, task in places if path == node.path and len(iterations) == node.loops
    ]
    own.sort(key=lambda each: each[0])
    for iterations, task in own:
        yield _task(node, iterations, task)
    begun = [iterations for iterations, _ in own]
    for path, iterations, task in places:
        if node.path.startswith(f"{path}.") and _state(task) == SKIPPED and not _any_within(begun, iterations):
            yield Seen(name=node.in_iterations(iterations), node=node, state=SKIPPED)


def _task(node: Node, iterations: tuple[int, ...], task: Json) -> Seen:
    state = _state(task)
    kinds = ("DRIVER",) if state == FAILED and not _pods(task, ("EXECUTOR",)) else ("EXECUTOR",)
    # A cache hit is CACHED, or SKIPPED with the fingerprint of the cache entry.
    is_cached = state == "CACHED" or (state == SKIPPED and bool(task.get("cache_fingerprint")))
    return Seen(
        name=node.in_iterations(iterations),
        node=node,
        state="SUCCEEDED" if is_cached else state,
        seconds=_seconds(task),
        is_cached=is_cached,
        attempts=max(len(_pods(task, ("EXECUTOR",))), 1),
        pods=tuple(reversed(_pods(task, kinds))),
        error=str(task.get("error", {}).get("message", "")),
    )


def _place(task: Json, by_id: Mapping[str, Json]) -> tuple[str, tuple[int, ...]]:
    """The path of a task, as for a node, and the iterations of its enclosing loops."""
    path, iterations = list[str](), list[int]()
    while task.get("type") != "ROOT":
        if task.get("type") == _ITERATION:
            iterations.append(int(task.get("type_attributes", {}).get("iteration_index", 0)))
        else:
            path.append(str(task["name"]))
        above = by_id.get(task.get("parent_task_id", ""))
        if above is None:
            break
        task = above
    return ".".join(["root", *reversed(path)]), tuple(reversed(iterations))


def _any_within(begun: list[tuple[int, ...]], group: tuple[int, ...]) -> bool:
    return any(iterations[: len(group)] == group for iterations in begun)


def _state(task: Json) -> str:
    return str(task.get("state") or task.get("status") or PENDING)


def _pods(task: Json, kinds: tuple[str, ...]) -> list[str]:
    return [str(pod["name"]) for pod in task.get("pods", []) if pod.get("type", "EXECUTOR") in kinds]


def _seconds(task: Json) -> float:
    start, end = (_time(task.get(name)) for name in ("start_time", "end_time"))
    return max((end - start).total_seconds(), 0.0) if start and end else 0.0


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
